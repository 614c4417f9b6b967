"""`python -m seq2seq_jax.ablate`: a paper's ablation table, made again.

Trains every row and seed of a file of `configs/ablations/`, scores them, and
writes table.md, .tex, .csv, .json and report.html into the workdir. The same
command goes on where it was stopped; finished cells are not done again.
"""

import argparse
import dataclasses
import json
import logging
import os
import pathlib
import shlex
import signal
import subprocess
import sys

from seq2seq_jax import cli, metrics, types
from seq2seq_jax.ablation import (
  build,
  cells,
  published,
  scheduler,
  schema,
  suite,
  worker,
)
from seq2seq_jax.ablation import plan as ablation_plan
from seq2seq_jax.ablation.report import files as report_files
from seq2seq_jax.runtime import cores, files

log = logging.getLogger(__name__)


def launch(
  args, rest, plan: ablation_plan.Plan, job: scheduler.Job
) -> subprocess.Popen:
  """Starts a process for a job, its output in the cell's log."""
  first = job.cells[0]
  first.folder.parent.mkdir(parents=True, exist_ok=True)
  log = first.folder.parent / f"{first.folder.name}.log"
  names = [f"{suite.folder(c.row)}/{c.seed}" for c in job.cells]
  command = [sys.executable, "-m", "seq2seq_jax.ablate", args.config]
  command += ["--workdir", args.workdir, "--seeds", str(args.seeds)]
  command += ["--scale", args.scale, "--work", ",".join(names)]
  command += ["--together", "yes" if plan.together else "no"]
  if args.cpu_devices:
    command += ["--cpu-devices", str(args.cpu_devices)]
  if job.cores:
    command += ["--cores", ",".join(map(str, job.cores))]
  with log.open("ab") as out:
    return subprocess.Popen(
      [*command, *rest],
      stdin=subprocess.DEVNULL,
      stdout=out,
      stderr=subprocess.STDOUT,
      start_new_session=True,  # Ctrl-C comes to this process, which tells all
    )


def _backend() -> str:
  """Kind of devices, asked in another process: this one must hold none."""
  done = subprocess.run(
    [sys.executable, "-c", "import jax; print(jax.default_backend())"],
    capture_output=True,
    text=True,
  )
  return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "cpu"


def run(args, rest) -> int:
  """Fills the table in and writes it; 1 where cells are missing."""
  ablation = _asked(args)
  kind = _backend() if args.together == "auto" or not args.jobs else "cpu"
  together = args.together == "yes" or (
    args.together == "auto" and kind != "cpu"
  )
  plan = ablation_plan.Plan(ablation, args.workdir, args.seeds, rest, together)
  workdir = _open(plan, args)
  own_cores = cores.available()
  slots = args.jobs or (len(own_cores) if kind == "cpu" else 1)
  jobs = plan.jobs()
  if args.retry:
    _retry(plan)
  numbers = {r.name: _published(r) for r in ablation.rows}
  board = scheduler.Board(
    plan.cells,
    _shown,
    {k: _beside(v) for k, v in numbers.items() if v},
  )
  _tell(plan)
  stopped = None
  if not args.table_only:
    stopped = scheduler.Runner(
      jobs,
      lambda job: launch(args, rest, plan, job),
      own_cores if kind == "cpu" else (),
      slots,
      board,
    ).run()
  table = build.build(
    ablation,
    plan.cells,
    score=metrics.METRICS[ablation.metric].of_sums,
    published_numbers=numbers,
    published_curves=[published.curve(c) for c in ablation.curves],
    lower_is_better=metrics.METRICS[ablation.metric].lower_is_better,
    configs={k: dataclasses.asdict(v) for k, v in plan.configs.items()},
    command=args.command,
    sentences=not args.omit_sentences,
  )
  for path in report_files.write(table, workdir):
    print(path)
  return _end(table.counts, stopped)


def _asked(args) -> suite.Ablation:
  ablation = ablation_plan.load(args.config)
  args.scale = args.scale or ablation.scale
  try:
    return ablation.at(args.scale)
  except ValueError as e:
    raise types.UserError(f"{args.config}: {e}") from e


def _open(plan: ablation_plan.Plan, args) -> pathlib.Path:
  """The workdir; one of another table is refused."""
  workdir = plan.workdir
  try:
    workdir.mkdir(parents=True, exist_ok=True)
  except OSError as e:
    raise types.UserError(f"{workdir}: cannot write: {e.strerror}") from e
  path = workdir / "ablation.json"
  told = {"title": plan.ablation.title, "scale": plan.ablation.scale}
  if path.is_file():
    old = _read(path)
    if {k: old.get(k) for k in told} != told:
      raise types.UserError(
        f"{workdir} holds the table {old.get('title')!r} at scale "
        f"{old.get('scale')!r}; choose another workdir"
      )
  elif (workdir / "config.json").exists():
    raise types.UserError(f"{workdir} holds a single run; choose another one")
  try:
    files.write_json(path, told | {"seeds": args.seeds})
  except OSError as e:
    raise types.UserError(f"{path}: cannot write: {e.strerror}") from e
  return workdir


def _read(path: pathlib.Path) -> dict:
  try:
    return dict(json.loads(path.read_text()))
  except (ValueError, TypeError) as e:
    raise types.UserError(
      f"{path}: not readable ({e}); remove it if this is the table's workdir"
    ) from e


def _retry(plan: ablation_plan.Plan):
  for cell in plan.cells:
    if cell.status()["status"] in ("failed", "diverged"):
      cells.retire(cell.folder / "result.json")


def _tell(plan: ablation_plan.Plan):
  """What is there already, and what will be done again and why."""
  statuses = {c: c.status() for c in plan.cells}
  count = lambda kind: sum(s["status"] == kind for s in statuses.values())
  log.info(
    f"{plan.ablation.title}: {len(plan.configs)} rows x {plan.seeds} seeds at "
    f"scale {plan.ablation.scale}; {count('done')} of {len(plan.cells)} cells "
    "are done"
  )
  for cell, status in statuses.items():
    if status["status"] == "stale":
      changed = "; ".join(status["changed"])
      log.info(f"{cell.name} is stale and will be made again: {changed}")
  if plan.seeds == 1:
    log.info("one seed says nothing of seeds: no difference will be tested")


def _published(row: suite.Row) -> dict | None:
  if not row.published:
    return None
  try:
    return published.load(row.published)
  except ValueError as e:
    raise types.UserError(f"row {row.name!r}: {e}") from e


def _beside(number: dict) -> str:
  recalled = " (?)" if number.get("tag") == "M" else ""
  return f"{published.hedge(number)}{number['value']:g}{recalled}"


def _shown(found: dict) -> str:
  if found["status"] != "done":
    return f"{found['status']}: {found['message']}"
  return f"{found['value']:.2f}"


def _end(counts: schema.Counts, stopped: int | None) -> int:
  if stopped is not None:
    log.warning("stopped; give the same command again to go on")
    return 128 + stopped
  if counts.failed:
    log.warning(
      f"{counts.failed} cells failed: see the table; --retry does them again"
    )
  if counts.waiting or counts.running:
    log.warning(
      f"{counts.waiting + counts.running} cells are not done; give the same "
      "command again to go on"
    )
  return 0 if counts.done == counts.cells else 1


def parser() -> argparse.ArgumentParser:
  p = argparse.ArgumentParser(
    prog="python -m seq2seq_jax.ablate",
    allow_abbrev=False,
    description=__doc__.split("\n\n", 1)[1],
    epilog="Fields of the config, by their dotted names, hold for all rows.",
  )
  p.add_argument("config", metavar="CONFIG")
  p.add_argument("--workdir", required=True, metavar="DIR")
  p.add_argument("--seeds", type=cli.positive, default=3, metavar="N")
  p.add_argument("--scale", metavar="NAME", help="smoke, cpu, gpu or pod")
  p.add_argument(
    "--jobs",
    type=cli.positive,
    metavar="N",
    help="processes at a time (default: one a CPU core, or one)",
  )
  p.add_argument(
    "--together",
    choices=("auto", "yes", "no"),
    default="auto",
    help="all seeds of a row in one program (auto: not on a CPU)",
  )
  p.add_argument("--retry", action="store_true", help="do failed cells again")
  p.add_argument(
    "--table-only", action="store_true", help="write the table, train nothing"
  )
  p.add_argument(
    "--omit-sentences",
    action="store_true",
    help="no text of the data in the report",
  )
  p.add_argument("--work", help=argparse.SUPPRESS)
  p.add_argument("--cores", help=argparse.SUPPRESS)
  cli.add_device_flags(p)
  return p


def main(argv=None) -> int:
  args, rest = parser().parse_known_args(argv)
  words = sys.argv[1:] if argv is None else argv
  args.command = "python -m seq2seq_jax.ablate " + shlex.join(words)
  if not args.work:
    return run(args, rest)
  if args.cores and hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, [int(c) for c in args.cores.split(",")])
  together = args.together == "yes"
  plan = ablation_plan.Plan(
    _asked(args), args.workdir, args.seeds, rest, together
  )
  names = args.work.split(",")
  chosen = [c for c in plan.cells if f"{suite.folder(c.row)}/{c.seed}" in names]
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  return worker.work(scheduler.Job(chosen), plan)


if __name__ == "__main__":
  cli.run(main)
