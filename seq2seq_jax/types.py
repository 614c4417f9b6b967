"""The values that pass between modules, and the letters of their shapes.

`B` batch, `S` source length (`L` either side's), `M` positions of the memory
(`S`, or fewer if the encoder shortens the source; a copying model needs
`M = S`), `T` target length, `K` hypotheses per source, `Q` queries (1 in a
training scan, K in a beam, T where all steps are computed at once), `N`
hypotheses returned, `P` parts of a score, `D` features (where several widths
meet, of a query), `E` those of source vectors, `R` those that the head reads,
`G` a cell's gate columns, `H` heads, `V` vocabulary, `X` words that only the
source has (0, or M if the model copies), `F` mel bins. Lengths count real
tokens, EOS included.

Shapes are written as jaxtyping annotations in these letters. They are comments
at run time; the tests check them (`tests/helpers/shapes.py`).
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxtyping import Bool, Float, Int

Array = Any  # np.ndarray or jax.Array: this module imports no JAX.

# Owned by every tokenizer: four distinct ids, the same in all vocabularies.
PAD, BOS, EOS, UNK = 0, 1, 2, 3
SPECIALS = ("<pad>", "<s>", "</s>", "<unk>")


class UserError(Exception):
  """Bad input: one clear message that names the place and the way out."""


def check_local(name: str, path: str | os.PathLike[str]) -> None:
  """Checks that a path is none of a remote file system: `gs://bucket/run`.

  Taken for a local folder, what is written there would be lost.

  Args:
    name: of the flag or field that the path was given by.
    path: a text, or a path, in which two slashes have become one.

  Raises:
    UserError: it is.
  """
  text = os.fspath(path)
  if scheme := re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/", text):
    raise UserError(
      f"{name} {text}: {scheme[1]}:// is a file system that is not supported; "
      "choose a folder that is mounted on this machine"
    )


class Diverged(UserError):
  """A run whose loss is not finite any more."""


class Unreadable(UserError):
  """Audio that cannot be used, while that of other sources may be.

  Args:
    reason: names the file.
    reasons: of a search, those of all such sources by their places among the
      ones given, from 0.
    way_out: for training, beside what the reason says; empty: none.
  """

  def __init__(
    self,
    reason: str,
    reasons: Mapping[int, str] | None = None,
    way_out: str = "",
  ):
    super().__init__(f"{reason}; {way_out}" if way_out else reason)
    self.reason, self.reasons = reason, dict(reasons or {})


class Unanswerable(UserError):
  """Sources that are too long, or for which memory is not enough.

  Args:
    reason: in words that follow a source's name.
    places: of the sources among those given, from 0, the worst first.
  """

  def __init__(self, reason: str, places: Sequence[int]):
    super().__init__(f"source {places[0] + 1}: {reason}")
    self.reason, self.places = reason, tuple(places)


class Batch(NamedTuple):
  """Rows of padded examples.

  A filler row has `src = [eos], src_len = 1, tgt_len = 0`: with no source
  position at all its attention weights would be NaN.
  """

  src: Int[Array, "B S"] | Float[Array, "B S F"] | None
  """Ids that end with EOS, or frames; None: a language model."""
  src_len: Int[Array, " B"] | None
  tgt: Int[Array, "B T"]
  """EOS last, BOS not stored."""
  tgt_len: Int[Array, " B"]
  row: Int[Array, " B"]
  """Place in the planned global batch: the row's randomness is keyed by it."""
  src_ext: Int[Array, "B S"] | None = None
  """Ids in the extended vocabulary: V and above name the sentence's own words.
  None unless the model copies."""
  tgt_ext: Int[Array, "B T"] | None = None


class Input(NamedTuple):
  """What a file gives a trained model to answer."""

  value: Any
  """A raw value."""
  place: str
  """Where it stands, for messages."""


class Picture(NamedTuple):
  """What is drawn of a source that is not text."""

  values: Float[Array, "L F"]
  """The lowest feature first."""
  seconds: float | None
  """From one frame to the next; None: not known."""
  hertz: tuple[float, ...] | None
  """Frequency of each feature; None: it has none."""
  step: int = 1
  """Frames of it from one frame that the encoder reads to the next."""


class AttentionMap(NamedTuple):
  """What is drawn of the attention of a source's best output."""

  text: str
  """The output."""
  tokens: list[str]
  weights: Float[Array, "T M"]
  labels: list[str]
  """What stands at each position."""
  picture: Picture | None
  """Drawn in place of the labels; then the positions are in the order of time,
  whatever the encoder's is."""
  frames: int
  """Of the picture, from one position to the next,"""
  start: int
  """and where the first position begins, at most 0."""


class EncodedSide(NamedTuple):
  """One side of an example as arrays, without padding."""

  values: Int[Array, " L"] | Float[Array, "L F"]
  """Ids or frames; of length 0: no source."""
  extended: Int[Array, " L"] | None = None
  """Ids in the extended vocabulary; None unless the model copies."""


class EncodedPair(NamedTuple):
  """Both sides of an example as arrays."""

  source: EncodedSide
  target: EncodedSide


class PaddedSide(NamedTuple):
  """One side of a batch, rows padded to one length."""

  values: Int[Array, "B L"] | Float[Array, "B L F"] | None
  length: Int[Array, " B"] | None
  extended: Int[Array, "B L"] | None = None


class Memory(NamedTuple):
  """What the encoder hands to the decoder; shared by the K hypotheses."""

  values: Float[Array, "B M E"]
  """The source vectors, 0 at padding."""
  mask: Bool[Array, "B M"]
  """True at real positions; at least one a row."""
  state: Any
  """Last carry of each encoder layer, both directions concatenated: a tuple
  over layers of tuples of [B, D]."""
  keys: Any = None
  """What the decoder's `prepare` computes from the source alone."""
  source: Int[Array, "B M"] | None = None
  """Ids in the extended vocabulary; None unless the model copies."""


class StepOutput(NamedTuple):
  """One decoder step of K hypotheses, or all T steps of one: K or T on axis 1.

  In the shapes `K` stands for either.
  """

  features: Float[Array, "B K R"]
  """What the head turns into words."""
  attention: Float[Array, "B K M"] | None
  """Attention weights; None without attention."""
  extra: dict[str, Array]
  """Whatever else the head or a penalty needs, [B, K, ...] by name."""


class Outputs(NamedTuple):
  """What a model makes of a batch's targets: the input of objectives."""

  steps: StepOutput  # all T steps
  loss: Array  # [] negative log-likelihood with label smoothing, summed
  nll: Array  # [B, T] -log P of each reference token, 0 over padding
  correct: Array  # [B, T] 1 where the reference ranks first, 0 over padding
  model: Any  # the bound module, for objectives that need its parameters
  keys: Array | None  # [B] the rows' random keys; None without dropout


class Hypotheses(NamedTuple):
  """The N best outputs of each source, best first."""

  tokens: Int[Array, "B N T"]
  """Pad after the end."""
  length: Int[Array, "B N"]
  """Tokens, EOS included."""
  score: Float[Array, "B N"]
  """By length rule and penalties; -inf: there is no such hypothesis."""
  log_prob: Float[Array, "B N"]
  """Sum over tokens."""
  token_log_probs: Float[Array, "B N T"]
  """0 after the end."""
  finished: Bool[Array, "B N"]
  """False: cut at the longest length."""
  attention: Float[Array, "B N T M"] | None = None
  proven: Bool[Array, " B"] | None = None
  """True where exact search has ruled out every other output."""
  improved: Bool[Array, " B"] | None = None
  """True where exact search found a better output than the beam."""
  parts: Float[Array, "B N P"] | None = None
  """Sums over tokens of what each part of the step gives; None: it is one."""
