"""A fixed number of rows that go from answered sentences to waiting ones."""

import jax
import jax.numpy as jnp

from seq2seq_jax.decoding import stepfn


def run(begin, advance, answer, waiting, rows: int, total=None):
  """Answers all sentences with `rows` rows at a time, in one loop.

  The rows that are done are given to waiting sentences when they are a
  sixteenth of all, or when none else is left: to hand over memory at every step
  would cost more than to wait.

  Args:
    begin: entries of `waiting` [B, ...] -> the state of as many rows, with a
      leaf `done` [B].
    advance: state -> state, one step; rows that are done stay as they are.
    answer: state -> what is kept of a row [B, ...].
    waiting: leaves [M, ...], a sentence an entry.
    rows: rows computed at a time; M where there are fewer sentences.
    total: sentences among the M; those behind are not answered.

  Returns:
    The answers [M, ...].
  """
  size, *others = {x.shape[0] for x in jax.tree.leaves(waiting)}
  if others:
    raise ValueError("some leaves of what waits have no entry a sentence")
  if size <= rows:
    state = begin(waiting)
    busy = lambda state: ~jnp.all(state.done)
    return answer(jax.lax.while_loop(busy, advance, state))
  total = jnp.int32(size) if total is None else total
  state = begin(jax.tree.map(lambda x: x[:rows], waiting))
  shapes = jax.eval_shape(answer, state)
  out = jax.tree.map(lambda s: jnp.zeros((size, *s.shape[1:]), s.dtype), shapes)
  slots = jnp.arange(rows, dtype=jnp.int32)  # a row's sentence; total: none
  slots = jnp.minimum(slots, total)
  first = (state, slots, jnp.minimum(jnp.int32(rows), total), out)

  def hand_over(args):
    state, slots, following, out = args
    ready = state.done & (slots < total)
    place = jnp.where(ready, slots, size)
    put = lambda o, a: o.at[place].set(a, mode="drop")
    out = jax.tree.map(put, out, answer(state))
    new = following + jnp.cumsum(ready, dtype=jnp.int32) - 1
    taken = ready & (new < total)
    entry = jnp.where(taken, new, 0)
    fresh = begin(jax.tree.map(lambda x: x[entry], waiting))
    state = stepfn.keep(~taken, state, fresh)
    slots = jnp.where(ready, jnp.where(taken, new, total), slots)
    made = jnp.sum(ready, dtype=jnp.int32)
    return state, slots, jnp.minimum(following + made, total), out

  def body(args):
    state, slots, following, out = args
    state = advance(state)
    ready = jnp.sum(state.done & (slots < total), dtype=jnp.int32)
    enough = (ready >= max(1, rows // 16)) & (following < total)
    args = (state, slots, following, out)
    return jax.lax.cond(
      enough | jnp.all(state.done), hand_over, lambda args: args, args
    )

  busy = lambda args: jnp.any(args[1] < total)
  return jax.lax.while_loop(busy, body, first)[3]
