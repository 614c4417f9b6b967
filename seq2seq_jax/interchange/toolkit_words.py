"""Lists of words of other toolkits as vocabularies, their rows in our order.

Our ids of pad, BOS, EOS and unk are 0 to 3 in every vocabulary; the rows of all
that has one a word move with them.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from seq2seq_jax import config, types
from seq2seq_jax.data import sides, tokenizers, vocabulary
from seq2seq_jax.interchange import word_lists


class Specials(NamedTuple):
  """Rows of the special words in a toolkit's list; None where it has none."""

  pad: int | None
  bos: int | None
  eos: int | None
  unk: int | None


@dataclasses.dataclass(frozen=True)
class WordList:
  """The words of one side."""

  words: Sequence[str]
  """Of the toolkit's rows, in its order."""
  specials: Specials
  place: str
  """Where they come from, for messages."""
  kind: Literal["word", "char"] = "word"
  """Our tokenizer: word or char."""
  lowercase: bool = False

  def __post_init__(self) -> None:
    first: dict[str, int] = {}
    for row, word in enumerate(self.words):
      if row in self.specials:
        continue
      if word in first:
        raise types.UserError(
          f"{self.place}: {word!r} is there twice, as words {first[word] + 1} "
          f"and {row + 1}, so a text would not say which row is meant"
        )
      first[word] = row

  def rows(self) -> list[int | None]:
    """The toolkit's row of each of our ids; None: a special that it lacks."""
    return list(word_lists.order(len(self.words), self.specials))

  def tokenizer(self) -> tokenizers.Tokenizer:
    """The tokenizer of these words."""
    symbols = [self.words[row] for row in self.rows()[4:] if row is not None]
    return word_lists.tokenizer(
      symbols, kind=self.kind, lowercase=self.lowercase
    )

  def check(self, name: str, count: int, place: str) -> None:
    """Checks that there is a word for each row of an array.

    Raises:
      types.UserError: there are more or fewer.
    """
    if count != len(self.words):
      raise types.UserError(
        f"{place}: {name} has {count} rows, but {self.place} holds "
        f"{len(self.words)} words: it is another model's vocabulary"
      )

  def table(self, matrix: np.ndarray, bos: int | None = None) -> np.ndarray:
    """Embeddings [V, D] in our order; a special that is not there is zeros.

    Args:
      matrix: the toolkit's.
      bos: the row that a decoder begins with, if not that of BOS.
    """
    rows = self.rows()
    if bos is not None:
      rows[types.BOS] = bos
    return word_lists.rows(matrix, rows)

  def biases(self, vector: np.ndarray, *without: int) -> np.ndarray:
    """Logits' biases [V] in our order.

    Args:
      vector: the toolkit's.
      *without: our ids that get no probability; so do specials that the
        toolkit does not have.
    """
    out = word_lists.rows(vector, self.rows(), word_lists.NEVER)
    out[list(without)] = word_lists.NEVER
    return out.astype(np.float32)


def data_of(source: WordList, target: WordList, **fields: Any) -> config.Data:
  """The data section of a model that reads and writes these words.

  Args:
    source: words that are read.
    target: words that are written.
    **fields: others of the section; `joint` if both sides have one vocabulary.
  """
  read, written = (
    config.Text(tokenizer=side.kind, lowercase=side.lowercase)
    for side in (source, target)
  )
  if not fields.get("joint"):
    fields["target"] = written
  return config.Data(task="pairs", source=read, **fields)


def vocabularies(
  source: WordList, target: WordList, data: config.Data, copies: bool = False
) -> vocabulary.Vocabularies:
  """Both sides of a model; a joint vocabulary is the target's.

  Args:
    source: words that are read.
    target: words that are written.
    data: of `data_of`.
    copies: the model copies words of the source.
  """
  written = target.tokenizer()
  read = written if data.joint else source.tokenizer()
  output = written if copies else None
  return vocabulary.Vocabularies(
    sides.SourceText(read, output=output, ends=data.source_ends),
    sides.TargetText(written, copies),
    joint=data.joint,
  )


def notes(*lists: WordList) -> list[str]:
  """What a user must know of vocabularies of subwords."""
  return word_lists.notes(*(each.words for each in lists))


def read_lines(path: pathlib.Path) -> list[str]:
  """The lines of a vocabulary file.

  Raises:
    types.UserError: it cannot be read, or is no text.
  """
  try:
    text = path.read_bytes().decode("utf-8")
  except OSError as e:
    raise types.UserError(f"{path}: {e.strerror or e}") from e
  except UnicodeDecodeError as e:
    raise types.UserError(f"{path}: is no UTF-8 text") from e
  lines = text.split("\n")
  return lines[:-1] if not lines[-1] else lines
