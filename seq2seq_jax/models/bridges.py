"""Bridges: from the encoder to the decoder's first carry."""

import flax.linen as nn
import jax.numpy as jnp

from seq2seq_jax import types
from seq2seq_jax.models import layers


class Bridge(nn.Module):
  """One of the kinds below, for any two depths and widths but with `last`.

  zero; last: the encoder's last carry as it is; dense: tanh layers over it;
  mean: tanh layers over the mean output; backward: tanh layers over the last
  state of the top layer's backward direction (Bahdanau et al. 2015, A.2.2).
  Layers are one for each leaf of each decoder layer. A decoder of fewer layers
  takes the encoder's upper ones; a deeper one repeats the lowest. Where the
  carries have other leaves than the encoder's, each takes its h.
  """

  kind: str
  cell: nn.Module
  layers: int
  features: int
  half: int  # where the backward half of the encoder's state begins
  dense_args: dict

  @nn.compact
  def __call__(self, memory: types.Memory, fixed):
    """`fixed` [B, D], where given, stands for the encoder's state."""
    rows = memory.mask.shape[0]
    if self.kind == "zero":
      return (self.cell.zero(rows, 1),) * self.layers
    if self.kind == "mean":
      real = memory.mask[..., None].astype(jnp.float32)
      fixed = jnp.sum(memory.values * real, 1) / jnp.sum(real, 1)
    elif self.kind == "backward":
      fixed = memory.state[-1][-1][:, self.half :]
    carries = []
    for layer in range(self.layers):
      if fixed is not None:
        state = (fixed,) * self.cell.leaves
      else:
        state = self.state(memory, layer)
      if self.kind != "last":
        state = tuple(
          jnp.tanh(self.dense(f"layer_{layer}_{i}", leaf))
          for i, leaf in enumerate(state)
        )
      carries.append(tuple(leaf[:, None] for leaf in state))
    return tuple(carries)

  @nn.nowrap
  def state(self, memory, layer: int):
    """The encoder's carry that a decoder layer starts from."""
    below = layer + len(memory.state) - self.layers
    state = memory.state[max(0, below)]
    leaves = self.cell.leaves
    if len(state) == leaves:
      return state
    if self.kind == "last":
      zeros = (jnp.zeros_like(state[-1]),) * (leaves - 1)
      return (*zeros, state[-1])
    return (state[-1],) * leaves

  def dense(self, name, leaf):
    args = dict(self.dense_args)
    layer = layers.Dense(leaf.shape[-1], self.features, name=name, **args)
    return layer(leaf)
