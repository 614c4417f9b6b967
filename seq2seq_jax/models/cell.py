"""What all recurrent cells share: `project` the inputs, `advance` one step.

`project` computes what depends on the inputs alone, and so for all steps in one
product outside the loop; `advance` is one step. A carry is a tuple of
`[..., H]` arrays whose last entry is the output h. The cells themselves, and
how to add one, are in `cells.py`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Float

from seq2seq_jax import types
from seq2seq_jax.models import (
  dropout_masks,
  initializers,
  promises,
  recurrence,
)

# Leaves [..., H], the output last.
Carry = tuple[Float[types.Array, "... H"], ...]


class Cell(nn.Module):
  """The products of inputs, extra inputs and state, and the step around them.

  features: H.
  inputs: width of what `project` takes; 0: nothing.
  extra_inputs: widths of inputs known only inside the loop (a fed readout, a
    context); each has a kernel of its own.
  depth: cells a step; those after the first see the state alone (deep
    transition, Pascanu et al. 2014, Miceli Barone et al. 2017).
  zoneout: rate at which a unit keeps its value (Krueger et al. 2017); without
    masks, the expectation.

  The masks of a step: `state` on h in the recurrent product (Gal & Ghahramani
  2016), `update` on the candidate (Semeniuta et al. 2016), and `zone_i` for the
  i-th leaf of the carry.
  """

  features: int
  inputs: int
  extra_inputs: tuple[int, ...] = ()
  depth: int = 1
  zoneout: float = 0.0
  init_kind: str = "xavier"
  init_scale: float = 0.08
  recurrent_init: str = "auto"
  forget_bias: float = 1.0
  dtype: Any = jnp.float32

  must_define = ("gates", "leaves", "update")
  gates = 0
  """Blocks of H columns that `project` makes."""
  leaves = 0
  """Arrays of the carry."""
  bias_outside = True
  """True if the bias is part of `project`."""
  additive = False
  """True if the recurrent product is only added to the others: they then are
  one product, and `update` finds U h in z already."""

  def setup(self) -> None:
    width = self.gates * self.features
    dense = initializers.by_gate(
      initializers.gate(self.init_kind, self.init_scale), self.gates
    )
    if self.inputs:
      self.kernel = self.param("kernel", dense, (self.inputs, width))
    self.extra_kernels = [
      self.param(f"feed_{i}", dense, (n, width))
      for i, n in enumerate(self.extra_inputs)
    ]
    self.declare_params(width)
    self.transitions = [
      type(self)(
        self.features,
        inputs=0,
        init_kind=self.init_kind,
        init_scale=self.init_scale,
        recurrent_init=self.recurrent_init,
        forget_bias=self.forget_bias,
        dtype=self.dtype,
        name=f"transition_{i}",
      )
      for i in range(1, self.depth)
    ]
    for cell in self.transitions:
      # Any method sets a Linen module up. It must happen here: parameters that
      # are first touched inside a scan cannot be created there.
      cell.zero_carry(1)

  def declare_params(self, width: int) -> None:
    """Declares all parameters but the input kernels."""
    square = initializers.by_gate(
      initializers.recurrent(
        self.init_kind, self.init_scale, self.recurrent_init
      ),
      self.gates,
    )
    self.recurrent = self.param("recurrent", square, (self.features, width))
    self.bias = self.param("bias", self.bias_init, (width,))

  def bias_init(
    self, rng: types.Array, shape: Sequence[int], dtype: Any = jnp.float32
  ) -> types.Array:
    """Initial bias of all gates. [gates * H]."""
    init = initializers.gate_bias(self.init_kind, self.features)
    return init(rng, shape, dtype)

  def scale(self, name: str, width: int) -> types.Array:
    """Declares the gain of a layer normalisation. [width]."""
    return self.param(name, nn.initializers.ones, (width,))

  @nn.nowrap
  def mask_specs(
    self, name: str, state: float, update: float, shared: bool
  ) -> tuple[dropout_masks.MaskSpec, ...]:
    """The masks of a step, named `name/...`."""

    def spec(part: str, rate: float, shared: bool) -> dropout_masks.MaskSpec:
      return dropout_masks.MaskSpec(
        f"{name}/{part}", self.features, rate, shared
      )

    zones = [spec(f"zone_{i}", self.zoneout, False) for i in range(self.leaves)]
    return (
      spec("state", state, True),
      spec("update", update, shared),
      *zones,
    )

  def project(
    self, x: Float[types.Array, "... I"], product: Callable = recurrence.product
  ) -> Float[types.Array, "... G"]:
    """W x + b, or W x where the bias is added later. G = gates * H."""
    y = product(x, self.kernel, self.dtype)
    return recurrence.add_bias(y, self.bias) if self.bias_outside else y

  def project_all(
    self,
    x: Float[types.Array, "T B I"],
    extra: Sequence[Float[types.Array, "T B _"]] = (),
  ) -> Float[types.Array, "T B G"]:
    """`project` of all steps at once, outside of loops.

    Extra inputs that are known beforehand are added here, not in `advance`.
    """
    y = self.project(x, recurrence.product_of_all)
    if not extra:
      return y
    joined, kernel = self.concat_operands(extra, self.extra_kernels)
    return y + recurrence.product_of_all(joined, kernel, self.dtype)

  def preactivation(
    self,
    h: types.Array,
    projected: types.Array,
    extra: Sequence[types.Array],
    masks: dropout_masks.Masks | None,
  ) -> types.Array:
    """W x plus the products of extra inputs, and U h where additive.

    As one product: the columns side by side, the kernels one above the other.
    """
    xs, kernels = [*extra], [*self.extra_kernels[: len(extra)]]
    if self.additive:
      xs.append(dropout_masks.apply(h, masks, "state"))
      kernels.append(self.recurrent)
    if not xs:
      return projected
    x, kernel = self.concat_operands(xs, kernels)
    return projected + recurrence.product(x, kernel, self.dtype)

  @nn.nowrap
  def concat_operands(
    self, xs: Sequence[types.Array], kernels: Sequence[types.Array]
  ) -> tuple[types.Array, types.Array]:
    """The operands of sum_i x_i W_i as those of one product x W."""
    return jnp.concatenate(xs, axis=-1), jnp.concatenate(kernels, axis=0)

  def bias_only(self, h: types.Array) -> types.Array:
    """Pre-activations of a transition cell, which has no input: its bias."""
    zeros = jnp.zeros((*h.shape[:-1], self.gates * self.features), h.dtype)
    return recurrence.add_bias(zeros, self.bias) if self.bias_outside else zeros

  def recurrent_product(
    self, h: types.Array, masks: dropout_masks.Masks | None
  ) -> types.Array:
    """U h. [..., H] -> [..., gates * H]."""
    h = dropout_masks.apply(h, masks, "state")
    return recurrence.product(h, self.recurrent, self.dtype)

  def zero_carry(self, *shape: int) -> Carry:
    """The zero carry, leaves [*shape, H]."""
    zeros = jnp.zeros((*shape, self.features), jnp.float32)
    return (zeros,) * self.leaves

  def advance(
    self,
    carry: Carry,
    projected: Float[types.Array, "... G"],
    extra: Sequence[Float[types.Array, "... _"]] = (),
    masks: dropout_masks.Masks | None = None,
  ) -> tuple[
    tuple[Float[types.Array, "... H"], ...], Float[types.Array, "... H"]
  ]:
    """One step: the new carry, and its output h.

    Args:
      carry: of the step before.
      projected: `project` of this step's input.
      extra: the other inputs, of the widths `extra_inputs`.
      masks: this step's, see the class.
    """
    z = self.preactivation(carry[-1], projected, extra, masks)
    new = self.update(carry, z, masks)
    promises.check_carry(self, "update", carry, new)
    for cell in self.transitions:
      bias = cell.bias_only(new[-1])
      z = cell.preactivation(new[-1], bias, (), masks)
      new = cell.update(new, z, masks)
    if self.zoneout:
      new = tuple(
        self.zoned(a, b, masks, f"zone_{i}")
        for i, (a, b) in enumerate(zip(carry, new, strict=True))
      )
    return new, new[-1]

  def zoned(
    self,
    old: types.Array,
    new: types.Array,
    masks: dropout_masks.Masks | None,
    name: str,
  ) -> types.Array:
    """`new` where the mask lets it through, else `old`."""
    # A mask is 0 or 1 / (1 - rate); without one this is the expectation.
    return old + (1.0 - self.zoneout) * dropout_masks.apply(
      new - old, masks, name
    )

  def update(
    self, carry: Carry, z: types.Array, masks: dropout_masks.Masks | None
  ) -> Carry:
    """The cell's equations: the new carry from the old one and z.

    z [..., gates * H] is W x with the extra inputs' products, and U h as well
    if the cell is additive.
    """
    raise TypeError("a cell defines its update")
