"""One holder at a time, whatever dies or stands still."""

import json
import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from seq2seq_jax.runtime import locks


@pytest.mark.quick
def test_one_holder(tmp_path):
  path = tmp_path / "locks" / "cell"
  with locks.claim(path) as lock:
    assert lock is not None and locks.live(path)
    assert locks.claim(path) is None
    holder = locks.read(path)
    assert holder["process"] == os.getpid() and holder["since"]
  assert not path.exists() and locks.claim(path) is not None


@pytest.mark.quick
def test_a_lock_of_a_dead_process_is_free(tmp_path):
  path = tmp_path / "cell"
  code = f"""
    import os, pathlib
    from seq2seq_jax.runtime import locks
    locks.claim(pathlib.Path({str(path)!r}))
    os._exit(0)
  """
  subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
  assert path.exists() and not locks.live(path)
  assert locks.claim(path) is not None


def _of_another_host(path, age):
  path.write_text(
    json.dumps({"token": "x", "host": "elsewhere", "process": 1, "born": "1"})
  )
  then = time.time() - age
  os.utime(path, (then, then))


@pytest.mark.quick
def test_a_lock_without_heartbeat_expires(tmp_path):
  path = tmp_path / "cell"
  _of_another_host(path, locks.EXPIRES - 30)
  assert locks.live(path) and locks.claim(path) is None
  _of_another_host(path, locks.EXPIRES + 30)
  assert not locks.live(path) and locks.claim(path) is not None


@pytest.mark.quick
def test_a_file_system_without_hard_links(tmp_path, monkeypatch):
  def link(*_):
    raise PermissionError

  monkeypatch.setattr(os, "link", link)
  path = tmp_path / "cell"
  with locks.claim(path):
    assert locks.read(path)["process"] == os.getpid()
    assert locks.claim(path) is None
  assert not path.exists()


@pytest.mark.quick
def test_who_is_not_seen_from_here_is_judged_by_the_heartbeat(tmp_path):
  """Another container of the same host name; a process that stands still."""
  path = tmp_path / "cell"
  with locks.claim(path):
    mine = locks.read(path)
    then = time.time() - locks.EXPIRES - 30
    os.utime(path, (then, then))
    assert not locks.live(path)
  path.write_text(json.dumps(mine | {"place": "other", "process": 2**22 + 1}))
  assert locks.live(path)
  path.write_text(json.dumps(mine | {"process": 2**22 + 1}))
  assert not locks.live(path)


@pytest.mark.quick
def test_the_heart_beats_and_a_lost_lock_is_noticed(tmp_path, monkeypatch):
  monkeypatch.setattr(locks, "BEAT", 0.02)
  path, lost = tmp_path / "cell", []
  lock = locks.claim(path, lost=lost.append)
  os.utime(path, (0, 0))
  _wait(lambda: path.stat().st_mtime > 1)
  path.unlink()
  _of_another_host(path, 0)
  _wait(lambda: lost)
  assert lost == [path]
  lock.release()
  assert locks.read(path)["host"] == "elsewhere"


def _wait(condition):
  for _ in range(500):
    if condition():
      return
    time.sleep(0.01)
  raise AssertionError("it did not come")


RACE = """
  import os, pathlib, sys, time
  from seq2seq_jax.runtime import locks
  folder, start = pathlib.Path(sys.argv[1]), float(sys.argv[2])
  won = []
  while time.time() < start:
    pass
  for i in range(30):
    if locks.claim(folder / f"cell-{i}"):
      won.append(i)
  print(*won)
  os._exit(0) if sys.stdout.flush() else time.sleep(1.5)
"""


@pytest.mark.quick
def test_of_many_processes_one_gets_a_dead_lock(tmp_path):
  for i in range(30):
    _of_another_host(tmp_path / f"cell-{i}", locks.EXPIRES + 60)
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
  assert sorted(won) == sorted(set(won))
  # A racer that looks while another one clears goes away without the lock.
  assert len(won) >= 15


@pytest.mark.quick
@pytest.mark.parametrize("cleared", [1, 2])
def test_a_lock_taken_meanwhile_stays(cleared, tmp_path, monkeypatch):
  """Another process clears a dead lock and takes the place, at bad moments."""
  path = tmp_path / "cell"
  _of_another_host(path, locks.EXPIRES + 60)
  looks, live = [], locks.live

  def looked(path):
    found = live(path)
    looks.append(found)
    if len(looks) == cleared:
      path.unlink()
    if len(looks) == 2:
      assert locks._create(path, "another")
    return found

  monkeypatch.setattr(locks, "live", looked)
  mine = locks.claim(path)
  if len(looks) == 2:  # the other one was there first
    assert mine is None
    assert locks.read(path)["token"] == "another"
  else:
    assert locks.read(path)["token"] == mine.token
    mine.release()
  assert not [x for x in tmp_path.iterdir() if x != path]


@pytest.mark.quick
def test_one_failed_look_is_no_loss(tmp_path, monkeypatch):
  """As while another process looks whether the lock is dead."""
  path, taken = tmp_path / "cell", threading.Event()
  read, looks = locks.read, []

  def failing(path):
    looks.append(path)
    return None if len(looks) == 1 else read(path)

  monkeypatch.setattr(locks, "BEAT", 0.02)
  monkeypatch.setattr(locks, "read", failing)
  mine = locks.claim(path, lost=lambda _: taken.set())
  time.sleep(0.3)
  assert len(looks) > 2 and not taken.is_set()
  path.unlink()
  assert taken.wait(2)
  mine.release()
