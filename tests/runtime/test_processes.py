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

from seq2seq_jax import config
from seq2seq_jax.data import tones
from seq2seq_jax.training import loop
from tests.helpers import spoiled, tiny_runs, tiny_speech

ROOT = pathlib.Path(__file__).parents[2]
TINY = ROOT / "tests" / "configs" / "tiny.py"
# SGD: Adam would hide gradients that are too large by a constant factor.
FLAGS = ["--optim.optimizer", "sgd", "--train.patience", "0"]
FLAGS += ["--data.buckets", "1"]  # a program less to compile


def _start(
  workdir, steps, devices, flags=(), module="seq2seq_jax.train", file=TINY
):
  command = [sys.executable, "-m", module, str(file)]
  command += ["--workdir", str(workdir), "--cpu-devices", str(devices)]
  command += ["--train.steps", str(steps), *FLAGS, *flags]
  return _popen(command)


def _popen(command, **environment):
  return subprocess.Popen(
    [str(word) for word in command],
    env=os.environ | {"PYTHONUNBUFFERED": "1"} | environment,
    cwd=ROOT,
    stdout=subprocess.PIPE,
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


def _several(
  count, workdir, steps, flags=(), module="seq2seq_jax.train", file=TINY
):
  """Processes of one device each, which train together."""
  where = f"localhost:{_free_port()}"
  return [
    _start(
      workdir,
      steps,
      1,
      [
        *("--coordinator", where, "--processes", str(count)),
        *("--process-id", str(i), *flags),
      ],
      module,
      file,
    )
    for i in range(count)
  ]


def _two(workdir, steps, flags=()):
  _run(*_several(2, workdir, steps, flags))


def _by_script(module, *words):
  """Two processes, started together."""
  script = ["bash", ROOT / "launch" / "processes.sh", "2", module]
  return _popen([*script, *words, "--cpu-devices", "1"], PYTHON=sys.executable)


def test_an_error_in_one_is_one_line_and_ends_all(tmp_path):
  process = _by_script("train", tmp_path / "xyz.py", "--workdir", tmp_path)
  _, said = process.communicate(timeout=120)
  assert process.returncode == 2
  assert [line for line in said.splitlines() if "Gloo" not in line] == [
    f"error: config {tmp_path / 'xyz.py'}: no such file"
  ]


def _lines(workdir, split):
  text = (workdir / "metrics.jsonl").read_text()
  rows = [json.loads(line) for line in text.splitlines()]
  return [r for r in rows if r["split"] == split]


def test_other_numbers_of_processes_equal_one(tmp_path):
  """Three do not divide the rows: fillers make up what is missing."""
  one, other = tmp_path / "one", tmp_path / "other"
  loss = ["--train.metric", "loss"]  # no search to compile
  _run(_start(one, 60, 1, loss))
  _two(other, 20, [*loss, "--train.mapper", "shard_map"])
  _run(*_several(3, other, 40, loss))
  _run(_start(other, 60, 4, loss))  # goes on alone from what they have written
  for split in ("train", "valid"):
    a, b = (
      {r["step"]: r["loss"] for r in _lines(w, split)} for w in (one, other)
    )
    assert list(a) == list(b) and len(a) >= 3
    np.testing.assert_allclose(list(b.values()), list(a.values()), rtol=2e-5)


@pytest.mark.slow
def test_two_processes_train_speech_like_one(tmp_path):
  """Each reads the manifests; statistics and masks are the same."""
  pytest.importorskip("soundfile")
  data = tmp_path / "data"
  for split, count in (("train", 21), ("valid", 6)):
    sentences = tones.pairs(split, count, 1, 3, 5, 0, tiny_speech.RATE)
    tones.write(data, split, [sentence for sentence, _ in sentences])
  file = tmp_path / "config.py"
  file.write_text(f"""
from tests.helpers import tiny_runs, tiny_speech

def get_config():
  conf = tiny_speech.convolution({{"steps": 8, "log_every": 1}})
  manifests = {{"train": ("train.jsonl",), "valid": ("valid.jsonl",)}}
  return tiny_runs.changed(
    conf, data=manifests | {{"task": "audio", "root": {str(data)!r}}}
  )
""")
  one, two = tmp_path / "one", tmp_path / "two"
  alone = config.replace(config.load(str(file)), {"train.mapper": "vmap"})
  loop.fit(config.replace(alone, {"optim.optimizer": "sgd"}), one)
  _run(*_several(2, two, 8, file=file))
  sources = [w / "tokenizers" / "source.json" for w in (one, two)]
  assert sources[0].read_bytes() == sources[1].read_bytes()
  for split, count in (("train", 8), ("valid", 1)):
    lines = [tiny_runs.metrics(w, split) for w in (one, two)]
    assert len(lines[0]) == count
    for a, b in zip(*lines, strict=True):
      assert b == pytest.approx(a, rel=2e-5)


def test_the_first_process_decides(tmp_path):
  """The second one's scores get worse; it would lower its learning rate."""
  flags = ["--optim.schedule", "plateau", "--optim.plateau_patience", "1"]
  flags += ["--train.metric", "loss", "--train.validate_every", "5"]
  pair = _several(2, tmp_path, 20, flags, spoiled.__name__)
  said = [p.communicate(timeout=300) for p in pair]
  assert [p.returncode for p in pair] == [0, 0], said
  first, second = (
    [line for line in out.splitlines() if line.startswith("saved")]
    for out, _ in said
  )
  assert first == second and len(first) == 4
  assert [line.split()[1] for line in first] == ["5", "10", "15", "20"]


def test_search_and_scores_are_shared_and_written_once(whole, tmp_path):
  """Byte for byte what one process writes."""
  text = tmp_path / "in"
  text.write_text("jump twice\n\nwalk\nrun left\n")
  for module, words in (
    ("decode", ["--input", text, "--format", "jsonl"]),
    ("evaluate", ["--output", tmp_path / "outputs"]),
  ):
    said, outputs = [], []
    for count in (1, 2):
      words_of_all = ["--workdir", whole, *words]
      if count == 1:
        command = [sys.executable, "-m", f"seq2seq_jax.{module}", *words_of_all]
        process = _popen([*command, "--cpu-devices", "1"])
      else:
        process = _by_script(module, *words_of_all)
      out, error = process.communicate(timeout=300)
      assert process.returncode == 0, error
      lines = [s for s in out.splitlines() if not s.startswith("seconds")]
      said.append([s for s in lines if "Gloo" not in s])
      if (tmp_path / "outputs").exists():
        outputs.append((tmp_path / "outputs").read_bytes())
    assert said[0] == said[1] and len(said[0]) >= 4
    assert len(set(outputs)) == len(outputs[:1])


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
  pair = _several(
    2,
    tmp_path,
    20_000,
    ["--train.validate_every", "20000", "--train.steps_per_call", "4"],
  )
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


@pytest.mark.slow
def test_a_folder_that_is_not_shared_is_refused_before_data_is_read(tmp_path):
  where = f"localhost:{_free_port()}"
  pair = [
    _start(
      tmp_path / str(i),
      20,
      1,
      ["--coordinator", where, "--processes", "2", "--process-id", str(i)],
    )
    for i in range(2)
  ]
  said = [p.communicate(timeout=120)[1] for p in pair]
  assert [p.returncode for p in pair] == [2, 2]
  assert "".join(said).count("is not shared: process 1 on") == 1
  assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1])
def test_a_process_that_dies_ends_the_others_with_a_line(which, tmp_path):
  pair = _several(2, tmp_path, 200_000, ["--train.validate_every", "200000"])
  metrics = tmp_path / "metrics.jsonl"
  try:
    while not metrics.is_file():
      assert all(p.poll() is None for p in pair)
      time.sleep(0.2)
    pair[which].kill()
    _, said = pair[1 - which].communicate(timeout=60)
  finally:
    for process in pair:
      process.kill()
      process.wait()
  assert pair[1 - which].returncode == 1
  assert said.count(f"error: process {which} of 2 has died") == 1
  assert "Traceback" not in said
