"""Recurrent encoders: stacks of layers over a front end's vectors.

A stack is built from three choices that papers mix freely: the directions of a
layer, how two directions are joined, and which layers shorten the sequence.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from seq2seq_jax import types
from seq2seq_jax.models import (
  cell,
  cudnn,
  dropout_masks,
  layers,
  recurrence,
)

Masks = dropout_masks.Masks
# The last carry, directions concatenated, and each direction's outputs.
LayerResult = tuple[cell.Carry, list[types.Array]]


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

  embed: nn.Module  # a front end: ids or frames to [B, M, D]
  cell_class: type[cell.Cell]
  cell_args: Mapping[str, Any]
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

  def setup(self) -> None:
    modules, width = {}, self.embed.features
    for i in range(self.depth):
      names = self.directions(i)
      if self.shortens(i) and self.reduction == "concat":
        width *= 2
      for name in names:
        modules[f"{name}_{i}"] = self.cell_class(
          self.features, width, **dict(self.cell_args), name=f"{name}_{i}"
        )
      width = self.features
      if self.stacking != "separate":
        width *= len(names)
    self.cells = modules

  @nn.nowrap
  def shortens(self, i: int) -> bool:
    """True if layer i reads pairs of positions."""
    return 1 <= i <= self.reductions

  @nn.nowrap
  def directions(self, i: int) -> tuple[str, ...]:
    """Names of the directions in which layer i reads."""
    if self.stacking == "gnmt" and i:
      return ("forward",)
    both = ("forward", "backward")
    return both if self.direction == "both" else (self.direction,)

  @nn.nowrap
  def mask_specs(self) -> tuple[dropout_masks.MaskSpec, ...]:
    """Dropout and zoneout masks of a call, of a layer's own length each."""
    d = self.dropout
    stride = self.embed.stride
    specs = [m._replace(stride=stride) for m in d.inputs(self.embed.features)]
    template = self.cell_class(
      self.features, 1, **dict(self.cell_args), parent=None
    )
    for i in range(self.depth):
      stride *= 2 if self.shortens(i) else 1
      names = self.directions(i)
      width = self.features * len(names)
      own = [d.output(i, self.depth, width)]
      for name in names:
        own += template.mask_specs(f"{name}_{i}", d.state, d.update, d.shared)
      specs += [m._replace(stride=stride) for m in own]
    return tuple(specs)

  def __call__(
    self,
    src: Int[types.Array, "B S"] | Float[types.Array, "B S F"],
    src_len: Int[types.Array, " B"],
    masks: Masks | None = None,
  ) -> types.Memory:
    """Reads a source; masks are [S over their stride, B, D]."""
    # Masks inside the cells stay time first, as the scan wants them.
    outer = {
      name: mask.swapaxes(0, 1)
      for name, mask in (masks or {}).items()
      if "/" not in name
    }
    x, lengths = self.embed(src, src_len)
    x = dropout_masks.apply(x, outer, "embed")
    x = dropout_masks.apply(x, outer, "word")
    # One stream of vectors, or two that meet at the top only.
    split = self.stacking == "separate" and self.direction == "both"
    streams = [x] * (2 if split else 1)
    below: list[list[types.Array]] = [[] for _ in streams]  # for residuals
    state = []
    for i in range(self.depth):
      if self.shortens(i):
        (x,) = streams
        x, lengths = layers.pairs(x, lengths, self.reduction)
        # Residuals cannot reach over a change of length.
        streams, below = [x], [[]]
      carry, outputs = self.layer(i, streams, lengths, masks)
      joined = jnp.concatenate(outputs, axis=-1)
      joined = dropout_masks.apply(joined, outer, f"layer_{i}")
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

  def layer(
    self,
    i: int,
    streams: list[types.Array],
    lengths: types.Array,
    masks: Masks | None,
  ) -> LayerResult:
    """One layer, by the backend that `recurrence` names."""

    def scan() -> LayerResult:
      return self.scanned(i, streams, lengths, masks)

    if self.recurrence == "scan":
      return scan()
    cells: list[Any] = [
      self.cells[f"{name}_{i}"] for name in self.directions(i)
    ]
    return cudnn.layer(cells, streams[0], lengths, scan)

  def scanned(
    self,
    i: int,
    streams: list[types.Array],
    lengths: types.Array,
    masks: Masks | None,
  ) -> LayerResult:
    """One layer, each direction by a scan of its own."""
    carries, outputs = [], []
    for d, name in enumerate(self.directions(i)):
      x = streams[d if len(streams) > 1 else 0]
      module = self.cells[f"{name}_{i}"]
      inner = dropout_masks.subset(masks, f"{name}_{i}")

      def advance(
        carry: cell.Carry,
        gates: types.Array,
        step_masks: Masks,
        module: cell.Cell = module,
      ) -> tuple[cell.Carry, types.Array]:
        return module.advance(carry, gates, (), step_masks)

      carry, y = recurrence.layer(
        advance,
        module.zero_carry(x.shape[0]),
        module.project_all(x.swapaxes(0, 1)),
        lengths,
        inner,
        reverse=name == "backward",
      )
      carries.append(carry)
      outputs.append(y)

    def join(*leaf: Any) -> types.Array:
      return jnp.concatenate(leaf, axis=-1)

    return jax.tree.map(join, *carries), outputs
