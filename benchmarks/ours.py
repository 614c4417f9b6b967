"""Our side of the benchmarks: models by config, and their train step."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from seq2seq_jax import config, types
from seq2seq_jax.data import batches, ladder
from seq2seq_jax.models import build
from seq2seq_jax.runtime import parallel
from seq2seq_jax.training import objectives, optim, start, step


def medium(**changes: Any) -> config.Config:
  """Returns the 11.6 M parameter model, with some fields of it changed.

  LSTM, bidirectional 256, decoder 512, general score, input feeding, dropout,
  label smoothing; 11.6 M with a vocabulary of 7,000.
  """
  model: dict[str, Any] = {
    "encoder.cell": "lstm",
    "embed_dim": 256,
    "encoder.dim": 256,
    "decoder.dim": 512,
    "decoder.bridge": "last",
    "attention.score": "general",
    "readout.dim": 512,
    "dropout.embed": 0.2,
    "dropout.rnn": 0.2,
    "dropout.readout": 0.2,
  }
  model |= changes
  return config.Config(
    data=config.Data(joint=model.get("tie") == "all"),
    model=config.replace(config.Model(), model),
    optim=config.Optim(label_smoothing=0.1, clip_norm=1.0),
  )


def batch(
  rows: int, source: int, target: int, size: int, seed: int = 0
) -> types.Batch:
  """Returns a batch of random tokens without padding, EOS last.

  Args:
    rows: number of them.
    source: length.
    target: length.
    size: of both vocabularies.
    seed: of the tokens.
  """
  rng = np.random.default_rng(seed)

  def ids(length: int) -> np.ndarray:
    words = rng.integers(4, size, (rows, length - 1))
    ends = np.full((rows, 1), types.EOS)
    return np.concatenate([words, ends], 1).astype(np.int32)

  return types.Batch(
    ids(source),
    np.full(rows, source, np.int32),
    ids(target),
    np.full(rows, target, np.int32),
    np.arange(rows, dtype=np.int32),
  )


class IdSource:
  """A source side whose values are ids already: all that a translator asks."""

  def length(self, encoded: types.EncodedSide) -> int:
    """Returns the number of ids."""
    return len(encoded.values)

  def padded(self, length: int, step: int) -> int:
    """Returns the padded length of a source, as that of a text."""
    return ladder.doubling(length, step)

  def pad(
    self, rows: Sequence[types.EncodedSide | None], length: int
  ) -> types.PaddedSide:
    """Returns rows of one length; None stands for a filler row."""
    filler = types.EncodedSide(np.array([types.EOS], np.int32))
    sides = [filler if row is None else row for row in rows]
    values = np.full((len(sides), length), types.PAD, np.int32)
    for i, side in enumerate(sides):
      values[i, : len(side.values)] = side.values
    lengths = np.array([len(side.values) for side in sides], np.int32)
    return types.PaddedSide(values, lengths)


class Trainer:
  """A model, its state and its compiled train step; of `seeds` replicas."""

  def __init__(
    self, conf: config.Config, size: int, batch: types.Batch, seeds: int = 1
  ):
    self.conf, self.batch = conf, batch
    self.model = build.build(conf.model, size, size)
    self.params = start.initial_params(self.model, 0, build.example(False))
    self.mapper = parallel.Mapper(conf.train.mapper)
    optimizer = optim.optimizer(conf.optim)
    train_step = step.make_train_step(
      objectives.make_loss(self.model, conf.optim),
      optimizer,
      optim.schedule(conf.optim, 1000),
    )

    def init_state(seed: int) -> step.TrainState:
      params = jax.tree.map(np.asarray, self.params)
      return step.init_state(params, optimizer, seed, False)

    state = init_state(0)
    self.step_batch = batch
    if seeds > 1:
      train_step = step.over_replicas(train_step)
      states = [init_state(seed) for seed in range(seeds)]
      state = jax.tree.map(lambda *xs: np.stack(jax.device_get(xs)), *states)
      self.step_batch = batches.stack([batch] * seeds)
    self.train_step = self.mapper.map_train_step(train_step, donate=True)
    self.state = self.mapper.replicate(state)

  def size(self) -> int:
    """Returns the number of parameters."""
    return sum(x.size for x in jax.tree.leaves(self.params))

  def step(self) -> None:
    """Makes one update, to its end."""
    sharded = self.mapper.shard(self.step_batch)
    self.state, _ = self.train_step(self.state, sharded)
    jax.block_until_ready(self.state)

  def loss(self) -> float:
    """Returns the mean smoothed loss of the initial model, without dropout."""
    options = objectives.train_options(self.conf.optim)

    @jax.jit
    def losses(params: Any) -> Any:
      return self.model.apply(
        params, self.batch, options=options, method="losses"
      )

    terms = losses(self.params)
    return float(terms["loss"]) / float(self.batch.tgt_len.sum())
