"""What an ablation suite is: a table's rows, scales, metrics and claims.

A file of `configs/ablations/` defines `get_ablation() -> Ablation`.
"""

import dataclasses
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from seq2seq_jax.ablation import orderings as orderings_lib

Overrides = str | Iterable[str] | Mapping[str, Any]


def command_line(overrides: Overrides) -> tuple[str, ...]:
  """Returns overrides of a config as the words of a command line.

  Args:
    overrides: words, one string of them, or a dict of dotted names:
      `{"model.encoder.cell": "gru", "train.metrics": ("bleu", "chrf")}`.
      Whether a field exists and takes the value, the schema checks when the row
      is planned.
  """
  if isinstance(overrides, str):
    return tuple(overrides.split())
  if isinstance(overrides, Mapping):
    return tuple(_flags(overrides))
  words = tuple(overrides)
  for word in words:
    if not isinstance(word, str):
      raise ValueError(f"overrides: {word!r} is not a word of a command line")
  return words


def _flags(fields: Mapping[str, Any]) -> Iterator[str]:
  for name, value in fields.items():
    if not isinstance(name, str) or not name.strip("-"):
      raise ValueError(f"overrides: {name!r} is not the name of a field")
    yield f"--{name.lstrip('-')}"
    if isinstance(value, list | tuple):
      yield from map(str, value)
    else:
      yield str(value)


def _by_scale(
  overrides: Mapping[str, Overrides],
) -> dict[str, tuple[str, ...]]:
  return {scale: command_line(words) for scale, words in overrides.items()}


@dataclasses.dataclass(frozen=True)
class Row:
  """A row of a table: the base config with some overrides.

  Rows that differ only in search or test set share their trainings.
  """

  name: str
  """Name in the table; its letters and digits name the row's folder."""
  overrides: Any = ()
  """`("--data.name", "jump")`, `"--data.name jump"` or `{"data.name": "jump"}`;
  kept as the words of the command line."""
  published: str = ""
  """`FILE/TABLE/ROW` of `ablation/published/FILE.yaml`, or empty."""
  ensemble: int = 1
  """Number of models whose probabilities are averaged; every seed of the row
  trains its own."""
  reference: str = ""
  """The row that this one is compared with; empty: the table's."""
  overrides_by_scale: Mapping[str, Any] = dataclasses.field(
    default_factory=dict
  )
  """Further overrides of single scales, after the others."""
  base: Any = ""
  """A config file of its own, below the folder of `configs/`, or a `Config`;
  empty: the table's."""

  def __post_init__(self) -> None:
    if not isinstance(self.name, str) or not folder(self.name):
      raise ValueError(f"row {self.name!r}: a name needs a letter or a digit")
    try:
      words = command_line(self.overrides)
      by_scale = _by_scale(self.overrides_by_scale)
    except ValueError as e:
      raise ValueError(f"row {self.name!r}: {e}") from e
    object.__setattr__(self, "overrides", words)
    object.__setattr__(self, "overrides_by_scale", by_scale)
    if {"--help", "-h"} & {*words, *itertools.chain(*by_scale.values())}:
      raise ValueError(f"row {self.name!r}: --help overrides no field")
    if not isinstance(self.ensemble, int) or self.ensemble < 1:
      raise ValueError(
        f"row {self.name!r}: ensemble must be a whole number of at least 1"
      )

  def at(self, scale: str) -> "Row":
    """Returns the row at a scale, with all its overrides in one tuple."""
    more = self.overrides_by_scale.get(scale, ())
    return dataclasses.replace(
      self, overrides=self.overrides + more, overrides_by_scale={}
    )


@dataclasses.dataclass(frozen=True)
class Ablation:
  """A table to be made: one of a paper, or of the user's own."""

  title: str
  paper: str = ""
  """The paper whose table it is; empty for one of the user's own."""
  base: Any = ""
  """Config file, below the folder of `configs/`, or a `Config`."""
  rows: tuple[Row, ...] = ()
  metric: str = ""
  """The metric of the table's scores: a name that `evaluate` knows, or
  `FILE.py:NAME` of one's own, beside the suite's file."""
  reference: str = ""
  """Name of the row that the others are compared with; empty: the first."""
  orderings: tuple[orderings_lib.Ordering, ...] = ()
  """The paper's claims, each judged on the scores."""
  metrics: tuple[str, ...] = ()
  """Further metrics, of which the table has means and deviations."""
  scales: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  """Overrides by the name of a scale, before those of a row."""
  base_by_scale: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  """Base configs of scales that have another one than `base`."""
  rows_by_scale: Mapping[str, tuple[str, ...]] = dataclasses.field(
    default_factory=dict
  )
  """Names of the rows of scales that have not all of them."""
  scale: str = "cpu"
  """The scale if none is asked for."""
  checkpoint: str = "best"
  """The parameters that are scored: last, best or average."""
  bins: tuple[int, ...] = (10, 15, 20)
  """Upper ends of the bins of source length, counted as in
  `orderings.Subset`; a last bin is open."""
  curves: tuple[str, ...] = ()
  """Published curves by length: `FILE/curves/NAME`."""
  note: str = ""
  """What a reader has to know, such as what differs from the paper."""

  def __post_init__(self) -> None:
    rows = tuple(self.rows)
    if not rows or not all(isinstance(row, Row) for row in rows):
      raise ValueError("rows: needs at least one Row, and nothing else")
    if self.reference == "":
      object.__setattr__(self, "reference", rows[0].name)
    object.__setattr__(self, "rows", rows)
    object.__setattr__(self, "scales", _by_scale(self.scales))
    for field in ("title", "base", "metric"):
      if not getattr(self, field):
        raise ValueError(f"{field}: must be given")
    self._check_names()
    self._check_metrics()
    self._check_scales()
    if sorted(set(self.bins)) != list(self.bins):
      raise ValueError(f"bins: {self.bins} do not rise")

  def _check_names(self) -> None:
    """Refuses rows of one folder, and names that no row has."""
    names = [row.name for row in self.rows]
    folders = [folder(name) for name in names]
    for name in names:
      if folders.count(folder(name)) > 1:
        raise ValueError(f"row {name!r}: another row has the same folder")
    mentioned = {self.reference}
    mentioned |= {row.reference for row in self.rows if row.reference}
    mentioned |= {name for o in self.orderings for name in o.rows()}
    mentioned |= set(itertools.chain(*self.rows_by_scale.values()))
    for name in sorted(mentioned - set(names)):
      raise ValueError(f"no row is called {name!r}; there are {names}")

  def _check_metrics(self) -> None:
    for ordering in self.orderings:
      for name in sorted(ordering.metrics()):
        if name not in (self.metric, *self.metrics):
          raise ValueError(
            f"{ordering.claim}: {name!r} is not one of the table's metrics"
          )

  def _check_scales(self) -> None:
    for name in (*self.base_by_scale, *self.rows_by_scale):
      if name not in self.scales:
        raise ValueError(
          f"base_by_scale, rows_by_scale: {name!r} is not a scale"
        )
    for row in self.rows:
      for name in row.overrides_by_scale:
        if name not in self.scales:
          raise ValueError(f"row {row.name!r}: {name!r} is not a scale")
    if self.scales and self.scale not in self.scales:
      raise ValueError(
        f"scale {self.scale!r}: there are {', '.join(self.scales)}"
      )

  def at(self, scale: str) -> "Ablation":
    """Returns the table of a scale: its rows, and the claims about them."""
    if self.scales and scale not in self.scales:
      raise ValueError(f"scale {scale!r}: there are {', '.join(self.scales)}")
    if not self.scales and scale != self.scale:
      raise ValueError(f"scale {scale!r}: this table has no scales")
    names = self.rows_by_scale.get(scale, [row.name for row in self.rows])
    table = dataclasses.replace(
      self,
      base=self.base_by_scale.get(scale, self.base),
      base_by_scale={},
      rows_by_scale={},
      scale=scale,
    ).with_rows(names)
    return dataclasses.replace(
      table, rows=tuple(row.at(scale) for row in table.rows)
    )

  def rename_metrics(self, names: Mapping[str, str]) -> "Ablation":
    """Returns the table with metrics called otherwise, in its claims too."""

    def renamed(claim: orderings_lib.Ordering) -> orderings_lib.Ordering:
      condition = claim.precondition
      if condition:
        metric = names.get(condition.metric, condition.metric)
        condition = condition._replace(metric=metric)
      terms = tuple(
        term._replace(metric=names.get(term.metric, term.metric))
        for term in claim.terms
      )
      return dataclasses.replace(claim, terms=terms, precondition=condition)

    return dataclasses.replace(
      self,
      metric=names.get(self.metric, self.metric),
      metrics=tuple(names.get(name, name) for name in self.metrics),
      orderings=tuple(renamed(claim) for claim in self.orderings),
    )

  def with_rows(self, names: Iterable[str]) -> "Ablation":
    """Returns the table of some rows, and the claims about these alone.

    If the table's reference is not among them, the first row is.
    """
    names = list(names)
    for name in names:
      if name not in [row.name for row in self.rows]:
        raise ValueError(
          f"no row is called {name!r}; there are "
          f"{[row.name for row in self.rows]}"
        )
    rows = [row for row in self.rows if row.name in names]
    reference = self.reference if self.reference in names else rows[0].name
    claims = [o for o in self.orderings if o.rows() <= set(names)]
    return dataclasses.replace(
      self,
      rows=tuple(rows),
      reference=reference,
      orderings=tuple(claims),
      rows_by_scale={},
    )


def folder(name: str) -> str:
  """Returns a row's folder: `Enc-8, residual` -> `enc-8-residual`."""
  return re.sub(r"[^a-z0-9.+]+", "-", name.lower()).strip("-.")
