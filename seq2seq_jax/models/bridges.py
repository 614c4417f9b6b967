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
          self.activation(self.dense(f"layer_{layer}_{i}", leaf))[:, None]
          for i, leaf in enumerate(state)
        )
      )
    return tuple(carries)

  @nn.nowrap
  def activation(
    self, x: Float[types.Array, "B H"]
  ) -> Float[types.Array, "B H"]:
    """What follows each layer."""
    return jnp.tanh(x)

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


class Relu(Dense):
  """ReLU layers over the last carry (See et al. 2017)."""

  @nn.nowrap
  def activation(
    self, x: Float[types.Array, "B H"]
  ) -> Float[types.Array, "B H"]:
    return nn.relu(x)


class Linear(Bridge):
  """Layers without tanh, one for each leaf, the same for all decoder layers.

  That of fairseq's LSTM, where encoder and decoder differ in width.
  """

  @nn.compact
  def __call__(
    self, memory: types.Memory, fixed: Fixed
  ) -> tuple[cell.Carry, ...]:
    count, args = self.first_cell.leaves, dict(self.dense_args)
    states = []
    for layer in range(self.depth):
      state = self.carry_for(memory, layer)
      if fixed is not None:
        state = (fixed,) * count
      elif len(state) != count:
        state = (state[-1],) * count
      states.append(state)
    shared = [
      layers.Dense(leaf.shape[-1], self.features, name=f"leaf_{i}", **args)
      for i, leaf in enumerate(states[0])
    ]
    return tuple(
      tuple(
        dense(leaf)[:, None] for dense, leaf in zip(shared, state, strict=True)
      )
      for state in states
    )


class Top(Bridge):
  """The top layer's last h as it is, for every leaf of every layer.

  Of two directions that are together twice as wide, the forward one's
  (JoeyNMT's `last`).
  """

  @nn.compact
  def __call__(
    self, memory: types.Memory, fixed: Fixed
  ) -> tuple[cell.Carry, ...]:
    top = memory.state[-1][-1] if fixed is None else fixed
    h = self.made(top)[:, None]
    return ((h,) * self.first_cell.leaves,) * self.depth

  def made(self, top: Float[types.Array, "B D"]) -> Float[types.Array, "B H"]:
    """The decoder's h from the encoder's."""
    return top[:, : self.features]


class DenseTop(Top):
  """One tanh layer over the top layer's last h, for every leaf of every layer.

  JoeyNMT's `bridge`.
  """

  def made(self, top: Float[types.Array, "B D"]) -> Float[types.Array, "B H"]:
    args = dict(self.dense_args)
    layer = layers.Dense(top.shape[-1], self.features, name="layer", **args)
    return jnp.tanh(layer(top))


class ReluRows(Bridge):
  """A ReLU layer for each leaf, over rows of the states side by side.

  A row is as wide as the encoder's layers of one direction together, whatever
  the directions: with two layers of two directions it is one layer's state,
  with three it holds parts of two layers (OpenNMT-py).
  """

  @nn.compact
  def __call__(
    self, memory: types.Memory, fixed: Fixed
  ) -> tuple[cell.Carry, ...]:
    del fixed
    count, args = self.first_cell.leaves, dict(self.dense_args)
    states = [self.carry_for(memory, layer) for layer in range(self.depth)]
    width = self.half * self.depth
    leaves = []
    for i in range(count):
      # Carries of other leaves give their h.
      each = [s[i] if len(s) == count else s[-1] for s in states]
      layer = layers.Dense(width, width, name=f"leaf_{i}", **args)
      flat = jnp.concatenate(each, axis=-1)  # [B, layers * directions * half]
      rows = flat.reshape(flat.shape[0], -1, width)
      flat = nn.relu(layer(rows)).reshape(flat.shape)
      leaves.append(jnp.split(flat, self.depth, axis=-1))
    return tuple(
      tuple(leaf[layer][:, None] for leaf in leaves)
      for layer in range(self.depth)
    )


BRIDGES: dict[str, type[Bridge]] = {
  "zero": Zero,
  "last": Last,
  "mean": Mean,
  "dense": Dense,
  "backward": Backward,
  "relu": Relu,
  "linear": Linear,
  "top": Top,
  "dense_top": DenseTop,
  "relu_rows": ReluRows,
}
