"""Bridges: from the encoder to the decoder's first carry.

A new bridge is one class here, one line in `BRIDGES`, and its name in the
config.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Float

from seq2seq_jax import types
from seq2seq_jax.models import cell, layers

Fixed = Float[types.Array, "B _"] | None


class Bridge(nn.Module):
  """What every bridge is given.

  A decoder of fewer layers takes the encoder's upper ones; a deeper one repeats
  the lowest.
  """

  first_cell: cell.Cell  # the decoder's lowest
  depth: int  # layers of the decoder
  features: int  # H, width of the decoder's state
  half: int  # where the backward half of the encoder's state begins
  dense_args: Mapping[str, Any]

  must_define = ("__call__",)

  def __call__(
    self, memory: types.Memory, fixed: Fixed
  ) -> tuple[cell.Carry, ...]:
    """The carries of all decoder layers, leaves [B, 1, H].

    Args:
      memory: the encoder's.
      fixed: if given, it stands for the encoder's state.
    """
    raise TypeError("a bridge defines its call")

  @nn.nowrap
  def carry_for(self, memory: types.Memory, layer: int) -> cell.Carry:
    """The encoder's carry that a decoder layer starts from. Leaves [B, D]."""
    below = layer + len(memory.state) - self.depth
    return memory.state[max(0, below)]


class Zero(Bridge):
  """The decoder does not see the encoder's state."""

  def __call__(
    self, memory: types.Memory, fixed: Fixed
  ) -> tuple[cell.Carry, ...]:
    del fixed
    rows = memory.mask.shape[0]
    return (self.first_cell.zero_carry(rows, 1),) * self.depth


class Last(Bridge):
  """The encoder's last carry as it is: both of one width."""

  def __call__(
    self, memory: types.Memory, fixed: Fixed
  ) -> tuple[cell.Carry, ...]:
    count, carries = self.first_cell.leaves, []
    for layer in range(self.depth):
      state = self.carry_for(memory, layer)
      if fixed is not None:
        state = (fixed,) * count
      elif len(state) != count:
        # No layer in between could turn an h into a memory cell.
        zeros = (jnp.zeros_like(state[-1]),) * (count - 1)
        state = (*zeros, state[-1])
      carries.append(tuple(leaf[:, None] for leaf in state))
    return tuple(carries)


class Dense(Bridge):
  """Tanh layers over the last carry, one for each leaf of each decoder layer.

  If the carries have other leaves than the encoder's, each takes its h.
  """

  @nn.nowrap
  def summary(self, memory: types.Memory, fixed: Fixed) -> Fixed:
    """What stands for the encoder's carries; None: they themselves."""
    del memory
    return fixed

  @nn.compact
  def __call__(
    self, memory: types.Memory, fixed: Fixed
  ) -> tuple[cell.Carry, ...]:
    count, carries = self.first_cell.leaves, []
    summary = self.summary(memory, fixed)
    for layer in range(self.depth):
      if summary is not None:
        state = (summary,) * count
      else:
        state = self.carry_for(memory, layer)
        if len(state) != count:
          state = (state[-1],) * count
      carries.append(
        tuple(
          jnp.tanh(self.dense(f"layer_{layer}_{i}", leaf))[:, None]
          for i, leaf in enumerate(state)
        )
      )
    return tuple(carries)

  def dense(
    self, name: str, leaf: Float[types.Array, "B D"]
  ) -> Float[types.Array, "B H"]:
    """A layer of its own for each leaf."""
    args = dict(self.dense_args)
    layer = layers.Dense(leaf.shape[-1], self.features, name=name, **args)
    return layer(leaf)


class Mean(Dense):
  """Tanh layers over the encoder's mean output."""

  @nn.nowrap
  def summary(self, memory: types.Memory, fixed: Fixed) -> Fixed:
    del fixed
    real = memory.mask[..., None].astype(jnp.float32)
    return jnp.sum(memory.values * real, 1) / jnp.sum(real, 1)


class Backward(Dense):
  """Tanh layers over the last state of the top layer's backward direction.

  Bahdanau et al. 2015, A.2.2.
  """

  @nn.nowrap
  def summary(self, memory: types.Memory, fixed: Fixed) -> Fixed:
    del fixed
    return memory.state[-1][-1][:, self.half :]


BRIDGES: dict[str, type[Bridge]] = {
  "zero": Zero,
  "last": Last,
  "mean": Mean,
  "dense": Dense,
  "backward": Backward,
}
