"""Runs of the tiny config, and what is read of them."""

import json
import pathlib

import jax
import numpy as np

from seq2seq_jax import config
from seq2seq_jax.checkpoints import store as checkpoint_store

TINY = pathlib.Path(__file__).parents[1] / "configs" / "tiny.py"


def tiny(**changes) -> config.Config:
  """The tiny config with fields changed: `train={"steps": 3}`."""
  return changed(config.load(str(TINY)), **changes)


def changed(conf: config.Config, **changes) -> config.Config:
  """A config with fields changed: `train={"steps": 3}`."""
  for section, fields in changes.items():
    dotted = {f"{section}.{name}": value for name, value in fields.items()}
    conf = config.replace(conf, dotted)
  return conf


def small(train, **changes) -> config.Config:
  """One shape of batches, and no search in validation: less to compile."""
  return tiny(data={"buckets": 1}, train={"metric": "loss"} | train, **changes)


def state_of(workdir, step=None):
  """All arrays of a checkpoint."""
  store = checkpoint_store.Checkpoints(workdir, read_only=True)
  step = step or store.steps()[-1]
  tree = store.read(step)
  store.close()
  return jax.tree.leaves(tree)


def metrics(workdir, split="train"):
  """The numbers of each line of a split, without what the clock says."""
  lines = (workdir / "metrics.jsonl").read_text().splitlines()
  rows = [json.loads(line) for line in lines]
  clocked = ("time", "stall", "tokens_per_second", "padded_tokens_per_second")
  return [
    {k: v for k, v in row.items() if k not in ("split", *clocked)}
    for row in rows
    if row["split"] == split
  ]


def curve(workdir, split="train"):
  return {row["step"]: row["loss"] for row in metrics(workdir, split)}


def same(a, b):
  return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
