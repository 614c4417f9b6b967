"""Outputs and references in the format `trn` of NIST's sclite.

A line is `WORDS (ID)`. Texts are written as WER compares them: every run of
blanks one, in lower case where the comparison is. What sclite would not read as
a word becomes its full-width form, one character for one, in both files alike:
parentheses and braces (identifiers, alternatives), a word `@` (nothing at all),
asterisks that begin a word and semicolons that begin a line (comments).
"""

import itertools
import os
import pathlib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from seq2seq_jax.inference import evaluator as evaluation
from seq2seq_jax.metrics import record
from seq2seq_jax.runtime import files

OUTPUTS, REFERENCES = "hyp.trn", "ref.trn"

_FULL_WIDTH = 0xFEE0  # from an ASCII character to its full-width form
_BRACKETS = {ord(c): ord(c) + _FULL_WIDTH for c in "(){}"}
_SPECIAL = re.compile(r"(?<!\S)(?:@(?!\S)|\*+)|^;+")


def paths(folder: str | os.PathLike[str]) -> tuple[pathlib.Path, pathlib.Path]:
  """The files of outputs and of references in a folder."""
  return pathlib.Path(folder) / OUTPUTS, pathlib.Path(folder) / REFERENCES


def line(text: str, name: str) -> str:
  """A text as a line, with the source's name as `names` gives it."""
  text = text.translate(_BRACKETS)
  text = _SPECIAL.sub(lambda found: _full_width(found.group()), text)
  return f"{text} ({name})\n"


def _full_width(text: str) -> str:
  return "".join(chr(ord(c) + _FULL_WIDTH) for c in text)


def names(sources: Sequence[Any], part: str) -> list[str]:
  """The sources' own names, or numbers from 1: `PART-000001`.

  Names that differ in case alone, which sclite ignores, get a number.
  """
  chosen: list[str] = []
  known: set[str] = set()
  for number, source in enumerate(sources, 1):
    name = getattr(source, "id", None) or f"{part}-{number:06d}"
    name = "_".join(name.translate(_BRACKETS).split())
    other = name
    for again in itertools.count(2):
      if other.lower() not in known:
        break
      other = f"{name}-{again}"
    known.add(other.lower())
    chosen.append(other)
  return chosen


def write(
  folder: str | os.PathLike[str],
  evaluator: evaluation.Evaluator,
  texts: Sequence[str],
  part: str,
) -> None:
  """Writes the outputs of a split and their references.

  Args:
    folder: of both files; it must exist.
    evaluator: of the split.
    texts: an output for each of its sources.
    part: begins the names of sources that have none.

  Raises:
    types.UserError: a file cannot be written.
  """
  ids = names(evaluator.sources, part)
  references = evaluator.closest_references(texts)
  for path, column in zip(paths(folder), (texts, references)):
    _write(path, record.comparable(column, evaluator.comparison()), ids)


def _write(path: pathlib.Path, texts: Iterable[str], ids: list[str]) -> None:
  with files.output(path) as out:
    out.writelines(line(text, name) for text, name in zip(texts, ids))
