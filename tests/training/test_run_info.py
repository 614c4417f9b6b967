"""Which run a workdir holds, and what has changed since."""

import dataclasses
import json

import pytest

from seq2seq_jax import config, types
from seq2seq_jax.data import left_out
from seq2seq_jax.training import run_info
from tests.helpers import tiny_runs

pytestmark = pytest.mark.quick
SUMS = {"train": "1", "valid": "2", "test": "3"}


def a_workdir(tmp_path, **machine):
  conf = tiny_runs.tiny()
  run_info.write(tmp_path, conf, run_info.machine() | machine, SUMS)
  return conf


def test_an_empty_workdir_holds_no_run(tmp_path):
  assert not run_info.check_workdir(tmp_path, config.Config(), SUMS)
  assert run_info.read(tmp_path) == {}
  (tmp_path / "checkpoints").mkdir()
  with pytest.raises(types.UserError, match="holds checkpoints but no config"):
    run_info.check_workdir(tmp_path, config.Config(), SUMS)


def test_the_same_run_is_known_again(tmp_path):
  conf = a_workdir(tmp_path)
  assert run_info.check_workdir(tmp_path, conf, SUMS)
  train = dataclasses.replace(conf.train, log_every=conf.train.log_every + 1)
  changed = dataclasses.replace(conf, train=train)
  assert run_info.check_workdir(tmp_path, changed, SUMS)
  # A test set decides nothing about a run.
  assert run_info.check_workdir(tmp_path, conf, SUMS | {"test": "4"})


def test_another_run_is_refused(tmp_path):
  conf = a_workdir(tmp_path)
  train = dataclasses.replace(conf.train, seed=conf.train.seed + 1)
  other = dataclasses.replace(conf, train=train)
  with pytest.raises(types.UserError, match=r"another config.*\n  train\.seed"):
    run_info.check_workdir(tmp_path, other, SUMS)
  with pytest.raises(types.UserError, match="the valid data differ"):
    run_info.check_workdir(tmp_path, conf, SUMS | {"valid": "9"})
  step = conf.train.steps + 1
  (tmp_path / "checkpoints" / str(step)).mkdir(parents=True)
  with pytest.raises(types.UserError, match=f"at step {step}, beyond"):
    run_info.check_workdir(tmp_path, conf, SUMS)


def test_a_change_of_machine_is_logged(tmp_path, caplog):
  a_workdir(tmp_path, jax="0.0", devices=1000)
  run_info.log_changes(tmp_path, run_info.machine())
  assert "jax was 0.0, is" in caplog.text
  assert "devices was 1000, is" in caplog.text
  assert "jaxlib was" not in caplog.text


def test_half_a_record_is_none(tmp_path):
  a_workdir(tmp_path)
  assert json.loads((tmp_path / "run.json").read_text())["data"] == SUMS
  (tmp_path / "run.json").write_text('{"machine": ')
  assert run_info.read(tmp_path) == {}


def test_run_json_says_what_was_left_out(tmp_path):
  reasons = {"blank source": left_out.Reason(2, "train.tsv, line 3")}
  run_info.write(tmp_path, tiny_runs.tiny(), {}, SUMS, reasons)
  assert run_info.read(tmp_path)["left_out"] == {
    "blank source": {"examples": 2, "first": "train.tsv, line 3"}
  }
