"""Against Clopper & Pearson's and Garwood's intervals, and Student's."""

import math

import pytest
import scipy.stats

from seq2seq_jax.ablation import intervals

pytestmark = pytest.mark.quick

PERCENT = (0.0, 100.0)


@pytest.mark.parametrize("right", [0, 1, 37, 199, 200])
def test_a_share_of_sentences_has_the_exact_interval(right):
  share = right / 200
  # At a bound the variance stands for one sentence.
  variance = share * (1 - share) / 200 or 1 / 200**2
  spread = intervals.Spread(
    100 * share, 1e4 * variance, math.inf, PERCENT, single=True
  )
  theirs = scipy.stats.binomtest(right, 200).proportion_ci(method="exact")
  low, high = intervals.interval(spread, 0.95)
  assert low == pytest.approx(100 * theirs.low, abs=1e-9)
  assert high == pytest.approx(100 * theirs.high, abs=1e-9)


def test_a_rate_has_garwoods_interval():
  """Nine errors in 300 words; none."""
  unit = 100 / 300
  spread = intervals.Spread(
    9 * unit, 9 * unit**2, math.inf, (0.0, math.inf), single=True
  )
  low, high = intervals.interval(spread, 0.95)
  assert low / unit == pytest.approx(scipy.stats.chi2.ppf(0.025, 18) / 2)
  assert high / unit == pytest.approx(scipy.stats.chi2.ppf(0.975, 20) / 2)
  none = spread._replace(value=0.0, variance=unit**2)
  low, high = intervals.interval(none, 0.95)
  assert (low, high / unit) == (0.0, pytest.approx(-math.log(0.025)))


def test_an_upper_bound_is_a_rate_counted_down():
  below = intervals.Spread(-3.0, 1.0, 4, (-math.inf, 0.0), single=True)
  above = intervals.Spread(3.0, 1.0, 4, (0.0, math.inf), single=True)
  low, high = intervals.interval(above, 0.95)
  assert intervals.interval(below, 0.95) == (-high, -low)
  assert intervals.p_value(below, -9.0) == intervals.p_value(above, 9.0)


def test_far_from_bounds_it_is_students():
  spread = intervals.Spread(40.0, 0.01, 7, PERCENT, single=True)
  half = scipy.stats.t.ppf(0.975, 7) * 0.1
  assert intervals.interval(spread, 0.95) == pytest.approx(
    (40 - half, 40 + half), abs=0.01
  )
  other = spread._replace(bounds=intervals.ANY)
  assert intervals.interval(other, 0.95) == pytest.approx(
    (40 - half, 40 + half)
  )


def test_a_sum_is_cut_at_what_it_can_be():
  spread = intervals.Spread(95.0, 25.0, 2, (-100.0, 100.0))
  low, high = intervals.interval(spread, 0.95)
  assert low == pytest.approx(95 - 5 * scipy.stats.t.ppf(0.975, 2))
  assert high == 100.0
  assert intervals.p_value(spread, 101.0) == 0.0


@pytest.mark.parametrize("freedom", [1, 2, 9.5, math.inf])
@pytest.mark.parametrize("value, variance", [(50, 4), (99.3, 0.3), (0.2, 0.05)])
@pytest.mark.parametrize(
  "bounds", [PERCENT, (0.0, math.inf), (-math.inf, 100.0), intervals.ANY]
)
def test_p_is_five_per_cent_at_the_ends(bounds, value, variance, freedom):
  spread = intervals.Spread(value, variance, freedom, bounds, single=True)
  for end in intervals.interval(spread, 0.95):
    assert bounds[0] <= end <= bounds[1]
    if end not in bounds and abs(end - value) < 1e3:
      assert intervals.p_value(spread, end) == pytest.approx(0.05, abs=1e-6)
  assert intervals.p_value(spread, value) == 1.0


def test_without_any_variance_known_everything_is_possible():
  spread = intervals.Spread(3.0, math.inf, 1, PERCENT, single=True)
  assert intervals.interval(spread, 0.95) == PERCENT
  assert intervals.p_value(spread, 90.0) == 1.0
