"""The recurrent decoder: one step, used by training and search alike."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from seq2seq_jax import types
from seq2seq_jax.models import attention as attentions
from seq2seq_jax.models import cells, recurrence, softmax
from seq2seq_jax.models import noise as noises


class Carry(NamedTuple):
  """Every leaf is [B, K, ...]."""

  cells: tuple[Any, ...]  # over layers
  feed: Any  # the last readout, or None


class Prepared(NamedTuple):
  """What depends on the source alone (`Memory.keys`)."""

  keys: Any  # the score's, or None
  context: Any  # [B, 1, D] the fixed vector, or None


class Embed(nn.Module):
  """A table of embeddings [V, D]."""

  size: int
  features: int
  init: str = "xavier"
  init_scale: float = 0.08

  def setup(self):
    init = cells.uniform(self.init_scale)
    if self.init == "xavier":
      init = nn.initializers.normal(self.features**-0.5)
    self.table = self.param("table", init, (self.size, self.features))

  def __call__(self, ids):
    """Ids beyond the table, a sentence's own unknown words, become unk."""
    ids = jnp.where(ids < self.size, ids, types.UNK)
    return jnp.take(self.table, ids, axis=0, mode="clip")


class Dense(nn.Module):
  """A product and a bias."""

  inputs: int
  features: int
  init: str = "xavier"
  init_scale: float = 0.08
  use_bias: bool = True
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x):
    init = cells.weights(self.init, self.init_scale)
    kernel = self.param("kernel", init, (self.inputs, self.features))
    y = recurrence.product(x, kernel, self.dtype)
    if self.use_bias:
      zeros = nn.initializers.zeros
      bias = self.param("bias", zeros, (self.features,))
      y = recurrence.add_bias(y, bias)
    return y


class Bridge(nn.Module):
  """From the encoder to the decoder's first carry.

  `last` copies; `dense` and `mean` are tanh layers over the encoder's last
  state and its mean output, one for every leaf of every decoder layer. A
  decoder of fewer layers takes the encoder's upper ones; a deeper one repeats
  the lowest.
  """

  kind: str
  cell: nn.Module
  layers: int
  features: int
  inputs: int
  dense_args: dict

  @nn.compact
  def __call__(self, memory: types.Memory, fixed):
    """`fixed` [B, D], where given, stands for the encoder's state."""
    rows = memory.mask.shape[0]
    if self.kind == "zero":
      return (self.cell.zero(rows, 1),) * self.layers
    if self.kind == "mean":
      real = memory.mask[..., None].astype(jnp.float32)
      fixed = jnp.sum(memory.values * real, 1) / jnp.sum(real, 1)
    carries = []
    for layer in range(self.layers):
      below = layer + len(memory.state) - self.layers
      state = memory.state[max(0, below)]
      if fixed is not None:
        state = (fixed,) * self.cell.leaves
      if self.kind != "last":
        state = tuple(
          jnp.tanh(
            Dense(
              self.inputs,
              self.features,
              **dict(self.dense_args),
              name=f"layer_{layer}_{i}",
            )(leaf)
          )
          for i, leaf in enumerate(state)
        )
      carries.append(tuple(leaf[:, None] for leaf in state))
    return tuple(carries)


class Decoder(nn.Module):
  """LSTM or GRU layers, attention before or after them, a readout, a softmax.

  Luong et al. 2015 (`placement` after, with input feeding: section 3.3) and
  Bahdanau et al. 2015 (`placement` before: the query is the previous state).
  """

  embed_table: nn.Module
  vocab_size: int
  cell: type[nn.Module]
  cell_args: dict
  features: int
  layers: int
  memory_dim: int  # width of the memory; 0: there is no source
  bridge: str
  score: str | None
  attention_dim: int
  placement: str
  input_feeding: bool
  context: str
  context_at: str
  context_length: int
  readout: str
  readout_dim: int
  tied: bool
  dropout_embed: float
  dropout_rnn: float
  dropout_readout: float
  dense_args: dict  # init, init_scale, dtype

  def setup(self):
    args = dict(self.dense_args)
    self.attention = None
    if self.score:
      self.attention = attentions.SCORES[self.score](
        self.features, self.memory_dim, self.attention_dim, **args
      )
    stack = []
    for i in range(self.layers):
      width = self.embed_table.features if i == 0 else self.features
      feeds = self.feed_widths() if i == 0 else ()
      stack.append(
        self.cell(
          self.features,
          width,
          feeds,
          **dict(self.cell_args),
          name=f"layer_{i}",
        )
      )
    self.stack = stack
    fixed = self.memory_dim * (
      self.context_length if self.context == "all" else 1
    )
    state_dim = self.memory_dim
    if self.uses_fixed("start") and self.context == "all":
      state_dim = fixed
    self.start_bridge = Bridge(
      self.bridge, stack[0], self.layers, self.features, state_dim, args
    )
    self.context_gates = None
    if self.uses_fixed("every_step"):
      width = self.cell.gates * self.features
      self.context_gates = Dense(fixed, width, use_bias=False, **args)
    if self.readout == "tanh":
      self.readout_layer = Dense(
        self.features + self.context_width(), self.readout_dim, **args
      )
    self.tie_layer = None
    if self.tied and self.readout_width() != self.embed_table.features:
      self.tie_layer = Dense(
        self.readout_width(),
        self.embed_table.features,
        use_bias=False,
        **args,
      )
    if not self.tied:
      self.kernel = self.param(
        "softmax_kernel",
        cells.weights(args["init"], args["init_scale"]),
        (self.readout_width(), self.vocab_size),
      )
    self.bias = self.param(
      "softmax_bias", nn.initializers.zeros, (self.vocab_size,)
    )

  @nn.nowrap
  def uses_fixed(self, where: str) -> bool:
    """Whether a fixed vector enters at `start` or at `every_step`."""
    if self.score or not self.memory_dim:
      return False
    return self.context_at in (where, "both")

  @nn.nowrap
  def context_width(self) -> int:
    """Width of what the readout sees beside the state."""
    if self.score:
      return self.memory_dim
    if self.uses_fixed("every_step"):
      length = self.context_length if self.context == "all" else 1
      return self.memory_dim * length
    return 0

  @nn.nowrap
  def readout_width(self) -> int:
    if self.readout == "tanh":
      return self.readout_dim
    return self.features + self.context_width()

  @nn.nowrap
  def feed_widths(self) -> tuple[int, ...]:
    """Widths of what the first layer is fed inside the loop."""
    feeds = ()
    if self.score and self.placement == "before":
      feeds += (self.memory_dim,)
    if self.input_feeding:
      feeds += (self.readout_width(),)
    return feeds

  @nn.nowrap
  def noise_widths(self) -> noises.Widths:
    """Masks of a call, by name."""
    layers = tuple(
      (f"layer_{i}", self.features, self.dropout_rnn)
      for i in range(self.layers)
    )
    return (
      ("embed", self.embed_table.features, self.dropout_embed),
      *layers,
      ("readout", self.readout_width(), self.dropout_readout),
    )

  def prepare(self, memory: types.Memory) -> types.Memory:
    """Computes once what depends on the source alone."""
    keys, context = None, None
    if self.attention:
      keys = self.attention.keys(memory.values)
    if self.uses_fixed("every_step"):
      context = self.fixed_vector(memory)[:, None]
      # The product is part of every step's gates, so it is made here.
      keys = self.context_gates(context)
    return memory._replace(keys=Prepared(keys, context))

  def fixed_vector(self, memory: types.Memory):
    """The encoder's last state, or all its outputs side by side. [B, D]."""
    if self.context == "last":
      return memory.state[-1][-1]
    rows, length, width = memory.values.shape
    room = self.context_length
    values = memory.values[:, :room]
    values = jnp.pad(values, ((0, 0), (0, max(0, room - length)), (0, 0)))
    return values.reshape(rows, room * width)

  def start(self, memory: types.Memory) -> Carry:
    """The carry before the first step, leaves [B, 1, ...]."""
    fixed = None
    if self.uses_fixed("start") and self.context == "all":
      fixed = self.fixed_vector(memory)
    carry = self.start_bridge(memory, fixed)
    feed = None
    if self.input_feeding:
      rows = memory.mask.shape[0]
      feed = jnp.zeros((rows, 1, self.readout_width()), jnp.float32)
    return Carry(carry, feed)

  def embed(self, tokens, noise=None):
    """First layer's input products. [B, Q] -> [B, Q, G]."""
    if noise and "embed" in noise:  # [T, B, D] -> [B, T, D]
      noise = {"embed": noise["embed"].swapaxes(0, 1)}
    x = noises.apply(self.embed_table(tokens), noise, "embed")
    return self.stack[0].project(x)

  @nn.nowrap
  def feeds_back(self) -> bool:
    """Whether a step needs the attention or readout of the one before."""
    return self.input_feeding or self.placement == "before"

  def advance(self, memory, carry: Carry, inputs, noise=None):
    """One step of K hypotheses. [B, K, G] -> carry, StepOutput."""
    carry, top, attended = self.recur(memory, carry, inputs, noise)
    if attended is None:
      attended = self.attend(memory, top)
    output = self.read(memory, top, attended, noise)
    if self.input_feeding:
      carry = carry._replace(feed=output.extra["feed"])
    return carry, output

  def recur(self, memory, carry: Carry, inputs, noise=None):
    """The recurrence alone, with the attention where it comes before.

    Returns:
      Carry, the top state [B, K, D], (context, weights) or None.
    """
    feeds, attended = (), None
    if self.score and self.placement == "before":
      attended = self.attend(memory, carry.cells[-1][-1])
      feeds += (attended[0],)
    if self.input_feeding:
      feeds += (carry.feed,)
    if self.uses_fixed("every_step"):
      inputs = inputs + memory.keys.keys
    x, states = inputs, []
    for i, cell in enumerate(self.stack):
      if i:
        x = cell.project(noises.apply(x, noise, f"layer_{i - 1}"))
      state, x = cell.advance(carry.cells[i], x, feeds if i == 0 else ())
      states.append(state)
    return carry._replace(cells=tuple(states)), x, attended

  def attend(self, memory, query):
    """Context [B, Q, D] and weights [B, Q, S], or None and None."""
    if not self.attention:
      return memory.keys.context if memory.keys else None, None
    scores = self.attention(query, memory.keys.keys)
    return attentions.attend(scores, memory.mask, memory.values)

  def read(self, memory, top, attended, noise=None) -> types.StepOutput:
    """From state and context to what the softmax sees."""
    del memory
    context, weights = attended
    x = noises.apply(top, noise, f"layer_{self.layers - 1}")
    if context is not None:
      shape = (*x.shape[:2], context.shape[-1])
      x = jnp.concatenate([x, jnp.broadcast_to(context, shape)], axis=-1)
    if self.readout == "tanh":
      x = jnp.tanh(self.readout_layer(x))
    extra = {"feed": x} if self.input_feeding else {}
    x = noises.apply(x, noise, "readout")
    return types.StepOutput(x, weights, extra)

  def softmax_input(self, features):
    return self.tie_layer(features) if self.tie_layer else features

  def softmax_kernel(self):
    return self.embed_table.table.T if self.tied else self.kernel

  def log_probs(self, memory, output: types.StepOutput):
    """[B, K, D] -> [B, K, V]."""
    del memory
    dtype = dict(self.dense_args)["dtype"]
    features = self.softmax_input(output.features)
    return softmax.log_probs(features, self.softmax_kernel(), self.bias, dtype)

  def losses(self, memory, output: types.StepOutput, targets, smoothing, form):
    """Per-token loss, nll and correctness, each [B, T]."""
    del memory
    dtype = dict(self.dense_args)["dtype"]
    x = self.softmax_input(output.features)
    terms = softmax.losses(
      x.reshape(-1, x.shape[-1]),
      self.softmax_kernel(),
      self.bias,
      targets.reshape(-1),
      smoothing,
      form,
      dtype,
    )
    return tuple(t.reshape(targets.shape) for t in terms)
