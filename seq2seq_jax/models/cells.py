"""Recurrent cells: `project` what depends on inputs alone, `advance` a step.

A carry is a tuple of `[..., H]` arrays whose last entry is the output h. A new
cell is one class with its `update`, and one line in `CELLS`.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from seq2seq_jax.models import dropout_masks, initializers, recurrence

# Order of the gates' blocks of columns; i, f, o are sigmoids, g the candidate.
GATE_ORDERS = {"cudnn": "ifgo", "tensorflow": "igfo"}


def reorder_gates(matrix, source: str, target: str = "cudnn"):
  """An LSTM's kernel or bias in another order of gates. [..., 4 H].

  TensorFlow's BasicLSTMCell also adds its forget bias at run time: add it to
  the f block of the bias when such weights are brought here.
  """
  blocks = dict(
    zip(GATE_ORDERS[source], jnp.split(matrix, 4, axis=-1), strict=True)
  )
  return jnp.concatenate([blocks[g] for g in GATE_ORDERS[target]], axis=-1)


class Cell(nn.Module):
  """What all cells share: the products of inputs, feeds and state.

  features: H.
  inputs: width of what `project` takes; 0: nothing.
  feeds: widths of inputs known only inside the loop (a fed readout, a context);
    each has a kernel of its own.
  depth: cells a step; those behind the first see the state alone (deep
    transition, Pascanu et al. 2014, Miceli Barone et al. 2017).
  zoneout: rate at which a unit keeps its value (Krueger et al. 2017); without
    noise, the expectation.

  The masks of a step's `noise`: `state` on h in the recurrent product (Gal &
  Ghahramani 2016), `update` on the candidate (Semeniuta et al. 2016), and
  `zone_i` for the i-th leaf of the carry.
  """

  features: int
  inputs: int
  feeds: tuple[int, ...] = ()
  depth: int = 1
  zoneout: float = 0.0
  init_kind: str = "xavier"
  init_scale: float = 0.08
  recurrent_init: str = "auto"
  forget_bias: float = 1.0
  dtype: jnp.dtype = jnp.float32

  gates = 0
  leaves = 0
  bias_outside = True  # the bias is part of `project`
  additive = False  # the product of h is only added: `update` finds it in z

  def setup(self):
    width = self.gates * self.features
    dense = initializers.by_gate(
      initializers.gate(self.init_kind, self.init_scale), self.gates
    )
    if self.inputs:
      self.kernel = self.param("kernel", dense, (self.inputs, width))
    self.feed_kernels = [
      self.param(f"feed_{i}", dense, (n, width))
      for i, n in enumerate(self.feeds)
    ]
    self.own(width)
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
      cell.zero(1)  # sets it up now: parameters must not be born in a loop

  def own(self, width: int):
    """Declares the parameters behind the inputs' products."""
    square = initializers.by_gate(
      initializers.recurrent(
        self.init_kind, self.init_scale, self.recurrent_init
      ),
      self.gates,
    )
    self.recurrent = self.param("recurrent", square, (self.features, width))
    self.bias = self.param("bias", self.bias_init, (width,))

  def bias_init(self, rng, shape, dtype=jnp.float32):
    init = initializers.gate_bias(self.init_kind, self.features)
    return init(rng, shape, dtype)

  def scale(self, name: str, width: int):
    return self.param(name, nn.initializers.ones, (width,))

  def project_all(self, x, feeds=()):
    """The same for all steps at once, outside of loops.

    Feeds that are known beforehand are added here, not in `advance`.
    """
    y = self.project(x, recurrence.product_of_all)
    if not feeds:
      return y
    fed, kernel = self.side_by_side(feeds, self.feed_kernels)
    return y + recurrence.product_of_all(fed, kernel, self.dtype)

  @nn.nowrap
  def masks(self, name: str, state: float, update: float, shared: bool):
    """The masks of a step, their names behind `name/`."""
    one = lambda what, rate, shared: dropout_masks.Mask(
      f"{name}/{what}", self.features, rate, shared
    )
    zones = [one(f"zone_{i}", self.zoneout, False) for i in range(self.leaves)]
    return (
      one("state", state, True),
      one("update", update, shared),
      *zones,
    )

  def project(self, x, product=recurrence.product):
    """Products of inputs. [..., D] -> [..., gates * H]."""
    y = product(x, self.kernel, self.dtype)
    return recurrence.add_bias(y, self.bias) if self.bias_outside else y

  def summed(self, h, projected, feeds, noise):
    """Adds the products of feeds, and of h where the cell is additive.

    As one product: the columns side by side, the kernels one above the other.
    """
    xs, kernels = [*feeds], [*self.feed_kernels[: len(feeds)]]
    if self.additive:
      xs.append(dropout_masks.apply(h, noise, "state"))
      kernels.append(self.recurrent)
    if not xs:
      return projected
    x, kernel = self.side_by_side(xs, kernels)
    return projected + recurrence.product(x, kernel, self.dtype)

  @nn.nowrap
  def side_by_side(self, xs, kernels):
    """The operands of a sum of products as those of one."""
    return jnp.concatenate(xs, axis=-1), jnp.concatenate(kernels, axis=0)

  def unmoved(self, h):
    """The products of no input. [..., gates * H]."""
    zeros = jnp.zeros((*h.shape[:-1], self.gates * self.features), h.dtype)
    return recurrence.add_bias(zeros, self.bias) if self.bias_outside else zeros

  def back(self, h, noise):
    """The recurrent product. [..., H] -> [..., gates * H]."""
    h = dropout_masks.apply(h, noise, "state")
    return recurrence.product(h, self.recurrent, self.dtype)

  def zero(self, *shape: int):
    """The zero carry, leaves [*shape, H]."""
    zeros = jnp.zeros((*shape, self.features), jnp.float32)
    return (zeros,) * self.leaves

  def advance(self, carry, projected, feeds=(), noise=None):
    """One step. [..., gates * H] -> carry, [..., H]."""
    z = self.summed(carry[-1], projected, feeds, noise)
    new = self.update(carry, z, noise)
    for cell in self.transitions:
      z = cell.summed(new[-1], cell.unmoved(new[-1]), (), noise)
      new = cell.update(new, z, noise)
    if self.zoneout:
      new = tuple(
        self.zoned(a, b, noise, f"zone_{i}")
        for i, (a, b) in enumerate(zip(carry, new))
      )
    return new, new[-1]

  def zoned(self, old, new, noise, name):
    # A mask is 0 or 1 / (1 - rate); without one this is the expectation.
    return old + (1.0 - self.zoneout) * dropout_masks.apply(
      new - old, noise, name
    )

  def update(self, carry, z, noise):
    """The equations of a step, from z = W x and what is fed.

    Of an additive cell z = W x + U h.
    """
    raise TypeError("a cell defines its update")


def squashed(z):
  """(σ(i), σ(f), tanh(g), σ(o)) of z [..., 4 H].

  σ(x) = (1 + tanh(x / 2)) / 2, so one tanh serves all columns; kept apart from
  what follows, it runs over contiguous memory.
  """
  h = z.shape[-1] // 4
  half = jnp.repeat(jnp.array([0.5, 0.5, 1.0, 0.5], z.dtype), h)
  half = half.reshape((1,) * (z.ndim - 1) + half.shape)
  t = jax.lax.optimization_barrier(jnp.tanh(z * half))
  i, f, g, o = jnp.split(t, 4, axis=-1)
  sigmoid = lambda t: 0.5 + 0.5 * t
  return sigmoid(i), sigmoid(f), g, sigmoid(o)


class LSTM(Cell):
  """LSTM without peepholes (Zaremba et al. 2014).

  (i, f, g, o) = (σ, σ, tanh, σ)(W x + U h + b), in cuDNN's and PyTorch's
  order; c' = f c + i g; h' = o tanh(c'). The carry is (c, h).
  """

  gates = 4
  leaves = 2
  additive = True

  def bias_init(self, rng, shape, dtype=jnp.float32):
    h = self.features
    bias = super().bias_init(rng, shape, dtype)
    return bias.at[h : 2 * h].add(self.forget_bias)

  def update(self, carry, z, noise):
    return self.gated(carry, z, noise)

  def gated(self, carry, z, noise):
    """From the gates' sums to the carry."""
    i, f, g, o = squashed(z)
    g = dropout_masks.apply(g, noise, "update")
    c = f * carry[0] + i * g
    return c, o * self.shown(c)

  def shown(self, c):
    return jnp.tanh(c)


class NormLSTM(LSTM):
  """LSTM with layer normalisation by gate (Ba et al. 2016).

  z = LN(W x) + LN(U h) + b; h' = o tanh(LN(c')).
  """

  bias_outside = False
  additive = False

  def own(self, width):
    super().own(width)
    self.scale_input = self.scale("scale_input", width)
    self.scale_recurrent = self.scale("scale_recurrent", width)
    self.scale_cell = self.scale("scale_cell", self.features)
    self.bias_cell = self.param(
      "bias_cell", nn.initializers.zeros, (self.features,)
    )

  def update(self, carry, z, noise):
    z = by_gate_norm(z, 4, self.scale_input)
    back = self.back(carry[-1], noise)
    z = z + by_gate_norm(back, 4, self.scale_recurrent)
    return self.gated(carry, recurrence.add_bias(z, self.bias), noise)

  def shown(self, c):
    c = by_gate_norm(c, 1, self.scale_cell)
    return jnp.tanh(recurrence.add_bias(c, self.bias_cell))


class RnmtLSTM(LSTM):
  """The LSTM of RNMT+ (Chen et al. 2018).

  z = LN(W x + U h) + b by gate; no output nonlinearity: h' = o c'.
  """

  bias_outside = False

  def own(self, width):
    super().own(width)
    self.scale_gates = self.scale("scale", width)

  def update(self, carry, z, noise):
    z = by_gate_norm(z, 4, self.scale_gates)
    return self.gated(carry, recurrence.add_bias(z, self.bias), noise)

  def shown(self, c):
    return c


class GRU(Cell):
  """GRU with the reset behind the recurrent product (cuDNN, PyTorch, Flax).

  r, z = σ(W x + U h + b); n = tanh(W_n x + b_n + r (U_n h + b_hn));
  h' = (1 - z) n + z h. The carry is (h,). Not weight-compatible with Cho's and
  Bahdanau's, whose reset stands before the product.
  """

  gates = 3
  leaves = 1

  def own(self, width):
    super().own(width)
    one = initializers.gate_bias(self.init_kind, self.features, 1)
    self.bias_hn = self.param("bias_hn", one, (self.features,))

  def bias_init(self, rng, shape, dtype=jnp.float32):
    """The candidate has one bias here and one inside of the reset."""
    h = self.features
    first, second = jax.random.split(rng)
    one = initializers.gate_bias(self.init_kind, h, 1)
    bias = super().bias_init(first, shape, dtype)
    return bias.at[2 * h :].set(one(second, (h,), dtype))

  def update(self, carry, z, noise):
    (h,) = carry
    xr, xz, xn = jnp.split(z, 3, axis=-1)
    ur, uz, un = jnp.split(self.back(h, noise), 3, axis=-1)
    r, z = nn.sigmoid(xr + ur), nn.sigmoid(xz + uz)
    n = jnp.tanh(xn + r * recurrence.add_bias(un, self.bias_hn))
    n = dropout_masks.apply(n, noise, "update")
    return ((1.0 - z) * n + z * h,)


class NormGRU(Cell):
  """GRU with layer normalisation by gate (Ba et al. 2016).

  r, z = σ(LN(W x) + LN(U h) + b); n = tanh(LN(W_n x) + b_n + r LN(U_n h));
  h' = (1 - z) n + z h.
  """

  gates = 3
  leaves = 1
  bias_outside = False

  def own(self, width):
    super().own(width)
    self.scale_input = self.scale("scale_input", width)
    self.scale_recurrent = self.scale("scale_recurrent", width)

  def update(self, carry, z, noise):
    (h,) = carry
    x = by_gate_norm(z, 3, self.scale_input)
    x = recurrence.add_bias(x, self.bias)
    u = by_gate_norm(self.back(h, noise), 3, self.scale_recurrent)
    xr, xz, xn = jnp.split(x, 3, axis=-1)
    ur, uz, un = jnp.split(u, 3, axis=-1)
    r, z = nn.sigmoid(xr + ur), nn.sigmoid(xz + uz)
    n = dropout_masks.apply(jnp.tanh(xn + r * un), noise, "update")
    return ((1.0 - z) * n + z * h,)


class BahdanauGRU(Cell):
  """GRU with the reset before the product (Bahdanau et al. 2015, A.1.1).

  r, z = σ(W x + U h + b); n = tanh(W_n x + U_n (r h) + b_n);
  h' = (1 - z) h + z n.
  """

  gates = 3
  leaves = 1
  updates = True  # z is the share of the new

  def update(self, carry, z, noise):
    (h,) = carry
    both = 2 * self.features
    seen = dropout_masks.apply(h, noise, "state")
    gates = recurrence.product(seen, self.recurrent[:, :both], self.dtype)
    r, z_gate = jnp.split(nn.sigmoid(z[..., :both] + gates), 2, axis=-1)
    back = recurrence.product(r * seen, self.recurrent[:, both:], self.dtype)
    n = dropout_masks.apply(jnp.tanh(z[..., both:] + back), noise, "update")
    new = z_gate if self.updates else 1.0 - z_gate
    return ((1.0 - new) * h + new * n,)


class ChoGRU(BahdanauGRU):
  """Cho et al. 2014, whose update gate keeps: h' = z h + (1 - z) n."""

  updates = False


class Elman(Cell):
  """h' = tanh(W x + U h + b), the simple recurrent network (Elman 1990)."""

  gates = 1
  leaves = 1
  additive = True

  def update(self, carry, z, noise):
    return (dropout_masks.apply(jnp.tanh(z), noise, "update"),)


class SRU(Cell):
  """Simple recurrent unit (Lei et al. 2018): no product inside the loop.

  f, r = σ(W x + v c + b); c' = f c + (1 - f) W x; h' = r c' + (1 - r) W_h x,
  the highway's W_h standing for x where widths differ. The carry is (c, h).
  """

  gates = 4  # candidate, f, r, highway
  leaves = 2
  bias_outside = False

  def own(self, width):
    del width
    both = (2 * self.features,)
    self.bias = self.param("bias", nn.initializers.zeros, both)
    uniform = initializers.uniform(3.0**0.5)  # the paper's: variance 1
    self.peephole = self.param("peephole", uniform, both)

  def update(self, carry, z, noise):
    c, h = carry
    del h
    x, f, r, high = jnp.split(z, 4, axis=-1)
    bias = jnp.split(self.bias, 2)
    v = jnp.split(self.peephole, 2)
    row = lambda a: a.reshape((1,) * (c.ndim - 1) + a.shape)
    f = nn.sigmoid(f + row(v[0]) * c + row(bias[0]))
    r = nn.sigmoid(r + row(v[1]) * c + row(bias[1]))
    new = f * c + (1.0 - f) * dropout_masks.apply(x, noise, "update")
    return new, r * new + (1.0 - r) * high


def by_gate_norm(x, gates: int, scale, epsilon: float = 1e-5):
  """Layer normalisation of each gate's block, and a gain. [..., gates * H]."""
  blocks = x.reshape(*x.shape[:-1], gates, -1)
  mean = jnp.mean(blocks, axis=-1, keepdims=True)
  centred = blocks - mean
  variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
  normed = (centred * jax.lax.rsqrt(variance + epsilon)).reshape(x.shape)
  return normed * scale.reshape((1,) * (x.ndim - 1) + scale.shape)


CELLS = {
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
