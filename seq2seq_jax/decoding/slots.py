"""Continuous batching: a fixed number of rows, refilled as they finish.

When the output of a source has ended, its row is given to the next source that
waits. The number of rows never changes, so every source meets the same program.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from seq2seq_jax.decoding import stepfn


def run(
  start: Callable[[Any], Any],
  step: Callable[[Any], Any],
  result: Callable[[Any], Any],
  waiting: Any,
  rows: int,
  total: Any = None,
) -> Any:
  """Runs `step` on `rows` entries at a time until all have a result.

  Finished rows are refilled when they are a sixteenth of all, or when all rows
  have finished: to hand over memory at every step would cost more than to wait.

  Args:
    start: entries of `waiting` [B, ...] -> the state of as many rows, with a
      field `done` [B].
    step: state -> state; rows that are done stay as they are.
    result: state -> what is kept of a row, leaves [B, ...].
    waiting: leaves [N, ...], an entry each.
    rows: rows computed at a time; N if there are fewer entries.
    total: entries that count, a number or an int32; those after them have no
      result. By default all.

  Returns:
    The results, leaves [N, ...].
  """
  size, *other_sizes = {x.shape[0] for x in jax.tree.leaves(waiting)}
  if other_sizes:
    raise ValueError(
      "the leaves of `waiting` have different numbers of entries"
    )
  if size <= rows:
    state = jax.lax.while_loop(
      lambda state: ~jnp.all(state.done), step, start(waiting)
    )
    return result(state)

  total = jnp.int32(size) if total is None else total
  state = start(jax.tree.map(lambda x: x[:rows], waiting))
  shapes = jax.eval_shape(result, state)
  results = jax.tree.map(
    lambda s: jnp.zeros((size, *s.shape[1:]), s.dtype), shapes
  )
  # The entry in each row, `total` if none, and the first entry that waits.
  entries = jnp.minimum(jnp.arange(rows, dtype=jnp.int32), total)
  first_waiting = jnp.minimum(jnp.int32(rows), total)

  def retire_and_refill(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Keeps the results of finished rows and gives the rows to others."""
    state, entries, first_waiting, results = args
    ready = state.done & (entries < total)
    # Rows that are not ready write outside of the results, which is dropped.
    place = jnp.where(ready, entries, size)
    results = jax.tree.map(
      lambda all_, new: all_.at[place].set(new, mode="drop"),
      results,
      result(state),
    )
    # The n-th ready row takes the n-th waiting entry, if there is one. Every
    # row computes a fresh state, and only the refilled ones keep it.
    following = first_waiting + jnp.cumsum(ready, dtype=jnp.int32) - 1
    refilled = ready & (following < total)
    entry = jnp.where(refilled, following, 0)
    fresh = start(jax.tree.map(lambda x: x[entry], waiting))
    state = stepfn.freeze_rows(~refilled, state, fresh)
    entries = jnp.where(ready, jnp.where(refilled, following, total), entries)
    retired = jnp.sum(ready, dtype=jnp.int32)
    first_waiting = jnp.minimum(first_waiting + retired, total)
    return state, entries, first_waiting, results

  def body(args: tuple[Any, ...]) -> tuple[Any, ...]:
    state, entries, first_waiting, results = args
    state = step(state)
    ready = jnp.sum(state.done & (entries < total), dtype=jnp.int32)
    worth_it = (ready >= max(1, rows // 16)) & (first_waiting < total)
    args = (state, entries, first_waiting, results)
    return jax.lax.cond(
      worth_it | jnp.all(state.done), retire_and_refill, lambda args: args, args
    )

  args = jax.lax.while_loop(
    lambda args: jnp.any(args[1] < total),
    body,
    (state, entries, first_waiting, results),
  )
  return args[3]
