"""Recurrent encoders: ids to a memory."""

import flax.linen as nn
import jax.numpy as jnp

from seq2seq_jax import types
from seq2seq_jax.models import noise as noises
from seq2seq_jax.models import recurrence


class Encoder(nn.Module):
  """A stack of LSTM or GRU layers, in one direction or two.

  `stacking` joint: both directions are concatenated after each layer;
  separate: each direction is a stack of its own, concatenated at the top
  (Britz et al. 2017, whose "2-layer bidirectional" is one layer a direction).
  """

  embed: nn.Module
  cell: type[nn.Module]
  cell_args: dict
  features: int
  layers: int
  bidirectional: bool
  stacking: str
  dropout_embed: float
  dropout_rnn: float

  def setup(self):
    directions = 2 if self.bidirectional else 1
    joint = directions if self.stacking == "joint" else 1
    stacks = []
    for d in range(directions):
      stack = []
      for i in range(self.layers):
        width = self.embed.features if i == 0 else self.features * joint
        name = f"{'backward' if d else 'forward'}_{i}"
        cell = self.cell(
          self.features, width, **dict(self.cell_args), name=name
        )
        stack.append(cell)
      stacks.append(stack)
    self.stacks = stacks

  @nn.nowrap
  def noise_widths(self) -> noises.Widths:
    """Masks of a call, by name."""
    width = self.features * (2 if self.bidirectional else 1)
    layers = tuple(
      (f"layer_{i}", width, self.dropout_rnn) for i in range(self.layers)
    )
    return (("embed", self.embed.features, self.dropout_embed), *layers)

  def __call__(self, src, src_len, noise=None) -> types.Memory:
    """Reads `src` [B, S], `src_len` [B]; noise masks are [S, B, D]."""
    if noise:  # [S, B, D] -> [B, S, D]
      noise = {k: v.swapaxes(0, 1) for k, v in noise.items()}
    x = noises.apply(self.embed(src), noise, "embed")
    streams = [x] * len(self.stacks)
    state = []
    for i in range(self.layers):
      carries, outputs = [], []
      for d, (stack, x) in enumerate(zip(self.stacks, streams)):
        carry, y = recurrence.layer(
          stack[i].advance,
          stack[i].zero(x.shape[0]),
          stack[i].project(x),
          src_len,
          reverse=d == 1,
        )
        carries.append(carry)
        outputs.append(y)
      joined = jnp.concatenate(outputs, axis=-1)
      joined = noises.apply(joined, noise, f"layer_{i}")
      state.append(
        tuple(jnp.concatenate(leaf, axis=-1) for leaf in zip(*carries))
      )
      if self.stacking == "joint":
        streams = [joined] * len(streams)
      else:
        streams = jnp.split(joined, len(streams), axis=-1)
    steps = jnp.arange(src.shape[1], dtype=jnp.int32)
    mask = steps[None] < src_len[:, None]
    return types.Memory(joined, mask, tuple(state))
