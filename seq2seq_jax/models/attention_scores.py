"""Attention scores: how well a query fits each source vector.

A score is a module with `keys(values)`, what depends on the source alone, and
`__call__(query, keys, state)`, the scores `[B, Q, M]`, or `[B, H, Q, M]` with
several heads. Q is 1 in a training scan, the number of hypotheses in a beam,
and T where all steps are attended to at once.

A new score is one class here, one line in `SCORES`, and its name in the config.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from seq2seq_jax import types
from seq2seq_jax.models import initializers, recurrence

# Its square and the square's inverse are far from the limits of float32, and
# added to values of a model's usual size it changes nothing.
TINY = 1e-9

Query = Float[types.Array, "B Q D"]
Values = Float[types.Array, "B M E"]
State = Float[types.Array, "B Q M"] | None
Scores = Float[types.Array, "B Q M"] | Float[types.Array, "B H Q M"]


class Score(nn.Module):
  """Widths that every score is given, and what it may declare.

  query_dim: D, width of a query.
  value_dim: E, width of a source vector.
  dim: of the hidden layer, or of all heads' queries and keys together.
  positions: longest source (location).
  filters: channels and width of the convolution (location_aware).
  start: the weights before the first step are `zeros`, or `uniform` over the
    real positions (location_aware).
  """

  query_dim: int
  value_dim: int
  dim: int
  heads: int = 1
  positions: int = 0
  filters: tuple[int, int] = (1, 1)
  start: str = "zeros"
  init_kind: str = "xavier"
  init_scale: float = 0.08
  dtype: Any = jnp.float32

  must_define = ("__call__",)
  remembers = False
  """True if the score has a state [B, Q, M] that goes from step to step:
  `first_state` begins it, `__call__` sees it, and `next_state` makes the next
  one."""
  content_based = True
  """False if it does not look at the source vectors, but at places alone."""
  vectors_from_zero = True
  """False if no vector may be 0, not even first (`init_kind` bahdanau)."""

  @nn.nowrap
  def reach(self) -> int | None:
    """Number of positions that can have weight; None: all of the source."""
    return None

  def matrix(self, name: str, shape: tuple[int, ...]) -> types.Array:
    """Declares a matrix."""
    init = initializers.alignment(self.init_kind, self.init_scale)
    return self.param(name, init, shape)

  def vector(self, name: str, size: int) -> types.Array:
    """Declares a vector, as a column [size, 1]."""
    init = initializers.weights(self.init_kind, self.init_scale)
    if self.init_kind == "bahdanau" and self.vectors_from_zero:
      init = nn.initializers.zeros
    return self.param(name, init, (size, 1))

  def product(self, x: types.Array, w: types.Array) -> types.Array:
    """`x @ w` in the model's precision."""
    return recurrence.product(x, w, self.dtype)

  def keys(self, values: Values) -> Any:
    """What depends on the source alone: computed once a sentence."""
    return values

  def __call__(self, query: Query, keys: Any, state: State = None) -> Scores:
    """Scores of all source positions, padding included."""
    raise TypeError("a score defines its call")

  @nn.nowrap
  def first_state(
    self, mask: Bool[types.Array, "B M"]
  ) -> Float[types.Array, "B 1 M"]:
    """The state before the first step, of sources with these positions."""
    return jnp.zeros((mask.shape[0], 1, mask.shape[1]), jnp.float32)

  def next_state(
    self,
    state: Float[types.Array, "B Q M"],
    weights: Float[types.Array, "B Q M"],
    keys: Any,
  ) -> Float[types.Array, "B Q M"]:
    """The state after this step's attention weights: their sum so far."""
    del keys
    return state + weights


class Dot(Score):
  """s^T h (Luong et al. 2015, eq. 8)."""

  def __call__(self, query: Query, keys: Any, state: State = None) -> Scores:
    del state
    return jnp.einsum("bqd,bsd->bqs", query, keys)


class ScaledDot(Dot):
  """s^T h / sqrt(D) (Vaswani et al. 2017, eq. 1)."""

  def __call__(self, query: Query, keys: Any, state: State = None) -> Scores:
    return super().__call__(query * self.query_dim**-0.5, keys)


class General(Dot):
  """s^T W h (Luong et al. 2015, eq. 8)."""

  def setup(self) -> None:
    self.key = self.matrix("key", (self.value_dim, self.query_dim))

  def keys(self, values: Values) -> types.Array:
    return self.product(values, self.key)


class ScaledGeneral(General):
  """g s^T W h, g learnt from 1 (tf/nmt's scaled_luong)."""

  def setup(self) -> None:
    super().setup()
    self.g = self.param("g", nn.initializers.ones, ())

  def __call__(self, query: Query, keys: Any, state: State = None) -> Scores:
    return super().__call__(query * self.g, keys)


class Multiplicative(General):
  """(W s)^T (U h), without a scale (Britz et al. 2017, section 4.5)."""

  def setup(self) -> None:
    self.query = self.matrix("query", (self.query_dim, self.dim))
    self.key = self.matrix("key", (self.value_dim, self.dim))

  def __call__(self, query: Query, keys: Any, state: State = None) -> Scores:
    return jnp.einsum("bqd,bsd->bqs", self.product(query, self.query), keys)


class Additive(Score):
  """v^T tanh(W s + U h + b) (Bahdanau et al. 2015, appendix A.1.2)."""

  def setup(self) -> None:
    self.query = self.matrix("query", (self.query_dim, self.dim))
    self.key = self.matrix("key", (self.value_dim, self.dim))
    init = initializers.bias(self.init_kind, self.value_dim)
    self.bias = self.param("bias", init, (self.dim,))
    self.v = self.vector("v", self.dim)

  def keys(self, values: Values) -> Any:
    return recurrence.add_bias(self.product(values, self.key), self.bias)

  def direction(self) -> Float[types.Array, " A"]:
    """v, which the hidden layer is projected on."""
    return self.v[:, 0]

  def hidden(
    self, query: Query, keys: Float[types.Array, "B M A"]
  ) -> Float[types.Array, "B Q M A"]:
    """W s + U h + b."""
    return self.product(query, self.query)[:, :, None] + keys[:, None]

  def __call__(self, query: Query, keys: Any, state: State = None) -> Scores:
    del state
    hidden = jnp.tanh(self.hidden(query, keys))
    return jnp.einsum("bqsa,a->bqs", hidden, self.direction())


class NormedAdditive(Additive):
  """g (v / |v|)^T tanh(W s + U h + b), g from sqrt(1 / A) (tf/nmt)."""

  vectors_from_zero = False  # 0 has no direction

  def setup(self) -> None:
    super().setup()
    root = nn.initializers.constant(self.dim**-0.5)
    self.g = self.param("g", root, ())

  def direction(self) -> Float[types.Array, " A"]:
    v = self.v[:, 0]
    return v * (self.g * jax.lax.rsqrt(jnp.sum(jnp.square(v))))


class Concat(Score):
  """v^T tanh(W [s; h]) (Luong et al. 2015, eq. 8)."""

  def setup(self) -> None:
    width = self.query_dim + self.value_dim
    self.weight = self.matrix("weight", (width, self.dim))
    self.v = self.vector("v", self.dim)

  def keys(self, values: Values) -> types.Array:
    return self.product(values, self.weight[self.query_dim :])

  def __call__(self, query: Query, keys: Any, state: State = None) -> Scores:
    del state
    # W [s; h] = W_s s + W_h h: the second term is in the keys.
    q = self.product(query, self.weight[: self.query_dim])
    hidden = jnp.tanh(q[:, :, None] + keys[:, None])
    return jnp.einsum("bqsa,a->bqs", hidden, self.v[:, 0])


class Location(Score):
  """softmax(W s), a weight for each position (Luong et al. 2015, eq. 9).

  Short sentences use the top part; of long ones the positions beyond the table
  have no weight.
  """

  content_based = False

  @nn.nowrap
  def reach(self) -> int | None:
    return self.positions

  def setup(self) -> None:
    self.weight = self.matrix("weight", (self.query_dim, self.positions))

  def keys(self, values: Values) -> types.Array:
    # Only their length is read.
    return jnp.zeros(values.shape[:2], jnp.float32)

  def __call__(self, query: Query, keys: Any, state: State = None) -> Scores:
    del state
    size = keys.shape[1]
    weight = self.weight[:, :size]
    weight = jnp.pad(weight, ((0, 0), (0, size - weight.shape[1])))
    return self.product(query, weight)


class Coverage(Additive):
  """v^T tanh(W s + U h + w_c c + b), c the sum of weights so far (See 2017)."""

  remembers = True

  def setup(self) -> None:
    super().setup()
    self.coverage = self.vector("coverage", self.dim)

  def __call__(self, query: Query, keys: Any, state: State = None) -> Scores:
    assert state is not None
    hidden = self.hidden(query, keys) + state[..., None] * row(self.coverage)
    return jnp.einsum("bqsa,a->bqs", jnp.tanh(hidden), self.direction())


class Feedback(Additive):
  """Cumulative weights with learnt fertility (Zeyer et al. 2018, RETURNN).

  v^T tanh(W s + U h + w_f a + b); a' = a + 0.5 α σ(v_f^T h).
  """

  remembers = True

  def setup(self) -> None:
    super().setup()
    self.feedback = self.vector("feedback", self.dim)
    self.fertility = self.vector("fertility", self.value_dim)

  def keys(self, values: Values) -> tuple[types.Array, types.Array]:
    inverse = nn.sigmoid(self.product(values, self.fertility)[..., 0])
    return super().keys(values), inverse  # [B, M, A], [B, M]

  def __call__(self, query: Query, keys: Any, state: State = None) -> Scores:
    assert state is not None
    hidden = self.hidden(query, keys[0])
    hidden = hidden + state[..., None] * row(self.feedback)
    return jnp.einsum("bqsa,a->bqs", jnp.tanh(hidden), self.direction())

  def next_state(
    self,
    state: Float[types.Array, "B Q M"],
    weights: Float[types.Array, "B Q M"],
    keys: Any,
  ) -> Float[types.Array, "B Q M"]:
    return state + 0.5 * weights * keys[1][:, None]


class LocationAware(Additive):
  """v^T tanh(W s + V h + U f + b), f = F * α' (Chorowski et al. 2015, eq. 9).

  α' are the weights of the step before; the paper does not say what they are
  before the first one. ESPnet and SpeechBrain start with uniform ones.
  """

  remembers = True

  @nn.nowrap
  def first_state(
    self, mask: Bool[types.Array, "B M"]
  ) -> Float[types.Array, "B 1 M"]:
    if self.start == "zeros":
      return super().first_state(mask)
    real = mask.astype(jnp.float32)
    return (real / jnp.sum(real, axis=1, keepdims=True))[:, None]

  def setup(self) -> None:
    super().setup()
    channels, width = self.filters
    self.filter = self.matrix("filter", (width, channels))
    self.location = self.matrix("location", (channels, self.dim))

  def __call__(self, query: Query, keys: Any, state: State = None) -> Scores:
    assert state is not None
    rows, queries, size = state.shape
    width, channels = self.filter.shape
    features = jax.lax.conv_general_dilated(
      state.reshape(rows * queries, size, 1),
      self.filter[:, None],
      (1,),
      ((width // 2, width // 2),),
      dimension_numbers=("NWC", "WIO", "NWC"),
    ).reshape(rows, queries, size, channels)
    hidden = self.hidden(query, keys) + self.product(features, self.location)
    return jnp.einsum("bqsa,a->bqs", jnp.tanh(hidden), self.direction())

  def next_state(
    self,
    state: Float[types.Array, "B Q M"],
    weights: Float[types.Array, "B Q M"],
    keys: Any,
  ) -> Float[types.Array, "B Q M"]:
    del state, keys
    return weights


class MultiHeadDot(Score):
  """Scaled dots of projected queries and keys by head (Vaswani et al. 2017).

  Heads average blocks of the source vectors themselves; see
  `attention.Attention`.
  """

  def setup(self) -> None:
    self.query = self.matrix("query", (self.query_dim, self.dim))
    self.key = self.matrix("key", (self.value_dim, self.dim))

  def keys(self, values: Values) -> types.Array:
    return self.product(values, self.key)

  def __call__(self, query: Query, keys: Any, state: State = None) -> Scores:
    del state
    q = by_head(self.product(query, self.query), self.heads)
    q = q * (self.dim // self.heads) ** -0.5
    return jnp.einsum("bqhd,bshd->bhqs", q, by_head(keys, self.heads))


class MultiHeadAdditive(Additive):
  """The additive score, its hidden units shared out over heads (RNMT+)."""

  def __call__(self, query: Query, keys: Any, state: State = None) -> Scores:
    del state
    hidden = by_head(jnp.tanh(self.hidden(query, keys)), self.heads)
    v = self.direction().reshape(self.heads, -1)
    return jnp.einsum("bqshd,hd->bhqs", hidden, v)


def row(vector: Float[types.Array, "A 1"]) -> Float[types.Array, "1 1 1 A"]:
  """A column as a row to be added to [B, Q, M, A]."""
  return vector.reshape(1, 1, 1, -1)


def by_head(x: types.Array, heads: int) -> types.Array:
  """The columns of each head apart. [..., H D] -> [..., H, D]."""
  return x.reshape(*x.shape[:-1], heads, -1)


def without_zeros(
  vectors: Float[types.Array, "*rows D"],
) -> Float[types.Array, "*rows D"]:
  """`vectors`, but `TINY` instead of 0 in those that are 0 throughout.

  Padding is, and so may be a first state. A norm has no derivative there: the
  gradient would be NaN though the scores of padding have no weight.
  """
  blank = jnp.all(vectors == 0, axis=-1, keepdims=True)
  return jnp.where(blank, jnp.asarray(TINY, vectors.dtype), vectors)


SCORES: dict[str, type[Score]] = {
  "dot": Dot,
  "scaled_dot": ScaledDot,
  "general": General,
  "scaled_general": ScaledGeneral,
  "multiplicative": Multiplicative,
  "additive": Additive,
  "normed_additive": NormedAdditive,
  "concat": Concat,
  "location": Location,
  "coverage": Coverage,
  "feedback": Feedback,
  "location_aware": LocationAware,
  "multi_head_dot": MultiHeadDot,
  "multi_head_additive": MultiHeadAdditive,
}
