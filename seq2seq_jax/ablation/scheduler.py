"""Runs the jobs of a table in processes of their own, a few at a time.

Finished cells are left alone. Several schedulers, on one host or many, may work
on one workdir: the lock of a cell decides which process does it.
"""

import contextlib
import logging
import math
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import seq2seq_jax
from seq2seq_jax.ablation import board as board_lib
from seq2seq_jax.ablation import cells as cells_lib
from seq2seq_jax.ablation import spec as spec_lib
from seq2seq_jax.runtime import locks

log = logging.getLogger(__name__)
TERMINAL = cells_lib.TERMINAL

POLL_SECONDS = 2.0
"""Time between two readings of the cells' states from the disk."""
GRACE_SECONDS = 10.0
"""Time in which a process ends after a second Ctrl-C or an error here."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
MAX_CRASHES = 2
"""Number of crashes of a job's process after which its cells have failed."""
# Exit codes of a process that was stopped or found its cell taken: no crash.
STOPPED = (
  spec_lib.BUSY,
  -signal.SIGTERM,
  128 + signal.SIGTERM,
  -signal.SIGINT,
  128 + signal.SIGINT,
  -signal.SIGHUP,
)


class Job:
  """Cells that one process does: a single one, or all seeds of a row."""

  def __init__(self, cells: Sequence[cells_lib.Cell]):
    self.cells = tuple(cells)
    self.process: subprocess.Popen[bytes] | None = None
    self.cores: tuple[int, ...] = ()
    self.tried = False
    self.crashes = 0

  @property
  def name(self) -> str:
    """Returns the row and its seeds, for messages."""
    seeds = ", ".join(str(cell.seed) for cell in self.cells)
    return f"{self.cells[0].row}, seed {seeds}"

  def training_locks(self) -> set[pathlib.Path]:
    """Returns the locks of the runs that the job needs."""
    return {m.lock for cell in self.cells for m in cell.members}

  def taken(self) -> bool:
    """Returns whether a process works on something that the job needs."""
    paths = {lock for cell in self.cells for lock in cell.locks()}
    return any(locks.is_live(lock) for lock in paths)

  def unfinished(self) -> list[cells_lib.Cell]:
    """Returns the cells without a result, as the disk has it now."""
    return [
      cell for cell in self.cells if cell.status()["status"] not in TERMINAL
    ]


class Scheduler:
  """Starts jobs while slots are free, until every cell has a result."""

  def __init__(
    self,
    jobs: Sequence[Job],
    launch: Callable[[Job], "subprocess.Popen[bytes]"],
    cores: Sequence[int],
    slots: int,
    board: board_lib.ProgressBoard,
  ):
    """Makes a scheduler.

    Args:
      jobs: in the order of their start.
      launch: starts the process of a job, on `job.cores`.
      cores: CPU cores, shared out among the jobs; empty: jobs have no cores of
        their own.
      slots: number of jobs at a time.
      board: shows the cells.
    """
    self.jobs, self.launch, self.slots = list(jobs), launch, slots
    self.cores, self.board = list(cores), board
    self.stopped: int | None = None
    """The signal that stopped it."""
    self._statuses: dict[cells_lib.Cell, dict[str, Any]] = {}
    self._last_poll = -POLL_SECONDS
    self._deadline = math.inf  # when processes that are to end are killed

  def run(self) -> int | None:
    """Runs until every cell is done, failed or diverged.

    The first SIGINT, SIGTERM or SIGHUP lets the runs save and end; a second
    Ctrl-C ends them at once. In another thread than the main one, signals are
    left alone, as are those that this process ignores.

    Returns:
      The signal that stopped it, or None.
    """
    handlers: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
      for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
          handlers[number] = signal.signal(number, self._stop)
    try:
      with self.board:
        while not self.turn():
          time.sleep(POLL_SECONDS / 4)
        self._poll(now=True)
    except BaseException:
      self._end_jobs()  # leave no process without a parent
      raise
    finally:
      for number, handler in handlers.items():
        signal.signal(number, handler)
    return self.stopped

  def turn(self) -> bool:
    """Collects ended processes and starts new ones; True at the end."""
    if time.monotonic() > self._deadline:
      self._kill_jobs()
    for job in self.jobs:
      if job.process and job.process.poll() is not None:
        self._ended(job, job.process.returncode)
    statuses = self._poll()
    final = {c for c, s in statuses.items() if s["status"] in TERMINAL}
    waiting = [job for job in self.jobs if not final.issuperset(job.cells)]
    if self.stopped is None:
      self._start(waiting)
    running = [job for job in self.jobs if job.process]
    if running or self.stopped is not None:
      return not running
    # What another scheduler works on is waited for.
    return not any(not job.tried or job.taken() for job in waiting)

  def _poll(self, now: bool = False) -> dict[cells_lib.Cell, dict[str, Any]]:
    """Returns the status of every cell, read again every `POLL_SECONDS`."""
    moment = time.monotonic()
    if now or moment - self._last_poll >= POLL_SECONDS:
      self._last_poll = moment
      for cell in (cell for job in self.jobs for cell in job.cells):
        status = self._statuses.get(cell, {}).get("status")
        if status not in TERMINAL:
          self._statuses[cell] = cell.status()
      self.board.update(self._statuses)
    return self._statuses

  def _start(self, waiting: Sequence[Job]) -> None:
    """Starts jobs that need nothing that is being worked on."""
    running = [job for job in self.jobs if job.process]
    ready = [
      job
      for job in waiting
      if not job.process and not job.tried and not job.taken()
    ]
    # A process takes a while until it holds its locks.
    busy = {lock for job in running for lock in job.training_locks()}
    for job in ready:
      if len(running) >= self.slots or self.stopped is not None:
        return
      if job.training_locks() & busy:
        continue  # a cell of another row trains the same run
      busy |= job.training_locks()
      job.cores = self._free_cores(running, len(ready))
      job.process = self.launch(job)
      if self.stopped is not None:  # the signal came during the launch
        job.process.send_signal(signal.SIGTERM)
      running.append(job)

  def _free_cores(self, running: Sequence[Job], ready: int) -> tuple[int, ...]:
    """Returns the cores of the next job: all that are free, for the last."""
    used = {core for job in running for core in job.cores}
    free = [core for core in self.cores if core not in used] or self.cores
    coming = min(self.slots - len(running), ready)
    return tuple(free[: max(1, len(free) // max(1, coming))])

  def _ended(self, job: Job, code: int) -> None:
    """Notes the end of a job's process; a crash is tried once more."""
    if job.process and job.process.stdin:
      job.process.stdin.close()
    job.process = None
    self._last_poll = -POLL_SECONDS
    # A cell that another process took is waited for, and tried again then.
    job.tried = code != spec_lib.BUSY and self.stopped is None
    unfinished = job.unfinished()
    if not unfinished or code in STOPPED:
      return
    log.warning(
      f"{job.name}: its process ended with {code}; see {unfinished[0].log}"
    )
    if self.stopped is None:
      job.crashes += 1
      job.tried = job.crashes >= MAX_CRASHES
      if job.tried:
        _fail(unfinished, code)

  def _signal_jobs(self, number: int) -> None:
    for job in self.jobs:
      if job.process:
        job.process.send_signal(number)

  def _kill_jobs(self) -> None:
    """Ends what is left, with the processes that read its data."""
    for job in self.jobs:
      if job.process and job.process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
          os.killpg(job.process.pid, signal.SIGKILL)

  def _end_jobs(self) -> None:
    """Lets the jobs save and end, and waits for them."""
    self._signal_jobs(signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    for job in self.jobs:
      if job.process:
        with contextlib.suppress(subprocess.TimeoutExpired):
          job.process.wait(max(0.0, deadline - time.monotonic()))
    self._kill_jobs()

  def _stop(self, number: int, frame: FrameType | None) -> None:
    """Handles `SIGNALS`."""
    del frame
    again = self.stopped is not None and number == signal.SIGINT
    if again:
      self._deadline = time.monotonic() + GRACE_SECONDS
    self.stopped = self.stopped or number
    self.board.note = "stopping as soon as the runs are saved; Ctrl-C: at once"
    self._signal_jobs(signal.SIGINT if again else signal.SIGTERM)


def _fail(cells: Sequence[cells_lib.Cell], code: int) -> None:
  """Writes that cells have failed, unless another scheduler is at them."""
  for cell in cells:
    lock = locks.claim(cell.lock)
    if lock is None:
      continue
    with lock:
      if cell.status()["status"] not in TERMINAL:
        message = (
          f"its process ended {MAX_CRASHES} times, with {code}; see {cell.log}"
        )
        cells_lib.write_result(cell, {"status": "failed", "message": message})


def start_worker(
  spec: pathlib.Path, output: pathlib.Path
) -> "subprocess.Popen[bytes]":
  """Starts the process of a job's spec; its output is appended to a file."""
  # The same package as this process has, wherever that was imported from.
  package = str(pathlib.Path(seq2seq_jax.__file__).parents[1])
  paths = [package, os.environ.get("PYTHONPATH", "")]
  environment = os.environ | {
    "PYTHONPATH": os.pathsep.join(filter(None, paths))
  }
  with output.open("ab") as stream:
    return subprocess.Popen(
      [
        *(sys.executable, "-m", "seq2seq_jax.ablation.worker"),
        *(str(spec), spec_lib.WATCHED),
      ],
      stdin=subprocess.PIPE,  # its end tells that this process is gone
      stdout=stream,
      stderr=subprocess.STDOUT,
      env=environment,
      start_new_session=True,  # Ctrl-C goes to this process, which signals all
    )
