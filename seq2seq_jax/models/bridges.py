"""Bridges: from the encoder to the decoder's first carry."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from seq2seq_jax import types
from seq2seq_jax.models import cell, layers


class Bridge(nn.Module):
  """One of the kinds below, for any two depths, and any widths but with `last`.

  zero; last: the encoder's last carry as it is; dense: tanh layers over it;
  mean: tanh layers over the mean output; backward: tanh layers over the last
  state of the top layer's backward direction (Bahdanau et al. 2015, A.2.2).
  Layers are one for each leaf of each decoder layer. A decoder of fewer layers
  takes the encoder's upper ones; a deeper one repeats the lowest. Where the
  carries have other leaves than the encoder's, each takes its h.
  """

  kind: str
  first_cell: cell.Cell
  depth: int
  features: int
  half: int  # where the backward half of the encoder's state begins
  dense_args: dict

  @nn.compact
  def __call__(
    self, memory: types.Memory, fixed: Float[jax.Array, "B D"] | None
  ) -> tuple[cell.Carry, ...]:
    """The carries of all decoder layers, leaves [B, 1, H].

    Args:
      memory: the encoder's.
      fixed: if given, it stands for the encoder's state.
    """
    rows = memory.mask.shape[0]
    if self.kind == "zero":
      return (self.first_cell.zero_carry(rows, 1),) * self.depth
    if self.kind == "mean":
      real = memory.mask[..., None].astype(jnp.float32)
      fixed = jnp.sum(memory.values * real, 1) / jnp.sum(real, 1)
    elif self.kind == "backward":
      fixed = memory.state[-1][-1][:, self.half :]
    carries = []
    for layer in range(self.depth):
      if fixed is not None:
        state = (fixed,) * self.first_cell.leaves
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
  def state(self, memory: types.Memory, layer: int) -> cell.Carry:
    """The encoder's carry that a decoder layer starts from."""
    below = layer + len(memory.state) - self.depth
    state = memory.state[max(0, below)]
    leaves = self.first_cell.leaves
    if len(state) == leaves:
      return state
    if self.kind == "last":
      # No layer in between could turn an h into a memory cell.
      zeros = (jnp.zeros_like(state[-1]),) * (leaves - 1)
      return (*zeros, state[-1])
    return (state[-1],) * leaves

  def dense(
    self, name: str, leaf: Float[jax.Array, "B D"]
  ) -> Float[jax.Array, "B H"]:
    """A layer of its own for each leaf."""
    args = dict(self.dense_args)
    layer = layers.Dense(leaf.shape[-1], self.features, name=name, **args)
    return layer(leaf)
