"""Recurrent encoders: ids, or frames of features, to a memory."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from seq2seq_jax import types
from seq2seq_jax.models import (
  cudnn,
  dropout_masks,
  initializers,
  layers,
  recurrence,
)


class Encoder(nn.Module):
  """A stack of recurrent layers, in one direction or two.

  direction: forward, backward (reads from the last position to the first), or
    both.
  stacking: of two directions. joint: concatenated after each layer; separate:
    each direction is a stack of its own, concatenated at the top (Britz et al.
    2017, whose "2-layer bidirectional" is one layer a direction); gnmt: the
    first layer alone has two directions (Wu et al. 2016).
  residual: none; add: a layer's input is added to its output; dense: so are
    the inputs of all layers below (Britz et al. 2017, Res and ResD). From layer
    `residual_start` on, counted from 1.
  reduction, reductions: so many layers from the second on read pairs of
    positions, concatenated (Chan et al. 2016) or by their maximum (Zeyer et
    al. 2018).
  """

  embed: nn.Module  # ids or frames to [B, S', D]
  cell: type[nn.Module]
  cell_args: dict
  features: int
  depth: int
  direction: str
  stacking: str
  residual: str
  residual_start: int
  reduction: str
  reductions: int
  dropout: layers.Dropout
  recurrence: str = "scan"  # or cudnn

  def setup(self):
    stacks, width = {}, self.embed.features
    for i in range(self.depth):
      names = self.directions(i)
      if 1 <= i <= self.reductions and self.reduction == "concat":
        width *= 2
      for name in names:
        stacks[name, i] = self.cell(
          self.features, width, **dict(self.cell_args), name=f"{name}_{i}"
        )
      width = self.features
      if self.stacking != "separate":
        width *= len(names)
    self.cells = {f"{name}_{i}": cell for (name, i), cell in stacks.items()}

  @nn.nowrap
  def directions(self, i: int) -> tuple[str, ...]:
    """Names of the directions in which layer i reads."""
    if self.stacking == "gnmt" and i:
      return ("forward",)
    both = ("forward", "backward")
    return both if self.direction == "both" else (self.direction,)

  @nn.nowrap
  def masks(self) -> tuple[dropout_masks.Mask, ...]:
    """Masks of a call, by name."""
    d = self.dropout
    masks = list(d.inputs(self.embed.features))
    for i in range(self.depth):
      names = self.directions(i)
      width = self.features * len(names)
      masks.append(d.output(i, self.depth, width))
      for name in names:
        cell = self.cell(self.features, 1, **dict(self.cell_args), parent=None)
        masks += cell.masks(f"{name}_{i}", d.state, d.update, d.shared)
    return tuple(masks)

  def __call__(self, src, src_len, noise=None) -> types.Memory:
    """Reads `src` [B, S] or [B, S, F], `src_len` [B]; masks are [S, B, D]."""
    batch_major = lambda m: m.swapaxes(0, 1)
    outer = {
      k: batch_major(v) for k, v in (noise or {}).items() if "/" not in k
    }
    x, lengths = self.embed(src, src_len)
    # A front end shortens what masks were drawn for.
    outer = {k: m[:, : x.shape[1]] for k, m in outer.items()}
    x = dropout_masks.apply(x, outer, "embed")
    x = dropout_masks.apply(x, outer, "word")
    split = self.stacking == "separate" and self.direction == "both"
    streams = [x] * (2 if split else 1)
    below = [[] for _ in streams]  # inputs of the layers, for residuals
    state = []
    for i in range(self.depth):
      if 1 <= i <= self.reductions:
        (x,) = streams
        x, lengths = layers.pairs(x, lengths, self.reduction)
        streams, below = [x], [[]]
      carry, outputs = self.layer(i, streams, lengths, noise)
      joined = jnp.concatenate(outputs, axis=-1)
      mask = outer.get(f"layer_{i}")
      if mask is not None:
        joined = joined * mask[:, : joined.shape[1]]
      state.append(carry)
      new = jnp.split(joined, 2, axis=-1) if split else [joined]
      if self.residual != "none" and i + 1 >= self.residual_start:
        for n, x in enumerate(streams):
          below[n].append(x)
          reach = below[n] if self.residual == "dense" else [x]
          new[n] = sum(reach, new[n])
      streams = new
    values = jnp.concatenate(streams, axis=-1)
    return types.Memory(
      values, layers.length_mask(lengths, values.shape[1]), tuple(state)
    )

  def layer(self, i, streams, lengths, noise):
    """One layer. Its last carry, directions concatenated, and its outputs."""
    scan = lambda: self.scanned(i, streams, lengths, noise)
    if self.recurrence == "scan":
      return scan()
    cells = [self.cells[f"{name}_{i}"] for name in self.directions(i)]
    return cudnn.layer(cells, streams[0], lengths, scan)

  def scanned(self, i, streams, lengths, noise):
    carries, outputs = [], []
    for d, name in enumerate(self.directions(i)):
      x = streams[d if len(streams) > 1 else 0]
      cell = self.cells[f"{name}_{i}"]
      inner = dropout_masks.part(noise, f"{name}_{i}")
      inner = {k: m[: x.shape[1]] for k, m in inner.items()}
      carry, y = recurrence.layer(
        lambda c, z, noise, cell=cell: cell.advance(c, z, (), noise),
        cell.zero(x.shape[0]),
        cell.project_all(x.swapaxes(0, 1)),
        lengths,
        inner,
        reverse=name == "backward",
      )
      carries.append(carry)
      outputs.append(y)
    join = lambda *leaf: jnp.concatenate(leaf, axis=-1)
    return jax.tree.map(join, *carries), outputs


class Tokens(nn.Module):
  """Embeds ids; the length stays."""

  table: nn.Module

  @property
  def features(self):
    return self.table.features

  def __call__(self, src, src_len):
    return self.table(src), src_len


class Frames(nn.Module):
  """Frames of features as they are, padding set to 0."""

  features: int

  def __call__(self, src, src_len):
    return layers.zero_padding(src, src_len), src_len


class Convolution(nn.Module):
  """Two convolutions over time and frequency, each of stride 2, for speech.

  Layer normalisation over a position's channels and frequencies, then ReLU: no
  statistics of a batch. Padding is 0 before each convolution, and its place
  does not depend on the padded length. [B, S, F] -> [B, ceil(S / 4), D].
  """

  bins: int
  channels: int
  init_kind: str = "xavier"
  init_scale: float = 0.08
  dtype: jnp.dtype = jnp.float32

  @property
  def features(self):
    return (self.bins + 3) // 4 * self.channels

  @nn.compact
  def __call__(self, src, src_len):
    x, lengths = src[..., None], src_len
    for i in range(2):
      x = layers.zero_padding(x, lengths)
      shape = (3, 3, x.shape[-1], self.channels)
      init = initializers.weights(self.init_kind, self.init_scale)
      kernel = self.param(f"kernel_{i}", init, shape)
      x = jax.lax.conv_general_dilated(
        x.astype(self.dtype),
        kernel.astype(self.dtype),
        (2, 2),
        ((1, 1), (1, 1)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
      ).astype(jnp.float32)
      shape = x.shape
      flat = x.reshape(*shape[:2], -1)
      flat = layers.Norm(flat.shape[-1], name=f"norm_{i}")(flat)
      x = nn.relu(flat).reshape(shape)
      lengths = (lengths + 1) // 2
    x = layers.zero_padding(x, lengths)
    return x.reshape(*x.shape[:2], -1), lengths
