"""The layers of the Transformer (Vaswani et al. 2017).

Pre-norm (with a last norm after the stack) or post-norm (the paper's).
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from seq2seq_jax import types
from seq2seq_jax.models import (
  attention,
  attention_scores,
  dropout_masks,
  layers,
)

Masks = dropout_masks.Masks
# Keys and values, shared by all queries [B, S, D] or one a query [B, Q, S, D].
KeysValues = tuple[types.Array, types.Array]


ACTIVATIONS: dict[str, Callable[[types.Array], types.Array]] = {
  "relu": nn.relu,
  "gelu": functools.partial(nn.gelu, approximate=False),
  "gelu_tanh": functools.partial(nn.gelu, approximate=True),
}


class Shape(NamedTuple):
  """Sizes of a stack, and how it is put together."""

  width: int
  depth: int
  heads: int
  hidden: int  # of the feed-forward layer
  norm: str  # pre, post
  positions: str  # sinusoidal, learned
  max_positions: int  # of the learned table
  activation: str = "relu"  # of the feed-forward layers, see ACTIVATIONS
  epsilon: float = 1e-5  # of the norms
  scaled: bool = True  # embeddings times sqrt(D)
  normed: bool = False  # a norm behind embeddings and positions
  transform: str = "none"  # a decoder's activation before its head


def sinusoids(
  positions: Int[types.Array, "*rows"], width: int
) -> Float[types.Array, "*rows D"]:
  """sin and cos of p / 10000^(2 i / D), interleaved (section 3.5)."""
  half = (width + 1) // 2
  rates = jnp.exp(
    jnp.arange(half, dtype=jnp.float32) * (-2.0 * math.log(10000.0) / width)
  )
  rates = rates.reshape((1,) * positions.ndim + rates.shape)
  angles = positions[..., None].astype(jnp.float32) * rates
  both = jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1)
  return both.reshape(*positions.shape, -1)[..., :width]


class Positions(nn.Module):
  """Embeddings, times sqrt(D) if scaled, plus their positions' vectors."""

  shape: Shape

  @nn.compact
  def __call__(
    self, x: Float[types.Array, "B Q D"], positions: Int[types.Array, "_ Q"]
  ) -> Float[types.Array, "B Q D"]:
    """`positions` are [B or 1, Q]."""
    s = self.shape
    if s.scaled:
      x = x * math.sqrt(s.width)
    if s.positions == "sinusoidal":
      x = x + sinusoids(positions, s.width)
    else:
      init = nn.initializers.normal(s.width**-0.5)
      table = self.param("table", init, (s.max_positions, s.width))
      x = x + jnp.take(table, positions, axis=0, mode="clip")
    return layers.Norm(s.width, s.epsilon, name="norm")(x) if s.normed else x


class MultiHead(nn.Module):
  """Multi-head scaled dot-product attention (section 3.2.2)."""

  width: int
  heads: int
  args: Mapping[str, Any]

  def setup(self) -> None:
    def dense() -> layers.Dense:
      return layers.Dense(self.width, self.width, **dict(self.args))

    self.query, self.key, self.value = dense(), dense(), dense()
    self.out = dense()

  def keys(self, x: Float[types.Array, "*rows D"]) -> KeysValues:
    """Keys and values, each [..., S, D]."""
    return self.key(x), self.value(x)

  def __call__(
    self,
    x: Float[types.Array, "B Q D"],
    keys: KeysValues,
    allowed: Bool[types.Array, "_ _ S"],
  ) -> tuple[Float[types.Array, "B Q D"], Float[types.Array, "B Q S"]]:
    """The result, and the weights' mean over heads.

    Args:
      x: queries.
      keys: keys and values [B, S, D] or, one a query, [B, Q, S, D].
      allowed: [B or 1, Q or 1, S] True where a query may look.
    """

    def split(a: types.Array) -> types.Array:
      return attention_scores.by_head(a, self.heads)

    q = split(self.query(x)) * (self.width // self.heads) ** -0.5
    k, v = (split(a) for a in keys)
    axes = "bqshd" if k.ndim == 5 else "bshd"
    scores = jnp.einsum(f"bqhd,{axes}->bhqs", q, k)
    weights = attention.softmax(scores, allowed[:, None])
    mixed = jnp.einsum(f"bhqs,{axes}->bqhd", weights, v)
    out = self.out(mixed.reshape(*mixed.shape[:2], -1))
    return out, jnp.mean(weights, axis=1)


class FeedForward(nn.Module):
  """max(0, x W + b) W' + b' (section 3.3), or another activation than that."""

  width: int
  hidden: int
  args: Mapping[str, Any]
  activation: str = "relu"

  @nn.compact
  def __call__(
    self, x: Float[types.Array, "B Q D"]
  ) -> Float[types.Array, "B Q D"]:
    args = dict(self.args)
    x = layers.Dense(self.width, self.hidden, name="up", **args)(x)
    x = ACTIVATIONS[self.activation](x)
    return layers.Dense(self.hidden, self.width, name="down", **args)(x)


class Transform(nn.Module):
  """A layer with activation and norm before a softmax (Devlin et al. 2019)."""

  shape: Shape
  args: Mapping[str, Any]

  @nn.compact
  def __call__(
    self, x: Float[types.Array, "B Q D"]
  ) -> Float[types.Array, "B Q D"]:
    s = self.shape
    x = layers.Dense(s.width, s.width, name="dense", **dict(self.args))(x)
    x = ACTIVATIONS[s.transform](x)
    return layers.Norm(s.width, s.epsilon, name="norm")(x)


class Layer(nn.Module):
  """Self-attention, attention to a memory (decoder), feed-forward."""

  shape: Shape
  crossed: bool  # True if it attends to a memory
  args: Mapping[str, Any]

  def setup(self) -> None:
    s = self.shape
    self.attention = MultiHead(s.width, s.heads, self.args)
    self.attention_norm = layers.Norm(s.width, s.epsilon)
    if self.crossed:
      self.cross = MultiHead(s.width, s.heads, self.args)
      self.cross_norm = layers.Norm(s.width, s.epsilon)
    self.feed = FeedForward(s.width, s.hidden, self.args, s.activation)
    self.feed_norm = layers.Norm(s.width, s.epsilon)

  def keys(self, memory: Float[types.Array, "B M _"]) -> KeysValues:
    """The memory's keys and values."""
    return self.cross.keys(memory)

  def before(self, norm: nn.Module, x: types.Array) -> types.Array:
    """The input of a part of the layer."""
    return norm(x) if self.shape.norm == "pre" else x

  def join(
    self,
    norm: nn.Module,
    x: types.Array,
    y: types.Array,
    masks: Masks | None,
    name: str,
  ) -> types.Array:
    """Adds a part's dropped-out output y to its input x; then post-norm."""
    x = x + dropout_masks.apply(y, masks, name)
    return x if self.shape.norm == "pre" else norm(x)

  def __call__(
    self,
    x: Float[types.Array, "B Q D"],
    keys_of: Callable[[types.Array], KeysValues],
    allowed: Bool[types.Array, "_ _ S"],
    memory: KeysValues | None,
    mask: Bool[types.Array, "B 1 M"] | None,
    masks: Masks | None,
  ) -> tuple[Float[types.Array, "B Q D"], Float[types.Array, "B Q _"]]:
    """One layer: its output, and the weights of its last attention.

    Args:
      x: inputs.
      keys_of: from the normed input to keys and values: `attention.keys`, or
        one that adds them to a cache.
      allowed: [B or 1, Q or 1, S] of them.
      memory: keys and values of the source, or None.
      mask: real source positions.
      masks: dropout of attention, cross and feed [B, Q, D].
    """
    normed = self.before(self.attention_norm, x)
    y, weights = self.attention(normed, keys_of(normed), allowed)
    x = self.join(self.attention_norm, x, y, masks, "attention")
    if self.crossed:
      normed = self.before(self.cross_norm, x)
      assert memory is not None and mask is not None
      y, weights = self.cross(normed, memory, mask)
      x = self.join(self.cross_norm, x, y, masks, "cross")
    y = self.feed(self.before(self.feed_norm, x))
    return self.join(self.feed_norm, x, y, masks, "feed"), weights


def mask_specs(
  shape: Shape, dropout: layers.Dropout, crossed: bool
) -> tuple[dropout_masks.MaskSpec, ...]:
  """Dropout masks of a stack."""
  specs = list(dropout.inputs(shape.width))
  parts = ("attention", "cross", "feed") if crossed else ("attention", "feed")
  for i in range(shape.depth):
    for part in parts:
      name = f"layer_{i}/{part}"
      specs.append(dropout_masks.MaskSpec(name, shape.width, dropout.rnn))
  return tuple(specs)


def batch_major(masks: Masks | None) -> Masks:
  """Masks [L, B, D] -> [B, L, D]."""
  return {k: v.swapaxes(0, 1) for k, v in (masks or {}).items()}


def drop_inputs(x: types.Array, masks: Any) -> types.Array:
  """Embedded tokens under their two masks."""
  x = dropout_masks.apply(x, masks, "embed")
  return dropout_masks.apply(x, masks, "word")
