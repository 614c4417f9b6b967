"""What an ablation suite is: a table's rows, scales, metrics and claims.

A file of `configs/ablations/` defines `get_ablation() -> Ablation`.
"""

import dataclasses
import difflib
import itertools
import numbers
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from seq2seq_jax import config
from seq2seq_jax.ablation import field_checks
from seq2seq_jax.ablation import orderings as orderings_lib

LONGEST_NAME = 100  # characters of a row's name, which names files
MOST_MODELS = 100  # of an ensemble
LONGEST_SOURCE = 1_000_000  # upper end of a bin
CHECKPOINTS = ("last", "best", "average")

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
    words = tuple(overrides.split())
  elif isinstance(overrides, Mapping):
    words = tuple(_flags(overrides))
  elif isinstance(overrides, Iterable):
    words = field_checks.bounded("overrides", overrides)
  else:
    raise ValueError(
      f"overrides: must be words of a command line or a dict of fields, but "
      f"is {field_checks.shown(overrides)}"
    )
  for word in words:
    if not isinstance(word, str):
      raise ValueError(
        f"overrides: {field_checks.shown(word)} is not a word of a command line"
      )
    if word in ("--help", "-h"):
      raise ValueError("overrides: --help overrides no field")
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


def _by_scale(field: str, overrides: Any) -> dict[str, tuple[str, ...]]:
  words = field_checks.by_scale(field, overrides)
  return {scale: command_line(words[scale]) for scale in words}


def _base(field: str, base: Any) -> Any:
  """The base as a text or a `Config`."""
  if isinstance(base, config.Config):
    return base
  if isinstance(base, os.PathLike):
    base = os.fspath(base)
  if not isinstance(base, str):
    raise ValueError(
      f"{field}: must be the name of a config's file or a Config, but is "
      f"{field_checks.shown(base)}"
    )
  return base


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
    name = field_checks.text("a row's name", self.name)
    where = f"row {field_checks.shown(name)}"
    if not folder(name):
      raise ValueError(f"{where}: a name needs a letter or a digit of ASCII")
    if len(name) > LONGEST_NAME:
      raise ValueError(f"{where}: a name has at most {LONGEST_NAME} characters")
    try:
      field_checks.line("its name", name)
      checked = {
        "overrides": command_line(self.overrides),
        "overrides_by_scale": _by_scale(
          "overrides_by_scale", self.overrides_by_scale
        ),
        "published": field_checks.text("published", self.published),
        "reference": field_checks.text("reference", self.reference),
        "ensemble": field_checks.whole(
          "ensemble", self.ensemble, 1, MOST_MODELS
        ),
        "base": _base("base", self.base),
      }
    except ValueError as e:
      raise ValueError(f"{where}: {e}") from e
    for field, value in checked.items():
      object.__setattr__(self, field, value)

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
    rows = field_checks.items("rows", self.rows, Row)
    if not rows:
      raise ValueError("rows: needs at least one Row")
    checked = {
      "rows": rows,
      "reference": self.reference or rows[0].name,
      "base": _base("base", self.base),
      "metrics": field_checks.items("metrics", self.metrics, str),
      "curves": field_checks.items("curves", self.curves, str),
      "orderings": field_checks.items(
        "orderings", self.orderings, orderings_lib.Ordering
      ),
      "bins": field_checks.items("bins", self.bins, numbers.Integral),
      "scales": _by_scale("scales", self.scales),
      "base_by_scale": {
        scale: _base(f"base_by_scale[{scale!r}]", base)
        for scale, base in field_checks.by_scale(
          "base_by_scale", self.base_by_scale
        ).items()
      },
      "rows_by_scale": {
        scale: field_checks.items(f"rows_by_scale[{scale!r}]", names, str)
        for scale, names in field_checks.by_scale(
          "rows_by_scale", self.rows_by_scale
        ).items()
      },
    }
    for field, value in checked.items():
      object.__setattr__(self, field, value)
    self._check_texts()
    self._check_names()
    self._check_metrics()
    self._check_scales()
    for i, end in enumerate(self.bins):
      field_checks.whole(f"bins[{i}]", end, 1, LONGEST_SOURCE)
    if sorted(set(self.bins)) != list(self.bins):
      raise ValueError(f"bins: {self.bins} do not rise")

  def _check_texts(self) -> None:
    for field in ("title", "metric", "scale", "reference"):
      field_checks.line(field, getattr(self, field))
    for field in ("paper", "note", "checkpoint"):
      field_checks.text(field, getattr(self, field))
    if not self.base:
      raise ValueError("base: must be given")
    which = self.checkpoint
    if which not in CHECKPOINTS and not (which.isascii() and which.isdigit()):
      raise ValueError(
        f"checkpoint: must be {', '.join(CHECKPOINTS)} or a step, but is "
        f"{field_checks.shown(which)}"
      )
    field_checks.distinct("metric and metrics", (self.metric, *self.metrics))
    field_checks.distinct("curves", self.curves)
    field_checks.distinct("orderings", (o.claim for o in self.orderings))

  def _check_names(self) -> None:
    """Refuses rows of one folder, and names that no row has."""
    names = [row.name for row in self.rows]
    first: dict[str, str] = {}  # row of each folder
    for name in names:
      place = folder(name)
      if place in first:
        raise ValueError(
          f"row {name!r}: row {first[place]!r} has the same folder, "
          f"{place!r}; give it another name"
        )
      first[place] = name
    mentioned = {self.reference}
    mentioned |= {row.reference for row in self.rows if row.reference}
    mentioned |= {name for o in self.orderings for name in o.rows()}
    mentioned |= set(itertools.chain(*self.rows_by_scale.values()))
    for name in sorted(mentioned - set(names)):
      raise ValueError(unknown("no row is called", name, names))

  def _check_metrics(self) -> None:
    for ordering in self.orderings:
      for name in sorted(ordering.metrics()):
        known = (self.metric, *self.metrics)
        if name not in known:
          raise ValueError(
            f"{ordering.claim}: {name!r} is not one of the table's metrics, "
            f"{', '.join(known)}"
          )

  def _check_scales(self) -> None:
    for name in (*self.base_by_scale, *self.rows_by_scale):
      if name not in self.scales:
        raise ValueError(
          f"base_by_scale, rows_by_scale: {name!r} is not a scale"
        )
    for name, rows in self.rows_by_scale.items():
      if not rows:
        raise ValueError(f"rows_by_scale[{name!r}]: names no row")
      field_checks.distinct(f"rows_by_scale[{name!r}]", rows)
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
      known = [row.name for row in self.rows]
      if name not in known:
        raise ValueError(unknown("no row is called", name, known))
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


def unknown(what: str, name: str, known: Sequence[str]) -> str:
  """Returns the message for a name that is none of those that are known."""
  near = difflib.get_close_matches(name, known, 3, 0.4)
  rest = f"nearest: {', '.join(map(repr, near))}"
  if not near:
    rest = f"there are {', '.join(map(repr, known))}"
  return f"{what} {field_checks.shown(name)}; {rest}"


def folder(name: str) -> str:
  """Returns a row's folder: `Enc-8, residual` -> `enc-8-residual`."""
  return re.sub(r"[^a-z0-9.+]+", "-", name.lower()).strip("-.")
