"""Attention of queries [B, Q, D] over a memory [B, S, D'].

A score is a module with `keys(values)`, what depends on the source alone, and
`__call__(query, keys, past) -> [B, Q, S]`, or [B, H, Q, S] with several heads.
Q is 1 in a training scan, the number of hypotheses in a beam, and T where all
steps are attended to at once. A new score is one class here and its name in
`config.SCORES`.
"""

import re
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from seq2seq_jax.models import initializers, recurrence


class Score(nn.Module):
  """Widths that every score is given.

  dim: of the hidden layer, or of all heads' queries and keys together.
  positions: longest source (location).
  filters: channels and width of the convolution (location_aware).
  """

  query_dim: int
  value_dim: int
  dim: int
  heads: int = 1
  positions: int = 0
  filters: tuple[int, int] = (1, 1)
  init_kind: str = "xavier"
  init_scale: float = 0.08
  dtype: jnp.dtype = jnp.float32

  remembers = False  # whether `past` [B, Q, S] comes in and is kept

  def matrix(self, name, shape):
    init = initializers.alignment(self.init_kind, self.init_scale)
    return self.param(name, init, shape)

  def vector(self, name, size):
    init = initializers.weights(self.init_kind, self.init_scale)
    if self.init_kind == "bahdanau":
      init = nn.initializers.zeros
    return self.param(name, init, (size, 1))

  def product(self, x, w):
    return recurrence.product(x, w, self.dtype)

  def keys(self, values):
    """What depends on the source alone."""
    return values

  def remember(self, past, weights, keys):
    """The next step's `past`, from this step's weights."""
    del keys
    return past + weights


class Dot(Score):
  """s^T h (Luong et al. 2015, eq. 8)."""

  def __call__(self, query, keys, past=None):
    del past
    return jnp.einsum("bqd,bsd->bqs", query, keys)


class ScaledDot(Dot):
  """s^T h / sqrt(D) (Vaswani et al. 2017, eq. 1)."""

  def __call__(self, query, keys, past=None):
    return super().__call__(query * self.query_dim**-0.5, keys)


class General(Dot):
  """s^T W h (Luong et al. 2015, eq. 8)."""

  def setup(self):
    self.key = self.matrix("key", (self.value_dim, self.query_dim))

  def keys(self, values):
    return self.product(values, self.key)


class ScaledGeneral(General):
  """g s^T W h, g learnt from 1 (tf/nmt's scaled_luong)."""

  def setup(self):
    super().setup()
    self.g = self.param("g", nn.initializers.ones, ())

  def __call__(self, query, keys, past=None):
    return super().__call__(query * self.g, keys)


class Multiplicative(General):
  """(W s)^T (U h), without a scale (Britz et al. 2017, section 4.5)."""

  def setup(self):
    self.query = self.matrix("query", (self.query_dim, self.dim))
    self.key = self.matrix("key", (self.value_dim, self.dim))

  def __call__(self, query, keys, past=None):
    return super().__call__(self.product(query, self.query), keys)


class Additive(Score):
  """v^T tanh(W s + U h + b) (Bahdanau et al. 2015, appendix A.1.2)."""

  def setup(self):
    self.query = self.matrix("query", (self.query_dim, self.dim))
    self.key = self.matrix("key", (self.value_dim, self.dim))
    init = initializers.bias(self.init_kind, self.value_dim)
    self.bias = self.param("bias", init, (self.dim,))
    self.v = self.vector("v", self.dim)

  def keys(self, values):
    return recurrence.add_bias(self.product(values, self.key), self.bias)

  def direction(self):
    return self.v[:, 0]

  def hidden(self, query, keys):
    """W s + U h + b. [B, Q, S, A]."""
    return self.product(query, self.query)[:, :, None] + keys[:, None]

  def __call__(self, query, keys, past=None):
    del past
    hidden = jnp.tanh(self.hidden(query, keys))
    return jnp.einsum("bqsa,a->bqs", hidden, self.direction())


class NormedAdditive(Additive):
  """g (v / |v|)^T tanh(W s + U h + b), g from sqrt(1 / A) (tf/nmt)."""

  def setup(self):
    super().setup()
    root = nn.initializers.constant(self.dim**-0.5)
    self.g = self.param("g", root, ())

  def direction(self):
    v = self.v[:, 0]
    return v * (self.g * jax.lax.rsqrt(jnp.sum(jnp.square(v))))


class Concat(Score):
  """v^T tanh(W [s; h]) (Luong et al. 2015, eq. 8)."""

  def setup(self):
    width = self.query_dim + self.value_dim
    self.weight = self.matrix("weight", (width, self.dim))
    self.v = self.vector("v", self.dim)

  def keys(self, values):
    return self.product(values, self.weight[self.query_dim :])

  def __call__(self, query, keys, past=None):
    del past
    q = self.product(query, self.weight[: self.query_dim])
    hidden = jnp.tanh(q[:, :, None] + keys[:, None])
    return jnp.einsum("bqsa,a->bqs", hidden, self.v[:, 0])


class Location(Score):
  """softmax(W s), a weight for each position (Luong et al. 2015, eq. 9).

  Short sentences use the top part; positions beyond the table score 0.
  """

  def setup(self):
    self.weight = self.matrix("weight", (self.query_dim, self.positions))

  def keys(self, values):
    return jnp.zeros(values.shape[:2], jnp.float32)

  def __call__(self, query, keys, past=None):
    del past
    size = keys.shape[1]
    weight = self.weight[:, :size]
    weight = jnp.pad(weight, ((0, 0), (0, size - weight.shape[1])))
    return self.product(query, weight)


class Coverage(Additive):
  """v^T tanh(W s + U h + w_c c + b), c the sum of weights so far (See 2017)."""

  remembers = True

  def setup(self):
    super().setup()
    self.coverage = self.vector("coverage", self.dim)

  def __call__(self, query, keys, past=None):
    hidden = self.hidden(query, keys) + past[..., None] * row(self.coverage)
    return jnp.einsum("bqsa,a->bqs", jnp.tanh(hidden), self.direction())


class Feedback(Additive):
  """Cumulative weights with learnt fertility (Zeyer et al. 2018, RETURNN).

  v^T tanh(W s + U h + w_f a + b); a' = a + 0.5 α σ(v_f^T h).
  """

  remembers = True

  def setup(self):
    super().setup()
    self.feedback = self.vector("feedback", self.dim)
    self.fertility = self.vector("fertility", self.value_dim)

  def keys(self, values):
    inverse = nn.sigmoid(self.product(values, self.fertility)[..., 0])
    return super().keys(values), inverse  # [B, S, A], [B, S]

  def __call__(self, query, keys, past=None):
    hidden = self.hidden(query, keys[0])
    hidden = hidden + past[..., None] * row(self.feedback)
    return jnp.einsum("bqsa,a->bqs", jnp.tanh(hidden), self.direction())

  def remember(self, past, weights, keys):
    return past + 0.5 * weights * keys[1][:, None]


class LocationAware(Additive):
  """v^T tanh(W s + V h + U f + b), f = F * α' (Chorowski et al. 2015, eq. 9).

  α' are the weights of the step before.
  """

  remembers = True

  def setup(self):
    super().setup()
    channels, width = self.filters
    self.filter = self.matrix("filter", (width, channels))
    self.location = self.matrix("location", (channels, self.dim))

  def __call__(self, query, keys, past=None):
    rows, queries, size = past.shape
    width, channels = self.filter.shape
    found = jax.lax.conv_general_dilated(
      past.reshape(rows * queries, size, 1),
      self.filter[:, None],
      (1,),
      ((width // 2, width // 2),),
      dimension_numbers=("NWC", "WIO", "NWC"),
    ).reshape(rows, queries, size, channels)
    hidden = self.hidden(query, keys) + self.product(found, self.location)
    return jnp.einsum("bqsa,a->bqs", jnp.tanh(hidden), self.direction())

  def remember(self, past, weights, keys):
    del past, keys
    return weights


class MultiHeadDot(Score):
  """Scaled dots of projected queries and keys by head (Vaswani et al. 2017).

  Heads average blocks of the source vectors themselves; see `Attention`.
  """

  def setup(self):
    self.query = self.matrix("query", (self.query_dim, self.dim))
    self.key = self.matrix("key", (self.value_dim, self.dim))

  def keys(self, values):
    return self.product(values, self.key)

  def __call__(self, query, keys, past=None):
    del past
    q = by_head(self.product(query, self.query), self.heads)
    q = q * (self.dim // self.heads) ** -0.5
    return jnp.einsum("bqhd,bshd->bhqs", q, by_head(keys, self.heads))


class MultiHeadAdditive(Additive):
  """The additive score, its hidden units shared out over heads (RNMT+)."""

  def __call__(self, query, keys, past=None):
    del past
    hidden = by_head(jnp.tanh(self.hidden(query, keys)), self.heads)
    v = self.direction().reshape(self.heads, -1)
    return jnp.einsum("bqshd,hd->bhqs", hidden, v)


def _scores(base: type):
  """Every score below `base`, by its class's name in lower case."""
  for score in base.__subclasses__():
    words = re.sub(r"(?<=.)([A-Z])", r"_\1", score.__name__)
    yield words.lower(), score
    yield from _scores(score)


SCORES = dict(_scores(Score))


def row(vector):
  """[A, 1] -> [1, 1, 1, A]."""
  return vector.reshape(1, 1, 1, -1)


def by_head(x, heads: int):
  """[..., H D] -> [..., H, D]."""
  return x.reshape(*x.shape[:-1], heads, -1)


def softmax(scores, allowed):
  """Over the last axis, 0 where not allowed."""
  scores = jnp.where(allowed, scores, jnp.finfo(scores.dtype).min)
  return jnp.where(allowed, jax.nn.softmax(scores, axis=-1), 0.0)


def sparsemax(scores, allowed):
  """Projection onto the simplex (Martins & Astudillo 2016, algorithm 1)."""
  low = jnp.finfo(scores.dtype).min
  top = jnp.max(jnp.where(allowed, scores, low), axis=-1, keepdims=True)
  # No score 2 below the best one ever has weight.
  z = jnp.where(allowed, jnp.maximum(scores - top, -2.0), -2.0)
  ordered = -jnp.sort(-z, axis=-1)
  total = jnp.cumsum(ordered, axis=-1)
  k = jnp.arange(1, z.shape[-1] + 1, dtype=z.dtype)
  k = k.reshape((1,) * (z.ndim - 1) + k.shape)
  support = jnp.sum(1.0 + k * ordered > total, axis=-1, keepdims=True)
  reached = jnp.take_along_axis(total, support - 1, axis=-1)
  threshold = (reached - 1.0) / support.astype(z.dtype)
  return jnp.where(allowed, jnp.maximum(z - threshold, 0.0), 0.0)


NORMS = {"softmax": softmax, "sparsemax": sparsemax}


class Attended(NamedTuple):
  """What attention gives to a step."""

  context: Any  # [B, Q, D'], or [B, 1, D'] a fixed vector
  weights: Any  # [B, Q, S], or None


class Attention(nn.Module):
  """A score, an optional window, a normalisation, and the mean of values.

  With several heads, head h averages the h-th block of the values' columns (the
  values are the source vectors: Chen et al. 2018), and the weights shown are
  the mean over heads.

  window: none; monotonic: 2 D + 1 positions around the step's own, or around
    the last one where none of them is real; predictive: around
    p = S σ(v^T tanh(W s)), the weights times a Gaussian of deviation D / 2, not
    renormalised (Luong et al. 2015, section 3.2).
  """

  score_class: type[Score]
  score_args: dict
  window: str = "none"
  window_size: int = 10
  norm: str = "softmax"

  def setup(self):
    args = dict(self.score_args)
    self.score = self.score_class(**args)
    if self.window == "predictive":
      init = initializers.weights(args["init_kind"], args["init_scale"])
      width = args["query_dim"], args["dim"]
      self.window_weight = self.param("window_weight", init, width)
      self.window_v = self.param("window_v", init, (args["dim"], 1))

  def keys(self, values):
    return self.score.keys(values)

  @nn.nowrap
  def remembers(self) -> bool:
    return self.score_class.remembers

  @nn.nowrap
  def counts(self) -> bool:
    """Whether it needs the place of the query in the output."""
    return self.window == "monotonic"

  def __call__(self, query, memory, keys, past=None, place=None) -> Attended:
    """Attends with queries [B, Q, D]; `place` [B or 1, Q] counts from 0."""
    scores = self.score(query, keys, past)
    steps = jnp.arange(memory.mask.shape[1], dtype=jnp.float32)
    centre, allowed = None, memory.mask[:, None]  # [B, 1, S]
    if self.window != "none":
      centre = self.centre(query, memory.mask, place)[..., None]  # [B, Q, 1]
      away = jnp.abs(steps[None, None] - centre)
      allowed = allowed & (away <= self.window_size)
    if scores.ndim == 4:
      allowed = allowed[:, None]
    weights = NORMS[self.norm](scores, allowed)
    if self.window == "predictive":
      width = 0.5 * self.window_size
      bell = jnp.exp(-jnp.square(steps[None, None] - centre) / (2 * width**2))
      weights = weights * (bell[:, None] if scores.ndim == 4 else bell)
    if weights.ndim == 3:
      context = jnp.einsum("bqs,bsd->bqd", weights, memory.values)
      return Attended(context, weights)
    values = by_head(memory.values, weights.shape[1])
    context = jnp.einsum("bhqs,bshd->bqhd", weights, values)
    context = context.reshape(*context.shape[:2], -1)
    return Attended(context, jnp.mean(weights, axis=1))

  def centre(self, query, mask, place):
    """The window's middle. [B, Q] float32."""
    size = jnp.sum(mask, axis=1, dtype=jnp.float32)[:, None]
    if self.window == "monotonic":
      place, last = place.astype(jnp.float32), size - 1.0
      return jnp.where(place - last > self.window_size, last, place)
    dtype = dict(self.score_args)["dtype"]
    hidden = jnp.tanh(recurrence.product(query, self.window_weight, dtype))
    at = recurrence.product(hidden, self.window_v, dtype)[..., 0]
    return size * nn.sigmoid(at)

  def remember(self, past, attended: Attended, keys):
    return self.score.remember(past, attended.weights, keys)
