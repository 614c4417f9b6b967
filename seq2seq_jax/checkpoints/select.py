"""Which parameters of a workdir to use: last, best, average or a step."""

import logging
import os
import pathlib
from typing import Any

import jax
import numpy as np

from seq2seq_jax import types
from seq2seq_jax.checkpoints import store as checkpoint_store

log = logging.getLogger(__name__)


def load(
  workdir: str | os.PathLike[str], which: str, replica: int | None = None
) -> tuple[Any, int]:
  """Parameters, as NumPy arrays, and the step of the last of their checkpoints.

  They are the exponential average if the run keeps one.

  Args:
    workdir: folder of a run.
    which: last, best, average, or a step.
    replica: which of several runs in one program.

  Raises:
    types.UserError: there is no such checkpoint, or it is damaged.
  """
  workdir = pathlib.Path(workdir)
  store = checkpoint_store.Checkpoints(workdir, read_only=True)
  try:
    steps = store.steps()
    if not steps:
      raise types.UserError(
        f"{workdir}: holds no checkpoint yet; train further first"
      )
    host = store.latest_host()
    replicas = host.get("replicas")
    if replicas:
      host = _replica_host(workdir, replicas, replica)
    elif replica:
      raise types.UserError(
        f"--replica {replica}: {workdir} holds one run, replica 0"
      )
    chosen = choose(workdir, which, steps, host)
    trees = [store.read(step) for step in chosen]
  finally:
    store.close()
  if replicas:
    trees = [jax.tree.map(lambda x: x[replica], tree) for tree in trees]
  if len(trees) == 1:
    return trees[0], chosen[0]
  log.info(f"average of the checkpoints {', '.join(map(str, chosen))}")
  return jax.tree.map(_mean, *trees), chosen[-1]


def diverged(workdir: pathlib.Path) -> set[int]:
  """Replicas of a run whose loss was not finite."""
  store = checkpoint_store.Checkpoints(workdir, read_only=True)
  try:
    replicas = store.latest_host().get("replicas", []) if store.steps() else []
  finally:
    store.close()
  return {i for i, host in enumerate(replicas) if host["diverged"] is not None}


def split_replica(source: str) -> tuple[pathlib.Path, int | None]:
  """Path and replica of `DIR#REPLICA`, or a path alone."""
  name, mark, replica = source.rpartition("#")
  if mark and replica.isdigit() and not pathlib.Path(source).exists():
    return pathlib.Path(name), int(replica)
  return pathlib.Path(source), None


def choose(
  workdir: str | os.PathLike[str],
  which: str,
  steps: list[int],
  host: dict[str, Any],
) -> list[int]:
  """The steps that `last`, `best`, `average` or a number means.

  Args:
    workdir: named in messages.
    which: as the user wrote it.
    steps: of the checkpoints there are, ascending.
    host: the JSON in the last of them (`training.model_selection`).
  """
  listed = ", ".join(map(str, steps))
  if which == "last":
    return [steps[-1]]
  if which == "best":
    best = host.get("best_step")
    if best is None:  # there was nothing to validate on
      return [steps[-1]]
    if best not in steps:
      raise types.UserError(
        f"{workdir}: the best checkpoint, of step {best}, is not there (see "
        "train.keep_best); give --checkpoint last, or one of the steps "
        f"{listed}"
      )
    return [best]
  if which == "average":
    averaged = [s for s in host.get("averaged", []) if s in steps]
    if not averaged:
      raise types.UserError(
        f"{workdir}: no checkpoints to average; train with --train.average N"
      )
    return averaged
  if which.isdigit() and int(which) in steps:
    return [int(which)]
  raise types.UserError(
    f"--checkpoint {which}: {workdir} has last, best, average and the steps "
    f"{listed}"
  )


def _replica_host(
  workdir: pathlib.Path, replicas: list[dict[str, Any]], replica: int | None
) -> dict[str, Any]:
  """The JSON of one of several replicas, which must be named."""
  if replica is None or not 0 <= replica < len(replicas):
    raise types.UserError(
      f"{workdir}: holds {len(replicas)} runs; choose one with --replica 0 to "
      f"{len(replicas) - 1} (train.init_from: {workdir}#0 and so on)"
    )
  return replicas[replica]


def _mean(*arrays: np.ndarray) -> np.ndarray:
  """Mean of arrays in float64, rounded to their own type."""
  mean = np.mean(np.stack(arrays), axis=0, dtype=np.float64)
  return mean.astype(arrays[0].dtype)
