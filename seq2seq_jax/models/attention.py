"""Attention: from scores to weights and to a context.

The scores are in `attention_scores.py`; here are what is the same for all of
them: windows, normalisations, and the weighted mean of the source vectors.
Queries are [B, Q, D], the memory [B, M, D'].
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from seq2seq_jax import types
from seq2seq_jax.models import (
  attention_scores,
  initializers,
  promises,
  recurrence,
)


class Attended(NamedTuple):
  """What attention gives to a step."""

  context: Any
  """[B, Q, D'], or [B, 1, D'] a fixed vector; None without a source."""
  weights: Any
  """[B, Q, M], the mean over heads; None without attention."""


class Attention(nn.Module):
  """A score, an optional window, a normalisation, and the mean of values.

  With several heads, head h averages the h-th block of the values' columns (the
  values are the source vectors: Chen et al. 2018), and the weights shown are
  the mean over heads.

  window: none; monotonic: 2 D + 1 positions around the step's own number, or
    around the last position where none of them is real; predictive: around
    p = S σ(v^T tanh(W s)), the weights times a Gaussian of deviation D / 2, not
    renormalised (Luong et al. 2015, section 3.2).
  window_size: D, the positions on either side.
  norm: a key of `NORMS`.
  """

  score_class: type[attention_scores.Score]
  score_args: Mapping[str, Any]
  window: str = "none"
  window_size: int = 10
  norm: str = "softmax"

  def setup(self) -> None:
    args = dict(self.score_args)
    self.score = self.score_class(**args)
    if self.window == "predictive":
      init = initializers.weights(args["init_kind"], args["init_scale"])
      width = args["query_dim"], args["dim"]
      self.window_weight = self.param("window_weight", init, width)
      self.window_v = self.param("window_v", init, (args["dim"], 1))

  def keys(self, values: Float[types.Array, "B M E"]) -> Any:
    """What depends on the source alone."""
    return self.score.keys(self._scored(values))

  @nn.nowrap
  def _scored(self, vectors: types.Array) -> types.Array:
    """Queries or values as the score sees them.

    Our own scores have a gradient at 0; what others do is not known.
    """
    if self.score_class in attention_scores.SCORES.values():
      return vectors
    return attention_scores.without_zeros(vectors)

  @nn.nowrap
  def _reached(self, mask: Bool[types.Array, "B M"]) -> types.Array:
    """True at the real positions that the score reaches."""
    reach, size = self.score.reach(), mask.shape[1]
    if reach is None or reach >= size:
      return mask
    return mask & (jnp.arange(size) < reach)[None]

  @nn.nowrap
  def remembers(self) -> bool:
    """True if a state goes from step to step."""
    return self.score_class.remembers

  @nn.nowrap
  def counts(self) -> bool:
    """True if it needs the number of the step."""
    return self.window == "monotonic"

  def __call__(
    self,
    query: Float[types.Array, "B Q D"],
    memory: types.Memory,
    keys: Any,
    state: Float[types.Array, "B Q M"] | None = None,
    step: Int[types.Array, "_ Q"] | None = None,
  ) -> Attended:
    """Attends to the memory.

    Args:
      query: the decoder's states.
      memory: its values and mask.
      keys: `keys` of its values.
      state: of a score that remembers.
      step: [B or 1, Q] counted from 0, if the window counts.
    """
    scores = self.score(self._scored(query), keys, state)
    mask = self._reached(memory.mask)
    positions = jnp.arange(mask.shape[1], dtype=jnp.float32)
    rows, size = mask.shape
    promises.check_scores(self.score, scores, (rows, query.shape[1], size))
    centre: Any = None
    allowed = mask[:, None]  # [B, 1, M]
    if self.window != "none":
      centre = self.centre(query, mask, step)[..., None]  # [B, Q, 1]
      distance = jnp.abs(positions[None, None] - centre)
      allowed = allowed & (distance <= self.window_size)
    several_heads = scores.ndim == 4
    if several_heads:
      allowed = allowed[:, None]
    weights = NORMS[self.norm](scores, allowed)
    if self.window == "predictive":
      width = 0.5 * self.window_size
      offset = positions[None, None] - centre
      bell = jnp.exp(-jnp.square(offset) / (2 * width**2))
      weights = weights * (bell[:, None] if several_heads else bell)
    if not several_heads:
      context = jnp.einsum("bqs,bsd->bqd", weights, memory.values)
      return Attended(context, weights)
    values = attention_scores.by_head(memory.values, weights.shape[1])
    context = jnp.einsum("bhqs,bshd->bqhd", weights, values)
    context = context.reshape(*context.shape[:2], -1)
    return Attended(context, jnp.mean(weights, axis=1))

  def centre(
    self,
    query: Float[types.Array, "B Q D"],
    mask: Bool[types.Array, "B M"],
    step: Int[types.Array, "_ Q"] | None,
  ) -> Float[types.Array, "B Q"]:
    """The position that the window is centred at."""
    size = jnp.sum(mask, axis=1, dtype=jnp.float32)[:, None]
    if self.window == "monotonic":
      assert step is not None
      position, last = step.astype(jnp.float32), size - 1.0
      # A window wholly after the source would leave no weight at all.
      return jnp.where(position - last > self.window_size, last, position)
    dtype = dict(self.score_args)["dtype"]
    hidden = jnp.tanh(recurrence.product(query, self.window_weight, dtype))
    share = recurrence.product(hidden, self.window_v, dtype)[..., 0]
    return size * nn.sigmoid(share)

  def first_state(
    self, mask: Bool[types.Array, "B M"]
  ) -> Float[types.Array, "B 1 M"]:
    """The score's state before the first step, if it remembers."""
    return self.score.first_state(mask)

  def next_state(
    self, state: Float[types.Array, "B Q M"], attended: Attended, keys: Any
  ) -> Float[types.Array, "B Q M"]:
    """The score's state after this step."""
    return self.score.next_state(state, attended.weights, keys)


def softmax(
  scores: Float[types.Array, "*rows M"], allowed: Bool[types.Array, "... M"]
) -> Float[types.Array, "*rows M"]:
  """Softmax over the last axis, exactly 0 where not allowed."""
  # The lowest finite number and not -inf: a row with nothing allowed would
  # give NaN, and 0 * NaN is NaN.
  scores = jnp.where(allowed, scores, jnp.finfo(scores.dtype).min)
  return jnp.where(allowed, jax.nn.softmax(scores, axis=-1), 0.0)


def sparsemax(
  scores: Float[types.Array, "*rows M"], allowed: Bool[types.Array, "... M"]
) -> Float[types.Array, "*rows M"]:
  """Projection onto the simplex (Martins & Astudillo 2016, algorithm 1)."""
  low = jnp.finfo(scores.dtype).min
  top = jnp.max(jnp.where(allowed, scores, low), axis=-1, keepdims=True)
  # No score 2 below the best one ever has weight, so what is not allowed is
  # put there: finite, and never in the support.
  z = jnp.where(allowed, jnp.maximum(scores - top, -2.0), -2.0)
  ordered = -jnp.sort(-z, axis=-1)
  total = jnp.cumsum(ordered, axis=-1)
  k = jnp.arange(1, z.shape[-1] + 1, dtype=z.dtype)
  k = k.reshape((1,) * (z.ndim - 1) + k.shape)
  # The support is the largest k with 1 + k z_(k) > sum of z_(1..k).
  support = jnp.sum(1.0 + k * ordered > total, axis=-1, keepdims=True)
  support_sum = jnp.take_along_axis(total, support - 1, axis=-1)
  threshold = (support_sum - 1.0) / support.astype(z.dtype)
  return jnp.where(allowed, jnp.maximum(z - threshold, 0.0), 0.0)


NORMS = {"softmax": softmax, "sparsemax": sparsemax}
