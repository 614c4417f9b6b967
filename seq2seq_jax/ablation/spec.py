"""The job file of a worker: all that a process needs for a cell of a table.

The parent writes one spec a job, `worker.py` reads it. Everything is resolved:
the process needs neither the suite nor the plan, and opens no data but its own.
"""

import dataclasses
import json
import os
import pathlib
from typing import Any

from seq2seq_jax import config, records, types
from seq2seq_jax.ablation import cells
from seq2seq_jax.runtime import files

FORMAT_VERSION = 2
WATCHED = "--watched"
"""Tells a process that its standard input ends with the one that started it."""
BAD_SPEC = 2
"""Exit code of a process that cannot read its spec."""
NO_RESULT = 74
"""Exit code of a process that could not write its result."""
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
  restart: bool = False
  """Train anew what was trained and has lost its checkpoints."""
  directory: str = "."
  """Folder in which relative paths of the configs are meant."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Training:
  """A run, as the file has it."""

  folder: str
  lock: str
  seeds: tuple[int, ...]
  config: dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Cell:
  """A cell, as the file has it; `members` counts `trainings`."""

  row: str
  seed: int
  folder: str
  lock: str
  key: str
  identity: dict[str, Any]
  members: tuple[int, ...]
  config: dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _File:
  """The content of a job's file."""

  format_version: int
  directory: str
  cores: tuple[int, ...]
  cpu_devices: int | None
  restart: bool
  metric: str
  metrics: tuple[str, ...]
  checkpoint: str
  trainings: tuple[_Training, ...]
  cells: tuple[_Cell, ...]


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
      "restart": spec.restart,
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
  place = str(path)
  tree = records.read(path, dict[str, Any])
  version = tree.get("format_version")
  if version != FORMAT_VERSION:
    raise types.UserError(
      f"{place}: format_version {version}, this is {FORMAT_VERSION}; start "
      "the table again"
    )
  file: _File = records.decode(_File, tree, place)
  trainings = [_training_from_json(t, place) for t in file.trainings]
  return Spec(
    cells=tuple(_cell_from_json(c, trainings, place) for c in file.cells),
    metric=file.metric,
    metrics=file.metrics,
    checkpoint=file.checkpoint,
    cores=file.cores,
    cpu_devices=file.cpu_devices,
    restart=file.restart,
    directory=file.directory,
  )


def _training_to_json(training: cells.Training) -> dict[str, Any]:
  return {
    "folder": os.path.abspath(training.folder),
    "lock": os.path.abspath(training.lock),
    "seeds": list(training.seeds),
    "config": json.loads(config.to_json(training.config)),
  }


def _training_from_json(entry: _Training, place: str) -> cells.Training:
  conf = config.from_json(json.dumps(entry.config), place)
  return cells.Training(
    folder=pathlib.Path(entry.folder),
    lock=pathlib.Path(entry.lock),
    seeds=entry.seeds,
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
  entry: _Cell, trainings: list[cells.Training], place: str
) -> cells.Cell:
  known = range(len(trainings))
  if not entry.members or not all(i in known for i in entry.members):
    raise types.UserError(
      f"{place}: the members of row {entry.row!r}, seed {entry.seed}, must be "
      f"numbers of trainings, 0 to {len(trainings) - 1}"
    )
  return cells.Cell(
    row=entry.row,
    seed=entry.seed,
    folder=pathlib.Path(entry.folder),
    lock=pathlib.Path(entry.lock),
    key=entry.key,
    identity=entry.identity,
    members=tuple(trainings[i] for i in entry.members),
    config=config.from_json(json.dumps(entry.config), place),
  )
