"""The job file of a worker: all that a process needs for a cell of a table.

The parent writes one spec a job, `worker.py` reads it. Everything is resolved:
the process needs neither the suite nor the plan, and opens no data but its own.
"""

import dataclasses
import json
import os
import pathlib
from typing import Any

from seq2seq_jax import config, types
from seq2seq_jax.ablation import cells
from seq2seq_jax.runtime import files

FORMAT_VERSION = 1
BAD_SPEC = 2
"""Exit code of a process that cannot read its spec."""
BUSY = 75
"""Exit code of a process that found a lock of its cells taken."""


@dataclasses.dataclass(frozen=True)
class Spec:
  """A job: cells that one process trains and scores."""

  cells: tuple[cells.Cell, ...]
  metric: str
  """The table's metric, whose score is a cell's value."""
  checkpoint: str
  """The parameters that are scored: last, best or average."""
  metrics: tuple[str, ...] = ()
  """The table's further metrics; those of a cell's config are scored too."""
  cores: tuple[int, ...] = ()
  """CPU cores that the process keeps to; empty: all."""
  cpu_devices: int | None = None
  """Number of devices that are simulated on the CPU; None: the real ones."""
  directory: str = "."
  """Folder in which relative paths of the configs are meant."""


def write(spec: Spec, path: pathlib.Path) -> None:
  """Writes a job's file, with absolute paths of the workdir."""
  trainings = list(dict.fromkeys(m for c in spec.cells for m in c.members))
  path.parent.mkdir(parents=True, exist_ok=True)
  files.write_json(
    path,
    {
      "format_version": FORMAT_VERSION,
      "directory": os.path.abspath(spec.directory),
      "cores": list(spec.cores),
      "cpu_devices": spec.cpu_devices,
      "metric": spec.metric,
      "metrics": list(spec.metrics),
      "checkpoint": spec.checkpoint,
      "trainings": [_training_to_json(training) for training in trainings],
      "cells": [_cell_to_json(cell, trainings) for cell in spec.cells],
    },
  )


def read(path: pathlib.Path) -> Spec:
  """Returns the job of a file.

  Raises:
    types.UserError: the file is missing or not a spec of this version.
  """
  try:
    tree = json.loads(path.read_text())
    version = tree.get("format_version")
    if version != FORMAT_VERSION:
      raise types.UserError(
        f"{path}: format_version {version}, this is {FORMAT_VERSION}; start "
        "the table again"
      )
    trainings = [_training_from_json(t, str(path)) for t in tree["trainings"]]
    return Spec(
      cells=tuple(
        _cell_from_json(c, trainings, str(path)) for c in tree["cells"]
      ),
      metric=tree["metric"],
      metrics=tuple(tree["metrics"]),
      checkpoint=tree["checkpoint"],
      cores=tuple(tree["cores"]),
      cpu_devices=tree["cpu_devices"],
      directory=tree["directory"],
    )
  except OSError as e:
    raise types.UserError(f"{path}: cannot read: {e.strerror}") from e
  except (ValueError, KeyError, TypeError, AttributeError, IndexError) as e:
    raise types.UserError(
      f"{path}: not the spec of a job: {type(e).__name__}: {e}"
    ) from e


def _training_to_json(training: cells.Training) -> dict[str, Any]:
  return {
    "folder": os.path.abspath(training.folder),
    "lock": os.path.abspath(training.lock),
    "seeds": list(training.seeds),
    "config": json.loads(config.to_json(training.config)),
  }


def _training_from_json(tree: dict[str, Any], where: str) -> cells.Training:
  conf = config.from_json(json.dumps(tree["config"]), where)
  return cells.Training(
    folder=pathlib.Path(tree["folder"]),
    lock=pathlib.Path(tree["lock"]),
    seeds=tuple(tree["seeds"]),
    config=conf,
    steps=conf.train.steps,
  )


def _cell_to_json(
  cell: cells.Cell, trainings: list[cells.Training]
) -> dict[str, Any]:
  return {
    "row": cell.row,
    "seed": cell.seed,
    "folder": os.path.abspath(cell.folder),
    "lock": os.path.abspath(cell.lock),
    "key": cell.key,
    "identity": cell.identity,
    "members": [trainings.index(member) for member in cell.members],
    "config": json.loads(config.to_json(cell.config)),
  }


def _cell_from_json(
  tree: dict[str, Any], trainings: list[cells.Training], where: str
) -> cells.Cell:
  return cells.Cell(
    row=tree["row"],
    seed=tree["seed"],
    folder=pathlib.Path(tree["folder"]),
    lock=pathlib.Path(tree["lock"]),
    key=tree["key"],
    identity=tree["identity"],
    members=tuple(trainings[index] for index in tree["members"]),
    config=config.from_json(json.dumps(tree["config"]), where),
  )
