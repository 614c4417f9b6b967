"""Files of metrics are cut where a run resumes."""

import glob
import json
import os
import resource
import struct
import subprocess
import sys
import time

import pytest
from tensorboardX.proto import event_pb2

from seq2seq_jax import types
from seq2seq_jax.training import metrics_writer, progress


def _lines(workdir):
  lines = [json.loads(x) for x in (workdir / "metrics.jsonl").open()]
  times = [line.pop("time") for line in lines]
  assert times == sorted(times)
  assert all(-1 <= time.time() - t < 3600 for t in times)  # they are rounded
  return lines


def _events(workdir):
  """All whole events, file by file in the order in which TensorBoard reads."""
  events = []
  for path in sorted(glob.glob(str(workdir / "tensorboard" / "*tfevents*"))):
    with open(path, "rb") as f:
      while header := f.read(12):
        data = f.read(struct.unpack("<Q", header[:8])[0])
        f.read(4)
        events.append(event_pb2.Event.FromString(data))
  return events


def _scalars(workdir):
  """What TensorBoard shows, as (tag, step, value): a restart hides the rest."""
  scalars = []
  for event in _events(workdir):
    if event.session_log.status == event_pb2.SessionLog.START:
      scalars = [x for x in scalars if x[1] < event.step]
    for v in event.summary.value:
      scalars.append((v.tag, event.step, v.simple_value))
  return scalars


def _write(workdir, steps, resume_step=0):
  with metrics_writer.Writer(workdir) as w:
    w.open(resume_step)
    for step in steps:
      w.write(step, "train", {"loss": step / 2})
      w.write(step, "valid", {"bleu": float(step), "loss": 1.0})


def _expected(steps):
  lines, scalars = [], []
  for s in steps:
    lines.append({"step": s, "split": "train", "loss": s / 2})
    lines.append({"step": s, "split": "valid", "bleu": float(s), "loss": 1.0})
    scalars += [("train/loss", s, s / 2)]
    scalars += [("valid/bleu", s, float(s)), ("valid/loss", s, 1.0)]
  return lines, scalars


@pytest.mark.quick
def test_resume_cuts_both_files_after_the_step(tmp_path):
  _write(tmp_path, [1, 10, 20, 30])
  for resume, new, whole in [
    (20, [21, 31], [1, 10, 20, 21, 31]),
    (20, [25], [1, 10, 20, 25]),
    (25, [], [1, 10, 20, 25]),
    (0, [5], [5]),
    (0, [], []),
  ]:
    _write(tmp_path, new, resume_step=resume)
    lines, scalars = _expected(whole)
    assert _lines(tmp_path) == lines
    assert sorted(_scalars(tmp_path)) == sorted(scalars)
  assert not list(tmp_path.rglob("*.part*"))


@pytest.mark.quick
@pytest.mark.parametrize("cut", [1, 7, 20])
def test_what_a_killed_process_wrote_by_half_is_dropped(tmp_path, cut):
  _write(tmp_path, [10, 20])
  path = tmp_path / "metrics.jsonl"
  path.write_bytes(path.read_bytes()[:-cut])
  _write(tmp_path, [25], resume_step=20)
  lines, _ = _expected([10, 20, 25])
  if cut == 1:  # the object is whole, only its line's end was missing
    assert _lines(tmp_path) == lines
  else:
    assert _lines(tmp_path) == [*lines[:3], *lines[4:]]


@pytest.mark.quick
@pytest.mark.parametrize(
  ("line", "why"),
  [
    (b"my notes", "is not valid JSON"),
    (b"[1]", "must be an object"),
    (b"{}", "step must be a whole number"),
    (b'{"step": "7"}', "step must be a whole number"),
    (b"\xff", "is not UTF-8"),
  ],
)
def test_a_file_that_is_not_ours_is_not_cut(tmp_path, line, why):
  _write(tmp_path, [10, 20])
  path = tmp_path / "metrics.jsonl"
  content = path.read_bytes() + line + b"\n"
  path.write_bytes(content)
  with pytest.raises(types.UserError, match=rf"metrics\.jsonl, line 5.* {why}"):
    _write(tmp_path, [], resume_step=10)
  assert path.read_bytes() == content


@pytest.mark.quick
def test_a_running_tensorboard_forgets_what_it_has_read(tmp_path):
  _write(tmp_path, [10], resume_step=7)
  events = _events(tmp_path)
  assert events[0].file_version == "brain.Event:2"
  starts = [e for e in events if e.session_log.status]
  assert [e.step for e in starts] == [8]


@pytest.mark.quick
def test_torch_is_not_imported(tmp_path):
  """It would take seconds, and nothing here needs it."""
  code = """
import pathlib, sys
from seq2seq_jax.training import metrics_writer
with metrics_writer.Writer(pathlib.Path(sys.argv[1])) as w:
  w.open()
  w.write(1, "train", {"loss": 1.0})
assert "torch" not in sys.modules
"""
  subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


@pytest.mark.quick
def test_a_line_is_written_at_once_and_is_valid_json(tmp_path):
  def refuse(name):
    raise AssertionError(name)

  with metrics_writer.Writer(tmp_path) as w:
    w.open()
    values = {"a": float("nan"), "b": float("inf"), "c": -float("inf"), "d": 3}
    w.write(1, "train", values)
    text = (tmp_path / "metrics.jsonl").read_text()
    line = json.loads(text, parse_constant=refuse)
    assert line.pop("time") > 0
    assert line == dict(step=1, split="train", a=None, b=None, c=None, d=3)
    assert len(_scalars(tmp_path)) == 4


@pytest.mark.quick
def test_only_the_primary_process_writes_and_shows(tmp_path, capsys):
  display = progress.Display(9, live=True)
  with metrics_writer.Writer(tmp_path, primary=False, display=display) as w:
    w.open()
    w.write(1, "train", {"loss": 1.0})
    w.display.phase("compiling", 1, 2)
    w.display.progress(1, 0, {"loss": 1.0})
    w.display.validation(1, "bleu", 1.0, 1, 1.0)
  assert not list(tmp_path.iterdir())
  assert capsys.readouterr() == ("", "")


@pytest.mark.quick
def test_a_full_disk_is_one_clear_message(tmp_path):
  soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  with metrics_writer.Writer(tmp_path) as w:
    assert not list(tmp_path.iterdir())
    w.open()
    w.write(1, "train", {"loss": 1.0})
    size = (tmp_path / "metrics.jsonl").stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 5, hard))
    try:
      with pytest.raises(types.UserError, match=r"metrics\.jsonl: cannot be"):
        w.write(2, "train", {"loss": 1.0})
    finally:
      resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
  _write(tmp_path, [], resume_step=2)
  assert [x["step"] for x in _lines(tmp_path)] == [1]


@pytest.mark.quick
def test_what_is_in_the_way_is_told_before_anything_is_written(tmp_path):
  writer = metrics_writer.Writer(tmp_path)
  writer.check(2)
  assert not list(tmp_path.iterdir())
  (tmp_path / "tensorboard").write_text("mine")
  with pytest.raises(types.UserError, match="tensorboard: is no folder"):
    writer.check(2)
  (tmp_path / "tensorboard").unlink()
  os.mkfifo(tmp_path / "metrics.jsonl")
  with pytest.raises(types.UserError, match=r"metrics\.jsonl: cannot read"):
    writer.check(2)
