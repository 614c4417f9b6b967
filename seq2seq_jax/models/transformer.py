"""The Transformer (Vaswani et al. 2017), under the contracts of the others.

Encoder and decoder go with any decoder and encoder of the package. Pre-norm
(a last norm behind the stack) or post-norm (the paper's).
"""

import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from seq2seq_jax import types
from seq2seq_jax.models import attention, dropout_masks, layers, stepping


class Shape(NamedTuple):
  """Sizes of a stack, and how it is put together."""

  width: int
  depth: int
  heads: int
  hidden: int  # of the feed-forward layer
  norm: str  # pre, post
  positions: str  # sinusoidal, learned
  max_positions: int  # of the learned table


class Carry(NamedTuple):
  """Cached keys and values of the steps made. Leaves [B, K, ...]."""

  caches: tuple[Any, ...]  # over layers: keys, values [B, K, T, D]
  place: Any  # [B, K] steps made


class Inputs(NamedTuple):
  embedded: Any  # [B, Q, D], positions not yet added


class Prepared(NamedTuple):
  attention: Any  # over layers: keys, values [B, S, D]
  head: Any = None


def sinusoids(places, width: int):
  """sin and cos of p / 10000^(2 i / D), side by side. [..., D]."""
  half = (width + 1) // 2
  rates = jnp.exp(
    jnp.arange(half, dtype=jnp.float32) * (-2.0 * math.log(10000.0) / width)
  )
  rates = rates.reshape((1,) * places.ndim + rates.shape)
  angles = places[..., None].astype(jnp.float32) * rates
  both = jnp.stack([jnp.sin(angles), jnp.cos(angles)], axis=-1)
  return both.reshape(*places.shape, -1)[..., :width]


class Positions(nn.Module):
  """Embeddings times sqrt(D), plus their places' vectors."""

  shape: Shape

  @nn.compact
  def __call__(self, x, places):
    """`x` [B, Q, D], `places` [B or 1, Q]."""
    x = x * math.sqrt(self.shape.width)
    if self.shape.positions == "sinusoidal":
      return x + sinusoids(places, self.shape.width)
    size = (self.shape.max_positions, self.shape.width)
    init = nn.initializers.normal(self.shape.width**-0.5)
    table = self.param("table", init, size)
    return x + jnp.take(table, places, axis=0, mode="clip")


class MultiHead(nn.Module):
  """Multi-head scaled dot-product attention (section 3.2.2)."""

  width: int
  heads: int
  args: dict

  def setup(self):
    dense = lambda: layers.Dense(self.width, self.width, **dict(self.args))
    self.query, self.key, self.value = dense(), dense(), dense()
    self.out = dense()

  def keys(self, x):
    """Keys and values, each [B, S, D]."""
    return self.key(x), self.value(x)

  def __call__(self, x, keys, allowed):
    """[B, Q, D] over keys and values [B, S, D] or, one a query, [B, Q, S, D].

    Returns the result and the weights' mean over heads [B, Q, S].
    """
    split = lambda a: attention.by_head(a, self.heads)
    q = split(self.query(x)) * (self.width // self.heads) ** -0.5
    k, v = (split(a) for a in keys)
    own = "bqshd" if k.ndim == 5 else "bshd"
    scores = jnp.einsum(f"bqhd,{own}->bhqs", q, k)
    weights = attention.softmax(scores, allowed[:, None])
    mixed = jnp.einsum(f"bhqs,{own}->bqhd", weights, v)
    out = self.out(mixed.reshape(*mixed.shape[:2], -1))
    return out, jnp.mean(weights, axis=1)


class FeedForward(nn.Module):
  """max(0, x W + b) W' + b' (section 3.3)."""

  width: int
  hidden: int
  args: dict

  @nn.compact
  def __call__(self, x):
    args = dict(self.args)
    x = nn.relu(layers.Dense(self.width, self.hidden, name="up", **args)(x))
    return layers.Dense(self.hidden, self.width, name="down", **args)(x)


class Layer(nn.Module):
  """Self-attention, attention to a memory (decoder), feed-forward."""

  shape: Shape
  crossed: bool
  args: dict

  def setup(self):
    s = self.shape
    self.attention = MultiHead(s.width, s.heads, self.args)
    self.attention_norm = layers.Norm(s.width)
    if self.crossed:
      self.cross = MultiHead(s.width, s.heads, self.args)
      self.cross_norm = layers.Norm(s.width)
    self.feed = FeedForward(s.width, s.hidden, self.args)
    self.feed_norm = layers.Norm(s.width)

  def keys(self, memory):
    return self.cross.keys(memory)

  def before(self, norm, x):
    return norm(x) if self.shape.norm == "pre" else x

  def join(self, norm, x, y, noise, name):
    """Residual, dropout and, behind them, post-norm."""
    x = x + dropout_masks.apply(y, noise, name)
    return x if self.shape.norm == "pre" else norm(x)

  def __call__(self, x, own, allowed, memory, mask, noise):
    """One layer over x [B, Q, D].

    Args:
      own: function from the normed input to keys and values.
      allowed: [B or 1, Q, S] of them.
      memory: keys and values of the source, or None.
      mask: [B, 1, S'] real source positions.
      noise: masks attention, cross, feed [B, Q, D].
    """
    normed = self.before(self.attention_norm, x)
    y, weights = self.attention(normed, own(normed), allowed)
    x = self.join(self.attention_norm, x, y, noise, "attention")
    if self.crossed:
      normed = self.before(self.cross_norm, x)
      y, weights = self.cross(normed, memory, mask)
      x = self.join(self.cross_norm, x, y, noise, "cross")
    y = self.feed(self.before(self.feed_norm, x))
    return self.join(self.feed_norm, x, y, noise, "feed"), weights


def masks(shape: Shape, dropout: layers.Dropout, crossed: bool):
  """Masks of a stack, by name."""
  out = list(dropout.inputs(shape.width))
  for i in range(shape.depth):
    for name in (
      ("attention", "cross", "feed") if crossed else ("attention", "feed")
    ):
      out.append(
        dropout_masks.Mask(f"layer_{i}/{name}", shape.width, dropout.rnn)
      )
  return tuple(out)


def batch_major(noise):
  """Masks [L, B, D] -> [B, L, D]."""
  return {k: v.swapaxes(0, 1) for k, v in (noise or {}).items()}


class Encoder(nn.Module):
  """A stack over embedded ids or frames; the state is the mean output."""

  embed: nn.Module
  shape: Shape
  dropout: layers.Dropout
  args: dict

  def setup(self):
    s = self.shape
    self.entry = None
    if self.embed.features != s.width:
      self.entry = layers.Dense(self.embed.features, s.width, **dict(self.args))
    self.places = Positions(s)
    self.stack = [
      Layer(s, False, self.args, name=f"layer_{i}") for i in range(s.depth)
    ]
    if s.norm == "pre":
      self.norm = layers.Norm(s.width)

  @nn.nowrap
  def masks(self):
    return masks(self.shape, self.dropout, False)

  def __call__(self, src, src_len, noise=None) -> types.Memory:
    noise = batch_major(noise)
    x, lengths = self.embed(src, src_len)
    # A front end shortens what masks were drawn for.
    noise = {k: m[:, : x.shape[1]] for k, m in noise.items()}
    x = self.entry(x) if self.entry else x
    x = self.places(x, jnp.arange(x.shape[1], dtype=jnp.int32)[None])
    x = dropout_masks.apply(
      dropout_masks.apply(x, noise, "embed"), noise, "word"
    )
    mask = layers.length_mask(lengths, x.shape[1])
    for i, layer in enumerate(self.stack):
      inner = dropout_masks.part(noise, f"layer_{i}")
      x, _ = layer(x, layer.attention.keys, mask[:, None], None, None, inner)
    x = self.norm(x) if self.shape.norm == "pre" else x
    x = layers.zero_padding(x, lengths)
    count = lengths[:, None].astype(jnp.float32)
    return types.Memory(x, mask, ((jnp.sum(x, axis=1) / count,),))


class Decoder(stepping.Stepping):
  """A stack over embedded tokens; steps cache their keys and values."""

  embed_table: nn.Module
  head_class: type[nn.Module]
  vocab_size: int
  memory_dim: int
  shape: Shape
  tied: bool
  dropout: layers.Dropout
  args: dict

  def setup(self):
    s = self.shape
    self.entry = self.memory_entry = None
    if self.embed_table.features != s.width:
      width = self.embed_table.features
      self.entry = layers.Dense(width, s.width, **dict(self.args))
    if self.memory_dim not in (0, s.width):
      args = dict(self.args)
      self.memory_entry = layers.Dense(self.memory_dim, s.width, **args)
    self.places = Positions(s)
    self.stack = [
      Layer(s, self.memory_dim > 0, self.args, name=f"layer_{i}")
      for i in range(s.depth)
    ]
    if s.norm == "pre":
      self.norm = layers.Norm(s.width)
    self.head = self.head_class(
      self.vocab_size,
      s.width,
      s.width,
      self.memory_dim,
      s.width,
      self.embed_table if self.tied else None,
      self.args,
    )

  @nn.nowrap
  def masks(self):
    return masks(self.shape, self.dropout, self.memory_dim > 0)

  def prepare(self, memory: types.Memory) -> types.Memory:
    """Adds the source's keys and values of every layer."""
    keys = ()
    if self.memory_dim:
      values = memory.values
      if self.memory_entry:
        values = self.memory_entry(values)
      keys = tuple(layer.keys(values) for layer in self.stack)
    keys = Prepared(keys)
    memory = memory._replace(keys=keys)
    return memory._replace(keys=keys._replace(head=self.head.keys(memory)))

  def start(self, memory, steps: int = 1) -> Carry:
    """Room for `steps` steps; leaves [B, 1, ...]."""
    shape = (memory.mask.shape[0], 1, steps, self.shape.width)
    empty = jnp.zeros(shape, jnp.float32)
    caches = tuple((empty, empty) for _ in self.stack)
    return Carry(caches, jnp.zeros(shape[:2], jnp.int32))

  def embed(self, tokens, noise=None) -> Inputs:
    """[B, Q] tokens, masks alike."""
    x = self.embed_table(tokens)
    x = self.entry(x) if self.entry else x
    # Before positions are added: the masks are those of the embedding alone.
    return Inputs(
      dropout_masks.apply(dropout_masks.apply(x, noise, "embed"), noise, "word")
    )

  def advance(self, memory, carry: Carry, inputs: Inputs, noise=None):
    """One step of K hypotheses, each over its own cache."""
    place = carry.place[..., None]  # [B, K, 1]
    size = carry.caches[0][0].shape[2]
    steps = jnp.arange(size, dtype=jnp.int32)[None, None]
    here, seen = (steps == place)[..., None], steps <= place
    caches = []

    def cached(i, layer):
      def keys(x):
        new = layer.attention.keys(x)
        pair = tuple(
          jnp.where(here, n[:, :, None], old)
          for n, old in zip(new, carry.caches[i])
        )
        caches.append(pair)
        return pair

      return keys

    x = self.places(inputs.embedded, carry.place)
    output = self.run(memory, x, cached, seen, inputs, noise)
    return Carry(tuple(caches), carry.place + 1), output

  def run(self, memory, x, own, allowed, inputs, noise) -> types.StepOutput:
    """All layers and the head's extra. x [B, Q, D]."""
    weights, mask = None, memory.mask[:, None]
    for i, layer in enumerate(self.stack):
      keys = memory.keys.attention[i] if self.memory_dim else None
      masks = dropout_masks.part(noise, f"layer_{i}")
      x, weights = layer(x, own(i, layer), allowed, keys, mask, masks)
    x = self.norm(x) if self.shape.norm == "pre" else x
    if not self.memory_dim:
      return types.StepOutput(x, None, {})
    context = None
    if self.head_class.copies:
      context = jnp.einsum("bqs,bsd->bqd", weights, memory.values)
    hidden = {"state": x, "read": inputs.embedded}
    attended = attention.Attended(context, weights)
    extra = self.head.extra(memory, hidden, attended)
    return types.StepOutput(x, weights, extra)

  def unroll(self, memory, tokens, noise=None):
    """All steps at once. Tokens [B, T] -> StepOutput of T."""
    noise = batch_major(noise)
    inputs = self.embed(tokens, noise)
    steps = jnp.arange(tokens.shape[1], dtype=jnp.int32)
    allowed = (steps[None] <= steps[:, None])[None]
    x = self.places(inputs.embedded, steps[None])
    own = lambda i, layer: layer.attention.keys
    return self.run(memory, x, own, allowed, inputs, noise)
