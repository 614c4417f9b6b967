"""Recurrent cells: `project` what depends on inputs alone, `advance` a step.

A carry is a tuple of `[..., H]` arrays whose last entry is the output h.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from seq2seq_jax.models import recurrence


def weights(init: str, scale: float):
  """Initialiser of a product's matrix: Xavier's, or uniform in +-scale."""
  if init == "uniform":
    return uniform(scale)
  return nn.initializers.xavier_uniform()


def uniform(scale: float):
  """Uniform in [-scale, scale]."""

  def init(rng, shape, dtype=jnp.float32):
    return jax.random.uniform(rng, shape, dtype, -scale, scale)

  return init


def by_gate(init, gates: int):
  """Initialises each gate's block of columns on its own."""

  def blocks(rng, shape, dtype=jnp.float32):
    rngs = jax.random.split(rng, gates)
    block = (*shape[:-1], shape[-1] // gates)
    return jnp.concatenate([init(r, block, dtype) for r in rngs], axis=-1)

  return blocks


class Cell(nn.Module):
  """What LSTM and GRU share: the products of inputs, feeds and state.

  `feeds` are the widths of inputs known only inside the loop (a fed readout,
  a context); each has a kernel of its own.
  """

  features: int
  inputs: int
  feeds: tuple[int, ...] = ()
  init: str = "xavier"
  init_scale: float = 0.08
  forget_bias: float = 1.0
  dtype: jnp.dtype = jnp.float32

  gates = 0
  leaves = 0

  def setup(self):
    width = self.gates * self.features
    dense = by_gate(weights(self.init, self.init_scale), self.gates)
    square = dense
    if self.init == "xavier":
      square = by_gate(nn.initializers.orthogonal(), self.gates)
    self.kernel = self.param("kernel", dense, (self.inputs, width))
    self.feed_kernels = [
      self.param(f"feed_{i}", dense, (n, width))
      for i, n in enumerate(self.feeds)
    ]
    self.recurrent = self.param("recurrent", square, (self.features, width))
    self.bias = self.param("bias", self.bias_init, (width,))

  def bias_init(self, rng, shape, dtype=jnp.float32):
    del rng
    return jnp.zeros(shape, dtype)

  def project(self, x):
    """Products of inputs. [..., D] -> [..., gates * H]."""
    y = recurrence.product(x, self.kernel, self.dtype)
    return recurrence.add_bias(y, self.bias)

  def fed(self, projected, feeds):
    """Adds the products of what is fed inside the loop."""
    for kernel, x in zip(self.feed_kernels, feeds, strict=True):
      projected = projected + recurrence.product(x, kernel, self.dtype)
    return projected

  def zero(self, *shape: int):
    """The zero carry, leaves [*shape, H]."""
    zeros = jnp.zeros((*shape, self.features), jnp.float32)
    return (zeros,) * self.leaves


class LSTM(Cell):
  """LSTM without peepholes (Zaremba et al. 2014).

  (i, f, g, o) = (σ, σ, tanh, σ)(W x + U h + b), in cuDNN's and PyTorch's
  order; c' = f c + i g; h' = o tanh(c'). The carry is (c, h).
  """

  gates = 4
  leaves = 2

  def bias_init(self, rng, shape, dtype=jnp.float32):
    del rng
    h = self.features
    return jnp.zeros(shape, dtype).at[h : 2 * h].set(self.forget_bias)

  def advance(self, carry, projected, feeds=()):
    """One step. [..., 4 H] -> carry, [..., H]."""
    c, h = carry
    z = self.fed(projected, feeds)
    z = z + recurrence.product(h, self.recurrent, self.dtype)
    i, f, g, o = jnp.split(z, 4, axis=-1)
    c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
    h = nn.sigmoid(o) * jnp.tanh(c)
    return (c, h), h


class GRU(Cell):
  """GRU with the reset behind the recurrent product (cuDNN, PyTorch, Flax).

  r, z = σ(W x + U h + b); n = tanh(W_n x + b_n + r (U_n h + b_hn));
  h' = (1 - z) n + z h. The carry is (h,). Not weight-compatible with Cho's and
  Bahdanau's, whose reset stands before the product.
  """

  gates = 3
  leaves = 1

  def setup(self):
    super().setup()
    self.bias_hn = self.param(
      "bias_hn", nn.initializers.zeros, (self.features,)
    )

  def advance(self, carry, projected, feeds=()):
    """One step. [..., 3 H] -> carry, [..., H]."""
    (h,) = carry
    xr, xz, xn = jnp.split(self.fed(projected, feeds), 3, axis=-1)
    u = recurrence.product(h, self.recurrent, self.dtype)
    ur, uz, un = jnp.split(u, 3, axis=-1)
    r, z = nn.sigmoid(xr + ur), nn.sigmoid(xz + uz)
    n = jnp.tanh(xn + r * recurrence.add_bias(un, self.bias_hn))
    h = (1.0 - z) * n + z * h
    return (h,), h


CELLS = {"lstm": LSTM, "gru": GRU}
