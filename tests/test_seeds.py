"""Several runs in one program, and several updates in one call."""

import json

import jax
import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.checkpoints import select
from seq2seq_jax.data import batches, sides, tokenizers, vocabulary
from seq2seq_jax.training import (
  loop,
  model_selection,
  step,
  throughput,
  transitions,
)
from seq2seq_jax.training import run as training_run
from tests.helpers import tiny_speech
from tests.helpers.tiny_runs import small, state_of, tiny

REPLICAS = 3


def curves(workdir, name="loss", split="train"):
  """[steps, replicas] of a metric."""
  rows = [json.loads(x) for x in (workdir / "metrics.jsonl").open()]
  rows = [r for r in rows if r["split"] == split]
  keys = [k for k in rows[0] if k == name or k.startswith(f"{name}/replica_")]
  keys = sorted(keys)[1:] if len(keys) > 1 else keys
  return np.array(
    [[np.nan if r.get(k) is None else r[k] for k in keys] for r in rows]
  )


def quick(**changes):
  return small(train={"steps": 40, "log_every": 1} | changes)


@pytest.fixture(scope="module")
def replicas(tmp_path_factory):
  """A finished run of three replicas."""
  workdir = tmp_path_factory.mktemp("replicas")
  loop.fit(quick(seeds=REPLICAS), workdir)
  return workdir


def test_each_replica_equals_a_run_of_its_seed(replicas, tmp_path):
  _check_each(replicas, quick, REPLICAS, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["convolution", "pyramid"])
def test_each_replica_of_speech_equals_a_run_of_its_seed(kind, tmp_path):
  """With masks of its own, over frames and in the model."""

  def conf(**changes):
    train = {"steps": 9, "log_every": 1, "metric": "loss", "mapper": "vmap"}
    return tiny_speech.SMALL[kind](train=train | changes)

  loop.fit(conf(seeds=2), tmp_path / "both")
  _check_each(tmp_path / "both", conf, 2, tmp_path)


def _check_each(workdir, conf, count, tmp_path):
  """Compares a run of replicas with one of each seed, `conf(seed=...)`."""
  together = curves(workdir)
  assert together.shape == (conf().train.steps, count)
  for replica in range(count):
    alone = tmp_path / str(replica)
    loop.fit(conf(seed=replica), alone)
    np.testing.assert_allclose(
      together[:, replica], curves(alone)[:, 0], rtol=2e-4
    )
    for which in ("last", "best"):
      a, step_a = select.load(workdir, which, replica)
      b, step_b = select.load(alone, which)
      assert step_a == step_b
      for x, y in zip(*(map(np.ravel, jax.tree.leaves(t)) for t in (a, b))):
        np.testing.assert_allclose(x, y, rtol=1e-2, atol=1e-3)
  assert not np.allclose(together[:, 0], together[:, 1])


def test_replicas_go_on_bit_for_bit(replicas, tmp_path):
  loop.fit(quick(seeds=REPLICAS, steps=20), tmp_path)
  loop.fit(quick(seeds=REPLICAS), tmp_path)
  for a, b in zip(state_of(tmp_path), state_of(replicas), strict=True):
    assert np.array_equal(a, b)


def test_a_replica_that_stopped_or_diverged_stays_as_it_is(
  tmp_path, monkeypatch
):
  apply_score, before = transitions.apply_score, {}

  def stopping(run, replica, at, score):
    if replica == 1 and at == 20:
      run.selection[replica].stopped = True
    apply_score(run, replica, at, score)
    if replica == 1 and at == 20:
      before["params"] = jax.tree.leaves(run.params(1))
      transitions.diverge(run, 2, at)

  monkeypatch.setattr(transitions, "apply_score", stopping)
  run = loop.fit(quick(seeds=REPLICAS), tmp_path)
  after = jax.tree.leaves(run.params(1))
  for a, b in zip(before["params"], after, strict=True):
    assert np.array_equal(a, b)
  assert [s.diverged for s in run.selection] == [None, None, 20]
  assert run.running() == [0]
  losses = curves(tmp_path)
  assert np.isfinite(losses[:, 0]).all()
  assert np.isnan(losses[-1, 1:]).all()


def test_a_workdir_of_replicas_asks_which_one(replicas):
  with pytest.raises(
    types.UserError, match="3 runs; choose one with --replica"
  ):
    select.load(replicas, "last")
  with pytest.raises(types.UserError, match="--replica 0 to 2"):
    select.load(replicas, "last", 3)


@pytest.mark.parametrize("seeds", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_several_updates_a_call_equal_one_by_one(seeds, tmp_path):
  """Though their batches have other shapes than a step's of its own."""
  found = {}
  for calls in (1, 4):
    conf = tiny(
      data={"order": "replacement"},
      train={
        "steps": 40,
        "metric": "loss",
        "log_every": 1,
        "seeds": seeds,
        "steps_per_call": calls,
      },
    )
    loop.fit(conf, tmp_path / str(calls))
    found[calls] = curves(tmp_path / str(calls))
  np.testing.assert_allclose(found[4], found[1], rtol=2e-4)


@pytest.mark.quick
def test_a_step_takes_the_smallest_shape_that_holds_it():
  sizes = [(3, 4), (5, 6), (9, 9)]
  words = tokenizers.train(["a"], kind="word", vocab_size=9)
  vocabularies = vocabulary.Vocabularies(
    sides.SourceText(words), sides.TargetText(words)
  )

  def of(*lengths):
    """Pairs of these source and target lengths, EOS included."""
    return [
      vocabularies.encode(("a " * (s - 1), "a " * (t - 1))) for s, t in lengths
    ]

  for rows, place in [
    (of((3, 4), (1, 1)), 0),
    (of((4, 4), (1, 1)), 1),
    (of((3, 4), (1, 5)), 1),
    (of((5, 7), (1, 1)), 2),
    (of((9, 9), (9, 9)), 2),
  ]:
    batch = batches.collate(vocabularies, rows, np.arange(2), 9, 9)
    shape = step.shape_of(batch, sizes)
    assert int(shape.index) == place
    part = step.cut(batch, sizes[place])
    assert part.src.shape == (2, sizes[place][0])
    assert part.tgt.shape == (2, sizes[place][1])
    # Nothing real was cut off.
    assert (part.tgt != types.PAD).sum() == batch.tgt_len.sum()
    assert (part.src != types.PAD).sum() == batch.src_len.sum()


@pytest.mark.quick
def test_steps_per_call_is_refused_where_shapes_change():
  with pytest.raises(types.UserError, match="steps_per_call"):
    tiny(data={"batch_unit": "tokens"}, train={"steps_per_call": 5})
  with pytest.raises(types.UserError, match="validate_every"):
    config.Train(steps=1000, steps_per_call=40, validate_every=50)


@pytest.mark.quick
def test_the_last_replica_to_diverge_leaves_what_others_have_reached(
  monkeypatch,
):
  """Where no replica has come to an end of its own, that is an error."""

  class Replicas:
    replicas = 2
    running = training_run.Run.running

    def __init__(self, **first):
      rules = training_run.selection_rules(tiny())
      self.selection = [
        model_selection.ModelSelection(rules, **first),
        model_selection.ModelSelection(rules),
      ]

  def freeze(run, replica, factor):
    run.frozen = (replica, factor)

  monkeypatch.setattr(transitions, "_scale_learning_rate", freeze)
  loss = np.array([[1.0, np.nan]])
  window = throughput.Window(4, 5, {"loss": loss, "grad_norm": np.ones((1, 2))})
  run = Replicas(stopped=True)
  transitions.stop_diverged(run, [window])
  assert (run.selection[1].stopped, run.selection[1].diverged) == (True, 5)
  assert run.frozen == (1, 0.0)
  with pytest.raises(types.Diverged, match="step 5"):
    transitions.stop_diverged(Replicas(stopped=True, diverged=3), [window])
