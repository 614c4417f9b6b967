"""What each layer promises: Protocols, in the shape letters of `types.py`."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from seq2seq_jax import types


class Side(Protocol):
  """One side of an example: a text, frames of audio, or no source at all.

  A side turns a raw value of the corpus (a line of text, an array of frames,
  None) into arrays and says everything about it that depends on its kind. Code
  outside `data/` never asks which kind it is.
  """

  present: ClassVar[bool]
  """False if examples have no such side: a language model has no source."""
  item: ClassVar[str]
  """What a value is called: line, utterance."""
  unit: ClassVar[str]
  """What its positions are called: tokens, frames."""
  asked: ClassVar[str]
  """What is typed at a prompt: a sentence."""

  @property
  def vocab_size(self) -> int | None:
    """Number of ids of its values, 0 for frames, None if it is not present."""

  @property
  def features(self) -> int:
    """F of values [L, F]; 0 for ids and for no source."""

  @property
  def reverse(self) -> bool:
    """True if the encoder reads it from last to first."""

  @property
  def marks(self) -> tuple[int, int]:
    """Positions before its words that are no words, and those behind: a text
    ends with EOS, or is read in another way of `data.source_ends`."""

  @property
  def samples(self) -> bool:
    """True if `encode` depends on the generator that it is handed."""

  @property
  def segmentation(self) -> tuple[str, bool, float, str, bool] | None:
    """What its tokenizer does: kind, lower-casing, sampling, normal form and
    whether invisible characters are dropped; None if it has none."""

  @classmethod
  def of_training(cls, values: Iterable[Any], data: Any) -> "Side | None":
    """The side of training sources, as the config's section `data` says.

    None if it must learn a vocabulary.
    """

  @staticmethod
  def is_blank(value: Any) -> bool:
    """True if a raw value holds nothing: an empty line, no frame."""

  @staticmethod
  def content(value: Any) -> bytes:
    """Bytes that are equal for equal values alone, for checksums."""

  def encode(
    self, value: Any, rng: np.random.Generator | None = None
  ) -> types.EncodedSide:
    """Arrays of a raw value; a segmentation drawn from `rng` if there is one.

    Texts end with EOS, sources as `data.source_ends` says.
    """

  def prepare(self, values: Iterable[Any]) -> None:
    """Makes what `encode` needs to be fast of raw values, such as a file.

    It changes no result.
    """

  def length(self, encoded: types.EncodedSide) -> int:
    """L, EOS included; 0 for no source."""

  def positions(self, value: Any) -> int:
    """`length` of a raw value's encoding without a generator, found cheaply."""

  def pad(
    self, rows: Sequence[types.EncodedSide | None], length: int
  ) -> types.PaddedSide:
    """Stacks encoded values, padded to `length`; None is a filler row.

    A filler row of a source has one position, so that attention over it is
    defined; that of a target has none.
    """

  def padded(self, length: int, step: int) -> int:
    """The padded length of a value of L positions, in search and scoring.

    One of a few, as each is a compiled program; at most as many as grow with
    log L.

    Args:
      length: L.
      step: short lengths are padded to a multiple of it.
    """
    ...

  def cut(self, positions: Any, length: int) -> Any:
    """The first `length` of a value's positions, EOS one of them.

    Args:
      positions: what there is for each position, in the encoder's order.
      length: fewer than that.
    """

  def units(self, value: Any) -> int:
    """Length in the unit that a table groups by: words, characters, frames."""

  def show(self, value: Any) -> list[str]:
    """One label for each of the L positions of the encoded value."""

  def text(self, value: Any) -> str:
    """A raw value as text, for output files."""

  def accept(self, value: Any) -> Any:
    """A source that a program gives, as a raw value.

    Such as the name of an audio file as an utterance.

    Raises:
      types.UserError: it is no source of this kind.
    """

  def inputs(self, path: str | None) -> Iterator[types.Input]:
    """The raw values of a file, which is opened at once, in order.

    Args:
      path: of the file; None: standard input.

    Raises:
      types.UserError: the file cannot be read, or holds nothing of this kind.
    """
    ...

  @staticmethod
  def reference(value: Any) -> str | None:
    """The target that a raw value comes with, as in a manifest."""

  def record(self, value: Any) -> dict[str, Any]:
    """A raw value as keys of a line of JSON: `source` and what is known."""
    ...

  def picture(self, value: Any) -> types.Picture | None:
    """What is drawn of a raw value, such as a spectrogram; None of text.

    Its frames are in the order of time, whatever the encoder's order is.
    """

  def copyable(self, value: Any) -> list[str]:
    """Distinct words that a model may copy though it has no id for them.

    The n-th of them has id V + n, V being the size of the target's vocabulary.
    Empty if the model does not copy.
    """

  def words(self, value: Any) -> list[str]:
    """Words in the order in which the encoder reads them.

    Raises:
      types.UserError: the side has no words of one id each.
    """

  def spelled(self, value: Any) -> list[str]:
    """The same words as they were given, not lower-cased; raises as `words`."""

  def unknown(self, value: Any) -> list[str]:
    """Distinct words, or characters, for which there is no id."""

  def checksum(self) -> str:
    """SHA-256 of what encodes the values; empty if there is nothing."""

  def dump(self) -> bytes:
    """The content of a file from which the side can be loaded again."""


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
    ...

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


@runtime_checkable
class StepFn(Protocol):
  """One decoder step of K hypotheses a source: all that search sees of a model.

  A recurrent model, a Transformer, an ensemble and a model with a language
  model fused in are all the same to search.
  """

  def __call__(
    self, memory: Any, carry: Any, tokens: Int[types.Array, "B K"]
  ) -> tuple[
    Any, Float[types.Array, "B K V"], Float[types.Array, "B K M"] | None
  ]:
    """The carry after the step, log-probabilities and attention weights.

    Args:
      memory: leaves [B, ...], shared by the hypotheses of a source.
      carry: leaves [B, K, ...], which search may reorder on axis 1.
      tokens: of the step before, BOS at first.

    V counts the words that a copying model takes from the source. Attention is
    None if the model does not attend.
    """


class Objective(Protocol):
  """A term of the training loss; `training/objectives.py` lists them."""

  def __call__(
    self, outputs: types.Outputs, memory: types.Memory, batch: types.Batch
  ) -> dict[str, tuple[types.Array, types.Array]]:
    """Sums that enter the loss, by name, each with the weight that divides it.

    Both are scalars over the rows given: they are added up over devices and
    parts of a batch. The loss is a weighted sum of the sums; the mean, sum over
    weight, is only shown. Filler rows (`tgt_len` 0) and padding must add 0.
    """
