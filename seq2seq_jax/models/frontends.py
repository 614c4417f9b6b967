"""Front ends of encoders: from ids or frames of features to vectors.

A front end is a module with `features`, the width D of its vectors, `stride`,
the positions of the source to one of them (the last may have fewer), and
`__call__(src, src_len)`, which returns them with their lengths. Vectors at
padding must not depend on what the padding holds.
"""

from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from seq2seq_jax import types
from seq2seq_jax.models import initializers, layers

Lengths = Int[types.Array, " B"]


class Tokens(nn.Module):
  """Embeds ids; the length stays."""

  table: nn.Module
  stride: ClassVar[int] = 1

  @property
  def features(self) -> int:
    """Width of the vectors."""
    return self.table.features

  def __call__(
    self, src: Int[types.Array, "B S"], src_len: Lengths
  ) -> tuple[Float[types.Array, "B S D"], Lengths]:
    return self.table(src), src_len


class Frames(nn.Module):
  """Frames of features as they are, padding set to 0."""

  features: int
  stride: ClassVar[int] = 1

  def __call__(
    self, src: Float[types.Array, "B S F"], src_len: Lengths
  ) -> tuple[Float[types.Array, "B S F"], Lengths]:
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
  dtype: Any = jnp.float32
  stride: ClassVar[int] = 4

  @property
  def features(self) -> int:
    """Width of the vectors: what is left of the bins, times the channels."""
    return (self.bins + 3) // 4 * self.channels

  @nn.compact
  def __call__(
    self, src: Float[types.Array, "B S F"], src_len: Lengths
  ) -> tuple[Float[types.Array, "B M D"], Lengths]:
    x, lengths = src[..., None], src_len
    for i in range(2):
      x = layers.zero_padding(x, lengths)
      kernel_shape = (3, 3, x.shape[-1], self.channels)
      init = initializers.weights(self.init_kind, self.init_scale)
      kernel = self.param(f"kernel_{i}", init, kernel_shape)
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
