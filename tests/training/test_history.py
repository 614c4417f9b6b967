"""Decisions that follow from validation scores."""

import math

import pytest

from seq2seq_jax.training import history

pytestmark = pytest.mark.quick
RULES = history.Rules(
  falling=False,
  patience=3,
  plateau=2,
  decay=0.5,
  lowest=0.2,
  average=2,
  average_best=True,
  keep_last=1,
  keep_best=2,
)


def test_better():
  for falling, better, worse in ((True, 1.0, 2.0), (False, 2.0, 1.0)):
    told = history.History(RULES._replace(falling=falling))
    assert told.better(better, worse)
    assert not told.better(worse, better)
    assert not told.better(1.0, 1.0)
    assert not told.better(math.nan, 1.0)
    assert not told.better(math.nan, math.nan)
    assert told.better(1.0, math.nan)
  told = history.History(RULES._replace(falling=True))
  assert told.better(1.0, math.inf)


def test_decisions_of_a_run():
  told = history.History(RULES)
  falls = [told.fold(at, s) for at, s in ((1, 5.0), (2, 7.0), (3, 6.0))]
  assert falls == [False, False, False]
  assert (told["best_step"], told["best_score"]) == (2, 7.0)
  assert told["averaged"] == [2, 3]
  assert told.needed() == {2, 3}
  assert told.fold(4, 6.5)  # two validations without improvement: it falls
  assert told.needed() == {2, 4}
  assert not told["stopped"]
  assert not told.fold(5, 1.0)
  assert told["stopped"]
  assert told.needed() == {2, 4, 5}
  assert told.lowered(1.0) == 0.5
  assert told.lowered(0.3) == 0.2
  assert not history.History(RULES)["validated"]  # nothing is shared


def test_without_validation_the_latest_are_kept_and_averaged():
  told = history.History(RULES._replace(average_best=False))
  for at in (1, 2, 3):
    told.passed(at)
  assert told["best_step"] is None
  assert told["averaged"] == [2, 3] and told.needed() == {2, 3}
  told = history.History(RULES._replace(average=0))
  told.passed(1)
  told.passed(2)
  assert told["averaged"] == [] and told.needed() == {2}


def test_what_a_checkpoint_holds():
  one, two = history.History(RULES), history.History(RULES)
  one.fold(1, 2.0)
  two["tokens"] = 9
  assert history.pack([one]) == one.host
  (again,) = history.unpack(RULES, history.pack([one]) | {"digest": 3})
  assert again.host == one.host
  lanes = history.unpack(RULES, history.pack([one, two]))
  assert [h.host for h in lanes] == [one.host, two.host]
