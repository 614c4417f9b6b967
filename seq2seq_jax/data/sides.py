"""Kinds of sides of an example: text, frames, or no source.

Each class implements `contracts.Side`. A new kind is a class, here or in a file
of its own, and a line in `KINDS` and in `STORED`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from seq2seq_jax import config, contracts, types
from seq2seq_jax.data import (
  audio,
  audio_side,
  frames_side,
  ladder,
  stored,
  text_inputs,
  tokenizers,
)

_EOS = np.array([types.EOS], np.int32)
# Ids before and behind the words of a source, by `data.source_ends`.
MARKS: dict[str, tuple[list[int], list[int]]] = {
  "eos": ([], [types.EOS]),
  "none": ([], []),
  "bos_eos": ([types.BOS], [types.EOS]),
}
_EMPTY = np.zeros(0, np.int32)


class _Text(text_inputs.Lines):
  """A side of text, the base of source and target.

  Args:
    tokenizer: tokenizer of this side.
    output: the target's tokenizer if the model copies: then `encode` also gives
      ids in the extended vocabulary, in which the n-th copyable word has id
      `output.vocab_size + n`. None if the model does not copy.
    filler: ids of a filler row.
  """

  present: ClassVar[bool] = True
  features = 0
  reverse = False
  marks = (0, 1)

  def __init__(
    self,
    tokenizer: tokenizers.Tokenizer,
    output: tokenizers.Tokenizer | None,
    filler: np.ndarray,
  ):
    self.tokenizer, self.output = tokenizer, output
    self.vocab_size = tokenizer.vocab_size
    self.samples = tokenizer.sampling > 0
    self.segmentation = (
      tokenizer.kind,
      tokenizer.lowercase,
      tokenizer.sampling,
      tokenizer.form,
      tokenizer.drop_invisible,
    )
    self._filler = types.EncodedSide(
      filler, filler if output is not None else None
    )

  @classmethod
  def of_training(cls, values: Iterable[str], data: config.Data) -> None:
    return None

  @staticmethod
  def is_blank(value: str) -> bool:
    if not isinstance(value, str):
      raise types.UserError(
        f"a source is {type(value).__name__}, but this model reads text (str)"
      )
    return not value.strip()

  @staticmethod
  def content(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")

  def prepare(self, values: Iterable[Any]) -> None:
    pass

  def length(self, encoded: types.EncodedSide) -> int:
    return len(encoded.values)

  def pad(
    self, rows: Sequence[types.EncodedSide | None], length: int
  ) -> types.PaddedSide:
    filled = [self._filler if row is None else row for row in rows]
    extended = None
    if self.output is not None:
      extended = _pad_ids([row.extended for row in filled], length)
    return types.PaddedSide(
      _pad_ids([row.values for row in filled], length),
      np.array([len(row.values) for row in filled], np.int32),
      extended,
    )

  def padded(self, length: int, step: int) -> int:
    return ladder.doubling(length, step)

  def cut(self, positions: Any, length: int) -> Any:
    before, behind = self.marks
    if self.reverse:  # the first words are read last
      kept = positions[:before], positions[len(positions) - length + before :]
    else:
      end = len(positions) - behind
      kept = positions[: length - behind], positions[end:]
    if isinstance(positions, np.ndarray):
      return np.concatenate(kept)
    return [*kept[0], *kept[1]]

  def units(self, value: str) -> int:
    return len(value if self.tokenizer.kind == "char" else value.split())

  def text(self, value: str) -> str:
    return value

  def unknown(self, value: str) -> list[str]:
    parts = value if self.tokenizer.kind == "char" else value.split()
    return [
      part
      for part in dict.fromkeys(parts)
      if types.UNK in self.tokenizer.encode(part)
    ]

  def checksum(self) -> str:
    return self.tokenizer.checksum()

  def dump(self) -> bytes:
    return self.tokenizer.dump()

  def _ids(self, value: str, rng: np.random.Generator | None) -> np.ndarray:
    """Ids without EOS."""
    if rng is not None and self.samples:
      return self.tokenizer.encode_sampled(value, rng)
    return self.tokenizer.encode(value)

  def _extended_ids(self, value: str, copyable: Sequence[str]) -> list[int]:
    """Ids in the extended vocabulary, without EOS."""
    assert self.output is not None
    words = self.tokenizer.words(value)
    first = self.output.vocab_size
    copied = {word: first + n for n, word in enumerate(copyable)}
    ids = self.output.encode(" ".join(words)).tolist()
    return [
      copied.get(word, i) if i == types.UNK else i
      for word, i in zip(words, ids)
    ]


class SourceText(_Text):
  """A source text as ids with its marks, and its copyable words.

  Args:
    tokenizer: tokenizer of the source.
    reverse: the encoder reads the words from last to first, then EOS.
    output: the target's tokenizer if the model copies.
    ends: its marks (`data.source_ends`).
  """

  def __init__(
    self,
    tokenizer: tokenizers.Tokenizer,
    *,
    reverse: bool = False,
    output: tokenizers.Tokenizer | None = None,
    ends: str = "eos",
  ):
    super().__init__(tokenizer, output, filler=_EOS)
    self.reverse, self.ends = reverse, ends
    before, behind = MARKS[ends]
    self.marks = len(before), len(behind)

  def encode(
    self, value: str, rng: np.random.Generator | None = None
  ) -> types.EncodedSide:
    ids = self._marked(self._ids(value, rng))
    if self.output is None:
      return types.EncodedSide(ids)
    extended = self._extended_ids(value, self.copyable(value))
    return types.EncodedSide(ids, self._marked(extended))

  def positions(self, value: str) -> int:
    return self.length(self.encode(value))

  def show(self, value: str) -> list[str]:
    return self.tokenizer.tokens(self.encode(value).values)

  def copyable(self, value: str) -> list[str]:
    if self.output is None:
      return []
    words = self.tokenizer.words(value)
    ids = self.output.encode(" ".join(words))
    unknown = (word for word, i in zip(words, ids) if i == types.UNK)
    return list(dict.fromkeys(unknown))

  def words(self, value: str) -> list[str]:
    return self._read(self.tokenizer.words(value))

  def spelled(self, value: str) -> list[str]:
    words = self.words(value)
    own = self._read(self.tokenizer.normal(value).split())
    return own if len(own) == len(words) else words

  def _marked(self, ids: Sequence[int] | np.ndarray) -> np.ndarray:
    """Ids in the order of the encoder, between the marks.

    A source without any is read as EOS alone: attention needs a position.
    """
    before, behind = MARKS[self.ends]
    marked = np.array([*before, *self._read(ids), *behind], np.int32)
    return marked if len(marked) else _EOS

  def _read(self, tokens: Any) -> Any:
    """Tokens in the order of the encoder."""
    return tokens[::-1] if self.reverse else tokens


class TargetText(_Text):
  """A target text as ids with EOS.

  Args:
    tokenizer: tokenizer of the target.
    copies: the model copies, so ids from V on are words of the source.
  """

  def __init__(self, tokenizer: tokenizers.Tokenizer, copies: bool = False):
    output = tokenizer if copies else None
    super().__init__(tokenizer, output, filler=_EMPTY)

  @property
  def copies(self) -> bool:
    return self.output is not None

  def encode(
    self,
    value: str,
    rng: np.random.Generator | None = None,
    copyable: Sequence[str] = (),
  ) -> types.EncodedSide:
    """Ids with EOS; `copyable` are the copyable words of the source."""
    ids = np.append(self._ids(value, rng), _EOS)
    if self.output is None:
      return types.EncodedSide(ids)
    extended = self._extended_ids(value, copyable)
    return types.EncodedSide(ids, np.array([*extended, types.EOS], np.int32))

  def positions(self, value: str) -> int:
    return self.length(self.encode(value))

  def show(self, value: str) -> list[str]:
    return self.tokenizer.tokens(self.encode(value).values)

  def copyable(self, value: str) -> list[str]:
    return []

  def spelled(self, value: str) -> list[str]:
    return self.tokenizer.normal(value).split()

  def words(self, value: str) -> list[str]:
    return self.tokenizer.words(value)


class NoSource(text_inputs.Lines):
  """The absent source of a language model."""

  present: ClassVar[bool] = False
  vocab_size = None
  features = 0
  reverse = False
  marks = (0, 0)
  samples = False
  segmentation = None

  @classmethod
  def of_training(cls, values: Iterable[None], data: config.Data) -> "NoSource":
    return cls()

  @classmethod
  def restore(cls, settings: dict[str, Any], data: config.Data) -> "NoSource":
    """The side of stored settings."""
    return cls()

  @staticmethod
  def is_blank(value: None) -> bool:
    return False

  @staticmethod
  def content(value: None) -> bytes:
    return b"None"

  def encode(
    self, value: None, rng: np.random.Generator | None = None
  ) -> types.EncodedSide:
    return types.EncodedSide(_EMPTY)

  def prepare(self, values: Iterable[Any]) -> None:
    pass

  def length(self, encoded: types.EncodedSide) -> int:
    return 0

  def positions(self, value: None) -> int:
    return 0

  def pad(
    self, rows: Sequence[types.EncodedSide | None], length: int
  ) -> types.PaddedSide:
    return types.PaddedSide(None, None)

  def padded(self, length: int, step: int) -> int:
    return ladder.doubling(length, step)

  def cut(self, positions: Any, length: int) -> Any:
    return positions

  def units(self, value: None) -> int:
    return 0

  def show(self, value: None) -> list[str]:
    return []

  def text(self, value: None) -> str:
    return ""

  def copyable(self, value: None) -> list[str]:
    return []

  def unknown(self, value: None) -> list[str]:
    return []

  def spelled(self, value: None) -> list[str]:
    return self.words(value)

  def words(self, value: None) -> list[str]:
    raise types.UserError(
      "decode.replace_unknown needs a source; a language model has none"
    )

  def checksum(self) -> str:
    return ""

  def dump(self) -> bytes:
    return stored.dump({"kind": "none"})


# From the type of a raw value to its kind of side.
KINDS: dict[type, type[contracts.Side]] = {
  str: SourceText,
  np.ndarray: frames_side.SourceFrames,
  audio.Utterance: audio_side.SourceAudio,
  type(None): NoSource,
}

# Sources without a tokenizer: from stored settings and the config's section to
# the side.
STORED: dict[str, Callable[[dict[str, Any], config.Data], contracts.Side]] = {
  "audio": audio_side.SourceAudio.restore,
  "frames": frames_side.SourceFrames.restore,
  "none": NoSource.restore,
}


def kind_of(value: Any) -> type[contracts.Side]:
  """The kind of side of a raw value, by its type.

  Raises:
    types.UserError: there is no kind for its type.
  """
  for value_type, kind in KINDS.items():
    if isinstance(value, value_type):
      return kind
  raise types.UserError(
    f"a side of an example is {type(value).__name__}; it must be text (str), "
    "an array of frames, an utterance, or None as a language model's source"
  )


def _pad_ids(rows: Sequence[Any], length: int) -> np.ndarray:
  """Stacks id sequences, padded at the end. [B, length] int32."""
  out = np.full((len(rows), length), types.PAD, np.int32)
  for i, row in enumerate(rows):
    out[i, : len(row)] = row
  return out
