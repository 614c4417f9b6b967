"""Exact search: the best of all outputs, depth first.

Stahlberg & Byrne 2019 (arXiv 1908.10090), algorithm 1: a prefix is left as soon
as nothing that it may become can beat the best output so far, which a beam has
found to begin with. The likeliest continuation comes first.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax import types
from seq2seq_jax.decoding import length_rules, stepfn


class _State(NamedTuple):
  depth: Any  # [B] tokens of the prefix
  tokens: Any  # [B, T] the prefix
  token_log_probs: Any  # [B, T]
  carry: Any  # leaves [B, T, ...], behind each token of the prefix
  open: Any  # [B, T, V] log-probabilities of the continuations not yet tried
  best: types.Hypotheses  # N = 1
  steps: Any  # [B]
  proven: Any  # [B] nothing is left to try
  done: Any  # [B] proven, or out of steps


def improve(
  step_fn: stepfn.StepFn,
  sentences: stepfn.Sentences,
  found: types.Hypotheses,
  *,
  eos: int,
  bos: int,
  max_steps: int,
  rule: str,
  alpha: float,
  limit: int,
) -> types.Hypotheses:
  """The best output of every sentence, `proven` where all others are ruled out.

  Args:
    step_fn: one step, see `step.StepFn`.
    sentences: B of them, with the carries before the first step.
    found: of a search before, N = 1; its scores are what has to be beaten.
    eos: id that ends an output.
    bos: id before the first token.
    max_steps: longest output of the program.
    rule: length rule of `scores.final`, with its `alpha`.
    limit: steps spent on a sentence; one that needs more is not proven.
  """
  if found.score.shape[1] != 1:
    raise ValueError(f"{found.score.shape[1]} hypotheses; exact search has one")
  first = _start(step_fn, sentences, found, eos, bos, max_steps)
  advance = lambda s: _advance(step_fn, sentences, s, eos, rule, alpha, limit)
  last = jax.lax.while_loop(lambda s: ~jnp.all(s.done), advance, first)
  # The beam's own output may come again with a score that differs by rounding.
  other = jnp.any(last.best.tokens != found.tokens, axis=(1, 2))
  return last.best._replace(proven=last.proven, improved=other)


def _start(step_fn, some: stepfn.Sentences, found, eos, bos, max_steps):
  rows = some.max_len.shape[0]
  carry, log_probs, _ = step_fn(
    some.memory, some.carry, jnp.full((rows, 1), bos, jnp.int32)
  )
  log_probs = stepfn.allowed(log_probs, 1, some.min_len, eos)

  def stack(x, fill=0):
    empty = jnp.full((rows, max_steps, *x.shape[2:]), fill, x.dtype)
    return empty.at[:, :1].set(x)

  return _State(
    depth=jnp.zeros((rows,), jnp.int32),
    tokens=jnp.full((rows, max_steps), types.PAD, jnp.int32),
    token_log_probs=jnp.zeros((rows, max_steps), jnp.float32),
    carry=jax.tree.map(stack, carry),
    open=stack(log_probs, -jnp.inf),
    best=found._replace(attention=None),
    steps=jnp.zeros((rows,), jnp.int32),
    proven=some.max_len < 1,
    done=some.max_len < 1,
  )


def _advance(
  step_fn, some: stepfn.Sentences, s: _State, eos, rule, alpha, limit
):
  """Tries one continuation of every row's prefix, or takes a token back."""
  rows = jnp.arange(s.depth.shape[0], dtype=jnp.int32)
  places = jnp.arange(s.tokens.shape[1], dtype=jnp.int32)[None]
  nowhere = s.tokens.shape[1]  # where what is written is dropped
  choices = s.open[rows, s.depth]
  token = jnp.argmax(choices, axis=-1).astype(jnp.int32)
  term = jnp.max(choices, axis=-1)
  length = s.depth + 1
  prefix = jnp.where(places < s.depth[:, None], s.token_log_probs, 0.0)
  total = jnp.sum(prefix, axis=-1) + term

  bar = s.best.score[:, 0]
  reach = length_rules.bound(rule, alpha, total, length, some.max_len)
  hopeless = ~(reach > bar)
  tried = ~hopeless & ~s.done
  ends = (token == eos) | (length >= some.max_len)
  place = jnp.where(tried, s.depth, nowhere)
  put = lambda x, value: x.at[rows, place].set(value, mode="drop")
  tokens, terms = put(s.tokens, token), put(s.token_log_probs, term)
  value = length_rules.final(rule, alpha, total, length)
  better = tried & ends & (value > bar)
  inside = places < length[:, None]
  new = types.Hypotheses(
    tokens=jnp.where(inside, tokens, types.PAD)[:, None],
    length=length[:, None],
    score=value[:, None],
    log_prob=total[:, None],
    token_log_probs=jnp.where(inside, terms, 0.0)[:, None],
    finished=(token == eos)[:, None],
  )

  # A step deeper.
  here = jax.tree.map(lambda x: x[rows, s.depth][:, None], s.carry)
  carry, log_probs, _ = step_fn(some.memory, here, token[:, None])
  log_probs = stepfn.allowed(log_probs, length + 1, some.min_len, eos)
  down = tried & ~ends
  deeper = jnp.where(down, length, nowhere)
  push = lambda x, value: x.at[rows, deeper].set(value[:, 0], mode="drop")
  depth = jnp.where(down, length, jnp.where(hopeless, s.depth - 1, s.depth))
  steps = jnp.where(s.done, s.steps, s.steps + 1)
  proven = s.proven | (~s.done & hopeless & (s.depth == 0))
  return _State(
    depth=jnp.where(s.done, s.depth, jnp.maximum(depth, 0)),
    tokens=tokens,
    token_log_probs=terms,
    carry=jax.tree.map(push, s.carry, carry),
    open=push(
      s.open.at[rows, place, token].set(-jnp.inf, mode="drop"), log_probs
    ),
    best=stepfn.keep(~better, s.best, new),
    steps=steps,
    proven=proven,
    done=s.done | proven | (steps >= limit),
  )
