"""The plan of an ablation table: its cells, each with config and identity.

The one file of the ablation engine that reads configs.
"""

import dataclasses
import difflib
import hashlib
import json
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from seq2seq_jax import config, metrics, types
from seq2seq_jax.ablation import cells, suite
from seq2seq_jax.config import extensions, shipped
from seq2seq_jax.config import overrides as overrides_lib
from seq2seq_jax.data import corpus

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


def load(path: str | pathlib.Path) -> suite.Ablation:
  """Returns the table that a file's `get_ablation()` defines.

  Raises:
    types.UserError: names the file, and the line if its code fails.
  """
  file = shipped.find(path)
  if not file.is_file():
    names = sorted(map(str, pathlib.Path("configs/ablations").glob("*.py")))
    raise types.UserError(
      f"{path}: no such file; there are {', '.join(names) or 'none'}"
    )
  ablation = config.returned_by(file, "get_ablation", suite.Ablation)
  check_metrics(ablation, str(path))
  return _absolute(ablation, file)


def _absolute(ablation: suite.Ablation, file: pathlib.Path) -> suite.Ablation:
  """Returns a suite with the files that it names found from its own file."""
  folder = file.absolute().parent

  def located(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(_locate(word, folder) for word in words)

  def located_by_scale(
    overrides: Mapping[str, Iterable[str]],
  ) -> dict[str, tuple[str, ...]]:
    return {scale: located(words) for scale, words in overrides.items()}

  return dataclasses.replace(
    ablation,
    base=_find(ablation.base, file),
    base_by_scale={
      scale: _find(base, file) for scale, base in ablation.base_by_scale.items()
    },
    rows=tuple(
      dataclasses.replace(
        row,
        base=_find(row.base, file),
        overrides=located(row.overrides),
        overrides_by_scale=located_by_scale(row.overrides_by_scale),
      )
      for row in ablation.rows
    ),
    scales=located_by_scale(ablation.scales),
  )


def _locate(word: str, folder: pathlib.Path) -> str:
  """Returns a reference `FILE.py:NAME` as absolute if the folder has FILE."""
  if extensions.is_reference(word):
    path = folder / word.partition(".py:")[0]
    if path.with_name(f"{path.name}.py").is_file():
      return str(folder / word)
  return word


def _find(base: Any, file: pathlib.Path) -> Any:
  """Returns the path of a base config that a suite's file names.

  It lies beside the file or, as `configs/x.py` for `configs/ablations/y.py`,
  a folder above it; else the name is left as it is.
  """
  if isinstance(base, str) and base:
    for folder in (file.parent, file.parent.parent):
      path = folder / base
      # A suite may be called like its base, a folder above it.
      if path.is_file() and path != file:
        return str(path)
  return base


def check_metrics(ablation: suite.Ablation, where: str) -> None:
  """Refuses metrics that `evaluate` does not know, with the nearest names."""
  scores = metrics.names("model", "outputs", diagnostics=False)
  known_names = [(ablation.metric, scores)]
  known_names += [(name, metrics.names()) for name in ablation.metrics]
  for name, known in known_names:
    if name not in known:
      near = difflib.get_close_matches(name, known, 3, 0.3)
      raise types.UserError(
        f"{where}: unknown metric {name!r}; nearest: {', '.join(near or known)}"
      )


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
    self.ablation, self.workdir = ablation, pathlib.Path(workdir)
    self.seeds, self.together = seeds, together
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
      conf = _overridden(
        self._base(row.base or ablation.base),
        [*words[0], *row.overrides, *words[1]],
        row.name,
      )
      self.configs[row.name] = conf
      self.cells += [self._cell(row, conf, seed) for seed in range(seeds)]

  def _base(self, base: Any) -> config.Config:
    if isinstance(base, config.Config):
      return base
    if base not in self._bases:
      self._bases[base] = config.load(base)
    return self._bases[base]

  def _sums(self, data: config.Data) -> dict[str, str]:
    """Returns data checksums; rows of the same data read them once."""
    if data not in self._checksums:
      self._checksums[data] = data_checksums(data)
    return self._checksums[data]

  def _cell(self, row: suite.Row, conf: config.Config, seed: int) -> cells.Cell:
    name = suite.folder(row.name)
    seeds = [seed * row.ensemble + i for i in range(row.ensemble)]
    metrics = (self.ablation.metric, *self.ablation.metrics)
    identity = result_identity(conf, self._sums(conf.data)) | {
      "metrics": list(dict.fromkeys((*metrics, *conf.train.metrics))),
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


def _overridden(
  base: config.Config, words: list[str], row: str
) -> config.Config:
  try:
    return overrides_lib.apply(base, words, f"row {row!r}")
  except SystemExit as e:  # a parser's way to refuse, after its message
    raise types.UserError(
      f"row {row!r}: {' '.join(words)}: not valid for its config; see above"
    ) from e


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
