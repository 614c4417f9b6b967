"""Jobs shared out among processes; the work itself is pretended."""

import collections
import dataclasses
import logging
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from seq2seq_jax.ablation import board, cells, scheduler
from seq2seq_jax.runtime import locks
from tests.helpers import finished

ROOT = pathlib.Path(__file__).parents[2]
# A cell's process: takes its locks, notes that it works, leaves a result.
WORK = """
  import pathlib, sys, time
  from seq2seq_jax.ablation import cells, spec
  from seq2seq_jax.runtime import locks
  from tests.helpers import finished
  folder, lock, shared, key, seconds, fate = sys.argv[1:]
  folder, held = pathlib.Path(folder), []
  for path in (lock, shared):
    held.append(locks.claim(pathlib.Path(path)))
    if held[-1] is None:
      for one in held[:-1]:
        one.release()
      sys.exit(spec.BUSY)
  folder.mkdir(parents=True, exist_ok=True)
  result = folder / "result.json"
  if not result.exists():
    with open(folder.parent / "worked.txt", "a") as f:
      print(folder.name, file=f)
    time.sleep(float(seconds))
    if fate == "crash":
      sys.exit(3)
    cell = cells.Cell("r", 0, folder, lock, key, {"a": 1}, ())
    finished.write(cell, fate)
  for one in held:
    one.release()
"""


def _cells(folder: pathlib.Path, count: int, shared=False):
  out = []
  for i in range(count):
    lock = folder / "locks" / ("training" if shared else f"training-{i}")
    training = cells.Training(folder / f"c{i}", lock, (0,), None, 10)
    out.append(
      cells.Cell(
        f"row {i}",
        0,
        folder / f"c{i}",
        folder / "locks" / f"cell-{i}",
        "k",
        {"a": 1},
        (training,),
      )
    )
  return out


def _scheduler(table, slots=2, fates=None, seconds=0.2):
  fates = fates or {}
  lines = board.ProgressBoard(
    table, lambda status: str(status.get("value")), {}, live=False
  )

  def launch(job):
    cell = job.cells[0]
    fate = fates.get(cell.row, "done")
    return subprocess.Popen(
      [
        sys.executable,
        "-c",
        textwrap.dedent(WORK),
        str(cell.folder),
        str(cell.lock),
        str(cell.members[0].lock),
        cell.key,
        str(seconds),
        fate,
      ],
      start_new_session=True,
      env=os.environ | {"PYTHONPATH": str(ROOT)},
    )

  jobs = [scheduler.Job([c]) for c in table]
  return scheduler.Scheduler(jobs, launch, [0, 1], slots, lines)


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch):
  monkeypatch.setattr(scheduler, "POLL_SECONDS", 0.1)


def _worked(folder):
  path = folder / "worked.txt"
  return collections.Counter(path.read_text().split()) if path.exists() else {}


def test_a_failed_cell_stops_no_other(tmp_path, caplog):
  caplog.set_level(logging.INFO, "seq2seq_jax")
  table = _cells(tmp_path, 4)
  fates = {"row 0": "diverged", "row 1": "crash", "row 2": "failed"}
  assert _scheduler(table, fates=fates).run() is None
  statuses = [c.status()["status"] for c in table]
  assert statuses == ["diverged", "failed", "failed", "done"]
  # Whose process dies is tried a second time.
  assert _worked(tmp_path) == {f"c{i}": 1 + (i == 1) for i in range(4)}
  assert "row 1, seed 0: its process ended with 3; see" in caplog.text
  assert "ended 2 times, with 3; see" in table[1].status()["message"]
  assert "3 failed" in caplog.text


def test_what_is_done_is_left_alone_and_what_changed_is_stale(tmp_path):
  table = _cells(tmp_path, 2)
  _scheduler(table).run()
  _scheduler(table).run()
  assert _worked(tmp_path) == {"c0": 1, "c1": 1}
  changed = dataclasses.replace(table[0], key="other", identity={"a": 0})
  finished.write(changed)
  status = table[0].status()
  assert status == {"status": "stale", "changed": ["a: 0 -> 1"]}


def test_two_schedulers_share_a_table(tmp_path):
  code = f"""
    import pathlib, sys
    sys.path.insert(0, {str(pathlib.Path(__file__).parents[2])!r})
    from seq2seq_jax.ablation import scheduler
    from tests.ablation import test_scheduler
    scheduler.POLL_SECONDS = 0.1
    table = test_scheduler._cells(pathlib.Path({str(tmp_path)!r}), 6)
    test_scheduler._scheduler(table).run()
  """
  both = [
    subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
    for _ in range(2)
  ]
  assert [p.wait(60) for p in both] == [0, 0]
  assert _worked(tmp_path) == {f"c{i}": 1 for i in range(6)}
  assert not list((tmp_path / "locks").iterdir())


def test_cells_of_one_training_wait_for_each_other(tmp_path):
  table = _cells(tmp_path, 3, shared=True)
  _scheduler(table, slots=3).run()
  assert _worked(tmp_path) == {f"c{i}": 1 for i in range(3)}


def test_a_killed_worker_is_replaced_by_the_next_scheduler(tmp_path):
  table = _cells(tmp_path, 1)
  first = _scheduler(table, seconds=60)
  first.turn()
  job = first.jobs[0]
  for _ in range(1000):
    if _worked(tmp_path):
      break
    time.sleep(0.02)
  assert table[0].status()["status"] == "running"
  os.kill(job.process.pid, signal.SIGKILL)
  job.process.wait()
  assert table[0].lock.exists() and not locks.is_live(table[0].lock)
  _scheduler(table, seconds=0).run()
  assert table[0].status()["status"] == "done"
  assert _worked(tmp_path) == {"c0": 2}


def test_the_last_cells_get_the_free_cores(tmp_path):
  one = _scheduler(_cells(tmp_path, 1))
  one.turn()
  assert one.jobs[0].cores == (0, 1)
  one.jobs[0].process.wait()
  two = _scheduler(_cells(tmp_path / "b", 2))
  two.turn()
  assert [j.cores for j in two.jobs] == [(0,), (1,)]
  for job in two.jobs:
    job.process.wait()


def test_an_error_in_the_parent_stops_the_processes(tmp_path, monkeypatch):
  table = _cells(tmp_path, 1)
  parent = _scheduler(table, seconds=60)
  monkeypatch.setattr(
    parent.board, "update", lambda _: 1 / bool(_worked(tmp_path) == {})
  )
  with pytest.raises(ZeroDivisionError):
    parent.run()
  assert parent.jobs[0].process.wait(30) == -signal.SIGTERM


@pytest.mark.parametrize("number", scheduler.SIGNALS)
def test_a_signal_ends_the_processes(tmp_path, number):
  table = _cells(tmp_path, 2)
  parent = _scheduler(table, seconds=60)
  # Under nohup a lost terminal is ignored, by the table too.
  outer = signal.signal(number, signal.SIG_DFL)
  try:
    timer = threading.Timer(0.5, os.kill, (os.getpid(), number))
    timer.start()
    assert parent.run() == number
    assert all(job.process is None for job in parent.jobs)
    assert {c.status()["status"] for c in table} == {"waiting"}
    assert signal.getsignal(number) == signal.SIG_DFL
  finally:
    signal.signal(number, outer)


def test_a_process_that_hears_nothing_is_killed(tmp_path, monkeypatch):
  """After a second Ctrl-C; the first lets it save as long as it takes."""
  monkeypatch.setattr(scheduler, "GRACE_SECONDS", 0.1)
  table = _cells(tmp_path, 1)
  parent = _scheduler(table)
  deaf = "import signal, time; signal.pthread_sigmask(0, {2, 15}); "

  def launch(job):
    return subprocess.Popen(
      [sys.executable, "-c", deaf + "time.sleep(60)"], start_new_session=True
    )

  parent.launch = launch
  parent.turn()
  time.sleep(0.5)
  for _ in range(2):
    parent._stop(signal.SIGINT, None)
  time.sleep(0.2)
  parent.turn()
  assert parent.jobs[0].process.wait(10) == -signal.SIGKILL


def test_a_process_ends_with_the_one_that_started_it(tmp_path):
  code = """
    import time
    from seq2seq_jax.ablation import worker
    worker._end_with_parent()
    time.sleep(60)
  """
  process = subprocess.Popen(
    [sys.executable, "-c", textwrap.dedent(code)],
    stdin=subprocess.PIPE,
    env=os.environ | {"PYTHONPATH": str(ROOT)},
  )
  process.stdin.close()
  assert process.wait(60) == -signal.SIGTERM


def test_another_thread_may_run_it(tmp_path):
  table = _cells(tmp_path, 1)
  thread = threading.Thread(target=_scheduler(table).run)
  thread.start()
  thread.join()
  assert table[0].status()["status"] == "done"


def test_the_process_has_this_package(tmp_path, monkeypatch):
  """Also where the parent's own path is not that of new processes."""
  monkeypatch.setenv("PYTHONPATH", "/nonesuch")
  monkeypatch.chdir(tmp_path)
  output = tmp_path / "log"
  process = scheduler.start_worker(tmp_path / "spec.json", output)
  assert process.wait(60) == 2
  assert "spec.json: cannot read: No such file" in output.read_text()
