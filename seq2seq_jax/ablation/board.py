"""The state of a table's cells while it fills in, as a person watches it.

At a terminal or in a notebook a table that is drawn again and again; elsewhere
a line of the log for each cell that ends, and one now and then.
"""

import contextlib
import io
import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

import rich.box
import rich.console
import rich.live
import rich.table
import rich.text

from seq2seq_jax.ablation import cells as cells_lib
from seq2seq_jax.runtime import log as log_lib
from seq2seq_jax.training import progress

log = logging.getLogger(__name__)

SUMMARY_SECONDS = 60.0
"""Time between two summaries in the log."""
STYLES = {"warning": "yellow", "error": "bold red"}
# Share of a cell's time that its training takes; its evaluation is the rest.
TRAINING_SHARE = 0.97

Statuses = Mapping[cells_lib.Cell, dict[str, Any]]


class ProgressBoard:
  """Shows the statuses that it is given."""

  def __init__(
    self,
    cells: Sequence[cells_lib.Cell],
    show: Callable[[dict[str, Any]], str],
    published: Mapping[str, str],
    live: bool | None = None,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
  ):
    """Makes a board; nothing is drawn before it is entered.

    Args:
      cells: of the table, row by row.
      show: returns the text of a finished cell's result.
      published: text beside a row's mean.
      live: draw a table; None: if the stream is a terminal.
      stream: to draw on; None: standard error.
      clock: returns seconds.
    """
    self.cells, self.show = list(cells), show
    self.published, self.clock = published, clock
    self.note = ""
    """What the user should know beside the cells, such as "stopping"."""
    stream = stream or sys.stderr or io.StringIO()
    self._console = rich.console.Console(
      file=stream, force_terminal=stream.isatty() or bool(live)
    )
    terminal = stream.isatty() and not self._console.is_dumb_terminal
    self._live = None
    if terminal if live is None else live:
      self._live = rich.live.Live(
        console=self._console, auto_refresh=False, vertical_overflow="visible"
      )
    self._statuses: dict[cells_lib.Cell, dict[str, Any]] = {}
    self._logged_note = ""
    self._start = self._last_summary = clock()
    # Share of each cell that was done before this process looked.
    self._initial_shares: dict[cells_lib.Cell, float] = {}
    self._exit = contextlib.ExitStack()

  def __enter__(self) -> "ProgressBoard":
    if self._live:
      self._live.start()
      # So that messages of other modules do not tear the table.
      self._exit.enter_context(log_lib.above(self.write_line))
    return self

  def __exit__(self, *_: object) -> None:
    self._close()

  def _close(self) -> None:
    """Ends the display; from here on there are lines of the log."""
    self._exit.close()
    live, self._live = self._live, None
    if live:
      with contextlib.suppress(OSError):
        live.stop()

  def update(self, statuses: Statuses) -> None:
    """Shows the present status of every cell."""
    before, self._statuses = self._statuses, dict(statuses)
    for cell, status in statuses.items():
      self._initial_shares.setdefault(cell, _share(status))
    if self._live:
      try:
        self._live.update(self.draw(), refresh=True)
      except OSError:  # the terminal is gone; the cells go on
        self._close()
      return
    if before:
      self._log_endings(before)
    if self.note != self._logged_note:
      self._logged_note = self.note
      log.info(self.note)
    if self.clock() - self._last_summary >= SUMMARY_SECONDS:
      self._last_summary = self.clock()
      log.info(self.summary())

  def _log_endings(self, before: Statuses) -> None:
    """Logs a line for each cell that has ended since the last update."""
    for cell, status in self._statuses.items():
      if _ended(status) and not _ended(before[cell]):
        log.info(f"{cell.name}: {self.show(status)}  ({self.summary()})")
        self._last_summary = self.clock()

  def write_line(self, text: str, style: str | None = None) -> None:
    """Writes a line above the table; style: `warning`, `error` or none."""
    line = rich.text.Text(text, style=STYLES.get(style or "", ""))
    self._console.print(line, soft_wrap=True)

  def remaining_seconds(self) -> float | None:
    """Returns the time to the end, by the pace since this process looked.

    Returns:
      None while too little has been done to tell.
    """
    shares = {cell: _share(s) for cell, s in self._statuses.items()}
    done = sum(
      max(0.0, share - self._initial_shares[cell])
      for cell, share in shares.items()
    )
    if done < 0.02:
      return None
    rest = sum(1.0 - share for share in shares.values())
    return rest * (self.clock() - self._start) / done

  def summary(self) -> str:
    """Returns the counts of cells by state, and the time that is left."""

    def count(*names: str) -> int:
      return sum(s["status"] in names for s in self._statuses.values())

    text = f"{count('done')} of {len(self.cells)} cells done"
    if failures := count("failed", "diverged"):
      text += f", {failures} failed"
    if running := count("running"):
      text += f", {running} running"
    seconds = self.remaining_seconds()
    if seconds is not None and count(*cells_lib.TERMINAL) < len(self.cells):
      text += f", about {progress.duration(seconds)} left"
    return text

  def draw(self) -> rich.table.Table:
    """Returns the table: a row each, its seeds, mean and published number."""
    caption = "\n".join(filter(None, [self.summary(), self.note]))
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, caption=caption)
    table.add_column("row", overflow="fold")
    seeds = sorted({cell.seed for cell in self.cells})
    for name in (*(f"seed {seed}" for seed in seeds), "mean", "published"):
      table.add_column(name, justify="right", no_wrap=True)
    for row in dict.fromkeys(cell.row for cell in self.cells):
      by_seed = {
        cell.seed: self._statuses[cell]
        for cell in self.cells
        if cell.row == row and cell in self._statuses
      }
      texts = [
        self._text(by_seed[seed]) if seed in by_seed else "" for seed in seeds
      ]
      values = [s["value"] for s in by_seed.values() if s["status"] == "done"]
      mean = f"{sum(values) / len(values):.2f}" if values else ""
      table.add_row(row, *texts, mean, self.published.get(row, ""))
    return table

  def _text(self, status: dict[str, Any]) -> rich.text.Text:
    """Returns what stands in a cell of the table."""
    state = status["status"]
    if state == "done":
      return rich.text.Text(self.show(status), style="bold green")
    if state in ("failed", "diverged"):
      return rich.text.Text(state, style="bold red")
    if state == "stale":
      return rich.text.Text("stale", style="yellow")
    share = status.get("progress", 0.0)
    if state == "running":
      return rich.text.Text(f"{100 * share:.0f} %", style="cyan")
    text = f"{100 * share:.0f} % so far" if share else "waiting"
    return rich.text.Text(text, style="dim")


def _ended(status: dict[str, Any]) -> bool:
  return status["status"] in cells_lib.TERMINAL


def _share(status: dict[str, Any]) -> float:
  """Returns how much of a cell's work is done, in [0, 1]."""
  if _ended(status):
    return 1.0
  return TRAINING_SHARE * status.get("progress", 0.0)
