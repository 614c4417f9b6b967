"""Learning curves are read from metrics.jsonl, whole lines only."""

import json

import pytest

from seq2seq_jax.ablation import learning_curve

pytestmark = pytest.mark.quick


def _write(folder, *lines):
  text = "".join(json.dumps(line) + "\n" for line in lines)
  (folder / "metrics.jsonl").write_text(text)


def _train(step, tokens, rate):
  return {
    "split": "train",
    "step": step,
    "tokens": tokens,
    "tokens_per_second": rate,
  }


def test_time_is_that_of_updates(tmp_path):
  _write(
    tmp_path,
    _train(5, 100, 50.0),
    {"split": "valid", "step": 5, "bleu": 10.0},
    _train(10, 300, 100.0),
    {"split": "valid", "step": 10, "bleu": None, "loss": 2.5},
  )
  with (tmp_path / "metrics.jsonl").open("a") as f:
    f.write('{"split": "train", "st')  # a process that was killed
  curve = learning_curve.read(tmp_path, batches_per_epoch=7)
  assert (curve.seconds, curve.tokens, curve.steps) == (4.0, 300, 10)
  assert curve.batches_per_epoch == 7
  assert curve.valid == {"bleu": [(5, 10.0), (10, None)], "loss": [(10, 2.5)]}


def test_tokens_may_be_counted_from_a_restart(tmp_path):
  _write(tmp_path, _train(5, 100, 50.0), _train(10, 60, 30.0))
  curve = learning_curve.read(tmp_path, 1)
  assert (curve.seconds, curve.tokens) == (4.0, 160)


def test_one_of_several_replicas(tmp_path):
  line = {"split": "valid", "step": 5}
  line |= {"loss": 2.0, "loss/replica_0": 1.0, "loss/replica_1": 3.0}
  _write(tmp_path, line)
  curve = learning_curve.read(tmp_path, 1, replica=1)
  assert curve.valid == {"loss": [(5, 3.0)]}


def test_lines_that_are_none_are_left_out_and_named(tmp_path, caplog):
  caplog.set_level("WARNING", "seq2seq_jax")
  _write(
    tmp_path,
    [1],
    {"split": "valid", "step": "5", "loss": 1.0},
    {"split": "valid", "step": 5, "loss": "low"},
    {"split": "valid", "step": 6, "time": "noon", "loss": 2.0},
  )
  assert learning_curve.read(tmp_path, 1).valid == {"loss": [(6, 2.0)]}
  assert [r.getMessage().split(":")[0][-6:] for r in caplog.records] == [
    "line 1",
    "line 2",
    "line 3",
  ]
  assert "'loss'] must be a number or null, but is \"low\"" in caplog.text


def test_a_run_without_metrics(tmp_path):
  curve = learning_curve.read(tmp_path, 1)
  assert (curve.seconds, curve.steps, curve.valid) == (0.0, 0, {})
