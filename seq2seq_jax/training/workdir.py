"""A run's folder: which one may be used, and who works in it.

Nothing that was there before is overwritten. A folder without a run must be
empty, and a run that begins anew (`restart`) moves the older one aside.
Nothing is left of a run that ended before its first step: `training/run.py`
writes the folder's files after it (`Run.begin`).
"""

import contextlib
import logging
import os
import pathlib
import socket
import threading
import time
from collections.abc import Iterator

from seq2seq_jax import types
from seq2seq_jax.runtime import ending, files, locks, processes

log = logging.getLogger(__name__)

LOCK = "lock"
SHARED_SECONDS = 5.0  # until all processes see a new file
# What a run writes into its folder, beside the lock.
OWN = tuple(name for name in files.RUN_FILES if name != LOCK)
_ASIDE = "before-restart-"


def check(workdir: pathlib.Path, *, among_others: bool = False) -> None:
  """Refuses a folder that is no place for a run.

  Args:
    workdir: need not exist.
    among_others: it may hold files that are not a run's.

  Raises:
    types.UserError: it is no folder or cannot be read, holds something else, or
      lies in another run.
  """
  names = _names(workdir)
  if "config.json" not in names:
    _check_empty(workdir, names, among_others)
  for folder in workdir.absolute().parents:
    if all(os.path.lexists(folder / n) for n in ("config.json", "run.json")):
      raise types.UserError(
        f"{workdir}: lies in {folder}, which holds a run; choose another "
        "workdir"
      )


def _names(workdir: pathlib.Path) -> list[str]:
  """Names of what is in a folder, sorted; none if it does not exist."""
  try:
    return sorted(os.listdir(workdir))
  except FileNotFoundError as e:
    if workdir.is_symlink():
      raise types.UserError(
        f"{workdir}: is a link to {os.readlink(workdir)}, which is not there"
      ) from e
    return []
  except NotADirectoryError as e:
    raise types.UserError(
      f"{workdir}: is a file or lies below one; choose a folder"
    ) from e
  except (OSError, ValueError) as e:  # ValueError: a NUL in the name
    reason = e.strerror if isinstance(e, OSError) else e
    raise types.UserError(
      f"{workdir}: cannot be used as a workdir: {reason}"
    ) from e


def _check_empty(
  workdir: pathlib.Path, names: list[str], among_others: bool
) -> None:
  """Refuses a folder without a config.json that holds something."""
  if "checkpoints" in names and next(workdir.glob("checkpoints/*"), None):
    raise types.UserError(
      f"{workdir}: holds checkpoints but no config.json; restore it or choose "
      "another workdir"
    )
  # A new file system has lost+found; our own scratch files are hidden.
  foreign = [
    name
    for name in names
    if name not in (LOCK, "lost+found")
    and not name.startswith((".nfs", _ASIDE))
    and (name in OWN or not among_others)
    and not _is_empty_folder(workdir / name)
  ]
  if foreign:
    table = "cells" in names or "table.json" in names
    what = "is the folder of a table" if table else f"holds {foreign[0]}"
    raise types.UserError(
      f"{workdir}: {what} and no run; choose a new or empty folder as workdir"
    )


def _is_empty_folder(path: pathlib.Path) -> bool:
  return path.name in OWN and path.is_dir() and not any(path.iterdir())


@contextlib.contextmanager
def holding(workdir: pathlib.Path) -> Iterator[threading.Event]:
  """Makes a workdir and holds its lock; two processes would undo each other.

  At the end, folders that were made and are still empty are removed.

  Yields:
    An event that is set if another process takes the lock, as it may after
    this one was stopped for long.

  Raises:
    types.UserError: a process that is alive trains in the workdir, or it
      cannot be written.
  """
  made = []
  if processes.is_first():
    made = [p for p in (workdir, *workdir.parents) if not os.path.lexists(p)]
    try:
      workdir.mkdir(parents=True, exist_ok=True)
    except OSError as e:
      raise types.UserError(f"{workdir}: cannot write: {e.strerror}") from e
  try:
    if processes.is_first():
      with _locked(workdir) as lost:
        _check_shared(workdir)
        yield lost
    else:
      _check_shared(workdir)
      yield threading.Event()  # the first process holds the lock for all
  finally:
    with contextlib.suppress(OSError):
      for folder in made:
        folder.rmdir()  # fails if anything is in it


def _check_shared(workdir: pathlib.Path) -> None:
  """Checks that all processes see the folder in which the first one writes.

  Raises:
    types.UserError: one does not, in all processes.
  """
  lock = _content(workdir / LOCK)
  expected = processes.broadcast(lock)
  deadline = time.monotonic() + SHARED_SECONDS
  while lock != expected and time.monotonic() < deadline:
    time.sleep(0.2)  # a network's file system may take a while
    lock = _content(workdir / LOCK)
  hosts = processes.gather(None if lock == expected else socket.gethostname())
  for process, host in enumerate(hosts):
    if host is not None:
      raise types.UserError(
        f"{workdir} is not shared: process {process} on {host} does not see "
        "what process 0 writes there; choose a folder on a file system that "
        "all processes share"
      )


def _content(path: pathlib.Path) -> bytes | None:
  try:
    return path.read_bytes()
  except OSError:
    return None


@contextlib.contextmanager
def _locked(workdir: pathlib.Path) -> Iterator[threading.Event]:
  """Holds the workdir's lock; yields an event that is set if it is lost."""
  lost = threading.Event()
  path = workdir / LOCK

  def log_wait(holder: locks.Holder | None) -> None:
    log.info(
      f"{workdir} was being trained by {holder or 'another process'}; waiting "
      "up to two minutes for a sign that it is alive"
    )

  try:
    lock = locks.claim_or_wait(
      path, on_lost=lambda _: lost.set(), on_wait=log_wait
    )
  except locks.Held as e:
    raise types.UserError(
      f"{workdir} is being trained by {e.holder or 'another process'}"
    ) from e
  except OSError as e:
    raise types.UserError(f"{path}: cannot write: {e.strerror}") from e
  forget = ending.on_end(lock.release)
  try:
    with lock:
      yield lost
  finally:
    forget()


def move_aside(workdir: pathlib.Path) -> None:
  """Moves what a run wrote into a new folder of its workdir.

  Raises:
    OSError: it cannot be moved.
  """
  there = [name for name in OWN if os.path.lexists(workdir / name)]
  if not there:
    return
  number = 1
  while os.path.lexists(aside := workdir / f"{_ASIDE}{number}"):
    number += 1
  aside.mkdir()
  for name in there:
    (workdir / name).rename(aside / name)
  log.info(f"{workdir}: the run that was there lies in {aside} now")
