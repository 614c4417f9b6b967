"""Protocols of the parts of a model."""

from typing import Any, Protocol

from jaxtyping import Bool, Float, Int

from seq2seq_jax import types


class Encoder(Protocol):
  """From a padded source to the memory that the decoder attends to.

  What the padding holds must never reach a real position, nor the state.
  """

  def mask_specs(self) -> tuple[Any, ...]:
    """The dropout masks of a call (`dropout_masks.MaskSpec`), in order."""

  def __call__(
    self,
    src: Int[types.Array, "B S"] | Float[types.Array, "B S F"],
    src_len: Int[types.Array, " B"],
    masks: dict[str, types.Array] | None = None,
  ) -> types.Memory:
    """The memory of ids or frames.

    Args:
      src: padded sources.
      src_len: real positions of each, at least 1.
      masks: drawn masks by name, [S, B, W] or shorter by their stride; None:
        no dropout (search).
    """


class Score(Protocol):
  """How well each query fits each source vector.

  Training, greedy search, beams of any width and steps that are all computed at
  once call the same score; only Q differs.
  """

  remembers: bool
  """True if a state [B, Q, M] goes from step to step."""

  def reach(self) -> int | None:
    """Number of positions that can have weight; None: all of the source."""

  def keys(self, values: Float[types.Array, "B M E"]) -> Any:
    """What depends on the source alone; computed once a source."""

  def __call__(
    self,
    query: Float[types.Array, "B Q D"],
    keys: Any,
    state: Float[types.Array, "B Q M"] | None = None,
  ) -> Float[types.Array, "B Q M"] | Float[types.Array, "B H Q M"]:
    """Scores before masking and normalisation; H heads if it has several.

    A query's scores depend on no other query.
    """

  def first_state(
    self, mask: Bool[types.Array, "B M"]
  ) -> Float[types.Array, "B 1 M"]:
    """The state before the first step, if it remembers; by default 0.

    Args:
      mask: True at the real positions of each source.
    """

  def next_state(
    self,
    state: Float[types.Array, "B Q M"],
    weights: Float[types.Array, "B Q M"],
    keys: Any,
  ) -> Float[types.Array, "B Q M"]:
    """The state after a step with these attention weights, if it remembers."""


class Head(Protocol):
  """From the features of a step to probabilities, and to losses.

  The class attributes say what a head needs; decoders ask them and never for
  the head's class.
  """

  copies: bool
  """True if the source's words are outputs too: X is then M, else 0."""
  sees_input: bool
  """True if `extra` reads the step's input."""
  feeds_back_copies: bool
  """True if the copy scores of a step are an input of the next: the head then
  has `read(memory, copy_scores [B, K, M], tokens [B, K]) -> [B, K, E]`, and
  `extra` returns the scores as `copy`."""

  @staticmethod
  def state_width(features: int, leaves: int) -> int:
    """Width of `state_of`, for a cell with so many leaves of such width."""

  @staticmethod
  def state_of(
    output: types.Array, carry: tuple[types.Array, ...]
  ) -> types.Array:
    """What it sees of the top layer, of its output and its carry."""

  def keys(self, memory: types.Memory) -> Any:
    """What depends on the source alone; kept in `memory.keys.head`."""

  def extra(
    self, memory: types.Memory, inputs: dict[str, Any], attended: Any
  ) -> dict[str, types.Array]:
    """What `log_probs` and `losses` need beside the features. [B, K, ...].

    Args:
      memory: prepared.
      inputs: `state` if it copies (`state_of`), `read` if it sees the input.
      attended: context [B, K, E] and attention weights [B, K, M].
    """

  def log_probs(
    self, memory: types.Memory | None, output: types.StepOutput
  ) -> Float[types.Array, "B K VX"]:
    """Normalised log-probabilities of V + X words."""

  def losses(
    self,
    memory: types.Memory | None,
    output: types.StepOutput,
    targets: Int[types.Array, "B T"],
    weights: Float[types.Array, "B T"],
    smoothing: float,
    smoothing_kind: str,
  ) -> tuple[
    Float[types.Array, ""],
    Float[types.Array, "B T"],
    Float[types.Array, "B T"],
  ]:
    """The sum of weighted losses, and two terms a token.

    The terms are the negative log-likelihood, which equals what `log_probs`
    gives, and 1 where the reference is the most probable word. Gradients flow
    through the sum alone, so a head may fuse it with its product.
    """


class Decoder(Protocol):
  """One step, which training and search share.

  `unroll` equals T calls of `advance`; `advance` of K hypotheses equals K calls
  with one. Leaves of a carry are [B, K, ...], positions and counters included,
  so that search may reorder axis 1 of all of them alike.
  """

  @property
  def head(self) -> Head:
    """What turns the features of `advance` into words."""

  def mask_specs(self) -> tuple[Any, ...]:
    """The dropout masks of a call (`dropout_masks.MaskSpec`), in order."""

  def prepare(self, memory: types.Memory) -> types.Memory:
    """The memory with `keys`: what depends on the source alone.

    Called once a source, outside of every loop; the memory is shared by the K
    hypotheses and never repeated for them.
    """

  def start(self, memory: types.Memory, steps: int = 1) -> Any:
    """The carry before the first step, leaves [B, 1, ...].

    Args:
      memory: prepared.
      steps: most steps that will follow, for a decoder with a cache.
    """

  def embed(
    self,
    tokens: Int[types.Array, "B K"],
    masks: dict[str, types.Array] | None = None,
  ) -> Any:
    """What depends on the tokens alone; ids >= V are read as unk."""

  def input_table(self) -> Float[types.Array, "V G"] | None:
    """First-layer input products [V, G], one row a word, or None.

    A search of many steps computes the table once, and then calls
    `lookup_inputs(inputs, tokens, table)` for `embed`'s.
    """

  def advance(
    self,
    memory: types.Memory,
    carry: Any,
    inputs: Any,
    masks: dict[str, types.Array] | None = None,
  ) -> tuple[Any, types.StepOutput]:
    """One step: the new carry, and the features for the head.

    Args:
      memory: prepared.
      carry: of the step before.
      inputs: `embed` of this step's tokens.
      masks: of this step [B, 1, W] by name; None: no dropout.
    """

  def unroll(
    self,
    memory: types.Memory,
    tokens: Int[types.Array, "B T"],
    masks: dict[str, types.Array] | None = None,
  ) -> types.StepOutput:
    """All T steps with given inputs, BOS first.

    Args:
      memory: prepared.
      tokens: inputs of the steps.
      masks: of all steps [T, B, W] by name; None: no dropout.
    """
