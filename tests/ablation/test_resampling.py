"""The variance of sums of scores over sentences, stratum by stratum."""

import numpy as np
import pytest

from seq2seq_jax import metrics
from seq2seq_jax.ablation import resampling

pytestmark = pytest.mark.quick


def _run(hits):
  hits = np.asarray(hits, float)
  return np.stack([hits, np.ones_like(hits)], axis=1)


def _term(weight, hits, mask=None, test="t"):
  return resampling.Weighted(weight, [_run(hits)], metrics.ratio, mask, test)


def test_sentences_fall_into_strata_by_masks():
  hits = np.arange(10) % 2
  long, short = np.arange(10) < 3, np.arange(10) >= 6
  found = resampling.strata(
    [_term(1, hits, long), _term(-1, hits, short), _term(1, hits, long)]
  )
  assert {(s.size, len(s.terms)) for s in found} == {(3, 2), (4, 1)}
  # All of them beside a part of them: that part, and the rest.
  found = resampling.strata([_term(1, hits), _term(-1, hits, long)])
  assert {(s.size, len(s.terms)) for s in found} == {(3, 2), (7, 1)}
  found = resampling.strata([_term(1, hits), _term(-1, hits, test="u")])
  assert [(s.size, len(s.terms)) for s in found] == [(10, 1), (10, 1)]


def test_degrees_of_freedom_are_the_subsets_own():
  rng = np.random.default_rng(0)
  hits, few = rng.random(300) < 0.5, np.arange(300) < 4
  [stratum] = resampling.strata([_term(1, hits, few)])
  assert resampling.variance(stratum, 200, (0,))[1] == 3


def test_variance_of_few_is_not_too_small():
  """Two of four right: that of a sample is a third, not a quarter."""
  hits, few = np.zeros(300), np.arange(300) < 4
  hits[:2] = 1
  [stratum] = resampling.strata([_term(1, hits, few)])
  variance, _ = resampling.variance(stratum, 20_000, (0,))
  # Each of the four changes the half to a third or two thirds.
  expected = 1e4 * ((1 / 3) / 4 + 2 * (1 / 6) ** 2)
  assert variance == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("k", [1, 4, 7])
def test_few_that_differ_count_two_more(k):
  """As in Bonett & Price's interval of a difference of shares."""
  other, one = np.zeros(100), np.zeros(100)
  one[:k] = 1
  [stratum] = resampling.strata([_term(1, one), _term(-1, other)])
  variance, _ = resampling.variance(stratum, 20_000, (0,))
  share = k / 100
  theirs = 1e4 * (share * (1 - share) / 99) * (k + 2) / k
  assert variance == pytest.approx(theirs, rel=0.12)


def test_two_more_count_for_all_seeds():
  """One sentence that differs in one seed of three: two more do in all."""
  runs = [_run(np.arange(100) < n) for n in (0, 0, 1)]
  other = [_run(np.zeros(100))] * 3
  terms = [
    resampling.Weighted(weight, found, metrics.ratio, None, "t")
    for weight, found in ((1, runs), (-1, other))
  ]
  [stratum] = resampling.strata(terms)
  variance, _ = resampling.variance(stratum, 20_000, (0,))
  assert variance == pytest.approx((1 / 3) ** 2 + 2, rel=0.05)


def test_equal_rows_have_no_variance():
  hits = np.arange(50) % 3 == 0
  [stratum] = resampling.strata([_term(1, hits), _term(-1, hits)])
  assert resampling.variance(stratum, 100, (0,)) == (0.0, 49.0)
