"""The best continuations among K hypotheses times V tokens."""

import jax
import jax.numpy as jnp

from seq2seq_jax.decoding import stepfn


def best(live, log_probs, n: int, forbidden, special: int, block: int = 64):
  """The n best of K V continuations, ties to the lower index in [K V].

  By blocks of tokens: the n best lie in the n blocks with the best tokens (of
  equal ones, those before), so the entries of no more than those are compared.
  Log-probabilities are read once and never written: where all forbidden ones
  were marked, that would cost as much again.

  Args:
    live: log-probabilities of the hypotheses [B, K].
    log_probs: of every token behind them [B, K, V].
    n: K V where there are fewer.
    forbidden: ids [B or 1, M] -> whether each is forbidden [B, M].
    special: no id from this one on is ever forbidden.
    block: tokens of a block.

  Returns:
    log-probability, hypothesis and token, each [B, n]; a log-probability of
    -inf: there are fewer.
  """
  rows, k, size = log_probs.shape
  n = min(n, k * size)
  if k * (size // block) <= 2 * n:
    return _of_all(live, log_probs, n, forbidden)
  tops = _tops(log_probs, forbidden, special, block)
  each = tops.shape[-1]
  tops = (live[..., None] + tops).reshape(rows, k * each)
  chosen = jnp.sort(jax.lax.top_k(tops, n)[1], axis=-1)  # ties stay in order
  owner, place = chosen // each, chosen % each
  inside = jnp.arange(block, dtype=place.dtype)[None, None]
  ids = place[..., None] * block + inside
  last = size - 1
  index = owner[..., None] * size + jnp.minimum(ids, last)
  flat = lambda x: x.reshape(rows, n * block)
  values = _take(log_probs.reshape(rows, k * size), flat(index))
  ids = flat(ids)
  values = jnp.where(forbidden(ids) | (ids > last), -jnp.inf, values)
  values += jnp.repeat(_take(live, owner), block, axis=1)
  total, at = jax.lax.top_k(values, n)
  token = jnp.minimum(_take(ids, at), last)
  return total, _take(owner, at // block), token


def _of_all(live, log_probs, n: int, forbidden):
  rows, _, size = log_probs.shape
  values = live[..., None] + stepfn.without(log_probs, forbidden)
  values = values.reshape(rows, -1)
  total, index = jax.lax.top_k(values, n)
  return total, index // size, index % size


def _tops(log_probs, forbidden, special: int, block: int):
  """The best token of every block, the last one perhaps shorter. [B, K, *]."""
  rows, k, size = log_probs.shape
  whole = size // block
  split = lambda x: x.reshape(rows, k, -1, block)
  tops = jnp.max(split(log_probs[..., : whole * block]), axis=-1)
  first = -(-special // block)  # blocks with ids that may be forbidden
  values = stepfn.without(log_probs[..., : first * block], forbidden)
  tops = tops.at[..., :first].set(jnp.max(split(values), axis=-1))
  if whole * block == size:
    return tops
  rest = jnp.max(log_probs[..., whole * block :], axis=-1, keepdims=True)
  return jnp.concatenate([tops, rest], axis=-1)


def _take(x, index):
  return jnp.take_along_axis(x, index, axis=1, mode="clip")
