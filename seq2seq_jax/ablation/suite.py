"""What a table is made of: rows, the orderings a paper claims, scales.

A file of `configs/ablations/` defines `get_ablation() -> Ablation`.
"""

import dataclasses
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

# Whether a table on subwords runs at all, in minutes: a few updates on a few
# sentences, one shape of batch.
SMOKE = (
  *("--data.limit", "2000", "--data.source.vocab_size", "1000"),
  *("--data.buckets", "1", "--decode.beam_size", "1"),
  *("--train.steps", "60", "--train.validate_every", "60"),
)

# Of WMT's German sets, the part that Britz et al. report on.
NEWSTEST2013 = ("--data.test", "validation")


@dataclasses.dataclass(frozen=True)
class Row:
  """A row of a table: the base config with some overrides.

  Rows that differ in search or test set alone share their trainings.
  """

  name: str
  """What the table prints; letters, digits and blanks make its folder."""
  overrides: tuple[str, ...] = ()
  """As on the command line: `("--model.cell", "gru")`."""
  published: str = ""
  """`FILE/TABLE/ROW` of `ablation/published/FILE.yaml`, or none."""
  ensemble: int = 1
  """Models whose probabilities are averaged; each seed has its own."""
  reference: str = ""
  """The row that this one is compared with; empty: the table's."""
  overrides_of: Mapping[str, tuple[str, ...]] = dataclasses.field(
    default_factory=dict
  )
  """More overrides by scale, put behind the others."""
  base: str = ""
  """A config file of its own, below the folder of `configs/`; empty: the
  table's."""

  def __post_init__(self):
    words = self.overrides
    if isinstance(words, str):
      words = words.split()
    object.__setattr__(self, "overrides", tuple(words))
    more = {
      scale: tuple(w.split() if isinstance(w, str) else w)
      for scale, w in self.overrides_of.items()
    }
    object.__setattr__(self, "overrides_of", more)
    if not folder(self.name):
      raise ValueError(f"row {self.name!r}: a name needs a letter or a digit")
    if self.ensemble < 1:
      raise ValueError(f"row {self.name!r}: ensemble must be at least 1")

  def at(self, scale: str) -> "Row":
    """The row of a scale, with all its overrides."""
    more = self.overrides_of.get(scale, ())
    return dataclasses.replace(
      self, overrides=self.overrides + more, overrides_of={}
    )


class Subset(NamedTuple):
  """Test sentences by the length of their source, both ends included.

  In words; of text that is read letter by letter, in letters.
  """

  shortest: int = 0
  longest: int = 1_000_000


class Term(NamedTuple):
  """A row's score, on a subset, times a weight.

  Or its value of another of the table's metrics, on all sentences: of these
  the noise of seeds alone is known.
  """

  weight: float
  row: str
  subset: Subset = Subset()
  metric: str = ""


class Where(NamedTuple):
  """Asked only where a row's mean of another metric is below a limit."""

  metric: str
  row: str
  below: float


@dataclasses.dataclass(frozen=True)
class Ordering:
  """A claim about a sum of weighted scores, the better direction counted up.

  It passes where the whole interval of the sum lies in [low, high], and fails
  where it lies wholly outside.
  """

  claim: str
  terms: tuple[Term, ...]
  low: float = 0.0
  high: float = float("inf")
  points: bool = True
  """The sum is in points of the metric, turned so that better is up; else it
  is the score itself, as in `near`."""
  judged: bool = True
  """False: printed with its interval, but not judged, because the published
  support is unconfirmed."""
  where: Where | None = None
  """What the paper's claim presupposes; where it does not hold, the sum is
  printed, but not judged. One of the table's metrics."""

  def __post_init__(self):
    if len({bool(t.metric) for t in self.terms}) != 1:
      raise ValueError(
        f"{self.claim}: scores and other metrics cannot be added up"
      )
    if self.low == float("-inf") and self.high == float("inf"):
      raise ValueError(f"{self.claim}: has no bound")


def above(
  better: str, worse: str, by: float = 0.0, judged=True, where=None
) -> Ordering:
  """`better` beats `worse` by at least `by` points.

  A negative `by` asks only that it is not worse by more than that.
  """
  claim = f"{better} above {worse}" + (f" by {by:g}" if by else "")
  if by < 0:
    claim = f"{better} not below {worse} by more than {-by:g}"
  terms = (Term(1, better), Term(-1, worse))
  return Ordering(claim, terms, low=by, judged=judged, where=where)


def alike(one: str, other: str, within: float, judged=True) -> Ordering:
  """Two rows differ by at most `within` points."""
  terms = (Term(1, one), Term(-1, other))
  claim = f"{one} within {within:g} of {other}"
  return Ordering(claim, terms, -within, within, judged=judged)


def near(row: str, value: float, within: float, judged=True) -> Ordering:
  """A row's score lies within `within` of a published value."""
  claim = f"{row} within {within:g} of {value:g}"
  return Ordering(
    claim, (Term(1, row),), value - within, value + within, False, judged
  )


def between(row: str, low: float, high: float, judged=True) -> Ordering:
  """A row's score lies between two values."""
  claim = f"{row} between {low:g} and {high:g}"
  return Ordering(claim, (Term(1, row),), low, high, False, judged)


def at_most(row: str, high: float, judged=True) -> Ordering:
  """A row's score is no higher; an interval around 0 reaches below it."""
  terms = (Term(1, row),)
  return Ordering(
    f"{row} at most {high:g}", terms, float("-inf"), high, False, judged
  )


def below(row: str, other: str, metric: str, by: float = 0.0) -> Ordering:
  """Another metric of a row lies below that of another row, by `by` at least.

  Below as numbers go, whichever direction is better.
  """
  name = metric.replace("_", " ")
  claim = f"{name} of {row} below that of {other}" + (
    f" by {by:g}" if by else ""
  )
  terms = (Term(1, row, metric=metric), Term(-1, other, metric=metric))
  return Ordering(claim, terms, float("-inf"), 0.0 - by, False)  # never -0


def gap_grows(
  better: str, worse: str, short: int, long: int, by: float = 0.0, judged=True
) -> Ordering:
  """The gap is larger on sources of more than `long` words.

  Larger by at least `by` points than on those of at most `short` words.
  """
  far, close = Subset(shortest=long + 1), Subset(longest=short)
  terms = (
    Term(1, better, far),
    Term(-1, worse, far),
    Term(-1, better, close),
    Term(1, worse, close),
  )
  claim = (
    f"{better} over {worse}: the gap on more than {long} words exceeds that on "
    f"at most {short}" + (f" by {by:g}" if by else "")
  )
  return Ordering(claim, terms, low=by, judged=judged)


def rising(rows: Sequence[str], by: float = 0.0, judged=True):
  """Each row beats the one before by at least `by` points."""
  return tuple(above(b, a, by, judged) for a, b in itertools.pairwise(rows))


@dataclasses.dataclass(frozen=True)
class Ablation:
  """A published table, to be made again."""

  title: str
  paper: str
  base: str
  """Config file, below the folder of `configs/`."""
  rows: tuple[Row, ...]
  metric: str
  """One of the metrics of `evaluate`; the table's figures."""
  reference: str
  """Name of the row that the others are compared with."""
  orderings: tuple[Ordering, ...] = ()
  metrics: tuple[str, ...] = ()
  """Further metrics, of which the table has means and deviations."""
  scales: Mapping[str, tuple[str, ...]] = dataclasses.field(
    default_factory=dict
  )
  """Overrides by the name of a scale, put before those of a row."""
  bases: Mapping[str, str] = dataclasses.field(default_factory=dict)
  """Base configs by scale, where a scale has another one than `base`."""
  rows_of: Mapping[str, tuple[str, ...]] = dataclasses.field(
    default_factory=dict
  )
  """Names of the rows by scale, where a scale has not all of them."""
  scale: str = "cpu"
  """The scale where none is asked for."""
  checkpoint: str = "best"
  """Which parameters are scored: last, best, average."""
  bins: tuple[int, ...] = (10, 15, 20)
  """Longest sources of the curve by length, counted as in `Subset`; a last bin
  is open."""
  curves: tuple[str, ...] = ()
  """Published curves by length: `FILE/curves/NAME`."""
  note: str = ""
  """What a reader has to know: what differs from the paper."""

  def __post_init__(self):
    names = [row.name for row in self.rows]
    folders = [folder(name) for name in names]
    for name in names:
      if folders.count(folder(name)) > 1:
        raise ValueError(f"row {name!r}: another row has the same folder")
    asked = [self.reference, *(r.reference for r in self.rows if r.reference)]
    asked += [t.row for o in self.orderings for t in o.terms]
    asked += [o.where.row for o in self.orderings if o.where]
    asked += [name for part in self.rows_of.values() for name in part]
    for name in asked:
      if name not in names:
        raise ValueError(f"no row is called {name!r}; there are {names}")
    for o in self.orderings:
      named = [t.metric for t in o.terms if t.metric]
      named += [o.where.metric] if o.where else []
      for name in named:
        if name not in (self.metric, *self.metrics):
          raise ValueError(
            f"{o.claim}: {name!r} is none of the table's metrics"
          )
    for name in self.bases:
      if name not in self.scales:
        raise ValueError(f"bases: {name!r} is not a scale")
    for row in self.rows:
      for name in row.overrides_of:
        if name not in self.scales:
          raise ValueError(f"row {row.name!r}: {name!r} is not a scale")
    if self.scales and self.scale not in self.scales:
      raise ValueError(
        f"scale {self.scale!r}: there are {', '.join(self.scales)}"
      )

  def at(self, scale: str) -> "Ablation":
    """The table of a scale: its rows, and the orderings between them."""
    if self.scales and scale not in self.scales:
      raise ValueError(f"scale {scale!r}: there are {', '.join(self.scales)}")
    if not self.scales and scale != self.scale:
      raise ValueError(f"scale {scale!r}: this table has no scales")
    kept = self.rows_of.get(scale, tuple(r.name for r in self.rows))
    there = lambda o: (
      all(t.row in kept for t in o.terms)
      and (o.where is None or o.where.row in kept)
    )
    return dataclasses.replace(
      self,
      rows=tuple(r.at(scale) for r in self.rows if r.name in kept),
      orderings=tuple(o for o in self.orderings if there(o)),
      reference=self.reference if self.reference in kept else kept[0],
      rows_of={},
      base=self.bases.get(scale, self.base),
      bases={},
      scale=scale,
    )


def folder(name: str) -> str:
  """`Enc-8, residual` -> `enc-8-residual`."""
  return re.sub(r"[^a-z0-9.+]+", "-", name.lower()).strip("-")


# Grids: a factor is a list of (part of a name, overrides).


def factor(flag: str, values: Iterable, name: str = "{}") -> list:
  """One flag's values: `factor("--model.cell", ["lstm", "gru"])`."""
  return [(name.format(v), (flag, str(v))) for v in values]


def product(*factors) -> list[Row]:
  """Every combination."""
  return [_join(parts) for parts in itertools.product(*factors)]


def zipped(*factors) -> list[Row]:
  """The first of each, the second of each, ...; all of one length."""
  return [_join(parts) for parts in zip(*factors, strict=True)]


def one_at_a_time(base: Row, *factors) -> list[Row]:
  """A base row, then rows that differ from it in one factor."""
  rows = [base]
  for part in itertools.chain(*factors):
    row = _join([part])
    rows.append(
      dataclasses.replace(
        base, name=row.name, overrides=base.overrides + row.overrides
      )
    )
  return rows


def ladder(base: Row, *steps) -> list[Row]:
  """A base row, then rows that each add a step to the one before."""
  rows = [base]
  for name, overrides in steps:
    words = overrides.split() if isinstance(overrides, str) else overrides
    words = rows[-1].overrides + tuple(words)
    row = dataclasses.replace(
      rows[-1], name=name, overrides=words, published=""
    )
    rows.append(row)
  return rows


def published(rows: Iterable[Row], table: str) -> list[Row]:
  """Rows with the numbers of the same name in a published `FILE/TABLE`."""
  return [
    dataclasses.replace(row, published=f"{table}/{row.name}") for row in rows
  ]


def _join(parts) -> Row:
  words = lambda o: tuple(o.split()) if isinstance(o, str) else tuple(o)
  name = ", ".join(p[0] for p in parts if p[0])
  return Row(name, sum((words(p[1]) for p in parts), ()))
