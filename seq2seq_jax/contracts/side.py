"""The protocol of one side of an example."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np

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

  @staticmethod
  def reference(value: Any) -> str | None:
    """The target that a raw value comes with, as in a manifest."""

  def record(self, value: Any) -> dict[str, Any]:
    """A raw value as keys of a line of JSON: `source` and what is known."""

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
