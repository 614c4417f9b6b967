"""The claims of a paper about its table, as orderings of scores.

An `Ordering` bounds a weighted sum of scores; the functions below build the
usual ones. `verdicts.py` judges them on the scores of a finished table.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from seq2seq_jax.ablation import field_checks


class Subset(NamedTuple):
  """Test sentences by the length of their source, both ends included.

  Length is in words; for sources that are read letter by letter, in letters.
  """

  shortest: int = 0
  longest: int = 1_000_000


class Term(NamedTuple):
  """A weight times the score of a row on a subset of the test sentences.

  With `metric`, times the row's value of another of the table's metrics on all
  sentences; of that value only the variance between seeds is known.
  """

  weight: float
  row: str
  subset: Subset = Subset()
  metric: str = ""


class Precondition(NamedTuple):
  """Judge the claim only if the mean `metric` of `row` is below `below`."""

  metric: str
  row: str
  below: float


@dataclasses.dataclass(frozen=True)
class Ordering:
  """A claim: the sum of `terms` lies in [low, high].

  It passes if the whole confidence interval of the sum lies in [low, high],
  fails if the interval lies wholly outside, and is inconclusive otherwise.
  """

  claim: str
  terms: tuple[Term, ...]
  low: float = 0.0
  high: float = math.inf
  points: bool = True
  """True: the sum is a difference in points, with its sign turned so that up is
  better whatever the metric's direction. False: the sum is taken as it is, as
  in `near`."""
  judged: bool = True
  """False: printed with its interval but not judged, because the published
  support is unconfirmed."""
  precondition: Precondition | None = None
  """What the paper's claim presupposes, in one of the table's metrics. If it
  does not hold, the sum is printed but not judged."""

  def __post_init__(self) -> None:
    field_checks.line("claim", self.claim)
    try:
      self._check()
    except ValueError as e:
      raise ValueError(f"claim {field_checks.shown(self.claim)}: {e}") from e

  def _check(self) -> None:
    terms = field_checks.items("terms", self.terms, Term)
    object.__setattr__(self, "terms", terms)
    if not terms:
      raise ValueError("has no terms; name the rows that it speaks of")
    sums: dict[tuple[Any, ...], float] = {}
    for weight, row, subset, metric in terms:
      field_checks.line("row", row)
      field_checks.text("metric", metric)
      key = (row, *_checked_subset(subset), metric)
      sums[key] = sums.get(key, 0) + field_checks.number("weight", weight)
    if not any(sums.values()):
      raise ValueError("compares a row with itself")
    if len({bool(term.metric) for term in terms}) != 1:
      raise ValueError("scores and other metrics cannot be added up")
    low = field_checks.number("low", self.low, infinite=True)
    high = field_checks.number("high", self.high, infinite=True)
    if low == -math.inf and high == math.inf:
      raise ValueError("has no bound")
    if low > high or low == math.inf or high == -math.inf:
      raise ValueError(f"no number is from {low:g} to {high:g}")
    condition = self.precondition
    if condition is not None:
      if not isinstance(condition, Precondition):
        raise ValueError(
          f"precondition: must be a Precondition, but is "
          f"{field_checks.shown(condition)}"
        )
      field_checks.line("precondition: metric", condition.metric)
      field_checks.line("precondition: row", condition.row)
      field_checks.number("precondition: below", condition.below)

  def rows(self) -> set[str]:
    """Names of the rows that the claim speaks of."""
    names = {term.row for term in self.terms}
    return names | ({self.precondition.row} if self.precondition else set())

  def metrics(self) -> set[str]:
    """Names of the metrics it needs beside the table's own."""
    names = {term.metric for term in self.terms if term.metric}
    return names | ({self.precondition.metric} if self.precondition else set())


def _checked_subset(subset: Any) -> Subset:
  if not isinstance(subset, Subset):
    raise ValueError(
      f"subset: must be a Subset, but is {field_checks.shown(subset)}"
    )
  for name, value in subset._asdict().items():
    field_checks.whole(f"subset: {name}", value, 0, 10**9)
  if subset.shortest > subset.longest:
    raise ValueError(
      f"no source has from {subset.shortest} to {subset.longest} words"
    )
  return subset


def above(
  better: str,
  worse: str,
  by: float = 0.0,
  judged: bool = True,
  precondition: Precondition | None = None,
) -> Ordering:
  """Claims that `better` beats `worse` by at least `by` points.

  A negative `by` claims only that it is not worse by more than that.
  """
  claim = f"{better} above {worse}" + (f" by {by:g}" if by else "")
  if by < 0:
    claim = f"{better} not below {worse} by more than {-by:g}"
  terms = (Term(1, better), Term(-1, worse))
  return Ordering(
    claim, terms, low=by, judged=judged, precondition=precondition
  )


def alike(one: str, other: str, within: float, judged: bool = True) -> Ordering:
  """Claims that two rows differ by at most `within` points."""
  terms = (Term(1, one), Term(-1, other))
  claim = f"{one} within {within:g} of {other}"
  return Ordering(claim, terms, -within, within, judged=judged)


def near(
  row: str, value: float, within: float, judged: bool = True
) -> Ordering:
  """Claims that a row's score lies within `within` of a published value."""
  claim = f"{row} within {within:g} of {value:g}"
  return Ordering(
    claim, (Term(1, row),), value - within, value + within, False, judged
  )


def between(row: str, low: float, high: float, judged: bool = True) -> Ordering:
  """Claims that a row's score lies between two values."""
  claim = f"{row} between {low:g} and {high:g}"
  return Ordering(claim, (Term(1, row),), low, high, False, judged)


def at_most(row: str, high: float, judged: bool = True) -> Ordering:
  """Claims that a row's score is at most `high`."""
  # Open below: the interval of a score near 0 reaches under 0.
  return Ordering(
    f"{row} at most {high:g}", (Term(1, row),), -math.inf, high, False, judged
  )


def below(row: str, other: str, metric: str, by: float = 0.0) -> Ordering:
  """Claims that another metric of a row is lower than another row's, by `by`.

  Lower as a number, whichever direction of the metric is better.
  """
  name = metric.replace("_", " ")
  claim = f"{name} of {row} below that of {other}" + (
    f" by {by:g}" if by else ""
  )
  terms = (Term(1, row, metric=metric), Term(-1, other, metric=metric))
  return Ordering(claim, terms, -math.inf, 0.0 - by, False)  # never -0


def gap_grows(
  better: str,
  worse: str,
  short: int,
  long: int,
  by: float = 0.0,
  judged: bool = True,
) -> Ordering:
  """Claims that the gap between two rows is larger on long sources.

  Larger by at least `by` points on sources of more than `long` words than on
  those of at most `short` words.
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


def rising(
  rows: Sequence[str], by: float = 0.0, judged: bool = True
) -> tuple[Ordering, ...]:
  """Claims that each row beats the one before it by at least `by` points."""
  names = field_checks.items("rising", rows, str)
  if len(names) < 2:
    raise ValueError(f"rising: needs two rows or more, but has {len(names)}")
  return tuple(above(b, a, by, judged) for a, b in itertools.pairwise(names))
