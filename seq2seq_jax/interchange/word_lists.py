"""Vocabularies of other programs: lists and dictionaries of words, our order.

Pad, BOS, EOS and unknown have the ids 0 to 3 here, so rows of embeddings and of
the softmax move: `order` says from where.
"""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import yaml

from seq2seq_jax import config, records, types
from seq2seq_jax.data import sides, text_files, tokenizers, vocabulary

NEVER = -1e9
"""Bias of a word that the source's softmax does not have: it has no share."""
Order = Sequence[int | None]
"""For each of our ids the row there; None where there is none."""


def order(size: int, specials: Sequence[int | None]) -> Order:
  """Rows there in the order of our ids.

  Args:
    size: rows there.
    specials: those of pad, BOS, EOS and unknown; None where there is none.
  """
  known = [row for row in specials if row is not None]
  if len(set(known)) < len(known) or any(not 0 <= r < size for r in known):
    raise types.UserError(
      f"a vocabulary of {size} words cannot have its pad, BOS, EOS and unknown "
      f"at the ids {', '.join(map(str, specials))}"
    )
  return [*specials, *(row for row in range(size) if row not in known)]


def rows(table: np.ndarray, ours: Order, absent: float = 0.0) -> np.ndarray:
  """Rows of a table in our order; those that are not there are `absent`."""
  missing = np.full(table.shape[1:], absent, table.dtype)
  return np.stack([missing if row is None else table[row] for row in ours])


def read(path: pathlib.Path) -> dict[str, int]:
  """Words and their ids: of a dictionary (JSON, YAML) or a line a word.

  Raises:
    types.UserError: the file cannot be read, or holds something else.
  """
  if path.suffix == ".json":
    words: dict[str, int] = records.read(path, dict[str, int])
    return words
  if path.suffix in (".yml", ".yaml"):
    return _from_yaml(path)
  if path.suffix == ".pkl":
    raise types.UserError(
      f"{path}: is a pickle, which cannot be read without running it; write "
      "the dictionary as JSON"
    )
  lines = [line.strip() for line in text_files.read(path)]
  return {word: i for i, word in enumerate(lines)}


def _from_yaml(path: pathlib.Path) -> dict[str, int]:
  # All scalars as texts: `yes` is a word. The loader in C is 20 times faster.
  loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
  try:
    tree = yaml.load(records.content(path).decode(), Loader=loader)
  except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as e:
    line = str(e).splitlines()[0]
    raise types.UserError(f"{path}: is no YAML in UTF-8: {line}") from e
  if not isinstance(tree, dict) or not tree:
    raise types.UserError(f"{path}: is no dictionary of words and their ids")
  words = {}
  for word, number in tree.items():
    plain = isinstance(word, str) and isinstance(number, str)
    if not plain or not number.isascii() or not number.isdigit():
      raise types.UserError(
        f"{path}: is no dictionary of words and their ids: {word!r}"
      )
    words[word] = int(number)
  return words


def symbols(
  words: Mapping[str, int], ours: Order, place: str | os.PathLike[str]
) -> list[str]:
  """The texts of our ids from 4 on.

  Args:
    words: ids there.
    ours: see `order`; ids beyond it are left out, rows without a word get a
      name that no text has.
    place: the dictionary, for messages.

  Raises:
    types.UserError: two rows have the same word, or none has one.
  """
  texts = {i: word for word, i in words.items()}
  rows_left = [row for row in ours[4:] if row is not None]
  found = [texts.get(row) or f"<row {row}>" for row in rows_left]
  if not any(row in texts for row in rows_left):
    raise types.UserError(f"{place}: has no words for this model's rows")
  if len(set(found)) < len(found):
    raise types.UserError(f"{place}: one word has several ids")
  return found


def tokenizer(words: Sequence[str], **settings: Any) -> tokenizers.Tokenizer:
  """A tokenizer of words, or as the settings say, with these from id 4 on."""
  base = {"kind": "word", "lowercase": False, "sampling": 0.0}
  return tokenizers.build({**base, **settings, "symbols": list(words)})


def both(
  source: tokenizers.Tokenizer, target: tokenizers.Tokenizer
) -> tuple[vocabulary.Vocabularies, config.Data]:
  """Two sides of text, and what a config says of them.

  The two are joint if they are one object. Examples are in memory: nobody knows
  which files they were trained on.
  """
  joint = source is target
  pair = vocabulary.Vocabularies(
    sides.SourceText(source), sides.TargetText(target), joint=joint
  )
  text = _text(source)
  return pair, config.Data(
    task="pairs",
    source=text,
    target=text if joint else _text(target),
    joint=joint,
  )


def _text(side: tokenizers.Tokenizer) -> config.Text:
  kind: Any = side.kind
  return config.Text(
    tokenizer=kind,
    vocab_size=max(5, side.vocab_size),
    lowercase=side.lowercase,
    sampling=side.sampling,
  )


def notes(*sides: Sequence[str]) -> list[str]:
  """What a user must know of vocabularies of subwords."""
  if any(word.endswith("@@") for words in sides for word in words):
    return [
      "the vocabulary holds pieces of subword-nmt (`@@`): give text that is "
      "split by the model's own codes, and join outputs by removing `@@ `"
    ]
  if any("▁" in word for words in sides for word in words):
    return [
      "the vocabulary holds pieces of SentencePiece (`▁`): give text that is "
      "split by the model's own SentencePiece model, and join outputs with it"
    ]
  return []
