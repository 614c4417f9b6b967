"""A run killed by SIGKILL, again and again, ends like one never killed."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np

from seq2seq_jax.checkpoints import select

ROOT = pathlib.Path(__file__).parent.parent
TINY = ROOT / "tests" / "configs" / "tiny.py"
FEW = ["--data.buckets", "1", "--train.metric", "loss"]  # less to compile


def _start(workdir):
  env = os.environ | {"PYTHONUNBUFFERED": "1"}
  command = [sys.executable, "-m", "seq2seq_jax.train", str(TINY)]
  return subprocess.Popen(
    [*command, "--workdir", str(workdir), "--cpu-devices", "1", *FEW],
    env=env,
    cwd=ROOT,
    stderr=subprocess.PIPE,
    stdout=subprocess.DEVNULL,
    text=True,
  )


def _kill_when(workdir, ready):
  """Kills a run as soon as `ready()`; whether it was still going."""
  process = _start(workdir)
  while process.poll() is None and not ready():
    time.sleep(0.002)
  process.send_signal(signal.SIGKILL)
  process.wait()
  process.stderr.close()
  return process.returncode == -signal.SIGKILL


def _steps(workdir):
  file = workdir / "metrics.jsonl"
  return file.read_text().count("\n") if file.is_file() else 0


def test_killed_runs_end_with_the_same_bits(tmp_path):
  whole, killed = tmp_path / "whole", tmp_path / "killed"
  process = _start(whole)
  assert process.wait(timeout=300) == 0, process.stderr.read()
  process.stderr.close()
  checkpoints = killed / "checkpoints"
  conditions = (
    # inside a step, behind the first lines of metrics
    lambda: _steps(killed) >= 2,
    # while a checkpoint is being written
    lambda: any(checkpoints.glob("*tmp*")),
    # behind a validation, before or in its checkpoint
    lambda: (
      '"valid"' in (killed / "metrics.jsonl").read_text()
      and max(_done(checkpoints)) >= 20
      and _steps(killed) >= 9
    ),
  )
  deaths = sum(_kill_when(killed, ready) for ready in conditions)
  assert deaths >= 2  # a run so short may end before the last condition
  process = _start(killed)
  assert process.wait(timeout=300) == 0, process.stderr.read()
  process.stderr.close()
  for which in ("last", "best"):
    a, step_a = select.load(whole, which)
    b, step_b = select.load(killed, which)
    assert step_a == step_b
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
      assert np.array_equal(x, y)


def _done(checkpoints):
  return [int(p.name) for p in checkpoints.glob("*") if p.name.isdigit()] or [0]
