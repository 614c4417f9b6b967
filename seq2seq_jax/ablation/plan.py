"""The plan of an ablation table: its cells, each with config and identity.

A suite's rows are overrides; here they become configs.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
from typing import Any

from seq2seq_jax import config, types
from seq2seq_jax.ablation import cells, suite
from seq2seq_jax.config import extensions, shipped
from seq2seq_jax.config import overrides as overrides_lib
from seq2seq_jax.data import corpus
from seq2seq_jax.inference import evaluator

EXECUTION_ONLY = (
  "data.root",
  "data.workers",
  "train.mapper",
  "train.log_every",
  "train.checkpoint_every",
  "train.checkpoint_minutes",
  "decode.batch_rows",
  "decode.pool_batches",
  "decode.length_step",
)
"""Fields that change speed or placement but no result."""


class Plan:
  """A table's cells in a workdir, with the config of every row."""

  def __init__(
    self,
    ablation: suite.Ablation,
    workdir: str | os.PathLike[str],
    seeds: int,
    overrides: suite.Overrides = (),
    together: bool = False,
  ):
    """Resolves every row's config and names every cell's folder and identity.

    Args:
      ablation: the table, at one scale.
      workdir: of the table.
      seeds: number of seeds of each row.
      overrides: of all rows, after their own.
      together: train all seeds of a row in one program, if its model can.

    Raises:
      types.UserError: a row's config is not valid, or its data are not there.
    """
    self.workdir = pathlib.Path(workdir)
    self.seeds, self.together = seeds, together
    self.metric, self.metrics = ablation.metric, ablation.metrics
    """As the suite names them: a reference to one's own is absolute."""
    self.ablation = _printable(ablation)
    """The table as its report names bases and metrics."""
    self.configs: dict[str, config.Config] = {}
    self.cells: list[cells.Cell] = []
    # Identity of a training -> its folder and its runs by first seed.
    self._trainings: dict[str, tuple[str, dict[int, cells.Training]]] = {}
    self._bases: dict[Any, config.Config] = {}
    self._checksums: dict[config.Data, dict[str, str]] = {}
    words = [
      ablation.scales.get(ablation.scale, ()),
      suite.command_line(overrides),
    ]
    for row in ablation.rows:
      conf = overrides_lib.checked(
        self._base(row.base or ablation.base),
        [*words[0], *row.overrides, *words[1]],
        f"row {row.name!r}",
      )
      self.configs[row.name] = conf
      self.cells += [self._cell(row, conf, seed) for seed in range(seeds)]

  def _base(self, base: Any) -> config.Config:
    if isinstance(base, config.Config):
      return base
    if base not in self._bases:
      # A table that lies elsewhere may build on a config of the package.
      ours = shipped.find(pathlib.Path("configs") / base)
      known = os.path.lexists(base) or not ours.is_file()
      self._bases[base] = config.load(base if known else ours)
    return self._bases[base]

  def _sums(self, data: config.Data) -> dict[str, str]:
    """Returns data checksums; rows of the same data read them once."""
    if data not in self._checksums:
      self._checksums[data] = data_checksums(data)
    return self._checksums[data]

  def _cell(self, row: suite.Row, conf: config.Config, seed: int) -> cells.Cell:
    name = suite.folder(row.name)
    seeds = [seed * row.ensemble + i for i in range(row.ensemble)]
    metrics = dict.fromkeys((self.metric, *self.metrics, *conf.train.metrics))
    identity = result_identity(conf, self._sums(conf.data)) | {
      "metrics": [extensions.portable_name(metric) for metric in metrics],
      "checkpoint": self.ablation.checkpoint,
      "seeds": seeds,
    }
    return cells.Cell(
      row=row.name,
      seed=seed,
      folder=self.workdir / "cells" / name / f"seed_{seed}",
      lock=self.workdir / "locks" / f"cell-{name}-{seed}",
      key=digest(identity),
      identity=identity,
      members=tuple(
        self._training(row, conf, member, row.ensemble) for member in seeds
      ),
      config=conf,
    )

  def _training(
    self, row: suite.Row, conf: config.Config, seed: int, ensemble: int
  ) -> cells.Training:
    """Returns the run of a config and seed; rows of one config share it."""
    identity = training_identity(conf, self._sums(conf.data))
    # The members of an ensemble are runs of their own, never replicas of one.
    identity["replicas"] = self.together and ensemble == 1
    # The folder is named by the first row that needs the run.
    folder, runs = self._trainings.setdefault(
      digest(identity), (suite.folder(row.name), {})
    )
    if seed not in runs:
      runs[seed] = self._run(folder, conf, seed, ensemble)
    return runs[seed]

  def _run(
    self, folder: str, conf: config.Config, seed: int, ensemble: int
  ) -> cells.Training:
    seeds: tuple[int, ...] = (seed,)
    name = f"seed_{seed}"
    if self.together and self.seeds > 1 and ensemble == 1:
      try:
        conf = config.replace(conf, {"train.seeds": self.seeds})
        seeds = tuple(range(self.seeds))
        name = f"seeds_0-{self.seeds - 1}"
      except types.UserError:
        pass  # this row's model cannot train several seeds in one program
    conf = config.replace(conf, {"train.seed": conf.train.seed + seeds[0]})
    return cells.Training(
      folder=self.workdir / "cells" / folder / name,
      lock=self.workdir / "locks" / f"training-{folder}-{name}",
      seeds=seeds,
      config=conf,
      steps=conf.train.steps,
    )

  def jobs(self) -> list[tuple[cells.Cell, ...]]:
    """Returns the cells of each process, in the order of their start.

    Seed by seed and row by row, so that the table soon has one seed of every
    row; all seeds of a row that trains them in one program are one job.
    """
    groups: dict[tuple[str, ...], list[cells.Cell]] = {}
    for cell in sorted(self.cells, key=lambda cell: cell.seed):
      replicas = len(cell.members) == 1 and len(cell.members[0].seeds) > 1
      key = (cell.row,) if replicas else (cell.row, str(cell.seed))
      groups.setdefault(key, []).append(cell)
    return [tuple(group) for group in groups.values()]


def _printable(ablation: suite.Ablation) -> suite.Ablation:
  """Returns a suite without configs in memory and paths of this machine."""

  def name(base: Any) -> str:
    if isinstance(base, config.Config):
      return "a Config"
    path, here = pathlib.Path(base), pathlib.Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else base

  metrics = (ablation.metric, *ablation.metrics)
  names = {metric: evaluator.find_metric(metric).name for metric in metrics}
  try:
    ablation = ablation.rename_metrics(names)
  except ValueError as e:  # two metrics of one's own with the same name
    raise types.UserError(f"{ablation.title}: {e}") from e
  return dataclasses.replace(
    ablation,
    base=name(ablation.base),
    rows=tuple(
      dataclasses.replace(
        row,
        base=name(row.base),
        overrides=tuple(map(extensions.portable_name, row.overrides)),
      )
      for row in ablation.rows
    ),
  )


def result_identity(
  conf: config.Config, checksums: dict[str, str]
) -> dict[str, Any]:
  """Returns all that decides a config's result, by name.

  Every field except `EXECUTION_ONLY`, whether or not it is at its default, so
  that a changed default makes finished cells stale.
  """
  # A part of the user's own is known by its content, not by its place.
  fields = {
    name: list(value) if isinstance(value, tuple) else value
    for name, value, _ in config.leaves(extensions.portable(conf))
    if name not in EXECUTION_ONLY
  }
  return fields | {
    "format_version": config.FORMAT_VERSION,
    "data checksums": dict(checksums),
  }


def training_identity(
  conf: config.Config, checksums: dict[str, str]
) -> dict[str, Any]:
  """Returns all that decides a config's training: no search, no test set.

  The beam of validation is part of it, since it chooses the best checkpoint.
  Other fields of search that validation uses are those of the first row that
  needs the training.
  """
  identity = {
    name: value
    for name, value in result_identity(conf, checksums).items()
    if name == "decode.valid_beam_size"
    or (name != "data.test" and not name.startswith("decode."))
  }
  sums = {part: value for part, value in checksums.items() if part != "test"}
  return identity | {"data checksums": sums}


def data_checksums(data: config.Data) -> dict[str, str]:
  """Returns the checksum of every split of the data; reads the data."""
  return corpus.Corpus(data).checksums()


def digest(identity: dict[str, Any]) -> str:
  """Returns the hash of an identity."""
  text = json.dumps(identity, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()
