"""Which parameters of a workdir to use: last, best, average or a step."""

import dataclasses
import logging
import os
import pathlib
import re
from collections.abc import Sequence, Set
from typing import Any

import jax
import numpy as np

from seq2seq_jax import records, types
from seq2seq_jax.checkpoints import folder as checkpoint_folder
from seq2seq_jax.checkpoints import identity
from seq2seq_jax.checkpoints import store as checkpoint_store

log = logging.getLogger(__name__)

# Times that a workdir is read whose checkpoints change meanwhile.
LOOKS = 4


@dataclasses.dataclass(frozen=True)
class _Decisions:
  """What is read here of the JSON of a run or of one of its replicas."""

  best_step: int | None = None
  averaged: list[int] = dataclasses.field(default_factory=list)
  diverged: int | None = None


def load(
  workdir: str | os.PathLike[str],
  which: str,
  replica: int | None = None,
  here: identity.Identity | None = None,
) -> tuple[Any, int]:
  """Parameters, as NumPy arrays, and the step of the last of their checkpoints.

  They are the exponential average if the run keeps one.

  Args:
    workdir: folder of a run.
    which: last, best, average, or a step.
    replica: which of several runs in one program.
    here: identity of the run that the workdir holds.

  Raises:
    types.UserError: there is no such checkpoint, or it is damaged or belongs
      to another run.
  """
  workdir = pathlib.Path(workdir)
  for _ in range(LOOKS - 1):
    found = checkpoint_folder.step_names(workdir)
    try:
      return _load(workdir, which, replica, here)
    except types.UserError:
      # One may have been removed, by the run's own process, while it was read.
      if checkpoint_folder.step_names(workdir) == found:
        raise
      log.info(f"{workdir}: its checkpoints have changed; reading them again")
  return _load(workdir, which, replica, here)


def _load(
  workdir: pathlib.Path,
  which: str,
  replica: int | None,
  here: identity.Identity | None,
) -> tuple[Any, int]:
  store = checkpoint_store.Checkpoints(workdir, read_only=True)
  try:
    names = checkpoint_folder.step_names(workdir)
    steps = store.steps()
    if not steps:
      raise types.UserError(
        f"{workdir}: holds no checkpoint yet; train further first"
      )
    _tell_left_out(store.folder, names, steps)
    host = store.latest_host()
    place = str(store.folder)
    replicas = _replicas(host, place)
    if replicas:
      host = _replica_host(workdir, replicas, replica)
    elif replica:
      raise types.UserError(
        f"--replica {replica}: {workdir} holds one run, replica 0"
      )
    _decisions(host, place)
    chosen = choose(workdir, which, steps, host)
    trees = [store.read(step, here) for step in chosen]
  finally:
    store.close()
  if replicas:
    trees = [jax.tree.map(lambda x: x[replica], tree) for tree in trees]
  if len(trees) == 1:
    return trees[0], chosen[0]
  log.info(f"average of the checkpoints {', '.join(map(str, chosen))}")
  return jax.tree.map(_mean, *trees), chosen[-1]


def _tell_left_out(
  folder: pathlib.Path, names: Set[str], steps: Sequence[int]
) -> None:
  """Warns of what is called like a checkpoint and is none.

  Args:
    folder: of the checkpoints.
    names: in it, listed before `steps`; the run may have removed some since.
    steps: those of whole checkpoints.
  """
  for name in sorted(names):
    known = not name.isdigit() or int(name) in steps
    if not known and os.path.lexists(folder / name):
      log.warning(f"{folder / name}: is no whole checkpoint; it is left out")


def diverged(workdir: pathlib.Path) -> set[int]:
  """Replicas of a run whose loss was not finite."""
  store = checkpoint_store.Checkpoints(workdir, read_only=True)
  try:
    host = store.latest_host() if store.steps() else {}
  finally:
    store.close()
  place = str(store.folder)
  decisions = [_decisions(h, place) for h in _replicas(host, place)]
  return {i for i, d in enumerate(decisions) if d.diverged is not None}


def _replicas(host: dict[str, Any], place: str) -> list[dict[str, Any]]:
  """The JSON of each replica; empty of a single run."""
  replicas: list[dict[str, Any]] = records.decode(
    list[dict[str, Any]], host.get("replicas", []), f"{place}: replicas"
  )
  return replicas


def _decisions(host: dict[str, Any], place: str) -> _Decisions:
  """What is read of the JSON of a run.

  Raises:
    types.UserError: an entry is of another type.
  """
  names = [field.name for field in dataclasses.fields(_Decisions)]
  shown = {name: host[name] for name in names if name in host}
  decisions: _Decisions = records.decode(_Decisions, shown, place)
  return decisions


def split_replica(source: str) -> tuple[pathlib.Path, int | None]:
  """Path and replica of `DIR#REPLICA`, or a path alone."""
  name, mark, replica = source.rpartition("#")
  if mark and _is_number(replica) and not pathlib.Path(source).exists():
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
  if _is_number(which) and int(which) in steps:
    return [int(which)]
  raise types.UserError(
    f"--checkpoint {which}: {workdir} has last, best, average and the steps "
    f"{listed}"
  )


def _is_number(text: str) -> bool:
  """Whether a text is a whole number that is not absurd, in ASCII digits."""
  return re.fullmatch("[0-9]{1,18}", text) is not None


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
