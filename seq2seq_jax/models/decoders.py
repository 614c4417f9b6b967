"""The recurrent decoder: one step, used by training and search alike."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from seq2seq_jax import types
from seq2seq_jax.models import (
  attention,
  bridges,
  heads,
  layers,
  recurrence,
  stepping,
)
from seq2seq_jax.models import noise as noises


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
  """Recurrent layers, an attention at one of five places, a readout, a head.

  placement: where attention stands.
    after: its query is the new top state (Luong et al. 2015).
    before: the query is the previous top state, the context an input of the
      first layer (Bahdanau et al. 2015).
    between: the first layer is two cells with the attention between them
      (Nematus's conditional GRU, Sennrich et al. 2017).
    bottom: the query is the new state of the lowest layer, the context an input
      of the layers above; the lowest one sees the context of the step before,
      unless the readout is fed to it (tf/nmt's gnmt_v2).
    bottom_previous: the query is the lowest layer's previous state, the context
      an input of all layers (Wu et al. 2016; tf/nmt's gnmt).
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
    if self.placement == "between":
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
      everywhere = self.placement == "bottom_previous"
      if everywhere or (self.placement == "bottom" and i):
        feeds += (self.memory_dim,)
      if self.placement == "before" and i == 0:
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
    # Under `bottom` the lowest layer sees something of the last step anyway.
    if self.placement == "bottom" and self.feed == "none":
      return "context"
    return self.feed

  @nn.nowrap
  def feeds_back(self) -> bool:
    """Whether a step needs the attention or readout of the one before."""
    return (
      self.feed_kind() != "none"
      or self.placement != "after"
      or self.head_class.reads
      or bool(self.attention_class and self.attention_class.remembers)
    )

  @nn.nowrap
  def masks(self) -> tuple[noises.Mask, ...]:
    """Masks of a call, by name."""
    d = self.dropout
    masks = list(d.inputs(self.embed_table.features))
    cell = self.cell(self.features, 1, **dict(self.cell_args), parent=None)
    names = [f"layer_{i}" for i in range(self.layers)]
    for i in range(self.layers):
      masks.append(d.output(i, self.layers, self.features))
    if self.placement == "between":
      names.append("layer_0_context")
    for name in names:
      masks += cell.masks(name, d.state, d.update, d.shared)
    readout = noises.Mask("readout", self.readout_width(), d.readout, d.shared)
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
    x = noises.apply(self.embed_table(tokens), noise, "embed")
    x = noises.apply(x, noise, "word")
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
    if attended is None:
      carry, attended = self.attend(memory, carry, hidden["top"])
    if carry.place is not None:
      carry = carry._replace(place=carry.place + 1)
    output = self.read(memory, hidden, attended, noise)
    if self.feed_kind() == "readout":
      carry = carry._replace(feed=output.extra.pop("feed"))
    elif self.feed_kind() == "context":
      carry = carry._replace(feed=attended.context)
    if self.head_class.reads:
      carry = carry._replace(copied=output.extra["copy"])
    return carry, output

  def recur(self, memory, carry: Carry, inputs: Inputs, noise=None):
    """The recurrence alone, with the attention where it comes before.

    Returns:
      Carry, hidden [B, K, ...] (what the readout and the head look at), and
      what was attended to, or None.
    """
    hidden, attended, states = {}, None, []
    previous = carry.cells[-1][-1]
    first = inputs.gates
    if memory.keys.gates is not None:
      first = first + memory.keys.gates
    if self.attention and self.placement in ("before", "bottom_previous"):
      lowest = self.placement == "bottom_previous"
      query = carry.cells[0][-1] if lowest else previous
      carry, attended = self.attend(memory, carry, query)
    x, below = first, []
    for i, cell in enumerate(self.stack):
      masks = noises.part(noise, f"layer_{i}")
      added = bool(i) and i + 1 >= self.residual_start
      if added:
        below.append(x)
      if i:
        x = cell.project(noises.apply(x, noise, f"layer_{i - 1}"))
      feeds = self.feeds(i, memory, carry, inputs, attended)
      state, x = cell.advance(carry.cells[i], x, feeds, masks)
      if i == 0 and self.placement == "between":
        carry, attended = self.attend(memory, carry, x)
        masks = noises.part(noise, "layer_0_context")
        state, x = self.second.advance(
          state, self.second.project(attended.context), (), masks
        )
      if i == 0 and self.placement == "bottom":
        carry, attended = self.attend(memory, carry, x)
      states.append(state)
      if added and self.residual != "none":
        x = sum(below if self.residual == "dense" else below[-1:], x)
    hidden["top"] = x
    if self.readout_state == "previous":
      hidden["previous"] = previous
    if self.head_class.copies:
      pointer = self.head_class is heads.Pointer
      whole = jnp.concatenate(states[-1], axis=-1) if pointer else x
      hidden["state"] = whole
    if inputs.embedded is not None:
      hidden["embedded"] = hidden["read"] = inputs.embedded
      if self.feed == "context":
        read = [inputs.embedded, carry.feed]
        hidden["read"] = jnp.concatenate(read, axis=-1)
    return carry._replace(cells=tuple(states)), hidden, attended

  def feeds(self, i: int, memory, carry: Carry, inputs: Inputs, attended):
    """What layer i is fed, in the order of `feed_widths`."""
    feeds = ()
    placed = self.placement
    if placed == "bottom_previous" or (placed == "bottom" and i):
      feeds += (attended.context,)
    if placed == "before" and i == 0:
      feeds += (attended.context,)
    if i:
      return feeds
    if self.feed_kind() != "none":
      feeds += (carry.feed,)
    if self.head_class.reads:
      feeds += (self.head.read(memory, carry.copied, inputs.tokens),)
    return feeds

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
    return carry, attended

  def read(self, memory, hidden, attended, noise=None) -> types.StepOutput:
    """From state, context and embedding to what the head sees."""
    top = hidden.get("previous", hidden["top"])
    parts = [noises.apply(top, noise, f"layer_{self.layers - 1}")]
    if self.readout_inputs != "state" and attended.context is not None:
      shape = (*top.shape[:2], attended.context.shape[-1])
      parts.append(jnp.broadcast_to(attended.context, shape))
    if self.readout_inputs == "all":
      parts.append(hidden["embedded"])
    x = jnp.concatenate(parts, axis=-1)
    if self.readout == "tanh":
      x = jnp.tanh(self.readout_layer(x))
    elif self.readout == "maxout":
      x = self.readout_layer(x)
      x = jnp.max(x.reshape(*x.shape[:-1], -1, 2), axis=-1)
    extra = self.head.extra(memory, hidden, attended)
    if self.feed_kind() == "readout":
      extra["feed"] = x
    x = noises.apply(x, noise, "readout")
    return types.StepOutput(x, attended.weights, extra)

  # All steps with given or sampled tokens.

  def unroll(self, memory, tokens, noise=None, sampled=None):
    """All steps, by the very step of search. Tokens [B, T] -> StepOutput of T.

    Where nothing feeds back, attention and readout of all steps are computed
    at once behind the recurrence.

    Args:
      memory: prepared.
      tokens: inputs of the steps, BOS first.
      noise: masks [T, B, D].
      sampled: a `sampling.Sampled`, which feeds the model's own tokens.
    """
    if sampled is not None:
      return self.unroll_sampled(memory, tokens, noise or {}, sampled)
    carry = self.start(memory)
    # By step from the start, [T, B]: to turn the gates would cost more.
    inputs = self.embed(tokens.swapaxes(0, 1), noise, together=True)
    steps = jax.tree.map(lambda a: a[:, :, None], inputs)  # [T, B, 1, ...]
    looped, after = self.split_noise(noise)
    decoder, variables = self.unbind()
    method = "advance" if self.feeds_back() else "recur"

    def body(carry, xs):
      x, noise = xs
      carry, *y = decoder.apply(
        variables, memory, carry, x, noise, method=method
      )
      return carry, y[0]

    _, outputs = recurrence.scan(body, carry, (steps, looped))
    # [T, B, 1, D] -> [B, T, D]
    outputs = jax.tree.map(lambda y: y[:, :, 0].swapaxes(0, 1), outputs)
    if self.feeds_back():
      return outputs
    _, attended = self.attend(memory, carry, outputs["top"])
    return self.read(memory, outputs, attended, after)

  def split_noise(self, noise):
    """Masks for inside the loop [T, B, 1, D] and behind it [B, T, D]."""
    inner = dict(noise or {})
    for name in ("embed", "word"):
      inner.pop(name, None)
    after = {}
    if not self.feeds_back():
      last = (f"layer_{self.layers - 1}", "readout")
      after = {k: v.swapaxes(0, 1) for k, v in inner.items() if k in last}
      inner = {k: v for k, v in inner.items() if k not in last}
    return {k: v[:, :, None] for k, v in inner.items()}, after
