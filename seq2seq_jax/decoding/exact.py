"""Exact search: the best of all outputs, depth first.

Stahlberg & Byrne 2019 (arXiv 1908.10090), algorithm 1: a prefix is left as soon
as nothing that it may become can beat the best output so far, which a beam has
found to begin with. The likeliest continuation comes first.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from seq2seq_jax import contracts, types
from seq2seq_jax.decoding import length_rules, stepfn


class _State(NamedTuple):
  depth: Int[jax.Array, " B"]
  """Tokens of the prefix."""
  tokens: Int[jax.Array, "B T"]
  """The prefix."""
  token_log_probs: Float[jax.Array, "B T"]
  carry: Any
  """After each token of the prefix; leaves [B, T, ...]."""
  untried: Float[jax.Array, "B T V"]
  """Log-probabilities of the continuations not yet tried, others -inf."""
  best: types.Hypotheses
  """The best output so far, N = 1."""
  steps: Int[jax.Array, " B"]
  proven: Bool[jax.Array, " B"]
  """Nothing is left to try."""
  done: Bool[jax.Array, " B"]
  """Proven, or out of steps."""


def improve(
  step_fn: contracts.StepFn,
  sources: stepfn.Sources,
  beam: types.Hypotheses,
  *,
  eos: int,
  bos: int,
  max_steps: int,
  rule: str,
  alpha: float,
  limit: int,
) -> types.Hypotheses:
  """The best output of every source, `proven` if all others are ruled out.

  Args:
    step_fn: one step of the model.
    sources: B of them, with the carries before the first step.
    beam: hypotheses of a beam search, N = 1; their scores have to be beaten.
    eos: id that ends an output.
    bos: id before the first token.
    max_steps: longest output of the program.
    rule: length rule, one of `length_rules.RULES`, with its `alpha`.
    limit: steps spent on a source; one that needs more is not proven.

  Raises:
    ValueError: there is more than one hypothesis a source.
  """
  if beam.score.shape[1] != 1:
    raise ValueError(f"{beam.score.shape[1]} hypotheses; exact search has one")
  first = _start(step_fn, sources, beam, eos, bos, max_steps)
  last = jax.lax.while_loop(
    lambda s: ~jnp.all(s.done),
    lambda s: _advance(step_fn, sources, s, eos, rule, alpha, limit),
    first,
  )
  # The beam's own output may come again with a score that differs by rounding.
  improved = jnp.any(last.best.tokens != beam.tokens, axis=(1, 2))
  return last.best._replace(proven=last.proven, improved=improved)


def _start(
  step_fn: contracts.StepFn,
  sources: stepfn.Sources,
  beam: types.Hypotheses,
  eos: int,
  bos: int,
  max_steps: int,
) -> _State:
  rows = sources.max_len.shape[0]
  carry, log_probs, _ = step_fn(
    sources.memory, sources.carry, jnp.full((rows, 1), bos, jnp.int32)
  )
  log_probs = stepfn.mask_forbidden(log_probs, 1, sources.min_len, eos)

  def stack(x: jax.Array, fill: float = 0) -> jax.Array:
    """[B, 1, ...] -> [B, T, ...], `fill` after the first."""
    empty = jnp.full((rows, max_steps, *x.shape[2:]), fill, x.dtype)
    return empty.at[:, :1].set(x)

  return _State(
    depth=jnp.zeros((rows,), jnp.int32),
    tokens=jnp.full((rows, max_steps), types.PAD, jnp.int32),
    token_log_probs=jnp.zeros((rows, max_steps), jnp.float32),
    carry=jax.tree.map(stack, carry),
    untried=stack(log_probs, -jnp.inf),
    best=beam._replace(attention=None),
    steps=jnp.zeros((rows,), jnp.int32),
    proven=sources.max_len < 1,
    done=sources.max_len < 1,
  )


def _advance(
  step_fn: contracts.StepFn,
  sources: stepfn.Sources,
  s: _State,
  eos: int,
  rule: str,
  alpha: float,
  limit: int,
) -> _State:
  """Tries one continuation of every row's prefix, or takes a token back."""
  rows = jnp.arange(s.depth.shape[0], dtype=jnp.int32)
  places = jnp.arange(s.tokens.shape[1], dtype=jnp.int32)[None]
  nowhere = s.tokens.shape[1]  # a place at which what is written is dropped

  # The likeliest continuation that is left, and its log-probability in all.
  choices = s.untried[rows, s.depth]
  token = jnp.argmax(choices, axis=-1).astype(jnp.int32)
  log_prob = jnp.max(choices, axis=-1)
  length = s.depth + 1
  prefix = jnp.where(places < s.depth[:, None], s.token_log_probs, 0.0)
  total = jnp.sum(prefix, axis=-1) + log_prob

  # If even its most favourable end cannot win, neither can what is less likely:
  # the prefix is left. (Not `reachable <= to_beat`: NaN must be hopeless.)
  to_beat = s.best.score[:, 0]
  reachable = length_rules.upper_bound(
    rule, alpha, total, length, sources.max_len
  )
  hopeless = ~(reachable > to_beat)
  tried = ~hopeless & ~s.done
  ends = (token == eos) | (length >= sources.max_len)
  place = jnp.where(tried, s.depth, nowhere)
  tokens = s.tokens.at[rows, place].set(token, mode="drop")
  token_log_probs = s.token_log_probs.at[rows, place].set(log_prob, mode="drop")
  score = length_rules.rank_score(rule, alpha, total, length)
  better = tried & ends & (score > to_beat)
  inside = places < length[:, None]
  output = types.Hypotheses(
    tokens=jnp.where(inside, tokens, types.PAD)[:, None],
    length=length[:, None],
    score=score[:, None],
    log_prob=total[:, None],
    token_log_probs=jnp.where(inside, token_log_probs, 0.0)[:, None],
    finished=(token == eos)[:, None],
  )

  # A token that does not end an output leads one step deeper. Every row makes
  # the step; the others' results are dropped.
  carry = jax.tree.map(lambda x: x[rows, s.depth][:, None], s.carry)
  carry, log_probs, _ = step_fn(sources.memory, carry, token[:, None])
  log_probs = stepfn.mask_forbidden(log_probs, length + 1, sources.min_len, eos)
  deeper = tried & ~ends
  next_place = jnp.where(deeper, length, nowhere)

  def push(x: jax.Array, value: jax.Array) -> jax.Array:
    return x.at[rows, next_place].set(value[:, 0], mode="drop")

  untried = s.untried.at[rows, place, token].set(-jnp.inf, mode="drop")
  depth = jnp.where(deeper, length, jnp.where(hopeless, s.depth - 1, s.depth))
  steps = jnp.where(s.done, s.steps, s.steps + 1)
  proven = s.proven | (~s.done & hopeless & (s.depth == 0))
  return _State(
    depth=jnp.where(s.done, s.depth, jnp.maximum(depth, 0)),
    tokens=tokens,
    token_log_probs=token_log_probs,
    carry=jax.tree.map(push, s.carry, carry),
    untried=push(untried, log_probs),
    best=stepfn.freeze_rows(~better, s.best, output),
    steps=steps,
    proven=proven,
    done=s.done | proven | (steps >= limit),
  )
