"""Two processes on one machine take the steps that one process takes."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]
TINY = ROOT / "tests" / "configs" / "tiny.py"
# SGD: Adam would hide gradients that are too large by a constant factor.
FLAGS = ["--optim.optimizer", "sgd", "--train.patience", "0"]
FLAGS += ["--data.buckets", "1"]  # a program less to compile


def _start(workdir, steps, devices, flags=()):
  command = [sys.executable, "-m", "seq2seq_jax.train", str(TINY)]
  command += ["--workdir", str(workdir), "--cpu-devices", str(devices)]
  command += ["--train.steps", str(steps), *FLAGS, *flags]
  return subprocess.Popen(
    command,
    env=os.environ | {"PYTHONUNBUFFERED": "1"},
    cwd=ROOT,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
  )


def _run(*processes):
  for process in processes:
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said


def _free_port():
  with socket.socket() as s:
    s.bind(("localhost", 0))
    return s.getsockname()[1]


def _pair(workdir, steps, flags=()):
  """Two processes of one device each, which train together."""
  where = f"localhost:{_free_port()}"
  return [
    _start(
      workdir,
      steps,
      1,
      [
        *("--coordinator", where, "--processes", "2"),
        *("--process-id", str(i), *flags),
      ],
    )
    for i in range(2)
  ]


def _two(workdir, steps, flags=()):
  _run(*_pair(workdir, steps, flags))


def _by_script(config, workdir, steps, flags=()):
  """The same, started together."""
  command = ["bash", str(ROOT / "launch" / "processes.sh"), "2", "train"]
  command += [str(config), "--workdir", str(workdir), "--cpu-devices", "1"]
  command += ["--train.steps", str(steps), *FLAGS, *flags]
  return subprocess.Popen(
    command,
    env=os.environ | {"PYTHON": sys.executable, "PYTHONUNBUFFERED": "1"},
    cwd=ROOT,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
  )


def test_the_script_ends_as_its_processes_do(tmp_path):
  process = _by_script(tmp_path / "none.py", tmp_path, 20)
  _, said = process.communicate(timeout=120)
  assert process.returncode == 2 and "no such file" in said


def _lines(workdir, split):
  text = (workdir / "metrics.jsonl").read_text()
  rows = [json.loads(line) for line in text.splitlines()]
  return [r for r in rows if r["split"] == split]


def test_two_processes_equal_one(tmp_path):
  one, two = tmp_path / "one", tmp_path / "two"
  loss = ["--train.metric", "loss"]  # no search to compile
  _run(_start(one, 60, 1, loss))
  _run(_by_script(TINY, two, 20, loss))
  _two(two, 40, [*loss, "--train.mapper", "shard_map"])
  _run(_start(two, 60, 4, loss))  # goes on alone from what two have written
  for split in ("train", "valid"):
    a, b = (
      {r["step"]: r["loss"] for r in _lines(w, split)} for w in (one, two)
    )
    assert list(a) == list(b) and len(a) >= 3
    np.testing.assert_allclose(list(b.values()), list(a.values()), rtol=2e-5)


def test_fewer_devices_read_what_more_wrote(tmp_path):
  _run(_start(tmp_path, 20, 4))
  command = [sys.executable, "-m", "seq2seq_jax.evaluate", "--cpu-devices", "1"]
  done = subprocess.run(
    [*command, "--workdir", str(tmp_path)],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert done.returncode == 0, done.stderr
  assert "exact_match: " in done.stdout


@pytest.mark.slow
def test_two_processes_go_back_behind_a_damaged_checkpoint(tmp_path):
  flags = ["--train.keep_last", "2"]
  _two(tmp_path, 40, flags)
  for path in (tmp_path / "checkpoints" / "40" / "state").glob("**/d/*"):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  _two(tmp_path, 60, flags)
  assert (tmp_path / "checkpoints-damaged" / "40").is_dir()
  assert [r["step"] for r in _lines(tmp_path, "valid")] == [20, 40, 60]
  names = {p.name for p in (tmp_path / "checkpoints").iterdir()}
  assert {"40", "60"} <= names


@pytest.mark.slow
@pytest.mark.parametrize("number, which", [("SIGTERM", 1), ("SIGINT", 0)])
def test_a_signal_to_one_process_stops_both_at_one_step(
  number, which, tmp_path
):
  pair = _pair(tmp_path, 20_000, ["--train.validate_every", "20000"])
  metrics = tmp_path / "metrics.jsonl"
  try:
    while not metrics.is_file() or metrics.read_text().count("\n") < 3:
      assert all(p.poll() is None for p in pair)
      time.sleep(0.2)
    pair[which].send_signal(getattr(signal, number))
    said = [p.communicate(timeout=120)[1] for p in pair]
  finally:
    for process in pair:
      process.kill()
      process.communicate()
  [step] = (p.name for p in (tmp_path / "checkpoints").iterdir())
  assert {p.returncode for p in pair} == {128 + getattr(signal, number)}
  assert f"stopped at step {step} and saved" in said[0]
  assert "stopped" not in said[1]
