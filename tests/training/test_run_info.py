"""Which run a workdir holds, and what has changed since."""

import dataclasses
import json

import pytest

from seq2seq_jax import config, types
from seq2seq_jax.checkpoints import run_record
from seq2seq_jax.data import left_out
from seq2seq_jax.training import run_info
from tests.helpers import tiny_runs

pytestmark = pytest.mark.quick
SUMS = {"train": "1", "valid": "2", "test": "3"}


def a_workdir(tmp_path, step=5, **machine):
  conf = tiny_runs.tiny()
  run_info.write(tmp_path, conf, run_info.machine() | machine, SUMS)
  (tmp_path / "checkpoints" / str(step)).mkdir(parents=True)
  return conf


def test_an_empty_workdir_holds_no_run(tmp_path):
  assert not run_info.check_workdir(tmp_path, config.Config(), SUMS)
  assert run_record.read(tmp_path) is None


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
  for field, value in (("train.seed", 9), ("data.joint", True)):
    other = config.replace(conf, {field: value})
    with pytest.raises(types.UserError, match=rf"another config.*\n  {field}"):
      run_info.check_workdir(tmp_path, other, SUMS)
  with pytest.raises(types.UserError, match="the valid data differ"):
    run_info.check_workdir(tmp_path, conf, SUMS | {"valid": "9"})
  step = conf.train.steps + 1
  (tmp_path / "checkpoints" / str(step)).mkdir(parents=True)
  with pytest.raises(types.UserError, match=f"at step {step}, beyond"):
    run_info.check_workdir(tmp_path, conf, SUMS)


def lose_folder(workdir):
  (workdir / "checkpoints" / "5").rmdir()
  (workdir / "checkpoints").rmdir()


def lose_content(workdir):
  (workdir / "checkpoints" / "5").rmdir()


def file_instead(workdir):
  lose_folder(workdir)
  (workdir / "checkpoints").write_text("")


def dangling(workdir):
  lose_folder(workdir)
  (workdir / "checkpoints").symlink_to("nowhere")


def loop(workdir):
  lose_folder(workdir)
  (workdir / "checkpoints").symlink_to("checkpoints")


def other_digits(workdir):
  lose_content(workdir)
  (workdir / "checkpoints" / "٣").mkdir()
  (workdir / "checkpoints" / ("9" * 200)).mkdir()


@pytest.mark.parametrize(
  ("lose", "told"),
  [
    (lose_folder, "no checkpoint any more.*--restart"),
    (lose_content, "no checkpoint any more.*--restart"),
    (other_digits, "no checkpoint any more.*--restart"),
    (file_instead, "checkpoints: cannot be read: Not a directory"),
    (dangling, "is a link to nowhere, which is not there"),
    (loop, "checkpoints: cannot be read: Too many levels"),
  ],
)
def test_a_run_that_has_lost_its_checkpoints_is_not_begun_anew(
  lose, told, tmp_path
):
  conf = a_workdir(tmp_path)
  run_info.note_saved(tmp_path)
  lose(tmp_path)
  with pytest.raises(types.UserError, match=told):
    run_info.check_workdir(tmp_path, conf, SUMS)


def test_a_run_that_ended_before_its_first_checkpoint_goes_on(tmp_path):
  conf = a_workdir(tmp_path)
  (tmp_path / "metrics.jsonl").write_text("")
  lose_folder(tmp_path)
  assert not run_info.check_workdir(tmp_path, conf, SUMS)
  # The records of older versions did not tell.
  path = tmp_path / "run.json"
  older = json.loads(path.read_text())
  del older["saved"]
  path.write_text(json.dumps(older))
  with pytest.raises(types.UserError, match="no checkpoint any more"):
    run_info.check_workdir(tmp_path, conf, SUMS)


def test_a_change_of_machine_is_logged(tmp_path, caplog):
  a_workdir(tmp_path, jax="0.0", devices=1000)
  run_info.log_changes(tmp_path, run_info.machine())
  assert "jax was 0.0, is" in caplog.text
  assert "devices was 1000, is" in caplog.text
  assert "jaxlib was" not in caplog.text


@pytest.mark.parametrize(
  ("content", "told"),
  [
    (b'{"machine": ', "not valid JSON"),
    (b"[]", "must be an object"),
    (b"null", "must be an object"),
    (b'{"data": {"train": 1}}', r"data\['train'\] must be a text"),
    (b'{"machine": []}', "machine must be an object"),
    (b"\xff\xfe", "not UTF-8"),
    (b"[" * 20_000, "nested too deep"),
  ],
)
def test_a_damaged_record_is_named(content, told, tmp_path):
  conf = a_workdir(tmp_path)
  assert json.loads((tmp_path / "run.json").read_text())["data"] == SUMS
  (tmp_path / "run.json").write_bytes(content)
  with pytest.raises(types.UserError, match=rf"run\.json.*{told}"):
    run_info.check_workdir(tmp_path, conf, SUMS)


def test_run_json_says_what_was_left_out(tmp_path):
  reasons = {"blank source": left_out.Reason(2, "train.tsv, line 3")}
  run_info.write(tmp_path, tiny_runs.tiny(), {}, SUMS, reasons)
  assert run_record.read(tmp_path).left_out == {
    "blank source": {"examples": 2, "first": "train.tsv, line 3"}
  }
