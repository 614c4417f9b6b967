"""The plan of an ablation table: its cells, each with its config and folder."""

import dataclasses
import difflib
import functools
import hashlib
import json
import pathlib

from seq2seq_jax import config, metrics, types
from seq2seq_jax.ablation import cells, scheduler, suite
from seq2seq_jax.config import overrides, shipped
from seq2seq_jax.data import corpus as corpus_lib

# What changes the course of a run on a machine, but not what it computes.
MACHINE = (
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


def load(path: str) -> suite.Ablation:
  """The table that a file's `get_ablation` returns."""
  file = shipped.find(path)
  if not file.is_file():
    there = sorted(map(str, pathlib.Path("configs/ablations").glob("*.py")))
    raise types.UserError(
      f"{path}: no such file; there are {', '.join(there) or 'none'}"
    )
  ablation = config.returned_by(file, "get_ablation", suite.Ablation)
  deciding = metrics.names("model", "outputs", diagnostics=False)
  asked = [(ablation.metric, deciding)]
  asked += [(name, metrics.names()) for name in ablation.metrics]
  for name, known in asked:
    if name not in known:
      near = difflib.get_close_matches(name, known, 3, 0.3)
      raise types.UserError(
        f"{path}: unknown metric {name!r}; nearest: {', '.join(near or known)}"
      )
  return dataclasses.replace(
    ablation,
    base=_below(file, ablation.base),
    base_by_scale={
      k: _below(file, v) for k, v in ablation.base_by_scale.items()
    },
    rows=tuple(
      dataclasses.replace(r, base=_below(file, r.base) if r.base else "")
      for r in ablation.rows
    ),
  )


def _below(file: pathlib.Path, base: str) -> str:
  """configs/ablations/x.py names configs/base.py."""
  path = file.parent.parent / base
  return str(path) if path.is_file() else base


class Plan:
  """A table's cells, each with its config, in a workdir."""

  def __init__(self, ablation, workdir, seeds: int, extra=(), together=False):
    self.ablation, self.workdir = ablation, pathlib.Path(workdir)
    self.seeds, self.together = seeds, together
    scale = ablation.scales.get(ablation.scale, ())
    self.configs, self._trainings = {}, {}
    self.cells = []
    for row in ablation.rows:
      words = [*scale, *row.overrides, *extra]
      base = config.load(row.base or ablation.base)
      conf = overrides.apply(base, words, f"row {row.name!r}")
      names = [ablation.metric, *ablation.metrics, *conf.train.metrics]
      self.configs[row.name] = conf
      self.cells += [
        self._cell(row, conf, seed, tuple(dict.fromkeys(names)))
        for seed in range(seeds)
      ]

  def _cell(self, row, conf, seed, names) -> cells.Cell:
    folder = self.workdir / "cells" / suite.folder(row.name) / f"seed_{seed}"
    first = seed * row.ensemble
    members = tuple(
      self._training(row, conf, first + i, row.ensemble)
      for i in range(row.ensemble)
    )
    identity = deciding(conf) | {
      "metrics": list(names),
      "checkpoint": self.ablation.checkpoint,
      "seeds": [first + i for i in range(row.ensemble)],
    }
    if row.ensemble > 1:
      identity["ensemble"] = row.ensemble
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode())
    lock = self.workdir / "locks" / f"cell-{suite.folder(row.name)}-{seed}"
    return cells.Cell(
      row.name, seed, folder, lock, key.hexdigest(), identity, members
    )

  def _training(self, row, conf, seed: int, ensemble: int) -> cells.Training:
    """The run of a config and seed; rows of one config share it."""
    fixed = training(conf)
    # The members of an ensemble are runs of their own, never replicas of one.
    fixed["replicas"] = self.together and ensemble == 1
    key = json.dumps(fixed, sort_keys=True)
    # The folder is named by the first row that needs it.
    owner = self._trainings.setdefault(key, (suite.folder(row.name), {}))
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

  def jobs(self) -> list[scheduler.Job]:
    """Cells in the order in which they are done: seed by seed, row by row."""
    groups: dict = {}
    for cell in sorted(self.cells, key=lambda c: c.seed):
      whole = len(cell.members) == 1 and len(cell.members[0].seeds) > 1
      key = (cell.row,) if whole else (cell.row, cell.seed)
      groups.setdefault(key, []).append(cell)
    return [scheduler.Job(group) for group in groups.values()]


def deciding(conf: config.Config) -> dict:
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
  return out | {"data checksums": checksums(conf.data)}


def training(conf: config.Config) -> dict:
  """Of what is `deciding` all but search and test: rows alike in it share runs.

  The beam of validation chooses the best checkpoint; of its other fields of
  search, those of the first row that shares the run hold.
  """
  kept = lambda k: (
    k != "data.test" and (k[:7] != "decode." or k == "decode.valid_beam_size")
  )
  out = {k: v for k, v in deciding(conf).items() if kept(k)}
  sums = {k: v for k, v in out["data checksums"].items() if k != "test"}
  return out | {"data checksums": sums}


@functools.lru_cache(maxsize=64)
def checksums(data: config.Data) -> dict:
  return corpus_lib.Corpus(data).checksums()
