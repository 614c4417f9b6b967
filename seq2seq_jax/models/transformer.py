"""The Transformer (Vaswani et al. 2017), under the contracts of the others.

Its encoder and decoder go with any decoder and encoder of the package.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from seq2seq_jax import types
from seq2seq_jax.models import (
  attention,
  dropout_masks,
  head,
  layers,
  transformer_layers,
)

Masks = dropout_masks.Masks
Shape = transformer_layers.Shape
KeysValues = transformer_layers.KeysValues


class Encoder(nn.Module):
  """A stack over embedded ids or frames; the state is the mean output."""

  embed: nn.Module  # a front end: ids or frames to [B, M, D]
  shape: Shape
  dropout: layers.Dropout
  args: Mapping[str, Any]

  def setup(self) -> None:
    s = self.shape
    self.entry = None
    if self.embed.features != s.width:
      self.entry = layers.Dense(self.embed.features, s.width, **dict(self.args))
    self.places = transformer_layers.Positions(s)
    self.stack = [
      transformer_layers.Layer(s, False, self.args, name=f"layer_{i}")
      for i in range(s.depth)
    ]
    if s.norm == "pre":
      self.norm = layers.Norm(s.width, s.epsilon)

  @nn.nowrap
  def mask_specs(self) -> tuple[dropout_masks.MaskSpec, ...]:
    """Dropout masks of a call."""
    specs = transformer_layers.mask_specs(self.shape, self.dropout, False)
    return tuple(spec._replace(stride=self.embed.stride) for spec in specs)

  def __call__(
    self,
    src: Int[types.Array, "B S"] | Float[types.Array, "B S F"],
    src_len: Int[types.Array, " B"],
    masks: Masks | None = None,
  ) -> types.Memory:
    """Reads a source; masks are [S over their stride, B, D]."""
    masks = transformer_layers.batch_major(masks)
    x, lengths = self.embed(src, src_len)
    x = self.entry(x) if self.entry else x
    x = self.places(x, jnp.arange(x.shape[1], dtype=jnp.int32)[None])
    x = transformer_layers.drop_inputs(x, masks)
    mask = layers.length_mask(lengths, x.shape[1])
    for i, layer in enumerate(self.stack):
      inner = dropout_masks.subset(masks, f"layer_{i}")
      x, _ = layer(x, layer.attention.keys, mask[:, None], None, None, inner)
    x = self.norm(x) if self.shape.norm == "pre" else x
    x = layers.zero_padding(x, lengths)
    count = lengths[:, None].astype(jnp.float32)
    return types.Memory(x, mask, ((jnp.sum(x, axis=1) / count,),))


class Carry(NamedTuple):
  """Keys and values of the steps so far. Leaves [B, K, ...]."""

  caches: tuple[KeysValues, ...]
  """Over layers: keys and values [B, K, T, D]."""
  step: Any
  """[B, K] number of the step."""


class Inputs(NamedTuple):
  """What depends on a step's token alone."""

  embedded: Any
  """[B, Q, D], positions not yet added."""


class Prepared(NamedTuple):
  """Per-source constants: `Memory.keys`."""

  attention: tuple[KeysValues, ...]
  """Over layers: keys and values [B, M, D]."""
  head: Any = None
  """The head's keys."""


class Decoder(nn.Module):
  """A stack over embedded tokens; steps cache their keys and values."""

  embed_table: nn.Module
  head_class: type[head.Softmax]
  vocab_size: int
  memory_dim: int
  shape: Shape
  tied: bool
  dropout: layers.Dropout
  args: Mapping[str, Any]

  def setup(self) -> None:
    s = self.shape
    self.entry = self.memory_entry = None
    if self.embed_table.features != s.width:
      width = self.embed_table.features
      self.entry = layers.Dense(width, s.width, **dict(self.args))
    if self.memory_dim not in (0, s.width):
      args = dict(self.args)
      self.memory_entry = layers.Dense(self.memory_dim, s.width, **args)
    self.places = transformer_layers.Positions(s)
    crossed = self.memory_dim > 0
    self.stack = [
      transformer_layers.Layer(s, crossed, self.args, name=f"layer_{i}")
      for i in range(s.depth)
    ]
    if s.norm == "pre":
      self.norm = layers.Norm(s.width, s.epsilon)
    self.transform = None
    if s.transform != "none":
      self.transform = transformer_layers.Transform(s, self.args)
    self.head = self.head_class(
      self.vocab_size,
      s.width,
      self.head_class.state_width(s.width, 1),
      self.memory_dim,
      s.width,
      self.embed_table if self.tied else None,
      self.args,
    )

  @nn.nowrap
  def mask_specs(self) -> tuple[dropout_masks.MaskSpec, ...]:
    """Dropout masks of a call."""
    crossed = self.memory_dim > 0
    return transformer_layers.mask_specs(self.shape, self.dropout, crossed)

  def prepare(self, memory: types.Memory) -> types.Memory:
    """The memory with its `keys`: the source's keys and values by layer."""
    by_layer: tuple[KeysValues, ...] = ()
    if self.memory_dim:
      values = memory.values
      if self.memory_entry:
        values = self.memory_entry(values)
      by_layer = tuple(layer.keys(values) for layer in self.stack)
    keys = Prepared(by_layer)
    memory = memory._replace(keys=keys)
    return memory._replace(keys=keys._replace(head=self.head.keys(memory)))

  def start(self, memory: types.Memory, steps: int = 1) -> Carry:
    """Empty caches for `steps` steps; leaves [B, 1, ...]."""
    shape = (memory.mask.shape[0], 1, steps, self.shape.width)
    empty = jnp.zeros(shape, jnp.float32)
    caches = tuple((empty, empty) for _ in self.stack)
    return Carry(caches, jnp.zeros(shape[:2], jnp.int32))

  def embed(
    self, tokens: Int[types.Array, "B Q"], masks: Masks | None = None
  ) -> Inputs:
    """What depends on the tokens alone; masks [B, Q, D]."""
    x = self.embed_table(tokens)
    x = self.entry(x) if self.entry else x
    # Before positions are added: the masks are those of the embedding alone.
    return Inputs(transformer_layers.drop_inputs(x, masks))

  def input_table(self) -> None:
    """None: there is no product of words alone that search could look up."""

  def advance(
    self,
    memory: types.Memory,
    carry: Carry,
    inputs: Inputs,
    masks: Masks | None = None,
  ) -> tuple[Carry, types.StepOutput]:
    """One step of K hypotheses, each over its own cache."""
    step = carry.step[..., None]  # [B, K, 1]
    size = carry.caches[0][0].shape[2]
    steps = jnp.arange(size, dtype=jnp.int32)[None, None]
    is_current, allowed = (steps == step)[..., None], steps <= step
    caches: list[KeysValues] = []

    def keys_of(
      i: int, layer: transformer_layers.Layer
    ) -> Callable[[types.Array], KeysValues]:
      def cached(x: types.Array) -> KeysValues:
        new = layer.attention.keys(x)
        # A write at one place of every row, where `at[].set` would scatter.
        keys, values = (
          jnp.where(is_current, n[:, :, None], old)
          for n, old in zip(new, carry.caches[i])
        )
        caches.append((keys, values))
        return keys, values

      return cached

    x = self.places(inputs.embedded, carry.step)
    output = self.run(memory, x, keys_of, allowed, inputs, masks)
    return Carry(tuple(caches), carry.step + 1), output

  def run(
    self,
    memory: types.Memory,
    x: Float[types.Array, "B Q D"],
    keys_of: Callable,
    allowed: Bool[types.Array, "_ Q S"],
    inputs: Inputs,
    masks: Masks | None,
  ) -> types.StepOutput:
    """All layers, and the head's extra.

    Args:
      memory: prepared.
      x: embedded tokens with positions.
      keys_of: `keys_of(i, layer)` is the `keys_of` of layer i.
      allowed: steps that each query may look at.
      inputs: of the steps.
      masks: [B, Q, D].
    """
    weights, mask = None, memory.mask[:, None]
    for i, layer in enumerate(self.stack):
      keys = memory.keys.attention[i] if self.memory_dim else None
      layer_masks = dropout_masks.subset(masks, f"layer_{i}")
      x, weights = layer(x, keys_of(i, layer), allowed, keys, mask, layer_masks)
    x = self.norm(x) if self.shape.norm == "pre" else x
    features = self.transform(x) if self.transform else x
    if not self.memory_dim:
      return types.StepOutput(features, None, {})
    context = None
    if self.head_class.copies:
      context = jnp.einsum("bqs,bsd->bqd", weights, memory.values)
    hidden = {
      "state": self.head_class.state_of(x, (x,)),
      "read": inputs.embedded,
    }
    attended = attention.Attended(context, weights)
    extra = self.head.extra(memory, hidden, attended)
    return types.StepOutput(features, weights, extra)

  def unroll(
    self,
    memory: types.Memory,
    tokens: Int[types.Array, "B T"],
    masks: Masks | None = None,
  ) -> types.StepOutput:
    """All T steps at once, equal to T calls of `advance`; masks [T, B, D]."""
    masks = transformer_layers.batch_major(masks)
    inputs = self.embed(tokens, masks)
    steps = jnp.arange(tokens.shape[1], dtype=jnp.int32)
    allowed = (steps[None] <= steps[:, None])[None]  # causal [1, T, T]
    x = self.places(inputs.embedded, steps[None])

    def keys_of(
      i: int, layer: transformer_layers.Layer
    ) -> Callable[[types.Array], KeysValues]:
      del i
      return layer.attention.keys

    return self.run(memory, x, keys_of, allowed, inputs, masks)
