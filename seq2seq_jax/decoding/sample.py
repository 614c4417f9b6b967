"""Greedy search: the most probable token at every step."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax import types
from seq2seq_jax.decoding import scores, step


class _State(NamedTuple):
  t: Any  # steps made
  carry: Any
  last: Any  # [B, 1] token to go in
  tokens: Any  # [B, 1, T]
  token_log_probs: Any  # [B, 1, T]
  length: Any  # [B]
  ended: Any  # [B] EOS was chosen
  done: Any  # [B] ended, or at the longest length
  attention: Any  # [B, 1, T, S'] or None


def greedy(
  step_fn: step.StepFn,
  carry,
  *,
  eos: int,
  bos: int,
  min_len,
  max_len,
  max_steps: int,
  rule: str = "none",
  alpha: float = 0.0,
  with_attention: bool = False,
) -> types.Hypotheses:
  """One hypothesis a row; arguments as in `beam.search`."""
  rows = max_len.shape[0]
  first = jnp.full((rows, 1), bos, jnp.int32)
  attention = None
  if with_attention:
    attention = jax.eval_shape(step_fn, carry, first)[2]
  if attention is not None:
    shape = (rows, 1, max_steps, attention.shape[-1])
    attention = jnp.zeros(shape, jnp.float32)
  state = _State(
    t=jnp.int32(0),
    carry=carry,
    last=first,
    tokens=jnp.full((rows, 1, max_steps), types.PAD, jnp.int32),
    token_log_probs=jnp.zeros((rows, 1, max_steps), jnp.float32),
    length=jnp.zeros((rows,), jnp.int32),
    ended=jnp.zeros((rows,), bool),
    done=max_len < 1,
    attention=attention,
  )

  def advance(s: _State) -> _State:
    carry, log_probs, weights = step_fn(s.carry, s.last)
    log_probs = step.allowed(log_probs, s.t + 1, min_len, eos)
    token = jnp.argmax(log_probs, axis=-1).astype(jnp.int32)  # [B, 1]
    log_prob = jnp.max(log_probs, axis=-1)
    dead = log_prob[:, 0] == -jnp.inf  # nothing may follow: no hypothesis
    ended = token[:, 0] == eos
    new = s._replace(
      carry=carry,
      last=token,
      tokens=s.tokens.at[:, :, s.t].set(token),
      token_log_probs=s.token_log_probs.at[:, :, s.t].set(log_prob),
      length=s.length + 1,
      ended=ended,
      done=ended | dead | (s.t + 1 >= max_len),
    )
    if attention is not None:
      new = new._replace(attention=s.attention.at[:, :, s.t].set(weights))
    t = s.t
    s = step.keep(s.done, s._replace(t=max_len), new._replace(t=max_len))
    return s._replace(t=t + 1)

  s = jax.lax.while_loop(
    lambda s: (s.t < max_steps) & ~jnp.all(s.done), advance, state
  )
  log_prob = jnp.sum(s.token_log_probs, axis=-1)
  there = (log_prob > -jnp.inf) & (s.length[:, None] > 0)
  length = jnp.where(there, s.length[:, None], 0)
  score = scores.final(rule, alpha, log_prob, jnp.maximum(length, 1))
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
