"""Protocols between the layers: what each promises, with shapes.

Shape letters are those of `types.py`.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from seq2seq_jax import types


class Side(Protocol):
  """One side of an example: a text, frames of audio, or no source at all.

  A side turns a raw value of the corpus (a line of text, an array of frames,
  None) into arrays and says everything about it that depends on its kind. Code
  outside `data/` never asks which kind it is.
  """

  present: ClassVar[bool]
  """False if examples have no such side: a language model has no source."""

  @property
  def vocab_size(self) -> int | None:
    """Number of ids of its values, 0 for frames, None if it is not present."""
    ...

  @property
  def features(self) -> int:
    """F of values [L, F]; 0 for ids and for no source."""
    ...

  @property
  def reverse(self) -> bool:
    """True if the encoder reads it from last to first."""
    ...

  @property
  def samples(self) -> bool:
    """True if `encode` depends on the generator that it is handed."""
    ...

  @property
  def segmentation(self) -> tuple[str, bool, float] | None:
    """Kind, lower-casing and sampling of its tokenizer; None if it has none."""
    ...

  @classmethod
  def like(cls, value: Any, reverse: bool) -> "Side | None":
    """The side of sources like `value`; None if it must learn a vocabulary."""
    ...

  @staticmethod
  def is_blank(value: Any) -> bool:
    """True if a raw value holds nothing: an empty line, no frame."""
    ...

  @staticmethod
  def content(value: Any) -> bytes:
    """Bytes that are equal for equal values alone, for checksums."""
    ...

  def encode(
    self, value: Any, rng: np.random.Generator | None = None
  ) -> types.EncodedSide:
    """Arrays of a raw value; a segmentation drawn from `rng` if there is one.

    Texts end with EOS.
    """
    ...

  def length(self, encoded: types.EncodedSide) -> int:
    """L, EOS included; 0 for no source."""
    ...

  def pad(
    self, rows: Sequence[types.EncodedSide | None], length: int
  ) -> types.PaddedSide:
    """Stacks encoded values, padded to `length`; None is a filler row.

    A filler row of a source has one position, so that attention over it is
    defined; that of a target has none.
    """
    ...

  def units(self, value: Any) -> int:
    """Length in the unit that a table groups by: words, characters, frames."""
    ...

  def show(self, value: Any) -> list[str]:
    """One label for each of the L positions of the encoded value."""
    ...

  def text(self, value: Any) -> str:
    """A raw value as text, for output files."""
    ...

  def copyable(self, value: Any) -> list[str]:
    """Distinct words that a model may copy though it has no id for them.

    The n-th of them has id V + n, V being the size of the target's vocabulary.
    Empty if the model does not copy.
    """
    ...

  def words(self, value: Any) -> list[str]:
    """Words in the order in which the encoder reads them.

    Raises:
      types.UserError: the side has no words of one id each.
    """
    ...

  def checksum(self) -> str:
    """SHA-256 of what encodes the values; empty if there is nothing."""
    ...

  def dump(self) -> bytes:
    """The content of a file from which the side can be loaded again."""
    ...


# Encoder, Decoder, Head, Score (models).


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
    ...


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
