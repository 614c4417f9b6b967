"""Beam search over a step function, one compiled program."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax import types
from seq2seq_jax.decoding import block_topk, greedy, length_rules, slots, stepfn


class _Paths(NamedTuple):
  """Hypotheses, K on axis 1."""

  tokens: Any  # [B, K, T]
  token_log_probs: Any  # [B, K, T]
  log_prob: Any  # [B, K], -inf: none
  length: Any  # [B, K]
  attention: Any  # [B, K, T, S'] or None


class _Ended(NamedTuple):
  """The K best ended hypotheses, best first."""

  score: Any  # [B, K], -inf: none
  finished: Any  # [B, K] with EOS, not cut at the longest length
  paths: _Paths


class _State(NamedTuple):
  memory: Any
  min_len: Any  # [B]
  max_len: Any  # [B]
  real: Any  # [B, S'] or None
  moving: Any  # _Moving
  done: Any  # [B]


class _Moving(NamedTuple):
  """What a step changes."""

  t: Any  # [B] steps made
  carry: Any
  last: Any  # [B, K]
  live: _Paths
  ended: _Ended
  given: Any  # [B, K, S'] attention so far, where coverage counts
  met: Any  # [B] hypotheses that ended in EOS so far, where patience counts


def search(
  step_fn: stepfn.StepFn,
  sentences: stepfn.Sentences,
  *,
  eos: int,
  bos: int,
  beam_size: int,
  n_best: int,
  max_steps: int,
  rule: str = "none",
  alpha: float = 0.0,
  coverage: float = 0.0,
  patience: float = 0.0,
  with_attention: bool = False,
  rows: int | None = None,
  total=None,
) -> types.Hypotheses:
  """The `n_best` of `beam_size` hypotheses of every sentence.

  At each step the best 2K continuations of the K live hypotheses are taken;
  those in EOS enter the ended list, which keeps the K best by the final score,
  and the best K others stay live. At `max_len` live ones end as they are. A row
  stops when no live hypothesis can reach the `n_best`-th entry of its list.
  With a `patience` p it also stops once p K hypotheses have ended in EOS, of
  which those below the K-th live one do not count and do not enter (Kasai et
  al. 2022, algorithm 1; p = 1 is what most toolkits do).
  A sentence's result depends on it alone. A beam of one is greedy search: its
  hypothesis ends in EOS only where EOS is the most probable token.

  Args:
    step_fn: one step, see `step.StepFn`.
    sentences: M of them.
    max_steps: longest output of the program, at least every `max_len`.
    rule: length rule of `scores.final`, with its `alpha`.
    coverage: weight of `scores.coverage`, which is added to the final score.
    patience: ended hypotheses over K after which a row stops; 0: any number.
    with_attention: return attention weights, which every step keeps in order.
    rows: rows computed at a time, see `refill.run`; by default M.
    total: sentences among the M; those behind are not answered.
  """
  if not 1 <= n_best <= beam_size:
    raise ValueError(f"n_best {n_best} is not in 1..{beam_size}")
  if beam_size == 1:
    return greedy.greedy(
      step_fn,
      sentences,
      eos=eos,
      bos=bos,
      max_steps=max_steps,
      rule=rule,
      alpha=alpha,
      coverage=coverage,
      with_attention=with_attention,
      rows=rows,
      total=total,
    )

  def begin(some: stepfn.Sentences) -> _State:
    return _start(
      step_fn,
      some,
      bos,
      beam_size,
      max_steps,
      with_attention,
      coverage,
      patience,
    )

  def advance(s: _State) -> _State:
    moving, done = _advance(
      step_fn, s, eos, rule, alpha, coverage, patience, n_best
    )
    moving = stepfn.keep(s.done, s.moving, moving)
    return s._replace(moving=moving, done=s.done | done)

  return slots.run(
    begin,
    advance,
    lambda s: _results(s.moving.ended, n_best),
    sentences,
    rows or len(sentences.max_len),
    total,
  )


def _start(
  step_fn, some, bos, k, max_steps, with_attention, coverage, patience
) -> _State:
  rows = some.max_len.shape[0]
  carry = stepfn.expand(some.carry, k)
  last = jnp.full((rows, k), bos, jnp.int32)
  attention, given = stepfn.attention_room(
    step_fn, some, carry, last, max_steps, with_attention, coverage
  )
  none = jnp.full((rows, k), -jnp.inf, jnp.float32)
  paths = _Paths(
    tokens=jnp.full((rows, k, max_steps), types.PAD, jnp.int32),
    token_log_probs=jnp.zeros((rows, k, max_steps), jnp.float32),
    log_prob=none,
    length=jnp.zeros((rows, k), jnp.int32),
    attention=attention,
  )
  # All K begin alike, so only the first counts.
  live = paths._replace(log_prob=none.at[:, 0].set(0.0))
  ended = _Ended(none, jnp.zeros((rows, k), bool), paths)
  moving = _Moving(
    jnp.zeros((rows,), jnp.int32),
    carry,
    last,
    live,
    ended,
    given,
    jnp.zeros_like(some.max_len) if patience else None,
  )
  return _State(
    some.memory,
    some.min_len,
    some.max_len,
    some.real if coverage else None,
    moving,
    some.max_len < 1,
  )


def _advance(
  step_fn, state: _State, eos, rule, alpha, coverage, patience, n_best
):
  """One step of every row, done or not; which rows are done then."""
  s = state.moving
  k = s.last.shape[1]
  carry, log_probs, weights = step_fn(state.memory, s.carry, s.last)
  length = s.t + 1
  total, parent, token = block_topk.best(
    s.live.log_prob,
    log_probs,
    2 * k,
    lambda ids: stepfn.forbidden(ids, length, state.min_len, eos),
    1 + max(types.PAD, types.BOS, eos),
  )
  taken = _continue(s, total, parent, token, log_probs, weights)
  given = None
  if coverage:
    given = stepfn.reorder(s.given + weights, parent)

  is_eos = token == eos
  score = length_rules.final(rule, alpha, total, length[:, None])
  score += length_rules.coverage(coverage, given, state.real)
  enters, met = is_eos & (total > -jnp.inf), s.met
  if patience:
    enters &= jnp.cumsum(~is_eos, axis=1) < k
    met = met + jnp.sum(enters, axis=1, dtype=jnp.int32)
  score = jnp.where(enters, score, -jnp.inf)
  ended = _merge(s.ended, _Ended(score, is_eos, taken))

  live_log_prob = jnp.where(is_eos, -jnp.inf, total)
  live_log_prob, index = jax.lax.top_k(live_log_prob, k)
  live = stepfn.reorder(taken, index)._replace(log_prob=live_log_prob)
  parent = jnp.take_along_axis(parent, index, axis=1)
  last = jnp.take_along_axis(token, index, axis=1)
  carry = stepfn.reorder(carry, parent)
  if coverage:
    given = stepfn.reorder(given, index)

  at_end = length >= state.max_len
  cut = length_rules.final(rule, alpha, live_log_prob, length[:, None])
  cut += length_rules.coverage(coverage, given, state.real)
  cut = jnp.where(at_end[:, None], cut, -jnp.inf)
  ended = _merge(ended, _Ended(cut, jnp.zeros_like(cut, bool), live))

  reach = length_rules.bound(
    rule, alpha, live_log_prob[:, 0], length, state.max_len
  )
  worst = ended.score[:, n_best - 1]
  done = at_end | ((worst > -jnp.inf) & (reach <= worst))
  if patience:
    done |= met >= patience * k
  return _Moving(length, carry, last, live, ended, given, met), done


def _continue(s: _Moving, total, parent, token, log_probs, weights) -> _Paths:
  """The paths of the continuations taken. [B, 2K, ...]."""
  old = stepfn.reorder(s.live, parent)
  flat = parent * log_probs.shape[-1] + token
  rows = log_probs.reshape(log_probs.shape[0], -1)
  log_prob = jnp.take_along_axis(rows, flat, axis=1)
  attention = old.attention
  if attention is not None:
    weights = stepfn.reorder(weights, parent)
    attention = stepfn.put(attention, s.t, weights)
  return _Paths(
    tokens=stepfn.put(old.tokens, s.t, token),
    token_log_probs=stepfn.put(old.token_log_probs, s.t, log_prob),
    log_prob=total,
    length=old.length + 1,
    attention=attention,
  )


def _merge(old: _Ended, new: _Ended) -> _Ended:
  """The K best of both by score; the older one wins a tie."""
  k = old.score.shape[1]
  join = lambda a, b: jnp.concatenate([a, b], axis=1)
  both = jax.tree.map(join, old, new)
  _, index = jax.lax.top_k(both.score, k)
  return stepfn.reorder(both, index)


def _results(ended: _Ended, n: int) -> types.Hypotheses:
  ended = jax.tree.map(lambda x: x[:, :n], ended)
  there = ended.score > -jnp.inf
  paths = ended.paths
  blank = lambda x, value: jnp.where(
    there.reshape(there.shape + (1,) * (x.ndim - 2)), x, value
  )
  attention = paths.attention
  if attention is not None:
    attention = blank(attention, 0.0)
  return types.Hypotheses(
    tokens=blank(paths.tokens, types.PAD),
    length=blank(paths.length, 0),
    score=ended.score,
    log_prob=blank(paths.log_prob, -jnp.inf),
    token_log_probs=blank(paths.token_log_probs, 0.0),
    finished=there & ended.finished,
    attention=attention,
  )
