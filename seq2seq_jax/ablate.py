"""`python -m seq2seq_jax.ablate`: a paper's ablation table, made again.

Trains every row and seed of a file of `configs/ablations/`, scores them, and
writes table.md, .tex, .csv, .json and report.html into the workdir. The same
command goes on where it was stopped; finished cells are not done again.
"""

import argparse
import dataclasses
import datetime
import functools
import hashlib
import importlib.util
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import traceback

import numpy as np

from seq2seq_jax import cli, config, decode, evaluate, train, types
from seq2seq_jax.ablation import (
  cells,
  grid,
  locks,
  published,
  report,
  results,
  runner,
  table,
)
from seq2seq_jax.analysis import plots
from seq2seq_jax.data import pipeline
from seq2seq_jax.training import checkpoint, parallel

# What changes the course of a run on a machine, but not what it computes.
MACHINE = (
  "data.root",
  "data.workers",
  "train.mapper",
  "train.log_every",
  "train.checkpoint_every",
  "train.checkpoint_minutes",
  "decode.rows",
  "decode.pool",
  "decode.quantum",
)


def load(path: str) -> grid.Ablation:
  """The table that a file's `get_ablation` returns."""
  file = pathlib.Path(path)
  if not file.is_file():
    there = sorted(map(str, pathlib.Path("configs/ablations").glob("*.py")))
    raise types.UserError(
      f"{path}: no such file; there are {', '.join(there) or 'none'}"
    )
  spec = importlib.util.spec_from_file_location("seq2seq_jax_ablation", file)
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
    if not hasattr(module, "get_ablation"):
      raise types.UserError(f"{path}: must define get_ablation()")
    ablation = module.get_ablation()
  except ValueError as e:
    raise types.UserError(f"{path}: {e}") from e
  below = file.parent.parent / ablation.base
  if below.is_file():  # configs/ablations/x.py names configs/base.py
    ablation = dataclasses.replace(ablation, base=str(below))
  return ablation


class Plan:
  """A table's cells, each with its config, in a workdir."""

  def __init__(self, ablation, workdir, seeds: int, extra=(), together=False):
    self.ablation, self.workdir = ablation, pathlib.Path(workdir)
    self.seeds, self.together = seeds, together
    base = config.load(ablation.base)
    scale = ablation.scales.get(ablation.scale, ())
    self.configs, self._trainings = {}, {}
    self.cells = []
    for row in ablation.rows:
      words = [*scale, *row.overrides, *extra]
      conf = cli.overrides(base, words, f"row {row.name!r}")
      names = [ablation.metric, *ablation.metrics, *conf.train.metrics]
      self.configs[row.name] = conf
      self.cells += [
        self._cell(row, conf, seed, tuple(dict.fromkeys(names)))
        for seed in range(seeds)
      ]

  def _cell(self, row, conf, seed, names) -> cells.Cell:
    folder = self.workdir / "cells" / grid.folder(row.name) / f"seed_{seed}"
    first = seed * row.ensemble
    members = tuple(
      self._training(row, conf, first + i, row.ensemble)
      for i in range(row.ensemble)
    )
    identity = _identity(conf) | {
      "metrics": list(names),
      "checkpoint": self.ablation.checkpoint,
      "seeds": [first + i for i in range(row.ensemble)],
    }
    if row.ensemble > 1:
      identity["ensemble"] = row.ensemble
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode())
    lock = self.workdir / "locks" / f"cell-{grid.folder(row.name)}-{seed}"
    return cells.Cell(
      row.name, seed, folder, lock, key.hexdigest(), identity, members
    )

  def _training(self, row, conf, seed: int, ensemble: int) -> cells.Training:
    """The run of a config and seed; rows of one config share it."""
    fixed = {k: v for k, v in _identity(conf).items() if k[:7] != "decode."}
    # The members of an ensemble are runs of their own, never lanes of one.
    fixed["lanes"] = self.together and ensemble == 1
    key = json.dumps(fixed, sort_keys=True)
    # The folder is named by the first row that needs it.
    owner = self._trainings.setdefault(key, (grid.folder(row.name), {}))
    folder, known = owner
    if seed not in known:
      known[seed] = self._run_of(folder, conf, seed, ensemble)
    return known[seed]

  def _run_of(self, folder: str, conf, seed: int, ensemble: int):
    seeds, name = (seed,), f"seed_{seed}"
    if self.together and self.seeds > 1 and ensemble == 1:
      many = dataclasses.replace(conf.train, seeds=self.seeds)
      try:
        conf = dataclasses.replace(conf, train=many)
        seeds = tuple(range(self.seeds))
        name = f"seeds_0-{self.seeds - 1}"
      except types.UserError:
        pass  # this row's model cannot
    start = conf.train.seed + seeds[0]
    conf = dataclasses.replace(
      conf, train=dataclasses.replace(conf.train, seed=start)
    )
    return cells.Training(
      self.workdir / "cells" / folder / name,
      self.workdir / "locks" / f"training-{folder}-{name}",
      seeds,
      conf,
      conf.train.steps,
    )

  def jobs(self) -> list[runner.Job]:
    """Cells in the order in which they are done: seed by seed, row by row."""
    groups: dict = {}
    for cell in sorted(self.cells, key=lambda c: c.seed):
      whole = len(cell.members) == 1 and len(cell.members[0].seeds) > 1
      key = (cell.row,) if whole else (cell.row, cell.seed)
      groups.setdefault(key, []).append(cell)
    return [runner.Job(group) for group in groups.values()]


def _identity(conf: config.Config) -> dict:
  """Everything of a config that decides its result, where it is not default.

  So a field that a later version adds does not make old results stale.
  """
  plain = config.Config()
  default = {name: value for name, value, _ in config.leaves(plain)}
  out = {
    name: list(value) if isinstance(value, tuple) else value
    for name, value, _ in config.leaves(conf)
    if value != default[name] and name not in MACHINE
  }
  return out | {"data checksums": _checksums(conf.data)}


@functools.lru_cache(maxsize=64)
def _checksums(data: config.Data) -> dict:
  return pipeline.Corpus(data).checksums()


# In a process of its own: the work on one job.


def work(job: runner.Job, plan: Plan) -> int:
  """Trains and scores a job's cells; an exit code."""
  held = []
  try:
    wanted = [c.lock for c in job.cells]
    wanted += sorted({m.lock for c in job.cells for m in c.members})
    for path in wanted:
      lock = locks.claim(path, lost=_lost)
      if lock is None:
        return runner.BUSY
      held.append(lock)
    for cell in job.cells:
      if cell.status()["status"] in cells.FINAL:
        continue
      _leave(cell, _outcome(cell, plan))
    return 0
  finally:
    for lock in held:
      lock.release()


def _lost(path: pathlib.Path):
  print(f"{path}: another process has taken this lock; stopping", flush=True)
  os._exit(runner.BUSY)


def _outcome(cell: cells.Cell, plan: Plan) -> dict:
  """The cell's result, whatever happens."""
  seconds = time.monotonic()
  try:
    epochs = [_train(training) for training in cell.members]
    found = _score(cell, plan, epochs)
  except types.Diverged as e:
    found = {"status": "diverged", "message": str(e)}
  except types.UserError as e:
    found = {"status": "failed", "message": str(e)}
  except Exception as e:
    traceback.print_exc()
    found = {"status": "failed", "message": f"{type(e).__name__}: {e}"}
  return found | {"work_seconds": time.monotonic() - seconds}


def _train(training: cells.Training) -> int:
  """Trains or goes on; the number of batches in an epoch.

  A run of another config or data is moved aside.
  """
  folder = training.folder
  path = folder / "config.json"
  if path.is_file():
    old = config.from_json(path.read_text(), str(path))
    changed = config.differences(old, training.config)
    record = folder / "run.json"
    if not changed and record.is_file():
      sums = json.loads(record.read_text()).get("data", {})
      now = _checksums(training.config.data)
      changed = [k for k in now if sums.get(k, now[k]) != now[k]]
    if changed:
      aside = cells.retire(folder)
      print(f"{folder} was another run's; it is {aside} now", flush=True)
  run = train.train(training.config, folder, live=False)
  lanes = [h["diverged"] for h in run.histories]
  if all(lanes):
    raise types.Diverged(f"diverged at step {lanes[0]}")
  return len(run.train_data.plan)


def _score(cell: cells.Cell, plan: Plan, epochs: list[int]) -> dict:
  """Scores a cell on the test part, and keeps what tests and pages need.

  Args:
    cell: whose members are trained.
    plan: the table's.
    epochs: batches in an epoch of each member.
  """
  mapper = parallel.Mapper("pmap", local=True)
  say = lambda text: print(text, flush=True)
  lane = None
  first = cell.members[0]
  if len(first.seeds) > 1:
    lane = first.seeds.index(cell.seed)
  folders = [m.folder for m in cell.members]
  members = decode.load_all(
    folders, plan.ablation.checkpoint, mapper, say, lane
  )
  wanted = plan.configs[cell.row]
  conf = dataclasses.replace(members[0].config, decode=wanted.decode)
  corpus = pipeline.Corpus(wanted.data)
  split = corpus.test if corpus.test is not None else corpus.valid
  if split is None:
    raise types.UserError("the config names neither a test nor a valid split")
  names = cell.identity["metrics"]
  metric = plan.ablation.metric
  found = evaluate.detail(members, conf, split, names, metric, mapper)
  cell.folder.mkdir(parents=True, exist_ok=True)
  with (cell.folder / "sentences.npz").open("wb") as f:
    np.savez_compressed(f, rows=found.sentences.rows)
  checkpoint.write_json(cell.folder / "outputs.json", json.dumps(found.outputs))
  checkpoint.write_json(
    cell.folder / "attention.json", json.dumps(found.attention)
  )
  scores = {k: v for k, v in found.scores.items() if isinstance(v, float)}
  return {
    "status": "done",
    "value": scores[metric],
    "metrics": scores,
    "signature": found.scores.get("signature", {}).get(metric),
    "sentences": len(found.sentences.rows),
    "test": split.checksum(),
    "parameters": found.parameters,
    "best_step": members[0].step,
    "courses": [
      results.course(m.folder, epoch, lane)
      for m, epoch in zip(cell.members, epochs)
    ],
  }


def _leave(cell: cells.Cell, found: dict):
  """Puts a result in place, and an old one of another key aside."""
  cell.folder.mkdir(parents=True, exist_ok=True)
  path = cell.folder / "result.json"
  if path.exists():
    cells.retire(path)
  record = pathlib.Path(cell.members[0].folder) / "run.json"
  made = json.loads(record.read_text()) if record.is_file() else {}
  found = {
    "format_version": 1,
    "key": cell.key,
    "identity": cell.identity,
    "row": cell.row,
    "seed": cell.seed,
    "host": socket.gethostname(),
    "date": datetime.date.today().isoformat(),
    "made": {k: made.get(k) for k in ("machine", "versions", "git_commit")},
    **found,
  }
  checkpoint.write_json(path, json.dumps(found, indent=1))
  if found["status"] != "done":
    print(f"{cell.name} {found['status']}: {found['message']}", flush=True)


# In the process that a person started.


def launch(args, rest, plan: Plan, job: runner.Job) -> subprocess.Popen:
  """Starts a process for a job, its output in the cell's log."""
  first = job.cells[0]
  first.folder.parent.mkdir(parents=True, exist_ok=True)
  log = first.folder.parent / f"{first.folder.name}.log"
  names = [f"{grid.folder(c.row)}/{c.seed}" for c in job.cells]
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
  plan = Plan(ablation, args.workdir, args.seeds, rest, together)
  workdir = _open(plan, args)
  cores = sorted(os.sched_getaffinity(0))
  slots = args.jobs or (len(cores) if kind == "cpu" else 1)
  jobs = plan.jobs()
  if args.retry:
    _retry(plan)
  numbers = {r.name: _published(r) for r in ablation.rows}
  board = runner.Board(
    plan.cells,
    _shown,
    {k: f"{v['value']:g}" for k, v in numbers.items() if v},
  )
  _tell(plan, board)
  stopped = None
  if not args.table_only:
    stopped = runner.Runner(
      jobs,
      lambda job: launch(args, rest, plan, job),
      cores if kind == "cpu" else (),
      slots,
      board,
    ).run()
  data = results.build(
    ablation,
    plan.cells,
    score=evaluate.score_of(ablation.metric),
    published=numbers,
    curves=[published.curve(c) for c in ablation.curves],
    falling=ablation.metric in config.LOWER_IS_BETTER,
    configs={k: dataclasses.asdict(v) for k, v in plan.configs.items()},
    command=args.command,
    sentences=not args.omit_sentences,
  )
  for path in _write(data, workdir):
    print(path)
  return _end(plan, data, stopped)


def _write(data: dict, workdir: pathlib.Path) -> list[pathlib.Path]:
  """Tables, figures and the page; figures need matplotlib."""
  paths, figures = table.write(data, workdir), {}
  try:
    drawn = plots.of_table(data)
  except types.UserError as e:
    print(f"no figures: {e}; then give --table-only", file=sys.stderr)
    drawn = {}
  for name, figure in drawn.items():
    some = figure if isinstance(figure, list) else [figure]
    figures[name] = [plots.svg(f, name) for f in some]
    for i, one in enumerate(some):
      stem = (
        workdir / "figures" / (name if one is figure else f"{name}_{i + 1}")
      )
      stem.parent.mkdir(exist_ok=True)
      plots.save(one, stem)
  page = workdir / "report.html"
  table.put(page, report.html(data, figures))
  return [*paths, page]


def _asked(args) -> grid.Ablation:
  ablation = load(args.config)
  args.scale = args.scale or ablation.scale
  try:
    return ablation.at(args.scale)
  except ValueError as e:
    raise types.UserError(f"{args.config}: {e}") from e


def _open(plan: Plan, args) -> pathlib.Path:
  """The workdir; one of another table is refused."""
  workdir = plan.workdir
  try:
    workdir.mkdir(parents=True, exist_ok=True)
  except OSError as e:
    raise types.UserError(f"{workdir}: cannot write: {e.strerror}") from e
  path = workdir / "ablation.json"
  told = {"title": plan.ablation.title, "scale": plan.ablation.scale}
  if path.is_file():
    old = json.loads(path.read_text())
    if {k: old.get(k) for k in told} != told:
      raise types.UserError(
        f"{workdir} holds the table {old.get('title')!r} at scale "
        f"{old.get('scale')!r}; choose another workdir"
      )
  elif (workdir / "checkpoints").exists():
    raise types.UserError(f"{workdir} holds a single run; choose another one")
  checkpoint.write_json(path, json.dumps(told | {"seeds": args.seeds}))
  return workdir


def _retry(plan: Plan):
  for cell in plan.cells:
    if cell.status()["status"] in ("failed", "diverged"):
      cells.retire(cell.folder / "result.json")


def _tell(plan: Plan, board: runner.Board):
  """What is there already, and what will be done again and why."""
  statuses = {c: c.status() for c in plan.cells}
  count = lambda kind: sum(s["status"] == kind for s in statuses.values())
  board.say(
    f"{plan.ablation.title}: {len(plan.configs)} rows x {plan.seeds} seeds at "
    f"scale {plan.ablation.scale}; {count('done')} of {len(plan.cells)} cells "
    "are done"
  )
  for cell, status in statuses.items():
    if status["status"] == "stale":
      changed = "; ".join(status["changed"])
      board.say(f"{cell.name} is stale and will be made again: {changed}")
  if plan.seeds == 1:
    board.say("one seed says nothing of seeds: no difference will be tested")


def _published(row: grid.Row) -> dict | None:
  if not row.published:
    return None
  try:
    return published.load(row.published)
  except ValueError as e:
    raise types.UserError(f"row {row.name!r}: {e}") from e


def _shown(found: dict) -> str:
  if found["status"] != "done":
    return f"{found['status']}: {found['message']}"
  return f"{found['value']:.2f}"


def _end(plan: Plan, data: dict, stopped) -> int:
  counts = data["counts"]
  if stopped is not None:
    print("stopped; give the same command again to go on", file=sys.stderr)
    return 128 + stopped
  if counts["failed"]:
    print(
      f"{counts['failed']} cells failed: see the table; --retry does them "
      "again",
      file=sys.stderr,
    )
  if counts["waiting"] or counts["running"]:
    print(
      f"{counts['waiting'] + counts['running']} cells are not done; give the "
      "same command again to go on",
      file=sys.stderr,
    )
  return 0 if counts["done"] == counts["cells"] else 1


def parser() -> argparse.ArgumentParser:
  p = argparse.ArgumentParser(
    prog="python -m seq2seq_jax.ablate",
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
  args.command = " ".join(["python -m seq2seq_jax.ablate", *words])
  if not args.work:
    return run(args, rest)
  if args.cores:
    os.sched_setaffinity(0, [int(c) for c in args.cores.split(",")])
  together = args.together == "yes"
  plan = Plan(_asked(args), args.workdir, args.seeds, rest, together)
  names = args.work.split(",")
  chosen = [c for c in plan.cells if f"{grid.folder(c.row)}/{c.seed}" in names]
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  return work(runner.Job(chosen), plan)


if __name__ == "__main__":
  cli.run(main)
