"""The best continuations among K hypotheses times V tokens."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from seq2seq_jax.decoding import stepfn

# Log-probability, hypothesis and token of N continuations.
Continuations = tuple[
  Float[jax.Array, "B N"], Int[jax.Array, "B N"], Int[jax.Array, "B N"]
]
# ids [B or 1, I] -> whether each is forbidden [B, I]
Forbidden = Callable[[Int[jax.Array, "#B I"]], Bool[jax.Array, "#B I"]]


def best_continuations(
  live: Float[jax.Array, "B K"],
  log_probs: Float[jax.Array, "B K V"],
  n: int,
  forbidden: Forbidden,
  first_free: int,
  block: int = 64,
) -> tuple[
  Float[jax.Array, "B N"], Int[jax.Array, "B N"], Int[jax.Array, "B N"]
]:
  """The n best of K V continuations, ties to the lower index in [K V].

  By blocks of tokens: the n best lie in the n blocks with the best tokens (of
  equal ones, those before), so the entries of no more than those are compared.
  Log-probabilities are read once and never written: a copy with -inf for all
  forbidden ones would cost as much again.

  Args:
    live: log-probabilities of the hypotheses.
    log_probs: of every token after them.
    n: at most; K V if there are fewer.
    forbidden: which ids may not be chosen.
    first_free: no id from this one on is ever forbidden.
    block: tokens of a block.

  Returns:
    log-probability, hypothesis and token; a log-probability of -inf: there are
    fewer.
  """
  rows, k, size = log_probs.shape
  n = min(n, k * size)
  if k * (size // block) <= 2 * n:
    return _best_of_all(live, log_probs, n, forbidden)
  maxima = _block_maxima(log_probs, forbidden, first_free, block)
  blocks = maxima.shape[-1]
  maxima = (live[..., None] + maxima).reshape(rows, k * blocks)
  # Sorted by place, so that ties between their entries stay in order.
  chosen = jnp.sort(jax.lax.top_k(maxima, n)[1], axis=-1)
  hypothesis, place = chosen // blocks, chosen % blocks

  # All entries of the chosen blocks. The last block may be shorter: ids beyond
  # the vocabulary read its last entry and count as -inf.
  inside = jnp.arange(block, dtype=place.dtype)[None, None]
  ids = place[..., None] * block + inside
  last = size - 1
  index = hypothesis[..., None] * size + jnp.minimum(ids, last)
  index, ids = (x.reshape(rows, n * block) for x in (index, ids))
  values = _take(log_probs.reshape(rows, k * size), index)
  values = jnp.where(forbidden(ids) | (ids > last), -jnp.inf, values)
  values += jnp.repeat(_take(live, hypothesis), block, axis=1)

  total, at = jax.lax.top_k(values, n)
  token = jnp.minimum(_take(ids, at), last)
  return total, _take(hypothesis, at // block), token


def _best_of_all(
  live: Float[jax.Array, "B K"],
  log_probs: Float[jax.Array, "B K V"],
  n: int,
  forbidden: Forbidden,
) -> tuple[
  Float[jax.Array, "B N"], Int[jax.Array, "B N"], Int[jax.Array, "B N"]
]:
  """The same without blocks, for small vocabularies."""
  rows, _, size = log_probs.shape
  values = live[..., None] + stepfn.mask_ids(log_probs, forbidden)
  values = values.reshape(rows, -1)
  total, index = jax.lax.top_k(values, n)
  return total, index // size, index % size


def _block_maxima(
  log_probs: Float[jax.Array, "B K V"],
  forbidden: Forbidden,
  first_free: int,
  block: int,
) -> Float[jax.Array, "B K N"]:
  """The best allowed token of every block; the last block may be shorter."""
  rows, k, size = log_probs.shape
  whole = size // block

  def maxima_of(x: jax.Array) -> jax.Array:
    return jnp.max(x.reshape(rows, k, -1, block), axis=-1)

  maxima = maxima_of(log_probs[..., : whole * block])
  # Again, with the mask, for the blocks that hold ids that may be forbidden.
  masked = -(-first_free // block)
  values = stepfn.mask_ids(log_probs[..., : masked * block], forbidden)
  maxima = maxima.at[..., :masked].set(maxima_of(values))
  if whole * block == size:
    return maxima
  rest = jnp.max(log_probs[..., whole * block :], axis=-1, keepdims=True)
  return jnp.concatenate([maxima, rest], axis=-1)


def _take(x: jax.Array, index: Int[jax.Array, "B N"]) -> jax.Array:
  return jnp.take_along_axis(x, index, axis=1, mode="clip")
