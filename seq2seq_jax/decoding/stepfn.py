"""What search needs of a model: a step over a carry it can reorder."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax import types

# (memory, carry, tokens [B, K]) -> (carry, log_probs [B, K, V + X],
#   attention [B, K, S'] or None). Every leaf of the memory is [B, ...], of the
#   carry [B, K, ...].
StepFn = Callable[[Any, Any, Any], tuple[Any, Any, Any]]


class Sentences(NamedTuple):
  """What a search knows of its sentences. [M, ...]."""

  memory: Any  # leaves [M, ...]
  carry: Any  # leaves [M, 1, ...]
  min_len: Any  # [M] shortest output, EOS included
  max_len: Any  # [M] longest output, EOS included
  real: Any = None  # [M, S'] source positions that a coverage penalty counts


def expand(carry, width: int):
  """Repeats axis 1 of every leaf. [B, 1, ...] -> [B, K, ...]."""
  return jax.tree.map(lambda x: jnp.repeat(x, width, axis=1), carry)


def reorder(tree, index):
  """Takes `index` [B, K'] on axis 1 of every leaf [B, K, ...]."""

  def take(x):
    shape = index.shape + (1,) * (x.ndim - 2)
    return jnp.take_along_axis(x, index.reshape(shape), axis=1)

  return jax.tree.map(take, tree)


def attention_room(step_fn, some, carry, first, max_steps, kept, counted):
  """Zeros for attention: of all steps [B, K, T, S'], summed [B, K, S'].

  Each is None where it is not `kept`, or not `counted` by a coverage penalty;
  without attention there is none to keep.
  """
  if not kept and not counted:
    return None, None
  one = jax.eval_shape(step_fn, some.memory, carry, first)[2]
  if one is None and counted:
    raise ValueError("a coverage penalty needs a step that attends")
  zeros = lambda *shape: jnp.zeros(shape, jnp.float32)
  if one is None:
    return None, None
  rows, k, size = one.shape
  return (
    zeros(rows, k, max_steps, size) if kept else None,
    zeros(rows, k, size) if counted else None,
  )


def put(x, place, value):
  """`x` [B, K, T, ...] with `value` [B, K, ...] at each row's place [B]."""
  steps = jnp.arange(x.shape[2], dtype=jnp.int32)
  here = steps[None] == place[:, None]  # [B, T]
  here = here.reshape(here.shape[0], 1, -1, *(1,) * (x.ndim - 3))
  return jnp.where(here, value[:, :, None], x)


def keep(frozen, old, new):
  """`old` in rows [B] that are frozen, else `new`. Leaves [B, ...]."""

  def pick(a, b):
    return jnp.where(frozen.reshape((-1,) + (1,) * (a.ndim - 1)), a, b)

  return jax.tree.map(pick, old, new)


def forbidden(ids, length, min_len, eos: int):
  """Pad and bos are, and EOS where the output would be too short. [B, M].

  `length` counts the tokens with the one chosen now; `min_len` is [B]; ids are
  [B or 1, M].
  """
  short = (length < min_len)[:, None] & (ids == eos)
  return (ids == types.PAD) | (ids == types.BOS) | short


def allowed(log_probs, length, min_len, eos: int):
  """-inf for all that is `forbidden`. [B, K, V]."""
  return without(log_probs, lambda ids: forbidden(ids, length, min_len, eos))


def without(log_probs, which):
  """-inf for the first V ids that `which` names. [B, K, V].

  `which` is a function of ids [1, V] -> [B, V].
  """
  ids = jnp.arange(log_probs.shape[-1], dtype=jnp.int32)[None]
  return jnp.where(which(ids)[:, None], -jnp.inf, log_probs)
