"""Decisions that follow from validation scores."""

import math

import pytest

from seq2seq_jax.training import model_selection

pytestmark = pytest.mark.quick
RULES = model_selection.Rules(
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
    told = model_selection.History(RULES._replace(falling=falling))
    assert told.better(better, worse)
    assert not told.better(worse, better)
    assert not told.better(1.0, 1.0)
    assert not told.better(math.nan, 1.0)
    assert not told.better(math.nan, math.nan)
    assert told.better(1.0, math.nan)
  told = model_selection.History(RULES._replace(falling=True))
  assert told.better(1.0, math.inf)


def test_decisions_of_a_run():
  told = model_selection.History(RULES)
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
  assert not model_selection.History(RULES)["validated"]  # nothing is shared


def test_without_validation_the_latest_are_kept_and_averaged():
  told = model_selection.History(RULES._replace(average_best=False))
  for at in (1, 2, 3):
    told.passed(at)
  assert told["best_step"] is None
  assert told["averaged"] == [2, 3] and told.needed() == {2, 3}
  told = model_selection.History(RULES._replace(average=0))
  told.passed(1)
  told.passed(2)
  assert told["averaged"] == [] and told.needed() == {2}


def test_what_a_checkpoint_holds():
  one, two = model_selection.History(RULES), model_selection.History(RULES)
  one.fold(1, 2.0)
  two["tokens"] = 9
  assert model_selection.pack([one]) == one.host
  (again,) = model_selection.unpack(
    RULES, model_selection.pack([one]) | {"digest": 3}
  )
  assert again.host == one.host
  replicas = model_selection.unpack(RULES, model_selection.pack([one, two]))
  assert [h.host for h in replicas] == [one.host, two.host]
