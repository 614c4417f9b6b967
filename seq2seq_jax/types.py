"""The values that pass between modules, and the letters of their shapes.

`B` batch, `S` source length, `T` target length, `K` hypotheses per source,
`Q` queries, `N` hypotheses returned, `D` features, `H` heads, `V` vocabulary,
`F` mel bins. Lengths count real tokens, EOS included.
"""

from typing import Any, NamedTuple

Array = Any  # np.ndarray or jax.Array: this module imports NumPy alone.

# Owned by every tokenizer: four distinct ids, the same in all vocabularies.
PAD, BOS, EOS, UNK = 0, 1, 2, 3
SPECIALS = ("<pad>", "<s>", "</s>", "<unk>")


class UserError(Exception):
  """Bad input: one clear message that names the place and the way out."""


class Diverged(UserError):
  """A run whose loss is not finite any more."""


class Batch(NamedTuple):
  """Rows of padded examples; a filler row has `src_len = 1, tgt_len = 0`."""

  src: Array | None  # [B, S] int32, ends with EOS; None: a language model
  src_len: Array | None  # [B]
  tgt: Array  # [B, T] int32, EOS last, BOS not stored
  tgt_len: Array  # [B]
  row: Array  # [B] int32, place in the planned global batch
  src_ext: Array | None = None  # [B, S] ids in the extended vocabulary
  tgt_ext: Array | None = None  # [B, T]


class EncodedSide(NamedTuple):
  """One side of an example as arrays, without padding."""

  values: Array  # [L] int32 ids or [L, F] float32 frames; [0]: no source
  extended: Array | None = None  # [L] int32 ids in the extended vocabulary


class EncodedPair(NamedTuple):
  """Both sides of an example as arrays."""

  source: EncodedSide
  target: EncodedSide


class PaddedSide(NamedTuple):
  """One side of a batch, rows padded to one length."""

  values: Array | None  # [B, L] int32 or [B, L, F] float32; None: no source
  length: Array | None  # [B] int32
  extended: Array | None = None  # [B, L] int32


class Memory(NamedTuple):
  """What the encoder hands to the decoder; shared by the K hypotheses."""

  values: Array  # [B, S', D]
  mask: Array  # [B, S'] bool
  state: Any  # tuple over layers of carries, both directions concatenated
  keys: Any = None  # whatever `prepare` computes from the source alone
  source: Array | None = None  # [B, S'] ids in the extended vocabulary


class StepOutput(NamedTuple):
  """One decoder step, or all of them: K (or T) on axis 1."""

  features: Array  # [B, K, D]
  attention: Array | None  # [B, K, S']
  extra: dict[str, Array]  # [B, K, ...]


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

  tokens: Array  # [B, N, T] int32, pad behind the end
  length: Array  # [B, N] tokens, EOS included
  score: Array  # [B, N] by length rule and penalty; -inf: no such hypothesis
  log_prob: Array  # [B, N] sum over tokens
  token_log_probs: Array  # [B, N, T], 0 behind the end
  finished: Array  # [B, N] bool; False: cut at the longest length
  attention: Array | None = None  # [B, N, T, S']
  proven: Array | None = None  # [B] exact search has ruled out all others
  improved: Array | None = None  # [B] it has beaten what the beam found
