"""Scores of a run, of several seeds each one's and their means and spread."""

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from seq2seq_jax import config, types
from seq2seq_jax.checkpoints import select
from seq2seq_jax.data import sources
from seq2seq_jax.inference import evaluator, loading, model, splits, text
from seq2seq_jax.inference import trn as transcripts
from seq2seq_jax.runtime import files, processes

log = logging.getLogger(__name__)


def evaluate(
  runs: loading.Run | Sequence[loading.Run],
  data: splits.Data = "test",
  *,
  checkpoint: str | int = "best",
  replica: int | None = None,
  metrics: Iterable[str] = (),
  batch_size: int | None = None,
  progress: evaluator.Progress | None = None,
  configure: Callable[[config.Config], config.Config] | None = None,
  output: str | os.PathLike[str] | None = None,
  trn: str | os.PathLike[str] | None = None,
  **decode: Any,
) -> dict[str, Any]:
  """The scores of a trained model on a split or on pairs.

  Args:
    runs: a workdir, `DIR#REPLICA`, or several, which become an ensemble.
    data: `train`, `valid` or `test` of the run's own data, pairs of source and
      reference, or `splits.Files`.
    checkpoint: last, best, average, or a step.
    replica: which of a run's `train.seeds`; None: all that have not diverged.
    metrics: further ones beside those of the run's config.
    batch_size: sources searched together, by default all; changes no output.
    progress: called with (answered sources, all of them).
    configure: changes the stored config, such as its search.
    output: file for the output texts, a line a source.
    trn: folder for outputs and references as sclite reads them, see `trn.py`.
    **decode: fields of the config's decode section, such as `beam_size`.

  Returns:
    Metric -> value, see `Model.evaluate`. Of several replicas the means,
    deviations as `NAME_sd`, and each one's values under `replicas`.
  """
  metrics = list(metrics)
  part = data if isinstance(data, str) else "pair"
  files_of_texts = {"--output": output, "--trn": trn}
  wanted = [flag for flag, path in files_of_texts.items() if path]
  if not isinstance(data, str | splits.Files):
    data = sources.as_source(data)  # an iterator could be read but once

  def one(number: int | None) -> dict[str, Any]:
    loaded = model.load(runs, checkpoint, number).with_search(**decode)
    if configure:
      loaded = loaded.with_config(configure(loaded.config))
    if wanted and not loaded.vocabularies.source.present:
      raise types.UserError(f"{wanted[0]}: a language model translates nothing")
    evaluation = loaded.evaluation(
      data, metrics=metrics, batch_size=batch_size, progress=progress
    )
    if output and processes.is_first():
      with files.output(output) as out:
        out.writelines(text.lines([t]) for t in evaluation.texts)
    if trn and processes.is_first():
      transcripts.write(trn, evaluation.evaluator, evaluation.texts, part)
    return evaluation.scores

  numbers = undiverged(runs) if replica is None else None
  if numbers is None:
    return one(replica)
  if wanted:
    name = loading.run_names(runs)[0]
    raise types.UserError(
      f"{wanted[0]}: {name} holds several runs; choose one with --replica"
    )
  return summary([{"replica": n} | one(n) for n in numbers])


def count(runs: loading.Run | Sequence[loading.Run]) -> int:
  """Replicas of the first run; 1 if `DIR#REPLICA` names one of them."""
  workdir, named = select.split_replica(loading.run_names(runs)[0])
  return 1 if named is not None else loading.read_config(workdir).train.seeds


def undiverged(runs: loading.Run | Sequence[loading.Run]) -> list[int] | None:
  """Replicas of the first run whose loss is finite; None if it has but one.

  Raises:
    types.UserError: all have diverged.
  """
  replicas = count(runs)
  if replicas == 1:
    return None
  workdir, _ = select.split_replica(loading.run_names(runs)[0])
  diverged = select.diverged(workdir)
  for replica in sorted(diverged):
    log.warning(f"replica {replica} diverged and is left out")
  numbers = [n for n in range(replicas) if n not in diverged]
  if not numbers:
    raise types.UserError(f"{workdir}: all replicas diverged")
  return numbers


def summary(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
  """Means and deviations over replicas' results, and the results."""
  merged: dict[str, Any] = {}
  for name, value in results[0].items():
    if isinstance(value, float):
      values = [result[name] for result in results]
      merged[name] = float(np.mean(values))
      if len(values) > 1:
        merged[f"{name}_sd"] = float(np.std(values, ddof=1))
    elif name not in ("checkpoint_step", "replica"):
      merged[name] = value
  return merged | {"replicas": list(results)}
