"""Decisions that follow from validation scores."""

import math

import pytest

from seq2seq_jax import types
from seq2seq_jax.training import model_selection

pytestmark = pytest.mark.quick
RULES = model_selection.Rules(
  lower_is_better=False,
  patience=3,
  plateau_patience=2,
  decay_factor=0.5,
  min_scale=0.2,
  average=2,
  average_best=True,
  keep_last=1,
  keep_best=2,
)


def selection(**changes):
  return model_selection.ModelSelection(RULES._replace(**changes))


def test_better():
  for lower, better, worse in ((True, 1.0, 2.0), (False, 2.0, 1.0)):
    state = selection(lower_is_better=lower)
    assert state.is_better(better, worse)
    assert not state.is_better(worse, better)
    assert not state.is_better(1.0, 1.0)
    assert not state.is_better(math.nan, 1.0)
    assert not state.is_better(math.nan, math.nan)
    assert state.is_better(1.0, math.nan)
  assert selection(lower_is_better=True).is_better(1.0, math.inf)


def test_decisions_of_a_run():
  state = selection()
  decays = [state.update(at, s) for at, s in ((1, 5.0), (2, 7.0), (3, 6.0))]
  assert decays == [False, False, False]
  assert (state.best_step, state.best_score) == (2, 7.0)
  assert state.averaged == [2, 3]
  assert state.kept_steps() == {2, 3}
  assert state.update(4, 6.5)  # two validations without improvement
  assert (state.stale_count, state.since_decay) == (2, 0)
  assert state.kept_steps() == {2, 4}
  assert not state.stopped
  assert not state.update(5, 1.0)
  assert state.stopped
  assert state.kept_steps() == {2, 4, 5}
  assert state.decayed(1.0) == 0.5
  assert state.decayed(0.3) == 0.2
  assert not selection().validated  # nothing is shared


def test_without_validation_the_latest_are_kept_and_averaged():
  state = selection(average_best=False)
  for at in (1, 2, 3):
    state.record_unscored(at)
  assert state.best_step is None
  assert state.averaged == [2, 3] and state.kept_steps() == {2, 3}
  state = selection(average=0)
  state.record_unscored(1)
  state.record_unscored(2)
  assert state.averaged == [] and state.kept_steps() == {2}


def test_what_a_checkpoint_holds():
  one, two = selection(), selection()
  one.update(1, 2.0)
  two.tokens = 9
  stored = model_selection.to_json([one])
  assert stored == one.to_json() and "rules" not in stored
  assert model_selection.from_json(RULES, stored | {"digest": 3}, "here") == [
    one
  ]
  stored = model_selection.to_json([one, two])
  assert model_selection.from_json(RULES, stored, "here") == [one, two]


@pytest.mark.parametrize(
  ("entry", "value"),
  [
    ("best_step", "3"),
    ("best_score", [1]),
    ("validated", [[1]]),
    ("validated", {"1": 2}),
    ("averaged", [1, None]),
    ("stopped", 1),
    ("replicas", [3]),
    ("replicas", {}),
  ],
)
def test_a_damaged_state_names_the_entry(entry, value):
  stored = model_selection.ModelSelection(RULES).to_json() | {entry: value}
  with pytest.raises(types.UserError, match=f"step 3: {entry}: "):
    model_selection.from_json(RULES, stored, "step 3")
