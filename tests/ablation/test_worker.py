"""The process of a job: trains, scores, and writes why it could not."""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import types as builtin_types

import pytest

from seq2seq_jax import types
from seq2seq_jax.ablation import plan, spec, suite, worker
from seq2seq_jax.runtime import locks
from seq2seq_jax.training import loop
from tests.helpers import tiny_table

ROOT = pathlib.Path(__file__).parents[2]
ENV = os.environ | {"JAX_PLATFORMS": "cpu"}


def _job(table, number=0):
  return spec.Spec(
    table.jobs()[number], table.metric, "best", tuple(table.metrics)
  )


def _work(table, number=0):
  """Does a job as its process would, from its file."""
  job = _job(table, number)
  spec.write(job, job.cells[0].spec)
  return worker.Worker(spec.read(job.cells[0].spec)).run()


def _run(diverged, batches=7):
  """What training returns, as far as a worker looks at it."""
  return builtin_types.SimpleNamespace(
    selection=[builtin_types.SimpleNamespace(diverged=at) for at in diverged],
    data=builtin_types.SimpleNamespace(plan=range(batches)),
    interrupted=None,
  )


@pytest.mark.quick
def test_of_seeds_in_one_program_the_diverged_one_is_told(
  tmp_path, monkeypatch
):
  table = tiny_table.planned(tmp_path, 3, together=True)
  [training] = table.cells[0].members
  (training.folder / "checkpoints" / "40").mkdir(parents=True)
  monkeypatch.setattr(loop, "fit", lambda *_, **__: _run((None, 26, None)))
  process = worker.Worker(_job(table))
  for _ in range(2):  # trained, then remembered
    assert process.train(training, 0) == 7
    with pytest.raises(types.Diverged, match="diverged at step 26"):
      process.train(training, 1)
    assert process.train(training, 2) == 7
    monkeypatch.setattr(loop, "fit", None)


@pytest.mark.quick
def test_a_run_that_lost_its_checkpoints(tmp_path, monkeypatch):
  """It is trained again if that is asked for, and what is left is kept."""
  table = tiny_table.planned(tmp_path, 1)
  [training] = table.cells[0].members
  checkpoints = training.folder / "checkpoints" / "40"
  checkpoints.mkdir(parents=True)
  monkeypatch.setattr(loop, "fit", lambda *_, **__: _run((None,)))
  worker.Worker(_job(table)).train(training, 0)
  checkpoints.rmdir()
  with pytest.raises(types.UserError, match=r"no checkpoint any more.*--retry"):
    worker.Worker(_job(table)).train(training, 0)
  monkeypatch.setattr(
    loop, "fit", lambda _, folder, **__: folder.mkdir() or _run((None,))
  )
  job = dataclasses.replace(_job(table), restart=True)
  worker.Worker(job).train(training, 0)
  assert (tmp_path / "cells/attention/seed_0.stale-1/finished.json").exists()


@pytest.mark.quick
def test_scores_that_are_none_are_named():
  scores = {"loss": 1.0, "perplexity": float("inf"), "token_accuracy": None}
  assert worker.finite(scores, ["loss", "perplexity", "token_accuracy"]) == (
    {"loss": 1.0},
    {
      "perplexity": "is not finite",
      "token_accuracy": "cannot be computed for this model and its search",
    },
  )
  assert worker.finite({}, ["token_accuracy"], members=2)[1] == {
    "token_accuracy": "is of one model, not of an ensemble"
  }


@pytest.mark.quick
def test_other_data_than_the_plan_s_are_refused(tmp_path, monkeypatch):
  table = tiny_table.planned(tmp_path, 1)
  monkeypatch.setattr(
    plan, "data_checksums", lambda data: {"train": "other", "test": "b"}
  )
  assert _work(table) == 0
  status = table.cells[0].status()
  assert status["status"] == "failed"
  assert "are not those that the table was planned with" in status["message"]


@pytest.mark.quick
def test_an_error_is_the_cell_s_result(tmp_path, monkeypatch):
  def raises(*_, **__):
    raise RuntimeError("out of memory")

  monkeypatch.setattr(loop, "fit", raises)
  table = tiny_table.planned(tmp_path, 1)
  assert _work(table) == 0
  assert table.cells[0].status()["message"] == "RuntimeError: out of memory"
  assert not list((tmp_path / "locks").iterdir())


@pytest.mark.quick
def test_a_taken_cell_is_left_alone(tmp_path):
  table = tiny_table.planned(tmp_path, 1)
  with locks.claim(table.cells[0].members[0].lock):
    assert _work(table) == spec.BUSY
    assert not table.cells[0].lock.exists()
  assert table.cells[0].result() is None


@pytest.mark.quick
def test_a_run_of_another_version_is_moved_aside(tmp_path, monkeypatch):
  table = tiny_table.planned(tmp_path, 1)
  [training] = table.cells[0].members
  training.folder.mkdir(parents=True)
  (training.folder / "config.json").write_text('{"format_version": 0}')
  monkeypatch.setattr(
    loop,
    "fit",
    lambda _, folder, **__: folder.mkdir() or _run((None,)),
  )
  worker.Worker(_job(table)).train(training, 0)
  aside = training.folder.with_name("seed_0.stale-1")
  assert (aside / "config.json").exists()


@pytest.mark.quick
def test_the_command_takes_one_file(tmp_path):
  with pytest.raises(types.UserError, match="the file of a job's spec"):
    worker.main([])
  with pytest.raises(types.UserError, match="cannot read"):
    worker.main([str(tmp_path / "spec.json")])


# Each update multiplies the parameters by a million millions.
WILD = {
  "optim.optimizer": "adamw",
  "optim.learning_rate": 1e6,
  "optim.weight_decay": 1e6,
  "optim.clip_norm": 0,
}


def grow_stale(tmp_path):
  """Run by the test below, with one device: less to compile."""
  rows = (
    suite.Row("fixed", tiny_table.NO_ATTENTION),
    suite.Row("wild", WILD),
  )

  def planned(*overrides):
    words = ("--train.steps", "20", *overrides)
    return tiny_table.planned(tmp_path, 1, words, rows=rows, orderings=())

  table = planned()
  for number in range(2):
    assert _work(table, number) == 0
  good, wild = table.cells
  assert good.status()["status"] == "done"
  assert wild.status()["status"] == "diverged"
  assert "learning_rate" in wild.status()["message"]
  assert not list((tmp_path / "locks").iterdir())
  # Another search needs no other training.
  search = planned("--decode.beam_size", "1")
  assert search.cells[0].status() == {
    "status": "stale",
    "changed": ["decode.beam_size: 3 -> 1"],
  }
  original = loop.fit
  loop.fit = None
  assert _work(search) == 0
  assert search.cells[0].status()["status"] == "done"
  assert (good.folder / "result.json.stale-1").exists()
  # Fewer steps have another schedule of the learning rate.
  aside = good.folder.with_name("seed_0.stale-1")
  shorter = planned("--train.steps", "10")
  assert shorter.cells[0].status()["status"] == "stale"
  loop.fit = lambda _, folder, **__: folder.mkdir() or _run((None,))
  worker.Worker(_job(shorter)).train(shorter.cells[0].members[0], 0)
  assert (aside / "checkpoints").is_dir()
  assert not (good.folder / "checkpoints").exists()
  shutil.rmtree(good.folder)
  aside.rename(good.folder)
  loop.fit = original
  # Other data need another training; the old run is kept aside.
  other = planned("--data.synthetic.train", "200")
  assert other.cells[0].status()["status"] == "stale"
  worker.Worker(_job(other)).train(other.cells[0].members[0], 0)
  assert (aside / "checkpoints").is_dir() and (aside / "result.json").exists()


def test_cells_that_diverge_and_cells_that_grow_stale(tmp_path):
  code = f"""
import pathlib, sys
sys.path.insert(0, {str(ROOT)!r})
from tests.ablation import test_worker
test_worker.grow_stale(pathlib.Path({str(tmp_path)!r}))
"""
  subprocess.run([sys.executable, "-c", code], env=ENV, check=True)


USER_CODE = """
from seq2seq_jax import config
from tests.helpers import tiny_table

STEPS = 4

def get_config():
  return config.load(tiny_table.CONFIG)
"""


METRIC = """
def words(hypotheses, references, comparison):
  return float(len(" ".join(references).split()))
"""


def test_a_process_needs_neither_the_suite_nor_its_base(tmp_path, monkeypatch):
  """The files of the user may be gone or changed by the time a job starts."""
  base = tmp_path / "mine.py"
  base.write_text(USER_CODE)
  metric = tmp_path / "metric.py"
  metric.write_text(METRIC)
  rows = (suite.Row("a"), suite.Row("b", {"decode.beam_size": 1}))
  table = tiny_table.planned(
    tmp_path / "table",
    1,
    {"train.steps": 4, "train.validate_every": 4},
    base=str(base),
    metrics=(f"{metric}:words",),
    rows=rows,
    reference="a",
    orderings=(),
  )
  job = _job(table)
  spec.write(job, job.cells[0].spec)
  base.unlink()
  opened = json.loads(job.cells[0].spec.read_text())
  assert [cell["row"] for cell in opened["cells"]] == ["a"]
  code = subprocess.run(
    [
      *(sys.executable, "-m", "seq2seq_jax.ablation.worker"),
      str(job.cells[0].spec),
    ],
    cwd="/",
    env=ENV | {"PYTHONPATH": str(ROOT)},
  ).returncode
  assert code == 0
  status = job.cells[0].status()
  assert status["status"] == "done"
  assert status["metrics"]["words"] > 0
