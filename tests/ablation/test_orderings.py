"""Claims as bounds on weighted sums of scores."""

import math

import pytest

from seq2seq_jax.ablation import orderings

pytestmark = pytest.mark.quick


def _bounds(ordering):
  return (
    [(t.weight, t.row) for t in ordering.terms],
    ordering.low,
    ordering.high,
  )


def test_differences_of_two_rows():
  terms = [(1, "a"), (-1, "b")]
  assert _bounds(orderings.above("a", "b", by=2)) == (terms, 2, math.inf)
  assert _bounds(orderings.alike("a", "b", 0.5)) == (terms, -0.5, 0.5)
  assert "not below b by more than 1" in orderings.above("a", "b", -1).claim
  claims = [o.claim for o in orderings.rising(["x", "y", "z"], by=1)]
  assert claims == ["y above x by 1", "z above y by 1"]


def test_scores_of_one_row():
  near = orderings.near("a", 30, 2)
  assert _bounds(near) == ([(1, "a")], 28, 32) and not near.points
  assert _bounds(orderings.between("a", 1, 2))[1:] == (1, 2)
  assert _bounds(orderings.at_most("a", 10))[1:] == (-math.inf, 10)


def test_another_metric_counts_down():
  claim = orderings.below("a", "b", "loss")
  assert claim.metrics() == {"loss"} and claim.rows() == {"a", "b"}
  assert math.copysign(1, claim.high) == 1  # prints 0 and not -0


def test_a_gap_between_subsets_of_length():
  claim = orderings.gap_grows("a", "b", short=10, long=20, by=1)
  long, short = orderings.Subset(shortest=21), orderings.Subset(longest=10)
  assert [(t.weight, t.row, t.subset) for t in claim.terms] == [
    (1, "a", long),
    (-1, "b", long),
    (-1, "a", short),
    (1, "b", short),
  ]


def test_a_precondition_names_its_row_and_metric():
  condition = orderings.Precondition("length_ratio", "c", 0.9)
  claim = orderings.above("a", "b", precondition=condition)
  assert claim.rows() == {"a", "b", "c"}
  assert claim.metrics() == {"length_ratio"}


def test_claims_that_mean_nothing_are_refused():
  loss = orderings.Term(1, "a", metric="loss")
  with pytest.raises(ValueError, match="cannot be added up"):
    orderings.Ordering("x", (loss, orderings.Term(-1, "b")))
  with pytest.raises(ValueError, match="has no bound"):
    orderings.Ordering("x", (loss,), low=-math.inf)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
  "make, message",
  [
    (lambda: orderings.Ordering("c", ()), "claim 'c': has no terms"),
    (lambda: orderings.Ordering("", (TERM,)), "claim: must be given"),
    (lambda: orderings.Ordering("c", (1,)), r"terms\[0\]: must be a Term"),
    (lambda: orderings.Ordering("c", TERM), r"terms\[0\]: must be a Term"),
    (lambda: orderings.above("a", "a"), "compares a row with itself"),
    (lambda: orderings.above("a", "b", by=NAN), "low: must be a number"),
    (lambda: orderings.above("a", "b", by=INF), "no number is from inf to inf"),
    (lambda: orderings.alike("a", "b", -1), "no number is from 1 to -1"),
    (lambda: orderings.between("a", 3, 2), "no number is from 3 to 2"),
    (lambda: orderings.near("a", NAN, 1), "must be a number, but is nan"),
    (lambda: orderings.at_most(3, 2), "row: must be a text, but is 3"),
    (lambda: orderings.rising("ab"), "rising: must be a tuple"),
    (lambda: orderings.rising(["a"]), "needs two rows or more, but has 1"),
    (
      lambda: orderings.gap_grows("a", "b", short=-1, long=3),
      "longest: must be a whole number",
    ),
    (
      lambda: orderings.Ordering(
        "c", (orderings.Term(1, "a", orderings.Subset(5, 4)),)
      ),
      "no source has from 5 to 4 words",
    ),
    (
      lambda: orderings.Ordering("c", (orderings.Term(NAN, "a"),)),
      "weight: must be a number, but is nan",
    ),
    (
      lambda: orderings.above("a", "b", precondition=("loss", "a", 1)),
      "precondition: must be a Precondition",
    ),
  ],
)
def test_claims_that_cannot_be(make, message):
  with pytest.raises(ValueError, match=message):
    make()


TERM = orderings.Term(1, "a")
