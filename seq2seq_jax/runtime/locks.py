"""Who is at work on a run or a cell: lock files that any host can read.

A lock names host, process and time. It is live while its file is touched;
without a heartbeat, or where its process is seen to be gone, another one may
take it.
"""

import contextlib
import json
import os
import pathlib
import socket
import threading
import time
import uuid

BEAT = 10.0  # seconds between two heartbeats
EXPIRES = 120.0  # seconds without one


class Lock:
  """A lock that this process holds; its heart beats on a thread."""

  def __init__(self, path: pathlib.Path, token: str, lost):
    self.path, self.token, self._lost = path, token, lost
    self._stop = threading.Event()
    self._thread = threading.Thread(target=self._beat, daemon=True)
    self._thread.start()

  def _beat(self):
    unread = 0
    while not self._stop.wait(BEAT):
      holder = read(self.path)
      # One look may fail, as on a slow file system; two are no accident.
      unread = 0 if holder else unread + 1
      taken = holder.get("token") != self.token if holder else unread > 1
      if taken:
        if self._lost and not self._stop.is_set():
          self._lost(self.path)
        return
      with contextlib.suppress(OSError):
        os.utime(self.path)

  def release(self):
    """Gives the lock up; a second call does nothing."""
    self._stop.set()
    self._thread.join()
    if (read(self.path) or {}).get("token") == self.token:
      self.path.unlink(missing_ok=True)

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self.release()


def claim(path: pathlib.Path, lost=None) -> Lock | None:
  """The lock, or None where another one holds it.

  Args:
    path: of the lock's file.
    lost: called with the path if the lock was taken away, as from a process
      that stood still for too long.
  """
  path.parent.mkdir(parents=True, exist_ok=True)
  token = uuid.uuid4().hex
  free = _create(path, token) or (
    not live(path) and _clear(path) and _create(path, token)
  )
  return Lock(path, token, lost) if free else None


def _create(path: pathlib.Path, token: str) -> bool:
  holder = {
    "token": token,
    "host": socket.gethostname(),
    "place": _place(),
    "process": os.getpid(),
    "born": _born(os.getpid()),
    "since": time.strftime("%Y-%m-%d %H:%M:%S"),
  }
  whole = path.with_name(f"{path.name}.{token}")
  whole.write_text(json.dumps(holder))
  try:
    return _put(whole, path)
  finally:
    whole.unlink()


def _put(whole: pathlib.Path, path: pathlib.Path) -> bool:
  """Puts a copy where nothing is yet: at once and whole, or not at all."""
  try:
    os.link(whole, path)
  except FileExistsError:
    return False
  except OSError:  # a file system without hard links
    try:
      with path.open("x") as f:
        f.write(whole.read_text())
    except FileExistsError:
      return False
  return True


def _clear(path: pathlib.Path) -> bool:
  """Removes a dead lock; only one process at a time may look and remove.

  Whether the place is free then, unless somebody has taken it meanwhile: who
  finds no lock there must not remove one either.
  """
  guard = path.with_name(path.name + ".clearing")
  with contextlib.suppress(OSError):
    if _age(guard) > EXPIRES:
      guard.unlink()
  try:
    os.close(os.open(guard, os.O_CREAT | os.O_EXCL))
  except FileExistsError:
    return False
  try:
    if not path.exists():
      return True
    dead = read(path)
    return not live(path) and _remove(path, (dead or {}).get("token"))
  finally:
    guard.unlink(missing_ok=True)


def _remove(path: pathlib.Path, token: str | None) -> bool:
  """Removes the lock of this token, and puts any other one back."""
  aside = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
  try:
    os.rename(path, aside)
  except FileNotFoundError:
    return True
  same = (read(aside) or {}).get("token") == token
  if not same:
    _put(aside, path)
  aside.unlink()
  return same


def read(path: pathlib.Path) -> dict | None:
  """Host, process and time of a lock's holder; None where there is none."""
  try:
    return json.loads(path.read_text())
  except (OSError, ValueError):
    return None


def live(path: pathlib.Path) -> bool:
  """Whether somebody holds the lock, as far as can be told."""
  holder = read(path)
  if holder and holder.get("place") == _place():
    born = _born(holder["process"])
    if born is None or born != holder["born"]:
      return False
  try:
    return _age(path) < EXPIRES
  except OSError:
    return False


def seen(path: pathlib.Path) -> bool:
  """Whether the holder is a process that is seen from here, and there."""
  holder = read(path)
  return bool(holder) and holder.get("place") == _place() and live(path)


def beats(path: pathlib.Path) -> bool:
  """Whether the holder gave a sign of life within one and a half beats."""
  try:
    return _age(path) < 1.5 * BEAT
  except OSError:
    return False


def _age(path: pathlib.Path) -> float:
  """Seconds since a file was touched, by the clock of its file system."""
  probe = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
  touched = path.stat().st_mtime
  probe.touch()
  try:
    return probe.stat().st_mtime - touched
  finally:
    probe.unlink()


def _place() -> str:
  """Names this boot of this machine, and which of its processes are seen.

  Two containers may have one host name, and neither sees the other's processes.
  """
  try:
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {os.readlink('/proc/self/ns/pid')}"
  except OSError:
    return socket.gethostname()


def _born(process: int) -> str | None:
  """When a process of this place started, in the kernel's ticks."""
  try:
    text = pathlib.Path(f"/proc/{process}/stat").read_text()
  except OSError:
    if os.path.isdir("/proc/self"):
      return None
    try:
      os.kill(process, 0)
    except OSError:
      return None
    return "unknown"
  fields = text.rpartition(")")[2].split()
  return None if fields[0] == "Z" else fields[19]
