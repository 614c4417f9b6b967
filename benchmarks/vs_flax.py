"""A training step beside the same model in plain Flax.

    python -m benchmarks.vs_flax [--json FILE]

The 11.6 M parameter model as a Flax user writes it: `nn.RNN`,
`nn.Bidirectional` and `nn.OptimizedLSTMCell`, the decoder an `nn.scan` of a
cell with attention and input feeding, Optax's loss and Adam, one jitted step.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from benchmarks import measure, ours
from seq2seq_jax import config, types

ROWS, LENGTH, SIZE = 64, 16, 7000


class Step(nn.Module):
  """A decoder step: LSTM with a fed readout, general score, tanh readout."""

  features: int
  dropout: float

  @nn.compact
  def __call__(self, carry: Any, inputs: jax.Array, memory: Any) -> Any:
    """Returns the carry and the readout [B, D].

    Args:
      carry: the LSTM's state, and the readout [B, D] of the step before.
      inputs: [B, E] embeddings.
      memory: values [B, S, D] and keys [B, S, D].
    """
    state, feed = carry
    values, keys = memory
    cell = nn.OptimizedLSTMCell(self.features)
    state, h = cell(state, jnp.concatenate([inputs, feed], axis=-1))
    weights = jax.nn.softmax(jnp.einsum("bd,bsd->bs", h, keys))
    context = jnp.einsum("bs,bsd->bd", weights, values)
    h = nn.Dropout(self.dropout, deterministic=False)(h)
    read = jnp.concatenate([h, context], axis=-1)
    feed = jnp.tanh(nn.Dense(self.features)(read))
    return (state, feed), feed


class Model(nn.Module):
  """Bidirectional encoder, and the decoder as a scan of `Step`."""

  size: int
  embed: int
  encoder: int
  decoder: int
  dropout: float

  @nn.compact
  def __call__(self, src: jax.Array, inputs: jax.Array) -> jax.Array:
    """Returns logits [B, T, V]; src [B, S], inputs [B, T]."""

    def drop(x: jax.Array) -> jax.Array:
      return nn.Dropout(self.dropout, deterministic=False)(x)

    def lstm() -> nn.RNN:
      return nn.RNN(nn.OptimizedLSTMCell(self.encoder), return_carry=True)

    x = drop(nn.Embed(self.size, self.embed)(src))
    both = nn.Bidirectional(lstm(), lstm(), return_carry=True)
    ((c1, h1), (c2, h2)), values = both(x)
    values = drop(values)
    keys = nn.Dense(self.decoder, use_bias=False)(values)
    c, h = (jnp.concatenate(pair, axis=-1) for pair in ((c1, c2), (h1, h2)))
    feed = jnp.zeros((src.shape[0], self.decoder))
    carry = ((c, h), feed)
    decoder = nn.scan(
      Step,
      variable_broadcast="params",
      split_rngs={"params": False, "dropout": True},
      in_axes=(1, nn.broadcast),
      out_axes=1,
    )(self.decoder, self.dropout)
    y = drop(nn.Embed(self.size, self.embed)(inputs))
    _, features = decoder(carry, y, (values, keys))
    return nn.Dense(self.size)(drop(features))


class Trainer:
  """The peer's jitted train step."""

  def __init__(self, conf: config.Config, batch: types.Batch):
    m = conf.model
    self.model = Model(
      SIZE, m.embed_dim, m.encoder.dim, m.decoder.dim, m.dropout.rnn
    )
    bos = jnp.ones_like(batch.tgt[:, :1])
    inputs = jnp.concatenate([bos, batch.tgt[:, :-1]], axis=1)
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    params = jax.jit(self.model.init)(keys, batch.src, inputs)
    optimizer = optax.chain(
      optax.clip_by_global_norm(conf.optim.clip_norm), optax.adam(1e-3)
    )

    def loss(params: Any, key: jax.Array) -> jax.Array:
      rngs = {"dropout": key}
      logits = self.model.apply(params, batch.src, inputs, rngs=rngs)
      targets = optax.smooth_labels(
        jax.nn.one_hot(batch.tgt, SIZE), conf.optim.label_smoothing
      )
      return jnp.mean(optax.softmax_cross_entropy(logits, targets))

    def step(params: Any, state: Any, key: jax.Array) -> tuple[Any, Any]:
      grads = jax.grad(loss)(params, key)
      updates, state = optimizer.update(grads, state)
      return optax.apply_updates(params, updates), state

    self.compiled = jax.jit(step, donate_argnums=(0, 1))
    self.state = params, optimizer.init(params)
    self.count = 0

  def size(self) -> int:
    """Returns the number of parameters."""
    return sum(x.size for x in jax.tree.leaves(self.state[0]))

  def step(self) -> None:
    """Makes one update, to its end."""
    self.count += 1
    key = jax.random.fold_in(jax.random.key(2), self.count)
    self.state = self.compiled(*self.state, key)
    jax.block_until_ready(self.state)


def our_step() -> measure.Program:
  """Returns our step, with the number of parameters."""
  measure.setup()
  batch = ours.batch(ROWS, LENGTH, LENGTH, SIZE)
  trainer = ours.Trainer(ours.medium(), SIZE, batch)
  return trainer.step, {"parameters": trainer.size()}


def peer_step() -> measure.Program:
  """Returns plain Flax's step, with its number of parameters."""
  trainer = Trainer(ours.medium(), ours.batch(ROWS, LENGTH, LENGTH, SIZE))
  return trainer.step, {"parameters": trainer.size()}


def main() -> None:
  """Measures and reports."""
  args = measure.parser(__doc__).parse_args()
  programs = {
    "ours": measure.Subprocess(our_step),
    "flax": measure.Subprocess(peer_step),
  }
  sizes = [program.facts["parameters"] for program in programs.values()]
  assert sizes[0] == sizes[1], sizes
  seconds = measure.interleave(programs, args.rounds or 12)
  measure.report(
    args,
    {
      "parameters": sizes[0],
      "seconds_ours": measure.quartiles(seconds["ours"]),
      "seconds_flax": measure.quartiles(seconds["flax"]),
      "ratio_to_flax": measure.ratio(seconds, "ours", "flax"),
    },
  )


if __name__ == "__main__":
  main()
