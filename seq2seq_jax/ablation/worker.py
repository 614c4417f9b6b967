"""The work on the cells of an ablation table, in a process of its own.

Trains what a cell needs, scores it, and leaves result.json in its folder.
"""

import dataclasses
import json
import logging
import os
import pathlib
import time
import traceback

import numpy as np

from seq2seq_jax import config, train, types
from seq2seq_jax.ablation import cells, learning_curve, scheduler
from seq2seq_jax.ablation import plan as ablation_plan
from seq2seq_jax.data import corpus as corpus_lib
from seq2seq_jax.inference import evaluator, loading
from seq2seq_jax.runtime import files, locks, parallel

log = logging.getLogger(__name__)


def work(job: scheduler.Job, plan: ablation_plan.Plan) -> int:
  """Trains and scores a job's cells; an exit code."""
  held = []
  try:
    wanted = [c.lock for c in job.cells]
    wanted += sorted({m.lock for c in job.cells for m in c.members})
    for path in wanted:
      lock = locks.claim(path, on_lost=_lost)
      if lock is None:
        return scheduler.BUSY
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
  log.error(f"{path}: another process has taken this lock; stopping")
  os._exit(scheduler.BUSY)


def _outcome(cell: cells.Cell, plan: ablation_plan.Plan) -> dict:
  """The cell's result, whatever happens."""
  seconds = time.monotonic()
  try:
    epochs = [_train(training, cell.seed) for training in cell.members]
    found = _score(cell, plan, epochs)
  except types.Diverged as e:
    found = {"status": "diverged", "message": str(e)}
  except types.UserError as e:
    found = {"status": "failed", "message": str(e)}
  except Exception as e:
    traceback.print_exc()
    found = {"status": "failed", "message": f"{type(e).__name__}: {e}"}
  return found | {"work_seconds": time.monotonic() - seconds}


def _train(training: cells.Training, seed: int) -> int:
  """Trains or goes on; the number of batches in an epoch.

  Of several seeds in one program, `seed` is the one that is asked for.
  A run of another config or data is moved aside. A finished one leaves a note,
  so that rows which share it need not build its model again.
  """
  folder, steps = training.folder, training.config.train.steps
  path = folder / "config.json"
  if path.is_file():
    old = config.from_json(path.read_text(), str(path))
    # Also what `train` would go on with, such as another number of steps: the
    # first ones would not be those of a whole run.
    changed = config.differences(old, training.config) or (
      ablation_plan.training(old) != ablation_plan.training(training.config)
    )
    record = folder / "run.json"
    if not changed and record.is_file():
      sums = json.loads(record.read_text()).get("data", {})
      now = ablation_plan.checksums(training.config.data)
      decide = [k for k in now if k != "test"]
      changed = [k for k in decide if sums.get(k, now[k]) != now[k]]
    if changed:
      aside = cells.retire(folder)
      log.warning(f"{folder} was another run's; it is {aside} now")
  note = folder / "finished.json"
  told = json.loads(note.read_text()) if note.is_file() else {}
  if told.get("steps") != steps or "diverged" not in told:
    run = train.train(training.config, folder, live=False)
    told = {
      "steps": steps,
      "batches_per_epoch": len(run.train_data.plan),
      "diverged": [h["diverged"] for h in run.histories],
    }
    files.write_json(note, told)
  replica = training.seeds.index(seed) if len(training.seeds) > 1 else 0
  if at := told["diverged"][replica]:
    raise types.Diverged(f"diverged at step {at}")
  return told["batches_per_epoch"]


def _score(
  cell: cells.Cell, plan: ablation_plan.Plan, epochs: list[int]
) -> dict:
  """Scores a cell on the test part, and keeps what tests and pages need.

  Args:
    cell: whose members are trained.
    plan: the table's.
    epochs: batches in an epoch of each member.
  """
  mapper = parallel.Mapper("pmap", local=True)
  replica = None
  first = cell.members[0]
  if len(first.seeds) > 1:
    replica = first.seeds.index(cell.seed)
  folders = [m.folder for m in cell.members]
  members = loading.load_all(folders, plan.ablation.checkpoint, mapper, replica)
  wanted = plan.configs[cell.row]
  conf = dataclasses.replace(members[0].config, decode=wanted.decode)
  corpus = corpus_lib.Corpus(wanted.data)
  split = corpus.test if corpus.test is not None else corpus.valid
  if split is None:
    raise types.UserError("the config names neither a test nor a valid split")
  names = cell.identity["metrics"]
  metric = plan.ablation.metric
  found = evaluator.detail(members, conf, split, names, metric, mapper)
  cell.folder.mkdir(parents=True, exist_ok=True)
  with (cell.folder / "sentences.npz").open("wb") as f:
    np.savez_compressed(f, rows=found.sentences.rows)
  files.replace(cell.folder / "outputs.json", json.dumps(found.outputs))
  files.replace(cell.folder / "attention.json", json.dumps(found.attention))
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
    "learning_curves": [
      dataclasses.asdict(learning_curve.read(m.folder, epoch, replica))
      for m, epoch in zip(cell.members, epochs)
    ],
  }


def _leave(cell: cells.Cell, found: dict):
  """Puts a result in place, with what its first member was made by."""
  record = pathlib.Path(cell.members[0].folder) / "run.json"
  made = json.loads(record.read_text()) if record.is_file() else {}
  made = {k: made.get(k) for k in ("machine", "versions", "git_commit")}
  cells.leave(cell, {"made": made, **found})
  if found["status"] != "done":
    log.warning(f"{cell.name} {found['status']}: {found['message']}")
