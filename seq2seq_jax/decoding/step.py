"""What search needs of a model: a step over a carry it can reorder."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from seq2seq_jax import types

# (carry, tokens [B, K]) -> (carry, log_probs [B, K, V + X],
#   attention [B, K, S'] or None). Every leaf of the carry is [B, K, ...].
StepFn = Callable[[Any, Any], tuple[Any, Any, Any]]


def expand(carry, width: int):
  """Repeats axis 1 of every leaf. [B, 1, ...] -> [B, K, ...]."""
  return jax.tree.map(lambda x: jnp.repeat(x, width, axis=1), carry)


def reorder(tree, index):
  """Takes `index` [B, K'] on axis 1 of every leaf [B, K, ...]."""

  def take(x):
    shape = index.shape + (1,) * (x.ndim - 2)
    return jnp.take_along_axis(x, index.reshape(shape), axis=1)

  return jax.tree.map(take, tree)


def keep(frozen, old, new):
  """`old` in rows [B] that are frozen, else `new`. Leaves [B, ...]."""

  def pick(a, b):
    return jnp.where(frozen.reshape((-1,) + (1,) * (a.ndim - 1)), a, b)

  return jax.tree.map(pick, old, new)


def allowed(log_probs, length, min_len, eos: int):
  """Forbids pad and bos, and EOS where the output would be too short.

  `length` counts the tokens with the one chosen now; `min_len` is [B].
  """
  ids = jnp.arange(log_probs.shape[-1], dtype=jnp.int32)
  never = (ids == types.PAD) | (ids == types.BOS)
  short = (length < min_len)[:, None, None] & (ids == eos)[None, None]
  return jnp.where(never[None, None] | short, -jnp.inf, log_probs)
