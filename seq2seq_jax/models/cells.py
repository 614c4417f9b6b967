"""Recurrent cells: their equations.

A new cell is one class with its `update` here, one line in `CELLS`, and its
name in the config; all else is in `cell.Cell`.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from seq2seq_jax import types
from seq2seq_jax.models import cell, dropout_masks, initializers, recurrence

Carry = cell.Carry
Masks = dropout_masks.Masks

# Order of the gates' blocks of columns; i, f, o are sigmoids, g the candidate.
GATE_ORDERS = {"cudnn": "ifgo", "tensorflow": "igfo", "marian": "figo"}


def reorder_gates(
  matrix: types.Array, source: str, target: str = "cudnn"
) -> types.Array:
  """An LSTM's kernel or bias in another order of gates. [..., 4 H].

  TensorFlow's BasicLSTMCell also adds its forget bias at run time: add it to
  the f block of the bias when such weights are brought here.
  """
  blocks = dict(
    zip(GATE_ORDERS[source], jnp.split(matrix, 4, axis=-1), strict=True)
  )
  return jnp.concatenate([blocks[g] for g in GATE_ORDERS[target]], axis=-1)


def gate_activations(
  z: types.Array,
) -> tuple[types.Array, types.Array, types.Array, types.Array]:
  """(σ(i), σ(f), tanh(g), σ(o)) of z [..., 4 H].

  σ(x) = (1 + tanh(x / 2)) / 2, so one tanh serves all columns; kept apart from
  what follows, it runs over contiguous memory.
  """
  h = z.shape[-1] // 4
  half = jnp.repeat(jnp.array([0.5, 0.5, 1.0, 0.5], z.dtype), h)
  half = half.reshape((1,) * (z.ndim - 1) + half.shape)
  # The barrier keeps XLA from fusing the tanh with the splits that read it.
  t = jax.lax.optimization_barrier(jnp.tanh(z * half))
  i, f, g, o = jnp.split(t, 4, axis=-1)

  def sigmoid(t: types.Array) -> types.Array:
    return 0.5 + 0.5 * t

  return sigmoid(i), sigmoid(f), g, sigmoid(o)


class LSTM(cell.Cell):
  """LSTM without peepholes (Zaremba et al. 2014).

  (i, f, g, o) = (σ, σ, tanh, σ)(W x + U h + b), in cuDNN's and PyTorch's
  order; c' = f c + i g; h' = o tanh(c'). The carry is (c, h).
  """

  gates = 4
  leaves = 2
  additive = True

  def bias_init(
    self, rng: types.Array, shape: Sequence[int], dtype: Any = jnp.float32
  ) -> types.Array:
    h = self.features
    bias = super().bias_init(rng, shape, dtype)
    return bias.at[h : 2 * h].add(self.forget_bias)

  def update(self, carry: Carry, z: types.Array, masks: Masks | None) -> Carry:
    return self.gated(carry, z, masks)

  def gated(self, carry: Carry, z: types.Array, masks: Masks | None) -> Carry:
    """The new carry from the gates' pre-activations z [..., 4 H]."""
    i, f, g, o = gate_activations(z)
    g = dropout_masks.apply(g, masks, "update")
    c = f * carry[0] + i * g
    return c, o * self.output_activation(c)

  def output_activation(self, c: types.Array) -> types.Array:
    """What the output gate multiplies. [..., H] -> [..., H]."""
    return jnp.tanh(c)


class NormLSTM(LSTM):
  """LSTM with layer normalisation by gate (Ba et al. 2016).

  z = LN(W x) + LN(U h) + b; h' = o tanh(LN(c')).
  """

  bias_outside = False
  additive = False

  def declare_params(self, width: int) -> None:
    super().declare_params(width)
    self.scale_input = self.scale("scale_input", width)
    self.scale_recurrent = self.scale("scale_recurrent", width)
    self.scale_cell = self.scale("scale_cell", self.features)
    self.bias_cell = self.param(
      "bias_cell", nn.initializers.zeros, (self.features,)
    )

  def update(self, carry: Carry, z: types.Array, masks: Masks | None) -> Carry:
    z = by_gate_norm(z, 4, self.scale_input)
    back = self.recurrent_product(carry[-1], masks)
    z = z + by_gate_norm(back, 4, self.scale_recurrent)
    return self.gated(carry, recurrence.add_bias(z, self.bias), masks)

  def output_activation(self, c: types.Array) -> types.Array:
    c = by_gate_norm(c, 1, self.scale_cell)
    return jnp.tanh(recurrence.add_bias(c, self.bias_cell))


class RnmtLSTM(LSTM):
  """The LSTM of RNMT+ (Chen et al. 2018).

  z = LN(W x + U h) + b by gate; no output nonlinearity: h' = o c'.
  """

  bias_outside = False

  def declare_params(self, width: int) -> None:
    super().declare_params(width)
    self.scale_gates = self.scale("scale", width)

  def update(self, carry: Carry, z: types.Array, masks: Masks | None) -> Carry:
    z = by_gate_norm(z, 4, self.scale_gates)
    return self.gated(carry, recurrence.add_bias(z, self.bias), masks)

  def output_activation(self, c: types.Array) -> types.Array:
    return c


class GRU(cell.Cell):
  """GRU with the reset after the recurrent product (cuDNN, PyTorch, Flax).

  r, z = σ(W x + U h + b); n = tanh(W_n x + b_n + r (U_n h + b_hn));
  h' = (1 - z) n + z h. The carry is (h,). Not weight-compatible with Cho's and
  Bahdanau's, whose reset stands before the product.
  """

  gates = 3
  leaves = 1

  def declare_params(self, width: int) -> None:
    super().declare_params(width)
    one = initializers.gate_bias(self.init_kind, self.features, 1)
    self.bias_hn = self.param("bias_hn", one, (self.features,))

  def bias_init(
    self, rng: types.Array, shape: Sequence[int], dtype: Any = jnp.float32
  ) -> types.Array:
    """The candidate has one bias here and one inside of the reset."""
    h = self.features
    first, second = jax.random.split(rng)
    one = initializers.gate_bias(self.init_kind, h, 1)
    bias = super().bias_init(first, shape, dtype)
    return bias.at[2 * h :].set(one(second, (h,), dtype))

  def update(self, carry: Carry, z: types.Array, masks: Masks | None) -> Carry:
    (h,) = carry
    xr, xz, xn = jnp.split(z, 3, axis=-1)
    ur, uz, un = jnp.split(self.recurrent_product(h, masks), 3, axis=-1)
    r, z = nn.sigmoid(xr + ur), nn.sigmoid(xz + uz)
    n = jnp.tanh(xn + r * recurrence.add_bias(un, self.bias_hn))
    n = dropout_masks.apply(n, masks, "update")
    return ((1.0 - z) * n + z * h,)


class NormGRU(cell.Cell):
  """GRU with layer normalisation by gate (Ba et al. 2016).

  r, z = σ(LN(W x) + LN(U h) + b); n = tanh(LN(W_n x) + b_n + r LN(U_n h));
  h' = (1 - z) n + z h.
  """

  gates = 3
  leaves = 1
  bias_outside = False

  def declare_params(self, width: int) -> None:
    super().declare_params(width)
    self.scale_input = self.scale("scale_input", width)
    self.scale_recurrent = self.scale("scale_recurrent", width)

  def update(self, carry: Carry, z: types.Array, masks: Masks | None) -> Carry:
    (h,) = carry
    x = by_gate_norm(z, 3, self.scale_input)
    x = recurrence.add_bias(x, self.bias)
    u = by_gate_norm(self.recurrent_product(h, masks), 3, self.scale_recurrent)
    xr, xz, xn = jnp.split(x, 3, axis=-1)
    ur, uz, un = jnp.split(u, 3, axis=-1)
    r, z = nn.sigmoid(xr + ur), nn.sigmoid(xz + uz)
    n = dropout_masks.apply(jnp.tanh(xn + r * un), masks, "update")
    return ((1.0 - z) * n + z * h,)


class BahdanauGRU(cell.Cell):
  """GRU with the reset before the product (Bahdanau et al. 2015, A.1.1).

  r, z = σ(W x + U h + b); n = tanh(W_n x + U_n (r h) + b_n);
  h' = (1 - z) h + z n.
  """

  gates = 3
  leaves = 1
  updates = True
  """True if z is the share of the new value, False if that of the old."""

  def update(self, carry: Carry, z: types.Array, masks: Masks | None) -> Carry:
    (h,) = carry
    both = 2 * self.features
    seen = dropout_masks.apply(h, masks, "state")
    gates = recurrence.product(seen, self.recurrent[:, :both], self.dtype)
    r, z_gate = jnp.split(nn.sigmoid(z[..., :both] + gates), 2, axis=-1)
    back = recurrence.product(r * seen, self.recurrent[:, both:], self.dtype)
    n = dropout_masks.apply(jnp.tanh(z[..., both:] + back), masks, "update")
    new = z_gate if self.updates else 1.0 - z_gate
    return ((1.0 - new) * h + new * n,)


class ChoGRU(BahdanauGRU):
  """Cho et al. 2014, whose update gate keeps: h' = z h + (1 - z) n."""

  updates = False


class Elman(cell.Cell):
  """h' = tanh(W x + U h + b), the simple recurrent network (Elman 1990)."""

  gates = 1
  leaves = 1
  additive = True

  def update(self, carry: Carry, z: types.Array, masks: Masks | None) -> Carry:
    return (dropout_masks.apply(jnp.tanh(z), masks, "update"),)


class SRU(cell.Cell):
  """Simple recurrent unit (Lei et al. 2018): no product inside the loop.

  f, r = σ(W x + v c + b); c' = f c + (1 - f) W x; h' = r c' + (1 - r) W_h x,
  the highway's W_h standing for x where widths differ. The carry is (c, h).
  """

  gates = 4  # candidate, f, r, highway
  leaves = 2
  bias_outside = False

  def declare_params(self, width: int) -> None:
    del width
    both = (2 * self.features,)
    self.bias = self.param("bias", nn.initializers.zeros, both)
    uniform = initializers.uniform(3.0**0.5)  # the paper's: variance 1
    self.peephole = self.param("peephole", uniform, both)

  def update(self, carry: Carry, z: types.Array, masks: Masks | None) -> Carry:
    c, h = carry
    del h
    x, f, r, high = jnp.split(z, 4, axis=-1)
    bias = jnp.split(self.bias, 2)
    v = jnp.split(self.peephole, 2)

    def row(a: types.Array) -> types.Array:
      return a.reshape((1,) * (c.ndim - 1) + a.shape)

    f = nn.sigmoid(f + row(v[0]) * c + row(bias[0]))
    r = nn.sigmoid(r + row(v[1]) * c + row(bias[1]))
    new = f * c + (1.0 - f) * dropout_masks.apply(x, masks, "update")
    return new, r * new + (1.0 - r) * high


def by_gate_norm(
  x: types.Array, gates: int, scale: types.Array, epsilon: float = 1e-5
) -> types.Array:
  """Layer normalisation of each gate's block, and a gain. [..., gates * H]."""
  blocks = x.reshape(*x.shape[:-1], gates, -1)
  mean = jnp.mean(blocks, axis=-1, keepdims=True)
  centred = blocks - mean
  variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
  normed = (centred * jax.lax.rsqrt(variance + epsilon)).reshape(x.shape)
  return normed * scale.reshape((1,) * (x.ndim - 1) + scale.shape)


CELLS: dict[str, type[cell.Cell]] = {
  "lstm": LSTM,
  "gru": GRU,
  "gru_bahdanau": BahdanauGRU,
  "gru_cho": ChoGRU,
  "elman": Elman,
  "ln_lstm": NormLSTM,
  "rnmt_lstm": RnmtLSTM,
  "ln_gru": NormGRU,
  "sru": SRU,
}
