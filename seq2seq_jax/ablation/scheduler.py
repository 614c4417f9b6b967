"""Runs the cells of a table in processes of their own, and shows them.

Cells that are done are left alone. Several runners, on one host or many, may
work on one workdir: a cell's lock decides who does it.
"""

import contextlib
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import rich.box
import rich.console
import rich.live
import rich.table
import rich.text

from seq2seq_jax.ablation import cells as cells_
from seq2seq_jax.runtime import locks
from seq2seq_jax.runtime import log as log_lib

log = logging.getLogger(__name__)

BUSY = 75  # exit code of a process that found its cell taken
STOPPED = (
  BUSY,
  -signal.SIGTERM,
  128 + signal.SIGTERM,
  -signal.SIGINT,
  128 + signal.SIGINT,
)
STYLES = {"warning": "yellow", "error": "bold red"}
LOOK = 2.0  # seconds between two looks at the disk
LINE = 60.0  # seconds between two plain lines
DEATHS = 2  # of a cell's process, after which it has failed


class Job:
  """Cells that one process does: one, or all seeds of a row."""

  def __init__(self, cells: Sequence[cells_.Cell]):
    self.cells = tuple(cells)
    self.process: subprocess.Popen | None = None
    self.cores: tuple[int, ...] = ()
    self.tried = False
    self.deaths = 0  # processes that ended without a word

  @property
  def name(self) -> str:
    seeds = ", ".join(str(c.seed) for c in self.cells)
    return f"{self.cells[0].row}, seed {seeds}"

  def taken(self) -> bool:
    """Whether somebody is at work on what this job needs."""
    wanted = {m.lock for c in self.cells for m in c.members}
    wanted |= {c.lock for c in self.cells}
    return any(locks.is_live(lock) for lock in wanted)


class Runner:
  """Starts jobs while there are free slots, until every cell is final."""

  def __init__(
    self,
    jobs: Sequence[Job],
    launch: Callable[[Job], subprocess.Popen],
    cores: Sequence[int],
    slots: int,
    board: "Board",
  ):
    """Makes a runner.

    Args:
      jobs: in the order in which they are begun.
      launch: starts a job's process on `job.cores`.
      cores: of this process, shared out among the jobs.
      slots: jobs at a time.
      board: shows the cells.
    """
    self.jobs, self.launch, self.slots = list(jobs), launch, slots
    self.cores, self.board = list(cores), board
    self.stopped: int | None = None

  def run(self) -> int | None:
    """Until all is final; the signal that stopped it, or None."""
    old = {
      number: signal.signal(number, self._stop)
      for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
      with self.board:
        while not self._turn():
          time.sleep(LOOK / 4)
    finally:
      for number, handler in old.items():
        signal.signal(number, handler)
    return self.stopped

  def _turn(self) -> bool:
    """Collects what has ended, starts what may start; True at the end."""
    for job in self.jobs:
      if job.process and job.process.poll() is not None:
        code, job.process = job.process.returncode, None
        # Whoever took the cell away is waited for; else it has been tried.
        job.tried = code != BUSY and self.stopped is None
        if self.board.ended(job, code) and self.stopped is None:
          self._died(job, code)
    statuses = self.board.look()
    final = {c for c, s in statuses.items() if s["status"] in cells_.FINAL}
    left = [j for j in self.jobs if not set(j.cells) <= final]
    running = [j for j in self.jobs if j.process]
    if self.stopped is not None:
      return not running
    ready = [j for j in left if not j.process and not j.tried and not j.taken()]
    taken: set = set()
    for job in running:
      taken |= {m.lock for c in job.cells for m in c.members}
    for job in ready:
      if len(running) >= self.slots or self.stopped is not None:
        break
      needs = {m.lock for c in job.cells for m in c.members}
      if needs & taken:  # another row's cell is at its training
        continue
      taken |= needs
      job.cores = self._share(running, len(ready))
      job.process = self.launch(job)
      if self.stopped is not None:  # while it was being started
        job.process.send_signal(signal.SIGTERM)
      running.append(job)
    waits = [j for j in left if not j.tried or j.taken()]
    return not running and not waits

  def _died(self, job: Job, code: int):
    """Once more from its last checkpoint; then its cells have failed."""
    job.deaths += 1
    job.tried = job.deaths >= DEATHS
    if not job.tried:
      return
    for cell in job.cells:
      lock = locks.claim(cell.lock)
      if lock is None:
        continue  # another runner is at it
      with lock:
        if cell.status()["status"] not in cells_.FINAL:
          message = f"its process ended {DEATHS} times, with {code}; see "
          message += str(_log(cell))
          cells_.leave(cell, {"status": "failed", "message": message})

  def _share(self, running, ready: int) -> tuple[int, ...]:
    """Cores for the next job: all that are free, where it is the last."""
    used = {core for j in running for core in j.cores}
    free = [c for c in self.cores if c not in used] or self.cores
    coming = min(self.slots - len(running), ready)
    return tuple(free[: max(1, len(free) // max(1, coming))])

  def _stop(self, number, frame):
    """The cells save and end; at a second Ctrl-C they end at once."""
    del frame
    again = self.stopped is not None and number == signal.SIGINT
    self.stopped = self.stopped or number
    self.board.note = "stopping as soon as the runs are saved; Ctrl-C: at once"
    for job in self.jobs:
      if job.process:
        job.process.send_signal(signal.SIGINT if again else signal.SIGTERM)


class Board:
  """A table of all cells that fills in, at a terminal; else plain lines."""

  def __init__(
    self,
    cells: Sequence[cells_.Cell],
    show: Callable[[dict], str],
    published: dict[str, str],
    live: bool | None = None,
    stream=None,
    clock=time.monotonic,
  ):
    """Makes a board.

    Args:
      cells: of the table, row by row.
      show: a final cell's result as a few characters.
      published: what the table prints beside a row.
      live: draw (True), or lines (False), or by the stream (None).
      stream: standard error.
      clock: seconds.
    """
    self.cells, self.show = list(cells), show
    self.published, self.clock = published, clock
    stream = stream or sys.stderr
    self._stream = stream
    self._console = rich.console.Console(
      file=stream, force_terminal=stream.isatty() or bool(live)
    )
    terminal = stream.isatty() and not self._console.is_dumb_terminal
    self._live = None
    if terminal if live is None else live:
      self._live = rich.live.Live(
        console=self._console, auto_refresh=False, vertical_overflow="visible"
      )
    self._statuses: dict = {}
    self._messages = contextlib.ExitStack()
    self._seen, self._line = 0.0, clock()
    self._begun = {}  # share of a cell done when this process first saw it
    self._start = clock()
    self._told = self.note = ""  # what is going on beside the cells

  def __enter__(self):
    self.look()
    if self._live:
      self._live.start()
    self._messages.enter_context(log_lib.above(self.write_line))
    return self

  def __exit__(self, *_):
    self._seen = 0.0
    self.look()
    self._messages.close()
    if self._live:
      self._live.stop()

  def look(self) -> dict:
    """Status of every cell, from the disk."""
    now = self.clock()
    if now - self._seen < LOOK and self._statuses:
      return self._statuses
    self._seen = now
    before, self._statuses = self._statuses, {}
    for cell in self.cells:
      old = before.get(cell, {})
      final = old.get("status") in cells_.FINAL
      self._statuses[cell] = old if final else cell.status()
    for cell, status in self._statuses.items():
      self._begun.setdefault(cell, _share_done(status))
    if self._live:
      self._live.update(self._draw(), refresh=True)
    else:
      self._lines(before)
      if self.note != self._told:
        self._told = self.note
        self.write_line(self.note)
    return self._statuses

  def ended(self, job: Job, code: int) -> bool:
    """Whether a process ended without a result or a reason; says so."""
    self._seen = 0.0
    without = [c for c in job.cells if c.status()["status"] not in cells_.FINAL]
    if not without or code in STOPPED:
      return False
    log.warning(
      f"{job.name}: its process ended with {code}; see {_log(without[0])}"
    )
    return True

  def write_line(self, text: str, style: str | None = None) -> None:
    """Writes a line above the table; style: `warning`, `error`."""
    if self._live:
      self._console.print(
        rich.text.Text(text, style=STYLES.get(style or "", "")), soft_wrap=True
      )
    else:
      print(text, file=self._stream, flush=True)

  def left(self) -> float | None:
    """Seconds to the end, from what this process has seen done."""
    shares = {c: _share_done(s) for c, s in self._statuses.items()}
    done = sum(max(0.0, v - self._begun[c]) for c, v in shares.items())
    rest = sum(1.0 - v for v in shares.values())
    if done < 0.02:
      return None
    return rest * (self.clock() - self._start) / done

  def _lines(self, before):
    for cell, status in self._statuses.items():
      if (
        status["status"] in cells_.FINAL
        and before
        and (before[cell]["status"] not in cells_.FINAL)
      ):
        self.write_line(
          f"{cell.name}: {self.show(status)}  ({self._summary()})"
        )
        self._line = self.clock()
    if self.clock() - self._line >= LINE:
      self._line = self.clock()
      self.write_line(self._summary())

  def _summary(self) -> str:
    count = lambda *names: sum(
      s["status"] in names for s in self._statuses.values()
    )
    text = f"{count('done')} of {len(self.cells)} cells done"
    if bad := count("failed", "diverged"):
      text += f", {bad} failed"
    if running := count("running"):
      text += f", {running} running"
    if (left := self.left()) is not None and count(*cells_.FINAL) < len(
      self.cells
    ):
      text += f", about {_duration(left)} left"
    return text

  def _draw(self):
    caption = "\n".join(filter(None, [self._summary(), self.note]))
    table = rich.table.Table(
      box=rich.box.SIMPLE_HEAD, title=None, caption=caption
    )
    table.add_column("row", overflow="fold")
    seeds = sorted({c.seed for c in self.cells})
    for seed in seeds:
      table.add_column(f"seed {seed}", justify="right", no_wrap=True)
    table.add_column("mean", justify="right", no_wrap=True)
    table.add_column("published", justify="right", no_wrap=True)
    for row in dict.fromkeys(c.row for c in self.cells):
      own = {c.seed: self._statuses[c] for c in self.cells if c.row == row}
      shown = [self._cell(own[s]) if s in own else "" for s in seeds]
      values = [s["value"] for s in own.values() if s["status"] == "done"]
      mean = f"{sum(values) / len(values):.2f}" if values else ""
      table.add_row(row, *shown, mean, self.published.get(row, ""))
    return table

  def _cell(self, status: dict):
    kind = status["status"]
    if kind == "done":
      return rich.text.Text(self.show(status), style="bold green")
    if kind in ("failed", "diverged"):
      return rich.text.Text(kind, style="bold red")
    if kind == "stale":
      return rich.text.Text("stale", style="yellow")
    if kind == "running":
      return rich.text.Text(f"{100 * status['progress']:.0f} %", style="cyan")
    done = status.get("progress", 0.0)
    text = f"{100 * done:.0f} % kept" if done else "waiting"
    return rich.text.Text(text, style="dim")


def _log(cell: cells_.Cell):
  return cell.folder.with_name(f"{cell.folder.name}.log")


def _share_done(status: dict) -> float:
  if status["status"] in cells_.FINAL:
    return 1.0
  # An evaluation is still to come.
  return 0.97 * status.get("progress", 0.0)


def _duration(seconds: float) -> str:
  minutes = round(seconds / 60)
  if minutes < 1:
    return "a minute"
  hours, minutes = divmod(minutes, 60)
  return f"{hours} h {minutes} min" if hours else f"{minutes} min"
