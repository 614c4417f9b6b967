"""Lock files: one process at a time works on a run or on a cell of a table.

Hosts that share a file system see each other's locks. A lock is a lease of
`filelock`: its holder refreshes the file, and a lock that was not refreshed for
`EXPIRY_SECONDS` may be taken by another process. If the holder was a process of
this host and is gone, the lock is free at once.
"""

import os
import pathlib
import socket
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, Self

import filelock

from seq2seq_jax import types

HEARTBEAT_SECONDS = 5.0  # between two refreshes of a lock
EXPIRY_SECONDS = 120.0  # without a refresh
POLL_SECONDS = 2.0  # between two looks at a lock that is waited for

_MAGIC = b"filelock/"  # begins every lock's file

# Called with the lock's path from a thread, if another process took the lock.
LossHandler = Callable[[pathlib.Path], None]


class Holder(NamedTuple):
  """The process that holds a lock."""

  process: int
  host: str

  def __str__(self) -> str:
    return f"process {self.process} on {self.host}"


class Held(Exception):
  """A lock is held by a process that is alive."""

  def __init__(self, holder: Holder | None) -> None:
    super().__init__(f"held by {holder or 'another process'}")
    self.holder = holder


class Lock:
  """A lock file that this process holds, or watches until it is free."""

  def __init__(self, path: pathlib.Path) -> None:
    self.path = path
    self.on_lost: LossHandler | None = None
    self._lease = filelock.SoftFileLease(
      path,
      lease_duration=EXPIRY_SECONDS,
      heartbeat_interval=HEARTBEAT_SECONDS,
      on_compromise=self._compromised,
      thread_local=False,
    )

  def acquire(self) -> bool:
    """Tries once; False if another process or thread holds the lock."""
    try:
      self._lease.acquire(blocking=False)
    except filelock.Timeout:
      return False
    return True

  def release(self) -> None:
    """Gives the lock up; a second call does nothing."""
    self.on_lost = None
    self._lease.release(force=True)

  @property
  def holder(self) -> Holder | None:
    """The process that holds the lock; None if there is none."""
    owner = self._lease.owner
    # filelock appends the process namespace of a container.
    return owner and Holder(owner.pid, owner.hostname.partition("?")[0])

  def _compromised(self, compromise: filelock.LeaseCompromise) -> None:
    del compromise
    if self.on_lost:
      self.on_lost(self.path)

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *_: object) -> None:
    self.release()


# A lock expires only for a process that watches it, so each path that was seen
# to be locked has a `Lock` here that remembers when the file last changed.
_watched: dict[pathlib.Path, Lock] = {}
_watched_guard = threading.Lock()


def claim(
  path: pathlib.Path, on_lost: LossHandler | None = None
) -> Lock | None:
  """Takes a lock if it is free.

  Args:
    path: of the lock's file.
    on_lost: called if another process takes the lock from this one, as it may
      after this process was stopped for longer than `EXPIRY_SECONDS`.

  Returns:
    The lock, or None if another process or thread holds it.

  Raises:
    types.UserError: something else stands in the lock's place.
    OSError: the file cannot be written.
  """
  path = path.absolute()
  path.parent.mkdir(parents=True, exist_ok=True)
  _check_own(path)
  with _watched_guard:
    lock = _watched.get(path) or Lock(path)
    if not lock.acquire():
      _watched[path] = lock
      return None
    _watched.pop(path, None)
  lock.on_lost = on_lost
  return lock


def _check_own(path: pathlib.Path) -> None:
  """Refuses what is no lock: filelock would take its place, and remove it."""
  try:
    if path.is_file():
      with path.open("rb") as file:
        start = file.read(len(_MAGIC))
      if start in (b"", _MAGIC):  # empty while it is being made
        return
    elif not os.path.lexists(path):
      return
  except FileNotFoundError:
    return  # released just now
  raise types.UserError(
    f"{path}: is no lock of this program; move it elsewhere"
  )


def is_live(path: pathlib.Path) -> bool:
  """True if a lock is held; the file of a dead or expired holder is removed."""
  if not path.exists():
    return False
  try:
    lock = claim(path)
  except OSError:
    return True  # nothing can be taken from a folder that may not be written
  if lock:
    lock.release()
  return lock is None


def holder(path: pathlib.Path) -> Holder | None:
  """The process that a lock file names; None if there is no lock."""
  return Lock(path).holder


def claim_or_wait(
  path: pathlib.Path,
  on_lost: LossHandler | None = None,
  on_wait: Callable[[Holder | None], None] | None = None,
) -> Lock:
  """Takes a lock that is free, or whose holder shows no sign of life.

  A holder that has just refreshed its lock is alive. Otherwise the lock is
  watched until it is refreshed or expires.

  Args:
    path: of the lock's file.
    on_lost: see `claim`.
    on_wait: called once, with the holder, before a wait.

  Raises:
    Held: the holder is alive.
    OSError: the file cannot be written.
  """
  first_refresh = None
  while (lock := claim(path, on_lost)) is None:
    try:
      refreshed = path.stat().st_mtime
    except FileNotFoundError:
      continue  # released just now
    owner = holder(path)
    # The clocks of two hosts differ, and a host that has died may have
    # refreshed its lock a moment ago.
    local = owner is not None and owner.host == socket.gethostname()
    fresh = local and abs(time.time() - refreshed) < 2 * HEARTBEAT_SECONDS
    if fresh or first_refresh not in (None, refreshed):
      raise Held(owner)
    if first_refresh is None and on_wait:
      on_wait(owner)
    first_refresh = refreshed
    time.sleep(POLL_SECONDS)
  return lock
