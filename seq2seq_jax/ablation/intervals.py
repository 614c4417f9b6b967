"""Intervals and p values of an estimate, inside of what it can be.

An estimate has a variance with degrees of freedom. Where it is far from any
bound, its interval is Student's. A single score between bounds, such as exact
match, is read as a share of as many independent sentences as would have its
variance, and has the exact interval of a binomial share (Clopper & Pearson
1934, Korn & Graubard 1998); one with a single bound, such as an error rate,
that of a Poisson rate (Garwood 1936). The tails of both are widened from the
normal's to Student's, so that interval and p agree. docs/statistics.md has
the formulas.
"""

import math
from typing import NamedTuple

import scipy.special

Bounds = tuple[float, float]  # what a score can be, both ends included

ANY: Bounds = (-math.inf, math.inf)
# From so many sentences on, the exact intervals are Student's to all digits.
LARGE = 1e6


class Spread(NamedTuple):
  """An estimate, how far it strays, and what it can be."""

  value: float
  variance: float
  freedom: float  # degrees of freedom of the variance
  bounds: Bounds = ANY
  single: bool = False  # one score, so that its bounds shape its interval


def interval(spread: Spread, level: float) -> tuple[float, float]:
  """Both ends of the interval, never outside of the bounds."""
  value, variance, freedom, (low, high), _ = spread
  if variance == 0:
    return value, value
  if math.isinf(variance):
    return low, high
  reach = float(scipy.special.stdtrit(freedom, 0.5 + level / 2))
  if shape := _Shape.of(spread):
    ends = shape.interval(float(scipy.special.ndtr(-reach)))
  else:
    half = reach * math.sqrt(variance)
    ends = value - half, value + half
  return max(low, ends[0]), min(high, ends[1])


def p_value(spread: Spread, truth: float) -> float:
  """Two-sided p of the true value being `truth`.

  Below 1 - level exactly if the interval of that level excludes it.
  """
  if truth == spread.value or math.isinf(spread.variance):
    return 1.0
  if spread.variance == 0 or not spread.bounds[0] <= truth <= spread.bounds[1]:
    return 0.0
  if shape := _Shape.of(spread):
    distance = -float(scipy.special.ndtri(shape.tail(truth)))
  else:
    distance = abs(spread.value - truth) / math.sqrt(spread.variance)
  # The exact tail beside the estimate is above one half.
  return min(1.0, float(2 * scipy.special.stdtr(spread.freedom, -distance)))


class _Shape(NamedTuple):
  """A share or a rate: `events` times a `unit` above `low`."""

  events: float
  size: float  # of all events of a share; infinite for a rate
  low: float
  unit: float
  turned: bool = False  # counted down from an upper bound

  @classmethod
  def of(cls, spread: Spread) -> "_Shape | None":
    """Of a single score near a bound, else None."""
    value, variance, _, (low, high), single = spread
    if not single or (math.isinf(low) and math.isinf(high)):
      return None
    if math.isfinite(low) and math.isfinite(high):
      width = high - low
      share = min(1.0, max(0.0, (value - low) / width))
      # At a bound the variance is that of one sentence in `size`.
      size = max(share * (1 - share), 0.0) * width**2 / variance
      if share in (0.0, 1.0):
        size = width / math.sqrt(variance)
      return (
        cls(share * size, size, low, width / size) if size < LARGE else None
      )
    turned = math.isinf(low)
    above = high - value if turned else value - low
    count = above**2 / variance
    if count >= LARGE:
      return None
    unit = variance / above if above > 0 else math.sqrt(variance)
    return cls(count, math.inf, high if turned else low, unit, turned)

  def interval(self, tail: float) -> tuple[float, float]:
    """Both ends, with this probability outside of each."""
    ends = self._least(tail), self._most(tail)
    if self.turned:
      return self.low - self.unit * ends[1], self.low - self.unit * ends[0]
    return self.low + self.unit * ends[0], self.low + self.unit * ends[1]

  def _least(self, tail: float) -> float:
    if self.events == 0:
      return 0.0
    if math.isinf(self.size):
      return float(scipy.special.gammaincinv(self.events, tail))
    rest = self.size - self.events + 1
    return self.size * float(scipy.special.betaincinv(self.events, rest, tail))

  def _most(self, tail: float) -> float:
    if math.isinf(self.size):
      return float(scipy.special.gammainccinv(self.events + 1, tail))
    if self.events >= self.size:
      return self.size
    rest = self.size - self.events
    return self.size * float(
      scipy.special.betainccinv(self.events + 1, rest, tail)
    )

  def tail(self, truth: float) -> float:
    """Probability of a count as far out as this one if `truth` is true."""
    expected = (truth - self.low) / self.unit
    if self.turned:
      expected = -expected
    if expected < self.events:
      if math.isinf(self.size):
        return float(scipy.special.gammainc(self.events, expected))
      rest = self.size - self.events + 1
      share = expected / self.size
      return float(scipy.special.betainc(self.events, rest, share))
    if math.isinf(self.size):
      return float(scipy.special.gammaincc(self.events + 1, expected))
    rest = max(self.size - self.events, 0.0)
    share = min(1.0, expected / self.size)
    if rest == 0:
      return 1.0
    return float(scipy.special.betaincc(self.events + 1, rest, share))
