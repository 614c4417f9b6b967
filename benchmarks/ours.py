"""Our side of the benchmarks: models by config, and their train step."""

import jax
import numpy as np

from seq2seq_jax import config, types
from seq2seq_jax.data import batches
from seq2seq_jax.models import build
from seq2seq_jax.runtime import parallel
from seq2seq_jax.training import objectives, optim, run, step


def medium(**changes) -> config.Config:
  """The 11.6 M parameter model: attention, input feeding, dropout, smoothing.

  LSTM, bidirectional 256, decoder 512, general score, vocabulary 7,000.
  """
  model = {
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


def batch(rows: int, source: int, target: int, size: int, seed: int = 0):
  """A full batch of random tokens, EOS last."""
  rng = np.random.default_rng(seed)

  def ids(n):
    return np.concatenate(
      [rng.integers(4, size, (rows, n - 1)), np.full((rows, 1), types.EOS)], 1
    ).astype(np.int32)

  def full(n):
    return np.full(rows, n, np.int32)

  return types.Batch(
    ids(source),
    full(source),
    ids(target),
    full(target),
    np.arange(rows, dtype=np.int32),
  )


class IdSource:
  """A source side whose values are ids already: all that a translator asks."""

  def length(self, encoded: types.EncodedSide) -> int:
    return len(encoded.values)

  def pad(self, rows, length: int) -> types.PaddedSide:
    filler = types.EncodedSide(np.array([types.EOS], np.int32))
    rows = [filler if row is None else row for row in rows]
    values = np.full((len(rows), length), types.PAD, np.int32)
    for i, row in enumerate(rows):
      values[i, : len(row.values)] = row.values
    lengths = np.array([len(row.values) for row in rows], np.int32)
    return types.PaddedSide(values, lengths)


class Trainer:
  """A model, its state and its compiled train step; of `seeds` replicas."""

  def __init__(
    self, conf: config.Config, size: int, batch: types.Batch, seeds: int = 1
  ):
    self.conf, self.batch = conf, batch
    self.model = build.build(conf.model, size, size)
    self.params = run.initial_params(self.model, 0, build.example(False))
    self.mapper = parallel.Mapper(conf.train.mapper)
    optimizer = optim.optimizer(conf.optim)
    one = step.make_train_step(
      objectives.make_loss(self.model, conf.optim),
      optimizer,
      optim.schedule(conf.optim, 1000),
    )

    def fresh(seed):
      return step.init_state(
        jax.tree.map(np.asarray, self.params), optimizer, seed, False
      )

    state = fresh(0)
    self.fed = batch
    if seeds > 1:
      one = step.over_replicas(one)
      state = jax.tree.map(
        lambda *xs: np.stack(jax.device_get(xs)), *map(fresh, range(seeds))
      )
      self.fed = batches.stack([batch] * seeds)
    self.train_step = self.mapper.map_train_step(one, donate=True)
    self.state = self.mapper.replicate(state)

  def size(self) -> int:
    return sum(x.size for x in jax.tree.leaves(self.params))

  def step(self) -> None:
    """One update, to its end."""
    sharded = self.mapper.shard(self.fed)
    self.state, _ = self.train_step(self.state, sharded)
    jax.block_until_ready(self.state)

  def loss(self) -> float:
    """Mean smoothed loss without dropout at the first parameters."""
    options = objectives.train_options(self.conf.optim)
    terms = jax.jit(
      lambda p: self.model.apply(
        p, self.batch, options=options, method="losses"
      )
    )(self.params)
    return float(terms["loss"]) / float(self.batch.tgt_len.sum())
