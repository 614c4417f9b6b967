"""The recurrent decoder: one step, used by training and search alike."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from seq2seq_jax import types
from seq2seq_jax.models import (
  attention,
  bridges,
  decoder_unroll,
  dropout_masks,
  heads,
  layers,
  stepping,
)


class Carry(NamedTuple):
  """Every leaf is [B, K, ...]; None where a decoder has no use for it."""

  cells: tuple[Any, ...]  # over layers
  feed: Any = None  # the last readout or context
  past: Any = None  # [B, K, S] what the attention remembers
  place: Any = None  # [B, K] steps made
  copied: Any = None  # [B, K, S] the last copy scores


class Prepared(NamedTuple):
  """What depends on the source alone (`Memory.keys`)."""

  attention: Any = None  # the score's keys
  context: Any = None  # [B, 1, D] the fixed vector
  gates: Any = None  # [B, 1, G] its product in the first layer
  head: Any = None


class Inputs(NamedTuple):
  """What depends on the tokens alone. [B, Q, ...]."""

  gates: Any  # products of the first layer
  embedded: Any = None
  tokens: Any = None


class Decoder(stepping.Stepping):
  """Recurrent layers, an attention at one of six places, a readout, a head.

  placement: where attention stands.
    luong: its query is the new top state (Luong et al. 2015).
    bahdanau: the query is the previous top state, the context an input of the
      first layer (Bahdanau et al. 2015).
    cgru: the first layer is two cells with the attention between them
      (Nematus's conditional GRU, Sennrich et al. 2017).
    gnmt_v2: the query is the new state of the lowest layer, the context an
      input of the layers above; the lowest one sees the context of the step
      before, unless the readout is fed to it (tf/nmt's gnmt_v2).
    gnmt: the query is the lowest layer's previous state, the context
      an input of all layers (Wu et al. 2016; tf/nmt's gnmt).
    nvidia_gnmt: like gnmt_v2, but the lowest layer never sees a context
      (NVIDIA's GNMT).
  feed: none; readout, or context: that of a step is an input of the next one's
    first layer (input feeding: Luong et al. 2015, section 3.3). The readout is
    fed as it was before its own dropout.
  """

  embed_table: nn.Module
  head_class: type[nn.Module]
  vocab_size: int
  cell: type[nn.Module]
  cell_args: dict
  features: int
  layers: int
  residual: str
  residual_start: int
  memory_dim: int  # width of the memory; 0: there is no source
  half: int  # see bridges.Bridge
  bridge: str
  attention_class: type[nn.Module] | None
  attention_args: dict
  placement: str
  feed: str
  context: str
  context_at: str
  context_length: int
  readout: str
  readout_dim: int
  readout_inputs: str
  readout_state: str
  tied: bool
  dropout: layers.Dropout
  dense_args: dict  # init, init_scale, dtype

  def setup(self):
    args = dict(self.dense_args)
    self.attention = None
    if self.attention_class:
      self.attention = attention.Attention(
        self.attention_class, **dict(self.attention_args)
      )
    self.stack = [
      self.cell(
        self.features,
        self.features if i else self.embed_table.features,
        self.feed_widths(i),
        **dict(self.cell_args),
        name=f"layer_{i}",
      )
      for i in range(self.layers)
    ]
    if self.placement == "cgru":
      self.second = self.cell(
        self.features,
        self.memory_dim,
        **dict(self.cell_args),
        name="layer_0_context",
      )
    self.start_bridge = bridges.Bridge(
      self.bridge, self.stack[0], self.layers, self.features, self.half, args
    )
    self.context_gates = None
    if self.uses_fixed("every_step"):
      width = self.cell.gates * self.features
      self.context_gates = layers.Dense(
        self.fixed_width(), width, use_bias=False, **args
      )
    if self.readout != "linear":
      width = self.readout_dim * (2 if self.readout == "maxout" else 1)
      self.readout_layer = layers.Dense(self.read_widths(), width, **args)
    self.head = self.head_class(
      self.vocab_size,
      self.readout_width(),
      self.features * self.cell.leaves
      if self.head_class is heads.Pointer
      else self.features,
      self.memory_dim,
      self.embed_table.features
      + (self.memory_dim if self.feed == "context" else 0),
      self.embed_table if self.tied else None,
      args,
    )

  # Widths, from the fields alone.

  @nn.nowrap
  def uses_fixed(self, where: str) -> bool:
    """Whether a fixed vector enters at `start` or at `every_step`."""
    if self.attention_class or not self.memory_dim:
      return False
    return self.context_at in (where, "both")

  @nn.nowrap
  def fixed_width(self) -> int:
    return self.memory_dim * (
      self.context_length if self.context == "all" else 1
    )

  @nn.nowrap
  def context_width(self) -> int:
    """Width of the context, attended to or fixed."""
    if self.attention_class:
      return self.memory_dim
    return self.fixed_width() if self.uses_fixed("every_step") else 0

  @nn.nowrap
  def read_widths(self) -> int:
    width = self.features
    if self.readout_inputs != "state":
      width += self.context_width()
    if self.readout_inputs == "all":
      width += self.embed_table.features
    return width

  @nn.nowrap
  def readout_width(self) -> int:
    return self.read_widths() if self.readout == "linear" else self.readout_dim

  @nn.nowrap
  def feed_widths(self, i: int) -> tuple[int, ...]:
    """Widths of what layer i is fed inside the loop."""
    feeds = ()
    if self.attention_class:
      everywhere = self.placement == "gnmt"
      if everywhere or ("gnmt" in self.placement and i):
        feeds += (self.memory_dim,)
      if self.placement == "bahdanau" and i == 0:
        feeds += (self.memory_dim,)
    if i:
      return feeds
    if self.feed_kind() == "readout":
      feeds += (self.readout_width(),)
    if self.feed_kind() == "context":
      feeds += (self.memory_dim,)
    if self.head_class.reads:
      feeds += (self.memory_dim,)
    return feeds

  @nn.nowrap
  def feed_kind(self) -> str:
    # Under `gnmt_v2` the lowest layer sees something of the last step anyway.
    if self.placement == "gnmt_v2" and self.feed == "none":
      return "context"
    return self.feed

  @nn.nowrap
  def reads_inside(self) -> bool:
    """Whether a step needs the readout of the one before, or what it copied."""
    return self.feed_kind() == "readout" or self.head_class.reads

  @nn.nowrap
  def looped(self) -> int:
    """How many layers, from the lowest, go through time together.

    They are fed what the attention found in the step before, or search with
    it. All layers above them may be run one by one, each over all steps.
    """
    if self.reads_inside():
      return self.layers
    remembers = bool(self.attention_class and self.attention_class.remembers)
    if self.placement in ("luong", "nvidia_gnmt"):
      fed = remembers or self.feed_kind() != "none"
    else:
      fed = True
    if not fed:
      return 0
    # Of a pointer, the loop hands out what was fed beside the state.
    low = self.placement not in ("luong", "bahdanau")
    return 1 if low and self.head_class is not heads.Pointer else self.layers

  @nn.nowrap
  def masks(self) -> tuple[dropout_masks.Mask, ...]:
    """Masks of a call, by name."""
    d = self.dropout
    masks = list(d.inputs(self.embed_table.features))
    cell = self.cell(self.features, 1, **dict(self.cell_args), parent=None)
    names = [f"layer_{i}" for i in range(self.layers)]
    for i in range(self.layers):
      masks.append(d.output(i, self.layers, self.features))
    if self.placement == "cgru":
      names.append("layer_0_context")
    for name in names:
      masks += cell.masks(name, d.state, d.update, d.shared)
    readout = dropout_masks.Mask(
      "readout", self.readout_width(), d.readout, d.shared
    )
    return (*masks, readout)

  # What happens before the steps.

  def prepare(self, memory: types.Memory) -> types.Memory:
    """Adds what depends on the source alone."""
    keys = Prepared()
    if self.attention:
      keys = keys._replace(attention=self.attention.keys(memory.values))
    if self.uses_fixed("every_step"):
      context = self.fixed_vector(memory)[:, None]
      # The product is part of every step's gates, so it is made here.
      gates = self.context_gates(context)
      keys = keys._replace(context=context, gates=gates)
    return memory._replace(keys=keys._replace(head=self.head.keys(memory)))

  def fixed_vector(self, memory: types.Memory):
    """The encoder's last state, or all its outputs side by side. [B, D]."""
    if self.context == "last":
      return memory.state[-1][-1]
    rows, length, width = memory.values.shape
    room = self.context_length
    values = memory.values[:, :room]
    values = jnp.pad(values, ((0, 0), (0, max(0, room - length)), (0, 0)))
    return values.reshape(rows, room * width)

  def start(self, memory: types.Memory, steps: int = 0) -> Carry:
    """The carry before the first step, leaves [B, 1, ...]."""
    del steps  # a decoder with a cache needs it
    fixed = None
    if self.uses_fixed("start") and self.context == "all":
      fixed = self.fixed_vector(memory)
    carry = Carry(self.start_bridge(memory, fixed))
    rows, size = memory.mask.shape
    zeros = lambda width: jnp.zeros((rows, 1, width), jnp.float32)
    if self.feed_kind() != "none":
      readout = self.feed_kind() == "readout"
      width = self.readout_width() if readout else self.memory_dim
      carry = carry._replace(feed=zeros(width))
    if self.attention and self.attention.remembers():
      carry = carry._replace(past=zeros(size))
    if self.attention and self.attention.counts():
      carry = carry._replace(place=jnp.zeros((rows, 1), jnp.int32))
    if self.head_class.reads:
      carry = carry._replace(copied=zeros(size))
    return carry

  def embed(self, tokens, noise=None, *, together=False) -> Inputs:
    """What depends on the tokens alone, masks alike.

    Of a step [B, Q]; of all steps `together` [T, B], outside of loops.
    """
    x = dropout_masks.apply(self.embed_table(tokens), noise, "embed")
    x = dropout_masks.apply(x, noise, "word")
    read = self.readout_inputs == "all" or self.head_class is heads.Pointer
    first = self.stack[0]
    return Inputs(
      first.project_all(x) if together else first.project(x),
      x if read else None,
      tokens if self.head_class.reads else None,
    )

  def gates_of_words(self):
    """`embed`'s products of all words, for a search of many steps. [V, G]."""
    return self.stack[0].project(self.embed_table.table)

  def looked_up(self, inputs: Inputs, tokens, words) -> Inputs:
    """`inputs` with gates taken from `gates_of_words`."""
    ids = jnp.where(tokens < self.vocab_size, tokens, types.UNK)
    return inputs._replace(gates=jnp.take(words, ids, axis=0, mode="clip"))

  # A step.

  def advance(self, memory, carry: Carry, inputs: Inputs, noise=None):
    """One step of K hypotheses. [B, K, ...] -> carry, StepOutput."""
    carry, hidden, attended = self.recur(memory, carry, inputs, noise)
    output = self.read(memory, hidden, attended, inputs.embedded, noise)
    if self.feed_kind() == "readout":
      carry = carry._replace(feed=output.extra.pop("feed"))
    if self.head_class.reads:
      carry = carry._replace(copied=output.extra["copy"])
    return carry, output

  def recur(self, memory, carry: Carry, inputs: Inputs, noise=None):
    """A step of all layers and of the attention.

    Returns:
      Carry, hidden [B, K, ...] (what the readout and the head look at), and
      what was attended to.
    """
    before = carry
    carry, x, attended = self.lowest(memory, carry, inputs, noise)
    states = [carry.cells[0]]

    def layer(i, x, feeds):
      cell, masks = self.stack[i], dropout_masks.part(noise, f"layer_{i}")
      state, x = cell.advance(before.cells[i], cell.project(x), feeds, masks)
      states.append(state)
      return x

    x = self.climb(x, attended and attended.context, noise, layer)
    if attended is None:
      carry, attended = self.attend(memory, carry, x)
    hidden = self.hidden(x, before.cells[-1][-1], states[-1])
    if self.head_class is heads.Pointer and self.feed == "context":
      hidden["fed"] = before.feed
    return carry._replace(cells=tuple(states)), hidden, attended

  def lowest(self, memory, carry: Carry, inputs: Inputs, noise=None):
    """A step of the first layer, and of the attention where it stands there.

    Returns:
      Carry, output [B, K, H], and what was attended to, or None.
    """
    gates, attended, feeds, fed = inputs.gates, None, (), carry.feed
    if memory.keys.gates is not None:
      gates = gates + memory.keys.gates
    if self.placement in ("bahdanau", "gnmt"):
      query = carry.cells[-1 if self.placement == "bahdanau" else 0][-1]
      carry, attended = self.attend(memory, carry, query)
      feeds += (attended.context,)
    if self.feed_kind() != "none":
      feeds += (fed,)
    if self.head_class.reads:
      feeds += (self.head.read(memory, carry.copied, inputs.tokens),)
    masks = dropout_masks.part(noise, "layer_0")
    state, x = self.stack[0].advance(carry.cells[0], gates, feeds, masks)
    if self.placement in ("cgru", "gnmt_v2", "nvidia_gnmt"):
      carry, attended = self.attend(memory, carry, x)
    if self.placement == "cgru":
      masks = dropout_masks.part(noise, "layer_0_context")
      state, x = self.second.advance(
        state, self.second.project(attended.context), (), masks
      )
    return carry._replace(cells=(state, *carry.cells[1:])), x, attended

  def climb(self, x, context, noise, layer):
    """Through the layers above the first. [..., H] -> [..., H].

    Args:
      x: the first one's output.
      context: what was attended to; the `bottom` placements hand it on.
      noise: masks of the layers' outputs.
      layer: `layer(i, x, feeds)` runs one.
    """
    feeds = (context,) if "gnmt" in self.placement else ()
    below = []
    for i in range(1, self.layers):
      last = x
      x = layer(i, dropout_masks.apply(x, noise, f"layer_{i - 1}"), feeds)
      if self.residual != "none" and i + 1 >= self.residual_start:
        below.append(last)
        x = sum(below if self.residual == "dense" else [last], x)
    return x

  def hidden(self, x, previous, state) -> dict:
    """What readout and head look at: of the top layer, its output [B, K, H],
    the state of the step before, and the carry."""
    hidden = {"top": x}
    if self.readout_state == "previous":
      hidden["previous"] = previous
    if self.head_class.copies:
      pointer = self.head_class is heads.Pointer
      hidden["state"] = jnp.concatenate(state, axis=-1) if pointer else x
    return hidden

  def attend(self, memory, carry: Carry, query):
    """Attends with queries [B, Q, D] -> carry, attention.Attended."""
    if not self.attention:
      return carry, attention.Attended(memory.keys.context, None)
    keys = memory.keys.attention
    place = carry.place
    if place is not None and query.shape[1] != place.shape[1]:
      # All steps at once: each query stands at its own place.
      place = jnp.arange(query.shape[1], dtype=jnp.int32)[None]
    attended = self.attention(query, memory, keys, carry.past, place)
    if carry.past is not None:
      past = self.attention.remember(carry.past, attended, keys)
      carry = carry._replace(past=past)
    if carry.place is not None:
      carry = carry._replace(place=carry.place + 1)
    if self.feed_kind() == "context":
      carry = carry._replace(feed=attended.context)
    return carry, attended

  def read(
    self, memory, hidden, attended, embedded, noise=None
  ) -> types.StepOutput:
    """From state, context and embedding to what the head sees."""
    top = hidden.get("previous", hidden["top"])
    parts = [dropout_masks.apply(top, noise, f"layer_{self.layers - 1}")]
    if self.readout_inputs != "state" and attended.context is not None:
      shape = (*top.shape[:2], attended.context.shape[-1])
      parts.append(jnp.broadcast_to(attended.context, shape))
    if self.readout_inputs == "all":
      parts.append(embedded)
    x = jnp.concatenate(parts, axis=-1)
    if self.readout == "tanh":
      x = jnp.tanh(self.readout_layer(x))
    elif self.readout == "maxout":
      x = self.readout_layer(x)
      x = jnp.max(x.reshape(*x.shape[:-1], -1, 2), axis=-1)
    if "fed" in hidden:
      embedded = jnp.concatenate([embedded, hidden["fed"]], axis=-1)
    extra = self.head.extra(memory, {**hidden, "read": embedded}, attended)
    if self.feed_kind() == "readout":
      extra["feed"] = x
    x = dropout_masks.apply(x, noise, "readout")
    return types.StepOutput(x, attended.weights, extra)

  # All steps with given tokens.

  def unroll(self, memory, tokens, noise=None):
    """All steps, as search makes them. Tokens [B, T] -> StepOutput of T.

    Args:
      memory: prepared.
      tokens: inputs of the steps, BOS first.
      noise: masks [T, B, D].
    """
    return decoder_unroll.steps(self, memory, tokens, noise or {})
