"""Makes a table: plans its cells, runs them in processes, writes the report.

`run_ablation` is the public function; the command `ablate` parses its flags
into a `Request` and calls `execute`. Both do the same.
"""

import dataclasses
import logging
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from seq2seq_jax import types
from seq2seq_jax.ablation import (
  announce,
  board,
  build,
  cells,
  field_checks,
  folder,
  plan,
  published,
  scheduler,
  schema,
  spec,
  suite_files,
)
from seq2seq_jax.ablation import suite as suite_lib
from seq2seq_jax.ablation.report import writer
from seq2seq_jax.config import extensions
from seq2seq_jax.inference import evaluator
from seq2seq_jax.runtime import cores as cores_lib

log = logging.getLogger(__name__)

MOST = {"seeds": 1000, "jobs": 4096, "cpu_devices": 1024}
"""The largest values of a request."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
  """A table and how to make it: the arguments of `run_ablation`."""

  suite: suite_lib.Ablation | str | os.PathLike[str]
  workdir: str | os.PathLike[str]
  seeds: int | None = None
  scale: str | None = None
  rows: tuple[str, ...] = ()
  overrides: suite_lib.Overrides = ()
  jobs: int | None = None
  together: bool | None = None
  retry: bool = False
  table_only: bool = False
  omit_sentences: bool = False
  cpu_devices: int | None = None
  live: bool | None = False
  """Draw the board of cells; None: if standard error is a terminal."""
  command: str = ""
  """How the table says it was made."""

  def __post_init__(self) -> None:
    """Refuses values that cannot be.

    Raises:
      types.UserError: names the argument.
    """
    try:
      for name, most in MOST.items():
        if (value := getattr(self, name)) is not None:
          field_checks.whole(name, value, 1, most)
      field_checks.items("rows", self.rows, str)
      suite_lib.command_line(self.overrides)
      if self.scale is not None:
        field_checks.line("scale", self.scale)
      if not isinstance(self.workdir, str | os.PathLike):
        raise ValueError(
          f"workdir: must be a path, but is {field_checks.shown(self.workdir)}"
        )
    except ValueError as e:
      raise types.UserError(str(e)) from e


@dataclasses.dataclass(frozen=True)
class Outcome:
  """A table that was written."""

  table: schema.Table
  """Its data."""
  paths: tuple[pathlib.Path, ...]
  """The files of the report."""
  stopped: int | None = None
  """The signal that stopped the cells, or None."""

  @property
  def exit_code(self) -> int:
    """Returns 0 if every cell is done, 1 if not, 128 + signal if stopped."""
    if self.stopped is not None:
      return 128 + self.stopped
    counts = self.table.counts
    return 0 if counts.done == counts.cells else 1


def run_ablation(
  suite: suite_lib.Ablation | str | os.PathLike[str],
  workdir: str | os.PathLike[str],
  seeds: int | None = None,
  scale: str | None = None,
  rows: Iterable[str] | None = None,
  *,
  overrides: suite_lib.Overrides = (),
  jobs: int | None = None,
  together: bool | None = None,
  retry: bool = False,
  table_only: bool = False,
  omit_sentences: bool = False,
  cpu_devices: int | None = None,
  progress: bool = False,
) -> schema.Table:
  """Makes an ablation table, or goes on with one; returns its data.

  Trains and scores every row with every seed, each cell in a process of its
  own, and writes table.md, .tex, .csv, .json and report.html into `workdir`.
  Finished cells are not done again. Failed cells do not raise: the table names
  them.

  Args:
    suite: the table, or the file whose `get_ablation()` defines it.
    workdir: folder of this table alone.
    seeds: number of seeds of each row; None: 3.
    scale: one of the suite's scales; None: the suite's own choice.
    rows: names of the rows to make; None: all.
    overrides: fields of the config that hold for all rows, as words, one
      string, or a dict of dotted names.
    jobs: number of processes at a time; None: one a CPU core, or one on an
      accelerator.
    together: train all seeds of a row in one program; None: not on a CPU.
    retry: do failed and diverged cells again.
    table_only: write the table of what there is; train nothing.
    omit_sentences: leave the text of the data out of the report.
    cpu_devices: number of devices to simulate on the CPU.
    progress: draw the cells while they are done, in a terminal or a notebook.

  Raises:
    types.UserError: the suite or a config is not valid, or the workdir holds
      something else.
    KeyboardInterrupt: Ctrl-C; the runs were saved and the table written.
  """
  outcome = execute(
    Request(
      suite=suite,
      workdir=workdir,
      seeds=seeds,
      scale=scale,
      rows=() if rows is None else _names(rows),
      overrides=overrides,
      jobs=jobs,
      together=together,
      retry=retry,
      table_only=table_only,
      omit_sentences=omit_sentences,
      cpu_devices=cpu_devices,
      live=progress,
      command=f"seq2seq_jax.run_ablation(..., {str(workdir)!r})",
    )
  )
  if outcome.stopped == signal.SIGINT:
    raise KeyboardInterrupt
  if outcome.stopped is not None:
    sys.exit(outcome.exit_code)
  return outcome.table


def _names(rows: Iterable[str]) -> tuple[str, ...]:
  """Returns names of rows; a single text is one of them."""
  return (rows,) if isinstance(rows, str) else tuple(rows)


def execute(request: Request) -> Outcome:
  """Runs the cells that a table lacks, and writes the table."""
  types.check_local("workdir", request.workdir)
  ablation = _resolve(request)
  device = _device_kind(request)
  together = request.together
  if together is None:
    together = device != "cpu"
  table_plan = plan.Plan(
    ablation,
    request.workdir,
    request.seeds or 3,
    request.overrides,
    together,
  )
  numbers = {row.name: _published(row) for row in ablation.rows}
  curves = [_curve(name) for name in ablation.curves]
  folder.claim(
    table_plan.workdir, _owner(request, table_plan), table_plan.cells
  )
  stopped = None
  try:
    if request.retry:
      _archive_failed(table_plan)
    announce.log_plan(table_plan)
    if not request.table_only:
      stopped = _run_cells(table_plan, request, device, numbers)
    table = _build(table_plan, request, numbers, curves)
    paths = writer.write(table, table_plan.workdir)
  except OSError as e:
    # Files are renamed into place: the second name is the final one.
    path = e.filename2 or e.filename or request.workdir
    raise types.UserError(
      f"{path}: cannot write: {e.strerror}; finished cells are kept, and the "
      "same command goes on"
    ) from e
  outcome = Outcome(table, tuple(paths), stopped)
  announce.log_end(table, stopped, table_plan.cells)
  return outcome


def _owner(request: Request, table_plan: plan.Plan) -> folder.Owner:
  given = isinstance(request.suite, suite_lib.Ablation)
  ablation = table_plan.ablation
  return folder.Owner(
    title=ablation.title,
    scale=ablation.scale,
    seeds=table_plan.seeds,
    file=None if given else pathlib.Path(os.fspath(request.suite)).name,  # type: ignore[arg-type]
  )


def _resolve(request: Request) -> suite_lib.Ablation:
  """Returns the suite at the scale, with the rows, that are asked for."""
  if isinstance(request.suite, suite_lib.Ablation):
    ablation, name = request.suite, request.suite.title
    suite_files.check_metrics(ablation, name)
  else:
    name = os.fspath(request.suite)
    ablation = suite_files.load(name)
  try:
    ablation = ablation.at(request.scale or ablation.scale)
    if request.rows:
      ablation = ablation.with_rows(request.rows)
  except ValueError as e:
    raise types.UserError(f"{name}: {e}") from e
  metric = evaluator.find_metric(ablation.metric)
  for row in ablation.rows:
    if row.ensemble > 1 and not metric.of_ensembles:
      raise types.UserError(
        f"{name}: row {row.name!r} is an ensemble, which has no "
        f"{metric.name}; choose another metric for the table"
      )
  return ablation


def _device_kind(request: Request) -> str:
  """Returns JAX's default backend, if the answer decides anything.

  It is asked in another process, since a process that has opened an accelerator
  keeps its memory from those of the cells.
  """
  if request.together is not None and request.jobs:
    return "cpu"
  if request.cpu_devices or os.environ.get("JAX_PLATFORMS") == "cpu":
    return "cpu"
  process = subprocess.run(
    [sys.executable, "-c", "import jax; print(jax.default_backend())"],
    capture_output=True,
    text=True,
  )
  lines = process.stdout.split()
  return lines[-1] if lines else "cpu"


def _archive_failed(table_plan: plan.Plan) -> None:
  for cell in table_plan.cells:
    if cell.status()["status"] in ("failed", "diverged"):
      cells.archive(cell.folder / "result.json")


def _published(row: suite_lib.Row) -> published.Number | None:
  if not row.published:
    return None
  try:
    return published.load(row.published)
  except ValueError as e:
    raise types.UserError(f"row {row.name!r}: {e}") from e


def _curve(name: str) -> published.Curve:
  try:
    return published.curve(name)
  except ValueError as e:
    raise types.UserError(f"curves: {e}") from e


def _run_cells(
  table_plan: plan.Plan,
  request: Request,
  device: str,
  numbers: dict[str, published.Number | None],
) -> int | None:
  """Runs the cells until all have a result; returns a signal that came."""
  cores = cores_lib.available() if device == "cpu" else []

  def launch(job: scheduler.Job) -> "subprocess.Popen[bytes]":
    first = job.cells[0]
    spec.write(
      spec.Spec(
        cells=job.cells,
        metric=table_plan.metric,
        metrics=table_plan.metrics,
        checkpoint=table_plan.ablation.checkpoint,
        cores=job.cores,
        cpu_devices=request.cpu_devices,
        restart=request.retry,
      ),
      first.spec,
    )
    return scheduler.start_worker(first.spec, first.log)

  return scheduler.Scheduler(
    [scheduler.Job(group) for group in table_plan.jobs()],
    launch,
    cores,
    request.jobs or len(cores) or 1,
    board.ProgressBoard(
      table_plan.cells,
      _result_text,
      {row: _number_text(n) for row, n in numbers.items() if n},
      live=request.live,
    ),
  ).run()


def _result_text(status: dict[str, Any]) -> str:
  """Returns a finished cell's result, as the board shows it."""
  if status["status"] != "done":
    return f"{status['status']}: {status['message']}"
  return f"{status['value']:.2f}"


def _number_text(number: published.Number) -> str:
  """Returns a published number, as the board shows it; (?) if recalled."""
  recalled = " (?)" if number.unconfirmed else ""
  return f"{number.hedge}{number.value:g}{recalled}"


def _build(
  table_plan: plan.Plan,
  request: Request,
  numbers: dict[str, published.Number | None],
  curves: list[published.Curve],
) -> schema.Table:
  ablation = table_plan.ablation
  metric = evaluator.find_metric(table_plan.metric)
  if lacking := announce.lacking(table_plan):
    log.warning(lacking)
    note = " ".join(filter(None, [ablation.note, lacking]))
    ablation = dataclasses.replace(ablation, note=note)
  return build.build(
    ablation,
    table_plan.cells,
    score=metric.of_sums,
    published_numbers=numbers,
    published_curves=curves,
    lower_is_better=metric.lower_is_better,
    bounds=metric.bounds,
    configs={
      row: dataclasses.asdict(extensions.portable(conf))
      for row, conf in table_plan.configs.items()
    },
    command=request.command,
    sentences=not request.omit_sentences,
  )
