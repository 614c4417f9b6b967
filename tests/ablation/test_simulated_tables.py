"""Simulated tables: what they claim against what is true.

A sample runs always; with all the numbers of docs/statistics.md they are slow.
"""

import pytest

from tests.ablation import simulated_tables

QUICK_NOISE = [(100, 0, 30), (100, 10, 1)]
ALL_SEEDS = (2, 3, 5)


def _at_least(share, rate, tables):
  wrong = round((1 - share) * tables)
  assert wrong <= simulated_tables.most(1 - rate, tables)


def _null(tables, noise):
  wrong = simulated_tables.null_tables(tables, *noise)
  assert round(wrong * tables) <= simulated_tables.most(0.05, tables)


@pytest.mark.quick
@pytest.mark.parametrize("noise", QUICK_NOISE)
def test_identical_rows_are_seldom_called_different(noise):
  _null(20, noise)


@pytest.mark.slow
@pytest.mark.parametrize("noise", simulated_tables.NOISE)
def test_300_tables_of_identical_rows(noise):
  _null(300, noise)


@pytest.mark.slow
@pytest.mark.parametrize("right", simulated_tables.RIGHT)
def test_300_tables_of_identical_rows_of_hits(right):
  wrong = simulated_tables.null_tables_of_hits(300, right)
  assert round(300 * wrong) <= simulated_tables.most(0.05, 300)


@pytest.mark.quick
@pytest.mark.parametrize("few", [3, 10])
def test_intervals_over_few_sentences(few):
  _at_least(simulated_tables.coverage_of_subsets(60, few), 0.95, 60)


@pytest.mark.slow
@pytest.mark.parametrize("few", simulated_tables.FEW)
@pytest.mark.parametrize(
  "seed_sd, gap", [(0.0, False), (5.0, False), (0, True)]
)
def test_intervals_over_few_of_300_sentences(few, seed_sd, gap):
  assert simulated_tables.coverage_of_subsets(600, few, seed_sd, gap) >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize("few", simulated_tables.FEW)
@pytest.mark.parametrize("right", simulated_tables.RIGHT)
def test_hits_on_few_of_300_sentences(few, right):
  score, difference = simulated_tables.coverage_of_few_hits(600, few, right)
  assert min(score, difference) >= 0.93


def _near_bounds(tables, right, seeds, shared, rate):
  score, difference, least, largest = simulated_tables.coverage_near_bounds(
    tables, right, seeds, shared=shared
  )
  _at_least(min(score, difference), rate, tables)
  assert least >= 0 and largest <= 100


@pytest.mark.quick
@pytest.mark.parametrize("right, seeds", [(0.998, 2), (0.002, 3), (0.98, 5)])
def test_intervals_near_the_bounds(right, seeds):
  _near_bounds(40, right, seeds, 0.0, 0.95)


@pytest.mark.slow
@pytest.mark.parametrize("right", simulated_tables.RIGHT)
@pytest.mark.parametrize("seeds", ALL_SEEDS)
@pytest.mark.parametrize("shared", [0.0, 0.8, 1.0])
def test_all_intervals_near_the_bounds(right, seeds, shared):
  """Down to seeds that are right on the very same sentences."""
  _near_bounds(600, right, seeds, shared, 0.95)


@pytest.mark.quick
def test_randomisation_agrees_with_the_exact_sign_test():
  found = list(simulated_tables.sign_tests())
  assert [k for k, *_ in found] == list(range(9))
  for _, exact, randomised in found:
    assert abs(randomised - exact) <= 0.02
