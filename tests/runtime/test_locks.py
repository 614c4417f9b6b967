"""One holder of a lock at a time, whatever dies or stands still."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from seq2seq_jax import types
from seq2seq_jax.runtime import locks

pytestmark = pytest.mark.quick

FOREIGN = (
  "filelock/2\npid=1\nhost=elsewhere\nmode=lease\ntoken=x\nduration={}\n"
)

# A process that holds a lock until a line comes in, and tells if it loses it.
HOLDER = """
  import pathlib, sys
  from seq2seq_jax.runtime import locks
  locks.EXPIRY_SECONDS, locks.HEARTBEAT_SECONDS = {expiry}, {heartbeat}
  lock = locks.claim(
    pathlib.Path({path!r}), on_lost=lambda path: print("lost", flush=True)
  )
  print("held", flush=True)
  sys.stdin.readline()
"""


@pytest.fixture
def soon(monkeypatch):
  """Locks that expire within a second."""
  monkeypatch.setattr(locks, "EXPIRY_SECONDS", 1.0)
  monkeypatch.setattr(locks, "HEARTBEAT_SECONDS", 0.1)
  monkeypatch.setattr(locks, "POLL_SECONDS", 0.02)


@pytest.fixture
def start_holder(tmp_path):
  """Starts processes that hold `tmp_path/cell`."""
  processes = []

  def start():
    code = HOLDER.format(
      path=str(tmp_path / "cell"),
      expiry=locks.EXPIRY_SECONDS,
      heartbeat=locks.HEARTBEAT_SECONDS,
    )
    process = subprocess.Popen(
      [sys.executable, "-c", textwrap.dedent(code)],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
    )
    processes.append(process)
    assert process.stdout.readline() == "held\n"
    return process

  yield start
  for process in processes:
    process.kill()
    process.communicate()


def test_one_holder(tmp_path):
  path = tmp_path / "locks" / "cell"
  with locks.claim(path) as lock:
    assert lock is not None and locks.is_live(path)
    assert locks.claim(path) is None
    assert locks.holder(path).process == os.getpid()
  assert not path.exists() and not locks.is_live(path)
  again = locks.claim(path)
  assert again is not None and locks.is_live(path)
  again.release()
  again.release()
  assert not path.exists()


def test_of_two_processes_one_holds_it_and_is_named(tmp_path, start_holder):
  process = start_holder()
  path = tmp_path / "cell"
  assert locks.claim(path) is None and locks.is_live(path)
  holder = locks.holder(path)
  assert holder.process == process.pid
  with pytest.raises(locks.Held, match=f"process {process.pid} on {holder[1]}"):
    locks.claim_or_wait(path)
  process.communicate("\n")
  assert not locks.is_live(path)


def test_the_lock_of_a_killed_process_is_free(tmp_path, start_holder):
  process = start_holder()
  process.send_signal(signal.SIGKILL)
  process.wait()
  path = tmp_path / "cell"
  assert path.exists()
  with locks.claim(path) as lock:
    assert lock is not None


def test_looking_at_the_lock_of_a_killed_process_removes_it(
  tmp_path, start_holder
):
  process = start_holder()
  process.send_signal(signal.SIGKILL)
  process.wait()
  assert not locks.is_live(tmp_path / "cell")
  assert not (tmp_path / "cell").exists()


def test_a_stopped_holder_is_superseded_and_told(tmp_path, soon, start_holder):
  process = start_holder()
  path = tmp_path / "cell"
  process.send_signal(signal.SIGSTOP)
  started = time.monotonic()
  _wait(lambda: not locks.is_live(path))
  assert time.monotonic() - started > 0.5
  with locks.claim(path) as lock:
    assert lock is not None
    process.send_signal(signal.SIGCONT)
    assert process.stdout.readline() == "lost\n"
    assert locks.holder(path).process == os.getpid()


def test_a_stopped_holder_is_waited_for(tmp_path, soon, start_holder):
  process = start_holder()
  process.send_signal(signal.SIGSTOP)
  time.sleep(3 * locks.HEARTBEAT_SECONDS)
  told = []
  with locks.claim_or_wait(tmp_path / "cell", on_wait=told.append):
    assert [holder.process for holder in told] == [process.pid]


def test_a_holder_on_another_host_is_alive_while_it_refreshes(tmp_path, soon):
  path = tmp_path / "cell"
  path.write_text(FOREIGN.format(1.0))
  deadline = time.monotonic() + 2
  while time.monotonic() < deadline:
    path.touch()
    assert locks.is_live(path) and locks.claim(path) is None
    time.sleep(0.05)
  _wait(lambda: not locks.is_live(path))


def test_a_lock_that_vanishes_is_lost(tmp_path, soon):
  path, lost = tmp_path / "cell", []
  lock = locks.claim(path, on_lost=lost.append)
  time.sleep(3 * locks.EXPIRY_SECONDS)
  assert not lost and locks.is_live(path)
  path.unlink()
  _wait(lambda: lost)
  assert lost == [path]
  lock.release()


def test_a_lock_that_was_given_up_is_not_lost(tmp_path, soon):
  lost = []
  locks.claim(tmp_path / "cell", on_lost=lost.append).release()
  time.sleep(5 * locks.HEARTBEAT_SECONDS)
  assert not lost


RACE = """
  import os, pathlib, sys, time
  from seq2seq_jax.runtime import locks
  locks.EXPIRY_SECONDS, locks.HEARTBEAT_SECONDS = 0.5, 0.1
  folder, start = pathlib.Path(sys.argv[1]), float(sys.argv[2])
  held = {}
  while time.time() < start:
    pass
  while time.time() < start + 4:
    for i in set(range(30)) - set(held):
      if lock := locks.claim(folder / f"cell-{i}"):
        held[i] = lock
  print(*held, flush=True)
  time.sleep(2)
  os._exit(0)
"""


def test_of_many_processes_one_gets_an_expired_lock(tmp_path):
  for i in range(30):
    (tmp_path / f"cell-{i}").write_text(FOREIGN.format(0.5))
  start = str(time.time() + 3)
  racers = [
    subprocess.Popen(
      [sys.executable, "-c", textwrap.dedent(RACE), str(tmp_path), start],
      stdout=subprocess.PIPE,
      text=True,
    )
    for _ in range(4)
  ]
  won = [int(i) for r in racers for i in r.communicate()[0].split()]
  assert sorted(won) == list(range(30))


def _wait(condition):
  for _ in range(1000):
    if condition():
      return
    time.sleep(0.01)
  raise AssertionError("it did not come")


@pytest.mark.parametrize("content", [b"my notes\n", b"\xff\xfe\x00", b"{}"])
def test_a_file_that_is_no_lock_stays(content, tmp_path):
  path = tmp_path / "lock"
  path.write_bytes(content)
  for take in (locks.claim, locks.claim_or_wait, locks.is_live):
    with pytest.raises(types.UserError, match="lock: is no lock of this"):
      take(path)
  assert path.read_bytes() == content


def test_what_is_no_file_is_no_lock(tmp_path):
  folder, pipe, link = (tmp_path / n for n in ("folder", "pipe", "link"))
  folder.mkdir()
  os.mkfifo(pipe)
  link.symlink_to("nowhere")
  for path in (folder, pipe, link):
    with pytest.raises(types.UserError, match="is no lock of this program"):
      locks.claim(path)


@pytest.mark.parametrize("pid", ["x", "9" * 5000, "99999999999999"])
def test_a_lock_with_a_damaged_holder_is_taken(pid, tmp_path, soon):
  path = tmp_path / "lock"
  path.write_text(FOREIGN.format(1.0).replace("pid=1", f"pid={pid}"))
  locks.claim_or_wait(path).release()
  assert not path.exists()
