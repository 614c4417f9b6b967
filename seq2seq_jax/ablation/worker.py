"""`python -m seq2seq_jax.ablation.worker SPEC`: trains and scores some cells.

The process of one job of a table, started by `scheduler.py`. It reads the job's
spec, trains what the cells need, scores them on their test set, and writes
result.json into each cell's folder.
"""

import dataclasses
import logging
import math
import os
import pathlib
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from seq2seq_jax import config, records, types
from seq2seq_jax.ablation import cells, learning_curve, plan, results, spec
from seq2seq_jax.checkpoints import folder as checkpoint_folder
from seq2seq_jax.checkpoints import run_record
from seq2seq_jax.data import corpus as corpus_lib
from seq2seq_jax.inference import details as details_lib
from seq2seq_jax.inference import evaluator
from seq2seq_jax.inference import model as model_lib
from seq2seq_jax.runtime import files, glibc, jax_setup, locks
from seq2seq_jax.runtime import log as log_lib
from seq2seq_jax.training import loop

log = logging.getLogger(__name__)


class Worker:
  """Does the cells of one job."""

  def __init__(self, job: spec.Spec):
    self.job = job
    self._checksums: dict[config.Data, dict[str, str]] = {}

  def run(self) -> int:
    """Trains and scores the job's cells; returns an exit code.

    Whatever happens to a cell becomes its result: only a lock that another
    process holds makes the code another than 0.
    """
    held: list[locks.Lock] = []
    paths = [cell.lock for cell in self.job.cells]
    paths += sorted({m.lock for cell in self.job.cells for m in cell.members})
    try:
      for path in paths:
        lock = locks.claim(path, on_lost=_lost)
        if lock is None:
          return spec.BUSY
        held.append(lock)
      for cell in self.job.cells:
        if cell.status()["status"] not in cells.TERMINAL:
          self._finish(cell, self.outcome(cell))
      return 0
    finally:
      for lock in held:
        lock.release()

  def outcome(self, cell: cells.Cell) -> dict[str, Any]:
    """Trains and scores a cell; returns its result, or why it has none."""
    start = time.monotonic()
    try:
      self._check_data(cell)
      epochs = [self.train(training, cell.seed) for training in cell.members]
      result = self.score(cell, epochs)
    except types.Diverged as e:
      result = {"status": "diverged", "message": str(e)}
    except types.UserError as e:
      result = {"status": "failed", "message": str(e)}
    except Exception as e:
      traceback.print_exc()
      result = {"status": "failed", "message": f"{type(e).__name__}: {e}"}
    return result | {"work_seconds": time.monotonic() - start}

  def _check_data(self, cell: cells.Cell) -> None:
    """Refuses data that are not those of the plan: the key would be wrong."""
    checksums = self._sums(cell.config.data)
    planned = cell.identity["data checksums"]
    if changed := cells.differences(planned, checksums):
      raise types.UserError(
        "the data are not those that the table was planned with ("
        f"{'; '.join(changed)}); run the table again"
      )

  def _sums(self, data: config.Data) -> dict[str, str]:
    """Returns data checksums; each data set is read once."""
    if data not in self._checksums:
      self._checksums[data] = plan.data_checksums(data)
    return self._checksums[data]

  def train(self, training: cells.Training, seed: int) -> int:
    """Trains a run, resumes it, or finds it finished.

    A run of another config or of other data is moved aside. A finished one has
    a note, so that rows which share it need not build its model again.

    Args:
      training: the run.
      seed: of several replicas, the one that is asked for.

    Returns:
      Number of batches in an epoch.

    Raises:
      types.Diverged: that replica's loss was not finite.
    """
    folder, steps = training.folder, training.config.train.steps
    if reasons := self._foreign(training):
      aside = cells.archive(folder)
      log.warning(f"{folder} holds another run, moved to {aside}: {reasons[0]}")
    path = folder / "finished.json"
    note = _read_note(path)
    record = run_record.read(folder)
    saved = note is not None or (record is not None and record.saved)
    if saved and not checkpoint_folder.last_step(folder):
      self._without_checkpoints(folder)
      note = None
    seeds = len(training.seeds)
    if not note or note.steps != steps or len(note.diverged) != seeds:
      run = loop.fit(
        training.config, folder, among_others=True, show_progress=True
      )
      if run.interrupted:
        raise SystemExit(128 + run.interrupted)
      note = _Note(
        steps=steps,
        batches_per_epoch=len(run.data.plan),
        diverged=[s.diverged for s in run.selection],
      )
      files.write_json(path, dataclasses.asdict(note))
    replica = training.seeds.index(seed) if seeds > 1 else 0
    if step := note.diverged[replica]:
      raise types.Diverged(f"diverged at step {step}")
    return note.batches_per_epoch

  def _without_checkpoints(self, folder: pathlib.Path) -> None:
    """Moves a trained run aside that lost its checkpoints, if that was asked.

    Raises:
      types.UserError: it was not.
    """
    if not self.job.restart:
      raise types.UserError(
        f"{folder}: this run was trained and has no checkpoint any more; "
        f"restore {folder / 'checkpoints'}, or give --retry to train it again"
      )
    log.warning(f"{folder} has no checkpoint: moved to {cells.archive(folder)}")

  def _foreign(self, training: cells.Training) -> list[str]:
    """Returns why a folder's run is not the wanted one; empty if it is."""
    path = training.folder / "config.json"
    if not path.is_file():
      return []
    try:
      old = config.from_json(path.read_bytes(), str(path))
    except types.UserError as e:  # such as one of an older version
      return [str(e)]
    if reasons := config.differences(old, training.config):
      return reasons
    # Also what `train` itself would resume with, such as another number of
    # steps: the first ones would not be those of a whole run.
    reasons = cells.differences(
      plan.training_identity(old, self._sums(training.config.data)),
      plan.training_identity(training.config, self._sums(training.config.data)),
    )
    if not reasons:
      record = run_record.read(training.folder)
      trained = record.data if record else {}
      reasons = [
        f"data: another {part} set"
        for part, value in self._sums(training.config.data).items()
        if part != "test" and trained.get(part, value) != value
      ]
    return reasons

  def score(self, cell: cells.Cell, epochs: Sequence[int]) -> dict[str, Any]:
    """Scores a trained cell on its test set; returns its result.

    Sentences' statistics, outputs and attention go to files of their own, for
    the significance tests and the report.

    Args:
      cell: whose members are trained.
      epochs: batches in an epoch, one for each member.
    """
    replica = None
    if len(cell.members[0].seeds) > 1:
      replica = cell.members[0].seeds.index(cell.seed)
    folders = [member.folder for member in cell.members]
    model = model_lib.load(folders, self.job.checkpoint, replica)
    model = model.with_config(
      dataclasses.replace(model.config, decode=cell.config.decode)
    )
    corpus = corpus_lib.Corpus(cell.config.data)
    split = corpus.test if corpus.test is not None else corpus.valid
    if split is None:
      raise types.UserError(
        "the config names neither a test nor a validation set to score on"
      )
    names = (self.job.metric, *self.job.metrics, *cell.config.train.metrics)
    details = details_lib.score_with_details(
      model.evaluator(split),
      model.params,
      list(dict.fromkeys(names)),
      self.job.metric,
    )
    metric = evaluator.find_metric(self.job.metric).name
    cell.folder.mkdir(parents=True, exist_ok=True)
    with files.replacing(cell.folder / results.SENTENCES) as path:
      np.savez_compressed(path, rows=details.sentences.rows)
    files.write_json(cell.folder / results.OUTPUTS, details.outputs)
    files.write_json(cell.folder / results.ATTENTION, details.attention)
    scores, lacking = finite(details.scores, names, len(cell.members))
    if metric in lacking:
      raise types.Diverged(f"the table's metric, {metric}, {lacking[metric]}")
    return {
      "status": "done",
      "value": scores[metric],
      "metrics": scores,
      "lacking": lacking,
      "signature": details.scores.get("signature", {}).get(metric),
      "sentences": len(details.sentences.rows),
      "test": split.checksum(),
      "parameters": details.parameters,
      "best_step": model.members[0].step,
      "files": results.checksums(cell.folder),
      "learning_curves": [
        dataclasses.asdict(learning_curve.read(member.folder, epoch, replica))
        for member, epoch in zip(cell.members, epochs, strict=True)
      ],
    }

  def _finish(self, cell: cells.Cell, result: dict[str, Any]) -> None:
    """Writes a result, with the machine and versions of the first member."""
    made = _made(cell.members[0].folder)
    cells.write_result(cell, {"made": made, **result})
    if result["status"] != "done":
      log.warning(f"{cell.name} {result['status']}: {result['message']}")


def finite(
  scores: Mapping[str, Any], names: Iterable[str], members: int = 1
) -> tuple[dict[str, float], dict[str, str]]:
  """The scores that are numbers, and why others of some names are missing."""
  finite = {
    name: value
    for name, value in scores.items()
    if isinstance(value, float) and math.isfinite(value)
  }
  lacking = {}
  for metric in map(evaluator.find_metric, names):
    name = metric.name
    if isinstance(scores.get(name), float) and name not in finite:
      lacking[name] = "is not finite"
    elif name not in finite and members > 1 and not metric.of_ensembles:
      lacking[name] = "is of one model, not of an ensemble"
    elif name not in finite:
      lacking[name] = "cannot be computed for this model and its search"
  return finite, lacking


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Note:
  """The content of finished.json, beside a run that needs no more updates."""

  steps: int
  batches_per_epoch: int
  diverged: list[int | None]
  """Step at which each replica diverged, if it did."""


def _read_note(path: pathlib.Path) -> _Note | None:
  """The note of a finished run; None if it is not finished.

  A damaged note stands for no more than that the run has to be looked at.
  """
  try:
    note: _Note = records.read(path, _Note)
  except types.UserError:
    return None
  return note


def _made(folder: pathlib.Path) -> dict[str, Any]:
  """Machine, versions and commit of a run; empty if they are not known."""
  try:
    record = run_record.read(folder)
  except types.UserError as e:  # the scores are right without it
    log.warning(f"{e}; the table does not say how this run was made")
    return {}
  if record is None:
    return {}
  return {
    "machine": record.machine,
    "versions": record.versions,
    "git_commit": record.git_commit,
  }


def _lost(path: pathlib.Path) -> None:
  """Ends this process at once, since another one does the cell now."""
  log.error(f"{path}: another process has taken this lock; stopping")
  os._exit(spec.BUSY)


def _keep_to(cores: Sequence[int]) -> None:
  """Runs on some CPU cores alone, if the system can and has them."""
  if cores and hasattr(os, "sched_setaffinity"):
    # A spec may have been written on another host.
    os.sched_setaffinity(0, set(cores) & os.sched_getaffinity(0) or cores)


def _end_with_parent() -> None:
  """Saves and stops once the process that started this one is gone."""

  def watch() -> None:
    while os.read(0, 1):
      pass
    os.kill(os.getpid(), signal.SIGTERM)

  threading.Thread(target=watch, daemon=True).start()


def main(argv: Sequence[str]) -> int:
  """Does the job of a spec's file; returns an exit code."""
  if list(argv[1:]) == [spec.WATCHED]:
    _end_with_parent()
    argv = argv[:1]
  if len(argv) != 1:
    raise types.UserError("give one argument, the file of a job's spec")
  job = spec.read(pathlib.Path(argv[0]))
  _keep_to(job.cores)
  os.chdir(job.directory)
  if job.cpu_devices:
    jax_setup.simulate_cpu_devices(job.cpu_devices)
  # Ctrl-C goes to the parent, which lets this process save first.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  return Worker(job).run()


def console() -> int:
  """Does the job that the command line names; errors are one line."""
  log_lib.show()
  glibc.tune_malloc()
  jax_setup.cache_programs()
  try:
    return main(sys.argv[1:])
  except types.UserError as e:
    log.error(f"error: {e}")
    return spec.BAD_SPEC
  except OSError as e:  # such as a full disk, where no result can be written
    path = e.filename2 or e.filename or "a file"
    log.error(f"error: {path}: {e.strerror or e}")
    return spec.NO_RESULT


if __name__ == "__main__":
  sys.exit(console())
