"""The recurrent decoder: one step, used by training and search alike.

A step embeds the last token, runs the layers, attends to the source at the
place that the placement names, and makes the features that the head turns into
words:

  embed -> first_layer -> upper_layers -> (attend) -> readout -> head

`advance` is the whole step; search calls it, and training scans it, or those
parts of it that need the step before (`decoder_unroll.py`).
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Float, Int

from seq2seq_jax import types
from seq2seq_jax.models import (
  attention,
  cell,
  decoder_fields,
  decoder_unroll,
  dropout_masks,
  layers,
  promises,
)

Masks = dropout_masks.Masks
Carry = decoder_fields.Carry
Prepared = decoder_fields.Prepared
Inputs = decoder_fields.Inputs


class Decoder(decoder_fields.DecoderFields):
  """Recurrent layers, attention, a readout and a head (`contracts.Decoder`)."""

  def setup(self) -> None:
    args = dict(self.dense_args)
    self.attention = None
    if self.attention_class:
      self.attention = attention.Attention(
        self.attention_class, **dict(self.attention_args)
      )
    self.stack = [
      self.cell_class(
        self.features,
        self.features if i else self.embed_table.features,
        self.extra_widths(i),
        **dict(self.cell_args),
        name=f"layer_{i}",
      )
      for i in range(self.depth)
    ]
    if self.placement.conditional:
      self.second = self.cell_class(
        self.features,
        self.memory_dim,
        **dict(self.cell_args),
        name="layer_0_context",
      )
    self.start_bridge = self.bridge_class(
      self.stack[0], self.depth, self.features, self.half, args
    )
    if self.uses_fixed_vector("every_step"):
      width = self.cell_class.gates * self.features
      self.context_gates = layers.Dense(
        self.fixed_width(), width, use_bias=False, **args
      )
    if self.readout_kind != "linear":
      width = self.readout_dim * (2 if self.readout_kind == "maxout" else 1)
      self.readout_layer = layers.Dense(
        self.readout_input_width(), width, **args
      )
    fed_context = self.memory_dim if self.feed == "context" else 0
    self.head = self.head_class(
      self.vocab_size,
      self.readout_width(),
      self.head_class.state_width(self.features, self.cell_class.leaves),
      self.memory_dim,
      self.embed_table.features + fed_context,
      self.embed_table if self.tied else None,
      args,
    )

  # Before the steps.

  def prepare(self, memory: types.Memory) -> types.Memory:
    """The memory with its `keys`: what depends on the source alone."""
    keys = Prepared()
    if self.attention:
      keys = keys._replace(attention=self.attention.keys(memory.values))
    if self.uses_fixed_vector("every_step"):
      context = self.fixed_vector(memory)[:, None]
      # The product is part of every step's gates, so it is computed here.
      gates = self.context_gates(context)
      keys = keys._replace(context=context, gates=gates)
    return memory._replace(keys=keys._replace(head=self.head.keys(memory)))

  def fixed_vector(self, memory: types.Memory) -> Float[types.Array, "B _"]:
    """The encoder's last state, or all its outputs side by side."""
    if self.context == "last":
      return memory.state[-1][-1]
    rows, length, width = memory.values.shape
    room = self.context_length
    values = memory.values[:, :room]
    values = jnp.pad(values, ((0, 0), (0, max(0, room - length)), (0, 0)))
    return values.reshape(rows, room * width)

  def start(self, memory: types.Memory, steps: int = 0) -> Carry:
    """The carry before the first step, leaves [B, 1, ...].

    Args:
      memory: prepared.
      steps: unused; a decoder with a cache needs their number.
    """
    del steps
    fixed = None
    if self.uses_fixed_vector("start") and self.context == "all":
      fixed = self.fixed_vector(memory)
    rows, size = memory.mask.shape
    first = self.start_bridge(memory, fixed)
    wanted = (self.stack[0].zero_carry(rows, 1),) * self.depth
    promises.check_carry(self.start_bridge, "__call__", wanted, first)
    carry = Carry(first)

    def zeros(width: int) -> types.Array:
      return jnp.zeros((rows, 1, width), jnp.float32)

    if self.feed_kind() != "none":
      is_readout = self.feed_kind() == "readout"
      width = self.readout_width() if is_readout else self.memory_dim
      carry = carry._replace(fed_input=zeros(width))
    if self.attention and self.attention.remembers():
      state = self.attention.first_state(memory.mask)
      carry = carry._replace(attention_state=state)
    if self.attention and self.attention.counts():
      carry = carry._replace(step=jnp.zeros((rows, 1), jnp.int32))
    if self.head_class.feeds_back_copies:
      carry = carry._replace(copy_scores=zeros(size))
    return carry

  def embed(
    self,
    tokens: Int[types.Array, "_ _"],
    masks: Masks | None = None,
    *,
    together: bool = False,
  ) -> Inputs:
    """What depends on the tokens alone, ids >= V read as unk.

    Args:
      tokens: [B, Q]; of all steps `together` [T, B], outside of loops.
      masks: `embed` and `word`, with the same leading axes.
      together: True for the product whose gradient is formed at once.
    """
    x = dropout_masks.apply(self.embed_table(tokens), masks, "embed")
    x = dropout_masks.apply(x, masks, "word")
    seen = self.readout_inputs == "all" or self.head_class.sees_input
    first = self.stack[0]
    return Inputs(
      first.project_all(x) if together else first.project(x),
      x if seen else None,
      tokens if self.head_class.feeds_back_copies else None,
    )

  def input_table(self) -> Float[types.Array, "V G"]:
    """`embed`'s gates of every word: a search of many steps looks them up."""
    return self.stack[0].project(self.embed_table.table)

  def lookup_inputs(
    self,
    inputs: Inputs,
    tokens: Int[types.Array, "B Q"],
    table: Float[types.Array, "V G"],
  ) -> Inputs:
    """`inputs` with gates taken from `input_table`."""
    ids = jnp.where(tokens < self.vocab_size, tokens, types.UNK)
    return inputs._replace(gates=jnp.take(table, ids, axis=0, mode="clip"))

  # A step.

  def advance(
    self,
    memory: types.Memory,
    carry: Carry,
    inputs: Inputs,
    masks: Masks | None = None,
  ) -> tuple[Carry, types.StepOutput]:
    """One step of K hypotheses."""
    carry, hidden, attended = self.recurrent_step(memory, carry, inputs, masks)
    output = self.readout(memory, hidden, attended, inputs.embedded, masks)
    if self.feed_kind() == "readout":
      carry = carry._replace(fed_input=output.extra.pop("feed"))
    if self.head_class.feeds_back_copies:
      carry = carry._replace(copy_scores=output.extra["copy"])
    return carry, output

  def recurrent_step(
    self,
    memory: types.Memory,
    carry: Carry,
    inputs: Inputs,
    masks: Masks | None = None,
  ) -> tuple[Carry, dict[str, types.Array], attention.Attended]:
    """A step of all layers and of the attention, without the readout.

    Returns:
      The carry, `head_inputs` [B, K, ...], and what was attended to.
    """
    before = carry
    carry, x, attended = self.first_layer(memory, carry, inputs, masks)
    states = [carry.cells[0]]

    def layer(
      i: int, x: types.Array, extra: tuple[types.Array, ...]
    ) -> types.Array:
      layer_masks = dropout_masks.subset(masks, f"layer_{i}")
      projected = self.stack[i].project(x)
      state, x = self.stack[i].advance(
        before.cells[i], projected, extra, layer_masks
      )
      states.append(state)
      return x

    x = self.upper_layers(x, attended and attended.context, masks, layer)
    if attended is None:
      carry, attended = self.attend(memory, carry, x)
    hidden = self.head_inputs(x, before.cells[-1][-1], states[-1])
    if self.head_class.sees_input and self.feed == "context":
      hidden["fed"] = before.fed_input
    return carry._replace(cells=tuple(states)), hidden, attended

  def first_layer(
    self,
    memory: types.Memory,
    carry: Carry,
    inputs: Inputs,
    masks: Masks | None = None,
  ) -> tuple[Carry, Float[types.Array, "B K D"], attention.Attended | None]:
    """A step of the first layer, and of the attention where it stands there.

    Returns:
      The carry, the layer's output, and what was attended to, or None.
    """
    where, gates, attended = self.placement, inputs.gates, None
    extra: tuple[types.Array, ...] = ()
    fed_input = carry.fed_input  # of the last step: `attend` replaces it
    if memory.keys.gates is not None:
      gates = gates + memory.keys.gates
    if where.asks_before:
      layer = 0 if where.asks_first else -1
      query = carry.cells[layer][-1]
      carry, attended = self.attend(memory, carry, query)
      if where.feeds_first:
        extra += (attended.context,)
    if self.feed_kind() != "none":
      extra += (fed_input,)
    if self.head_class.feeds_back_copies:
      extra += (self.head.read(memory, carry.copy_scores, inputs.tokens),)
    layer_masks = dropout_masks.subset(masks, "layer_0")
    state, x = self.stack[0].advance(carry.cells[0], gates, extra, layer_masks)
    if where.query == "first":
      carry, attended = self.attend(memory, carry, x)
    if where.conditional:
      layer_masks = dropout_masks.subset(masks, "layer_0_context")
      assert attended is not None
      projected = self.second.project(attended.context)
      state, x = self.second.advance(state, projected, (), layer_masks)
    return carry._replace(cells=(state, *carry.cells[1:])), x, attended

  def upper_layers(
    self,
    x: Float[types.Array, "... D"],
    context: types.Array | None,
    masks: Masks | None,
    layer: Any,
  ) -> Float[types.Array, "... D"]:
    """Runs layers 1 … L-1 with their residuals; their last output.

    Args:
      x: the first layer's output.
      context: what was attended to, if the placement has these layers see it.
      masks: of the layers' outputs.
      layer: `layer(i, x, extra)` runs one; so stepping and unrolling share
        this.
    """
    extra = (context,) if self.placement.feeds_above else ()
    below = []
    for i in range(1, self.depth):
      last = x
      x = layer(i, dropout_masks.apply(x, masks, f"layer_{i - 1}"), extra)
      if self.residual != "none" and i + 1 >= self.residual_start:
        below.append(last)
        x = sum(below if self.residual == "dense" else [last], x)
    return x

  def head_inputs(
    self, x: types.Array, previous: types.Array | None, state: cell.Carry
  ) -> dict[str, Any]:
    """What readout and head look at, [B, K, ...] by name.

    Args:
      x: the top layer's output.
      previous: its output of the step before.
      state: its carry.
    """
    hidden = {"top": x}
    if self.readout_state == "previous":
      hidden["previous"] = previous
    if self.head_class.copies:
      hidden["state"] = self.head_class.state_of(x, state)
    return hidden

  def attend(
    self,
    memory: types.Memory,
    carry: Carry,
    query: Float[types.Array, "B Q D"],
  ) -> tuple[Carry, attention.Attended]:
    """The context of queries; the fixed vector if there is no attention."""
    if not self.attention:
      return carry, attention.Attended(memory.keys.context, None)
    keys, step = memory.keys.attention, carry.step
    if step is not None and query.shape[1] != step.shape[1]:
      # All steps at once: query t belongs to step t.
      step = jnp.arange(query.shape[1], dtype=jnp.int32)[None]
    attended = self.attention(query, memory, keys, carry.attention_state, step)
    if carry.attention_state is not None:
      state = self.attention.next_state(carry.attention_state, attended, keys)
      carry = carry._replace(attention_state=state)
    if carry.step is not None:
      carry = carry._replace(step=carry.step + 1)
    if self.feed_kind() == "context":
      carry = carry._replace(fed_input=attended.context)
    return carry, attended

  def readout(
    self,
    memory: types.Memory,
    hidden: dict[str, Any],
    attended: attention.Attended,
    embedded: Any,
    masks: Masks | None = None,
  ) -> types.StepOutput:
    """The features for the head, from state, context and embedding.

    Args:
      memory: prepared.
      hidden: `head_inputs`.
      attended: context and weights.
      embedded: [B, K, E] if readout or head see it.
      masks: of the top layer's output and of the features.
    """
    top = hidden.get("previous", hidden["top"])
    parts = [dropout_masks.apply(top, masks, f"layer_{self.depth - 1}")]
    if self.readout_inputs != "state" and attended.context is not None:
      shape = (*top.shape[:2], attended.context.shape[-1])
      parts.append(jnp.broadcast_to(attended.context, shape))
    if self.readout_inputs == "all":
      parts.append(embedded)
    x = jnp.concatenate(parts, axis=-1)
    if self.readout_kind == "tanh":
      x = jnp.tanh(self.readout_layer(x))
    elif self.readout_kind == "affine":
      x = self.readout_layer(x)
    elif self.readout_kind == "maxout":
      x = self.readout_layer(x)
      x = jnp.max(x.reshape(*x.shape[:-1], -1, 2), axis=-1)
    if "fed" in hidden:
      embedded = jnp.concatenate([embedded, hidden["fed"]], axis=-1)
    extra = self.head.extra(memory, {**hidden, "read": embedded}, attended)
    if self.feed_kind() == "readout":
      extra["feed"] = x  # before its dropout
    x = dropout_masks.apply(x, masks, "readout")
    return types.StepOutput(x, attended.weights, extra)

  # All steps with given tokens.

  def unroll(
    self,
    memory: types.Memory,
    tokens: Int[types.Array, "B T"],
    masks: Masks | None = None,
  ) -> types.StepOutput:
    """All T steps with given inputs, equal to T calls of `advance`.

    Args:
      memory: prepared.
      tokens: inputs of the steps, BOS first.
      masks: [T, B, D].
    """
    return decoder_unroll.unroll(self, memory, tokens, masks or {})
