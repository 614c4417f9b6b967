"""Which training examples are left out, why, and where the first one stands."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from seq2seq_jax.data import sides, sources

BLANK = ("blank source", "blank target")
LONG = ("source too long", "target too long")


class Reason(NamedTuple):
  """Examples that are left out for one reason."""

  examples: int = 0
  first: str | None = None
  """The first one's place, such as `train.en, line 5`; None if there is none.
  """


LeftOut = dict[str, Reason]  # from each of `BLANK` and `LONG`


def without_blanks(source: sources.Source) -> tuple[np.ndarray, LeftOut]:
  """Indices of the examples in which no side is blank, and the others.

  Args:
    source: the training examples.

  Returns:
    [N] int64, ascending; and the count and place of those with a blank side,
    one with two blank sides as one with a blank source.
  """
  indices: list[int] = []
  blank: tuple[list[int], list[int]] = ([], [])
  for i in range(len(source)):
    is_blank = [sides.kind_of(value).is_blank(value) for value in source[i]]
    (blank[is_blank.index(True)] if any(is_blank) else indices).append(i)
  return np.array(indices, np.int64), _reasons(source, BLANK, blank)


def too_long(
  source: sources.Source,
  indices: np.ndarray,
  lengths: np.ndarray,
  longest: tuple[int, int],
) -> LeftOut:
  """Count and place of the examples of which a side is too long.

  Args:
    source: the training examples.
    indices: [N] those with two sides.
    lengths: [N, 2] their source and target positions.
    longest: the most positions of a source and of a target. An example with
      two long sides counts as one with a long source.
  """
  long_source, long_target = (lengths > longest).T
  places = (indices[long_source], indices[long_target & ~long_source])
  return _reasons(source, LONG, places)


def _reasons(
  source: sources.Source, names: Iterable[str], places: Iterable[Iterable[int]]
) -> LeftOut:
  reasons = {}
  for name, members in zip(names, map(list, places), strict=True):
    first = sources.place(source, int(members[0])) if members else None
    reasons[name] = Reason(len(members), first)
  return reasons


def describe(left_out: LeftOut) -> str:
  """`600 with a blank source (the first: x.tsv, line 5), …`; may be empty."""
  return ", ".join(
    f"{count:,} with a {name} (the first: {first})"
    for name, (count, first) in left_out.items()
    if count
  )
