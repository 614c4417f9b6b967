"""Small pieces that several models are made of."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from seq2seq_jax import types
from seq2seq_jax.models import dropout_masks, initializers, recurrence


class Dropout(NamedTuple):
  """Rates of what a stack drops."""

  embed: float = 0.0  # units of embeddings
  word: float = 0.0  # whole embeddings (word dropout)
  rnn: float = 0.0  # outputs of layers (Zaremba et al. 2014)
  last: bool = True  # the last layer's too
  state: float = 0.0  # units of h in the recurrent product (Gal)
  update: float = 0.0  # units of the candidate (Semeniuta et al. 2016)
  readout: float = 0.0
  shared: bool = False  # the same masks at all steps (variational, Gal)

  def inputs(self, width: int) -> tuple[dropout_masks.MaskSpec, ...]:
    """Masks of embedded tokens."""
    return (
      dropout_masks.MaskSpec("embed", width, self.embed, self.shared),
      dropout_masks.MaskSpec("word", 1, self.word),
    )

  def output(self, i: int, depth: int, width: int) -> dropout_masks.MaskSpec:
    """Mask of the output of layer i of `depth`."""
    rate = self.rnn if self.last or i + 1 < depth else 0.0
    return dropout_masks.MaskSpec(f"layer_{i}", width, rate, self.shared)


class Embed(nn.Module):
  """A table of embeddings [V, D]."""

  size: int
  features: int
  init_kind: str = "xavier"
  init_scale: float = 0.08

  def setup(self) -> None:
    init = initializers.table(self.init_kind, self.init_scale, self.features)
    self.table = self.param("table", init, (self.size, self.features))

  def __call__(
    self, ids: Int[types.Array, "*ids"]
  ) -> Float[types.Array, "*ids D"]:
    """Vectors of ids; ids >= V, a sentence's own words, are read as unk."""
    ids = jnp.where(ids < self.size, ids, types.UNK)
    return jnp.take(self.table, ids, axis=0, mode="clip")


class Dense(nn.Module):
  """A product and a bias."""

  inputs: int
  features: int
  init_kind: str = "xavier"
  init_scale: float = 0.08
  use_bias: bool = True
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, x: Float[types.Array, "*rows I"]
  ) -> Float[types.Array, "*rows O"]:
    """x W + b."""
    init = initializers.weights(self.init_kind, self.init_scale)
    kernel = self.param("kernel", init, (self.inputs, self.features))
    y = recurrence.product(x, kernel, self.dtype)
    if self.use_bias:
      init = initializers.bias(self.init_kind, self.inputs)
      bias = self.param("bias", init, (self.features,))
      y = recurrence.add_bias(y, bias)
    return y


class Norm(nn.Module):
  """Layer normalisation with gain and bias (Ba et al. 2016)."""

  features: int
  epsilon: float = 1e-5

  @nn.compact
  def __call__(
    self, x: Float[types.Array, "*rows D"]
  ) -> Float[types.Array, "*rows D"]:
    """(x - mean) / deviation over the last axis, times gain plus bias."""
    scale = self.param("scale", nn.initializers.ones, (self.features,))
    bias = self.param("bias", nn.initializers.zeros, (self.features,))
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)

    def row(a: types.Array) -> types.Array:
      return a.reshape((1,) * (x.ndim - 1) + a.shape)

    y = centred * jax.lax.rsqrt(variance + self.epsilon)
    return y * row(scale) + row(bias)


def length_mask(
  lengths: Int[types.Array, " B"], size: int
) -> Bool[types.Array, "B L"]:
  """True over real positions. [B, size]."""
  return jnp.arange(size, dtype=jnp.int32)[None] < lengths[:, None]


def zero_padding(
  x: Float[types.Array, "B S *rest"], lengths: Int[types.Array, " B"]
) -> Float[types.Array, "B S *rest"]:
  """`x` with 0 after the lengths."""
  mask = length_mask(lengths, x.shape[1])
  return jnp.where(mask.reshape(mask.shape + (1,) * (x.ndim - 2)), x, 0.0)


def pairs(
  x: Float[types.Array, "B S D"], lengths: Int[types.Array, " B"], how: str
) -> tuple[Float[types.Array, "B S_2 D_2"], Int[types.Array, " B"]]:
  """Every two positions as one: [B, ceil(S / 2), D or 2 D], and the lengths.

  Args:
    x: vectors.
    lengths: real ones of each row.
    how: concat: side by side, the last of an odd length beside zeros; max: the
      maximum of the real ones.
  """
  x = jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, 0)))
  rows, size, width = x.shape
  halved = (lengths + 1) // 2
  if how == "concat":
    x = zero_padding(x, lengths).reshape(rows, size // 2, 2 * width)
    return x, halved
  real = length_mask(lengths, size)[..., None]
  x = jnp.where(real, x, jnp.finfo(x.dtype).min)
  x = jnp.max(x.reshape(rows, size // 2, 2, width), axis=2)
  return zero_padding(x, halved), halved
