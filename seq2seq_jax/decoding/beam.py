"""Beam search over a step function, one compiled program."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from seq2seq_jax import contracts, types
from seq2seq_jax.decoding import block_topk, greedy, length_rules, loop, stepfn


class _Paths(NamedTuple):
  """Hypotheses, finished or not; K (or 2K) of a source on axis 1."""

  tokens: Int[jax.Array, "B K T"]
  token_log_probs: Float[jax.Array, "B K T"]
  log_prob: Float[jax.Array, "B K"]
  """-inf: there is no such hypothesis."""
  length: Int[jax.Array, "B K"]
  attention: Float[jax.Array, "B K T M"] | None
  parts: Float[jax.Array, "B K P"] | None
  """Sums of what each part of the step gives."""


class _Finished(NamedTuple):
  """The K best finished hypotheses by final score, best first."""

  score: Float[jax.Array, "B K"]
  """-inf: there is no such hypothesis."""
  ended: Bool[jax.Array, "B K"]
  """With EOS; False: cut at the longest length."""
  paths: _Paths


class _Beam(NamedTuple):
  """What a step changes."""

  step: Int[jax.Array, " B"]
  """Steps made."""
  carry: Any
  last: Int[jax.Array, "B K"]
  """Tokens that go into the next step."""
  live: _Paths
  finished: _Finished
  attention_total: Float[jax.Array, "B K M"] | None
  """Of the live hypotheses, summed over steps, for a coverage penalty."""
  ended_count: Int[jax.Array, " B"] | None
  """Hypotheses that have ended in EOS, for patience."""


def search(
  step_fn: contracts.StepFn,
  sources: stepfn.Sources,
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
  total: int | Int[jax.Array, ""] | None = None,
) -> types.Hypotheses:
  """The `n_best` of `beam_size` hypotheses of every source.

  At each step the best 2K continuations of the K live hypotheses are taken;
  those in EOS enter the finished list, which keeps the K best by the final
  score, and the best K others stay live. At `max_len` live ones finish as they
  are. A row stops when no live hypothesis can reach the `n_best`-th entry of
  its list. With a `patience` p it also stops once p K hypotheses have ended in
  EOS; a hypothesis that ranks below the K-th live one is ignored
  (Kasai et al. 2022, algorithm 1; p = 1 is what most toolkits do).
  A source's result depends on it alone. A beam of one is greedy search: its
  hypothesis ends in EOS only where EOS is the most probable token.

  Args:
    step_fn: one step of the model.
    sources: encoded sources.
    eos: id that ends an output.
    bos: id before the first token.
    beam_size: K.
    n_best: N hypotheses returned, at most K.
    max_steps: T, longest output of the program, at least every `max_len`.
    rule: length rule, one of `length_rules.RULES`, with its `alpha`.
    coverage: weight of the coverage penalty, added to the final score.
    patience: finished hypotheses over K after which a row stops; 0: any number.
    with_attention: return attention weights; every step then keeps them in
      the order of the hypotheses, which costs memory and time.
    rows: rows computed at a time, see `slots.run`; by default one a source.
    total: sources that count; those after them have no outputs.

  Raises:
    ValueError: `n_best` is not in 1..K.
  """
  if not 1 <= n_best <= beam_size:
    raise ValueError(f"n_best {n_best} is not in 1..{beam_size}")
  if beam_size == 1:
    return greedy.search(
      step_fn,
      sources,
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
  method = _BeamSearch(
    step_fn=step_fn,
    eos=eos,
    bos=bos,
    beam_size=beam_size,
    n_best=n_best,
    max_steps=max_steps,
    rule=rule,
    alpha=alpha,
    coverage=coverage,
    patience=patience,
    with_attention=with_attention,
  )
  return loop.run(method, sources, rows, total)


@dataclasses.dataclass(frozen=True)
class _BeamSearch:
  """The `loop.Method` of beam search."""

  step_fn: contracts.StepFn
  eos: int
  bos: int
  beam_size: int
  n_best: int
  max_steps: int
  rule: str
  alpha: float
  coverage: float
  patience: float
  with_attention: bool

  def start(self, sources: stepfn.Sources) -> _Beam:
    """One live hypothesis without tokens, and none that has finished."""
    rows, k = sources.max_len.shape[0], self.beam_size
    carry = stepfn.repeat_hypotheses(sources.carry, k)
    last = jnp.full((rows, k), self.bos, jnp.int32)
    attention, attention_total = stepfn.attention_buffers(
      self.step_fn,
      sources,
      carry,
      last,
      self.max_steps,
      history=self.with_attention,
      total=bool(self.coverage),
    )
    none = jnp.full((rows, k), -jnp.inf, jnp.float32)
    paths = _Paths(
      tokens=jnp.full((rows, k, self.max_steps), types.PAD, jnp.int32),
      token_log_probs=jnp.zeros((rows, k, self.max_steps), jnp.float32),
      log_prob=none,
      length=jnp.zeros((rows, k), jnp.int32),
      attention=attention,
      parts=stepfn.part_sums(self.step_fn, rows, k),
    )
    return _Beam(
      step=jnp.zeros((rows,), jnp.int32),
      carry=carry,
      last=last,
      # The K hypotheses start identical: all but one get -inf, or the first
      # step would take the same continuations K times.
      live=paths._replace(log_prob=none.at[:, 0].set(0.0)),
      finished=_Finished(none, jnp.zeros((rows, k), bool), paths),
      attention_total=attention_total,
      ended_count=jnp.zeros_like(sources.max_len) if self.patience else None,
    )

  def step(
    self, sources: stepfn.Sources, old: _Beam
  ) -> tuple[_Beam, Bool[jax.Array, " B"]]:
    """Extends the live hypotheses of every row by a token, as in `search`."""
    k = self.beam_size
    carry, log_probs, weights, parts = stepfn.advance(
      self.step_fn, sources.memory, old.carry, old.last
    )
    length = old.step + 1  # of every path of a row, this step's token included

    # The best 2K of K V continuations: at most K of them end in EOS, one a
    # hypothesis, so that at least K others are left to stay live.
    total, parent, token = block_topk.best_continuations(
      old.live.log_prob,
      log_probs,
      2 * k,
      lambda ids: stepfn.is_forbidden(ids, length, sources.min_len, self.eos),
      1 + max(types.PAD, types.BOS, self.eos),
    )
    paths = _extend(old, total, parent, token, log_probs, weights, parts)
    attention_total = None
    if self.coverage:
      assert old.attention_total is not None and weights is not None
      attention_total = stepfn.reorder(old.attention_total + weights, parent)

    # Those that end in EOS compete for the finished list. With patience only
    # those count that stand above the K-th continuation which stays live, as
    # in a search that takes K continuations and sets the ended ones aside.
    is_eos = token == self.eos
    enters, ended_count = is_eos & (total > -jnp.inf), old.ended_count
    score = self._score(sources, total, length, attention_total)
    if ended_count is not None:
      enters &= jnp.cumsum(~is_eos, axis=1) < k
      ended_count = ended_count + jnp.sum(enters, axis=1, dtype=jnp.int32)
    score = jnp.where(enters, score, -jnp.inf)
    finished = _merge(old.finished, _Finished(score, is_eos, paths))

    # The best K others stay live; carries follow the hypotheses they came from.
    live_log_prob = jnp.where(is_eos, -jnp.inf, total)
    live_log_prob, index = jax.lax.top_k(live_log_prob, k)
    live = stepfn.reorder(paths, index)._replace(log_prob=live_log_prob)
    parent = jnp.take_along_axis(parent, index, axis=1)
    last = jnp.take_along_axis(token, index, axis=1)
    carry = stepfn.reorder(carry, parent)
    if self.coverage:
      attention_total = stepfn.reorder(attention_total, index)

    # At the longest length the live ones finish as they are, marked as cut.
    at_end = length >= sources.max_len
    score = self._score(sources, live_log_prob, length, attention_total)
    score = jnp.where(at_end[:, None], score, -jnp.inf)
    cut = _Finished(score, jnp.zeros_like(score, bool), live)
    finished = _merge(finished, cut)

    new = _Beam(
      length, carry, last, live, finished, attention_total, ended_count
    )
    return new, at_end | self._decided(sources, new)

  def _score(
    self,
    sources: stepfn.Sources,
    log_prob: Float[jax.Array, "B N"],
    length: Int[jax.Array, " B"],
    attention_total: Float[jax.Array, "B N M"] | None,
  ) -> Float[jax.Array, "B N"]:
    """Final scores of paths of `length` tokens."""
    score = length_rules.rank_score(
      self.rule, self.alpha, log_prob, length[:, None]
    )
    return score + length_rules.coverage_penalty(
      self.coverage, attention_total, sources.mask
    )

  def _decided(
    self, sources: stepfn.Sources, beam: _Beam
  ) -> Bool[jax.Array, " B"]:
    """Rows whose N best outputs are final, or whose patience is used up."""
    reachable = length_rules.upper_bound(
      self.rule,
      self.alpha,
      beam.live.log_prob[:, 0],
      beam.step,
      sources.max_len,
    )
    worst = beam.finished.score[:, self.n_best - 1]
    decided = (worst > -jnp.inf) & (reachable <= worst)
    if beam.ended_count is not None:
      decided |= beam.ended_count >= self.patience * self.beam_size
    return decided

  def results(self, sources: stepfn.Sources, last: _Beam) -> types.Hypotheses:
    """The N best finished hypotheses, blank if there are fewer."""
    del sources
    finished = jax.tree.map(lambda x: x[:, : self.n_best], last.finished)
    paths, exists = finished.paths, finished.score > -jnp.inf

    def blank(x: jax.Array, value: float) -> jax.Array:
      """`x` [B, N, ...] with `value` where there is no hypothesis."""
      shape = exists.shape + (1,) * (x.ndim - 2)
      return jnp.where(exists.reshape(shape), x, value)

    attention = paths.attention
    return types.Hypotheses(
      tokens=blank(paths.tokens, types.PAD),
      length=blank(paths.length, 0),
      score=finished.score,
      log_prob=blank(paths.log_prob, -jnp.inf),
      token_log_probs=blank(paths.token_log_probs, 0.0),
      finished=exists & finished.ended,
      attention=None if attention is None else blank(attention, 0.0),
      parts=None if paths.parts is None else blank(paths.parts, 0.0),
    )


def _extend(
  beam: _Beam,
  total: Float[jax.Array, "B N"],
  parent: Int[jax.Array, "B N"],
  token: Int[jax.Array, "B N"],
  log_probs: Float[jax.Array, "B K V"],
  weights: Float[jax.Array, "B K M"] | None,
  parts: tuple[Float[jax.Array, "B K V"], ...],
) -> _Paths:
  """The live hypotheses `parent`, each with one more `token`; N = 2K."""
  paths = stepfn.reorder(beam.live, parent)
  log_prob = stepfn.chosen(log_probs, parent, token)
  attention = paths.attention
  if attention is not None:
    weights = stepfn.reorder(weights, parent)
    attention = stepfn.write_step(attention, beam.step, weights)
  sums = paths.parts
  if sums is not None:
    gains = [stepfn.chosen(part, parent, token) for part in parts]
    sums += jnp.stack(gains, axis=-1)
  return _Paths(
    tokens=stepfn.write_step(paths.tokens, beam.step, token),
    token_log_probs=stepfn.write_step(
      paths.token_log_probs, beam.step, log_prob
    ),
    log_prob=total,
    length=paths.length + 1,
    attention=attention,
    parts=sums,
  )


def _merge(old: _Finished, new: _Finished) -> _Finished:
  """The K best of both by score; the older one wins a tie."""
  k = old.score.shape[1]
  both = jax.tree.map(lambda a, b: jnp.concatenate([a, b], axis=1), old, new)
  _, index = jax.lax.top_k(both.score, k)
  return stepfn.reorder(both, index)
