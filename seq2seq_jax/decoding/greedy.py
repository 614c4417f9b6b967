"""Greedy search: the most probable token at every step."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from seq2seq_jax import types
from seq2seq_jax.decoding import length_rules, slots, stepfn


class _State(NamedTuple):
  memory: Any
  min_len: Any  # [B]
  max_len: Any  # [B]
  real: Any  # [B, S'] or None
  moving: Any  # _Moving
  done: Any  # [B] ended, or at the longest length


class _Moving(NamedTuple):
  """What a step changes."""

  t: Any  # [B] steps made
  carry: Any
  last: Any  # [B, 1] token to go in
  tokens: Any  # [B, 1, T]
  token_log_probs: Any  # [B, 1, T]
  ended: Any  # [B] EOS was chosen
  attention: Any  # [B, 1, T, S'] or None
  given: Any  # [B, 1, S'] attention so far, where coverage counts


def greedy(
  step_fn: stepfn.StepFn,
  sentences: stepfn.Sentences,
  *,
  eos: int,
  bos: int,
  max_steps: int,
  rule: str = "none",
  alpha: float = 0.0,
  coverage: float = 0.0,
  with_attention: bool = False,
  rows: int | None = None,
  total=None,
) -> types.Hypotheses:
  """One hypothesis a sentence; arguments as in `beam.search`."""

  def begin(some: stepfn.Sentences) -> _State:
    return _start(step_fn, some, bos, max_steps, with_attention, coverage)

  def advance(s: _State) -> _State:
    moving, done = _advance(step_fn, s, eos)
    moving = stepfn.keep(s.done, s.moving, moving)
    return s._replace(moving=moving, done=s.done | done)

  return slots.run(
    begin,
    advance,
    lambda s: _result(s, rule, alpha, coverage),
    sentences,
    rows or len(sentences.max_len),
    total,
  )


def _start(step_fn, some, bos, max_steps, with_attention, coverage) -> _State:
  rows = some.max_len.shape[0]
  first = jnp.full((rows, 1), bos, jnp.int32)
  attention, given = stepfn.attention_room(
    step_fn, some, some.carry, first, max_steps, with_attention, coverage
  )
  moving = _Moving(
    t=jnp.zeros((rows,), jnp.int32),
    carry=some.carry,
    last=first,
    tokens=jnp.full((rows, 1, max_steps), types.PAD, jnp.int32),
    token_log_probs=jnp.zeros((rows, 1, max_steps), jnp.float32),
    ended=jnp.zeros((rows,), bool),
    attention=attention,
    given=given,
  )
  return _State(
    some.memory,
    some.min_len,
    some.max_len,
    some.real if coverage else None,
    moving,
    some.max_len < 1,
  )


def _advance(step_fn, state: _State, eos):
  """One step of every row, done or not; which rows are done then."""
  s = state.moving
  carry, log_probs, weights = step_fn(state.memory, s.carry, s.last)
  log_probs = stepfn.allowed(log_probs, s.t + 1, state.min_len, eos)
  token = jnp.argmax(log_probs, axis=-1).astype(jnp.int32)  # [B, 1]
  log_prob = jnp.max(log_probs, axis=-1)
  dead = log_prob[:, 0] == -jnp.inf  # nothing may follow: no hypothesis
  ended = token[:, 0] == eos
  attention = s.attention
  if attention is not None:
    attention = stepfn.put(attention, s.t, weights)
  moving = _Moving(
    t=s.t + 1,
    carry=carry,
    last=token,
    tokens=stepfn.put(s.tokens, s.t, token),
    token_log_probs=stepfn.put(s.token_log_probs, s.t, log_prob),
    ended=ended,
    attention=attention,
    given=None if s.given is None else s.given + weights,
  )
  return moving, ended | dead | (s.t + 1 >= state.max_len)


def _result(state: _State, rule, alpha, coverage) -> types.Hypotheses:
  s = state.moving
  log_prob = jnp.sum(s.token_log_probs, axis=-1)
  there = (log_prob > -jnp.inf) & (s.t[:, None] > 0)
  length = jnp.where(there, s.t[:, None], 0)
  score = length_rules.final(rule, alpha, log_prob, jnp.maximum(length, 1))
  score += length_rules.coverage(coverage, s.given, state.real)
  blank = lambda x, value: jnp.where(there[..., None], x, value)
  return types.Hypotheses(
    tokens=blank(s.tokens, types.PAD),
    length=length,
    score=jnp.where(there, score, -jnp.inf),
    log_prob=jnp.where(there, log_prob, -jnp.inf),
    token_log_probs=blank(s.token_log_probs, 0.0),
    finished=there & s.ended[:, None],
    attention=s.attention,
  )
