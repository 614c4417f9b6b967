"""Rows of a table by combinators: grids, one change at a time, ladders.

A factor is a list of (part of a row's name, overrides). Overrides are written
as everywhere in a suite: words, one string, or a dict of dotted names.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from seq2seq_jax.ablation import suite

Part = tuple[str, suite.Overrides]


def factor(flag: str, values: Iterable[Any], name: str = "{}") -> list[Part]:
  """Returns the factor of one flag: `factor("--model.tie", ["none", "all"])`.

  Args:
    flag: the field, as on the command line.
    values: one part each.
    name: format of a part's name, given the value.
  """
  return [(name.format(v), (flag, str(v))) for v in values]


def product(*factors: Sequence[Part]) -> list[suite.Row]:
  """Returns a row for every combination of the factors' parts."""
  return [_join(parts) for parts in itertools.product(*factors)]


def zipped(*factors: Sequence[Part]) -> list[suite.Row]:
  """Returns a row of the first parts, one of the second parts, and so on."""
  return [_join(parts) for parts in zip(*factors, strict=True)]


def one_at_a_time(base: suite.Row, *factors: Sequence[Part]) -> list[suite.Row]:
  """Returns the base row, then rows that differ from it in one part each."""
  rows = [base]
  for name, overrides in itertools.chain(*factors):
    words = base.overrides + suite.command_line(overrides)
    rows.append(dataclasses.replace(base, name=name, overrides=words))
  return rows


def ladder(base: suite.Row, *steps: Part) -> list[suite.Row]:
  """Returns the base row, then rows that each add a step to the one before.

  Only the base row keeps its published number.
  """
  rows = [base]
  for name, overrides in steps:
    words = rows[-1].overrides + suite.command_line(overrides)
    rows.append(
      dataclasses.replace(rows[-1], name=name, overrides=words, published="")
    )
  return rows


def with_published(rows: Iterable[suite.Row], table: str) -> list[suite.Row]:
  """Returns rows with the numbers of the same name in `FILE/TABLE`."""
  return [
    dataclasses.replace(row, published=f"{table}/{row.name}") for row in rows
  ]


def _join(parts: Iterable[Part]) -> suite.Row:
  """Returns the row of some parts: names by commas, overrides in their order.

  Parts without a name, as of the default value, leave no trace in the row's.
  """
  parts = list(parts)
  name = ", ".join(name for name, _ in parts if name)
  words = [suite.command_line(overrides) for _, overrides in parts]
  return suite.Row(name, tuple(itertools.chain(*words)))
