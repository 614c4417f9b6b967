"""Greedy search: the most probable token at every step."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from seq2seq_jax import contracts, types
from seq2seq_jax.decoding import length_rules, loop, stepfn


class _Hypotheses(NamedTuple):
  """What a step changes; one hypothesis a source on axis 1."""

  step: Int[jax.Array, " B"]
  """Steps made."""
  carry: Any
  last: Int[jax.Array, "B 1"]
  """Token that goes into the next step."""
  tokens: Int[jax.Array, "B 1 T"]
  token_log_probs: Float[jax.Array, "B 1 T"]
  ended: Bool[jax.Array, " B"]
  """EOS was chosen."""
  attention: Float[jax.Array, "B 1 T M"] | None
  attention_total: Float[jax.Array, "B 1 M"] | None
  """Summed over steps, for a coverage penalty."""
  parts: Float[jax.Array, "B 1 P"] | None
  """Sums of what each part of the step gives."""


def search(
  step_fn: contracts.StepFn,
  sources: stepfn.Sources,
  *,
  eos: int,
  bos: int,
  max_steps: int,
  rule: str = "none",
  alpha: float = 0.0,
  coverage: float = 0.0,
  with_attention: bool = False,
  rows: int | None = None,
  total: int | Int[jax.Array, ""] | None = None,
) -> types.Hypotheses:
  """One hypothesis a source; arguments as in `beam.search`."""
  method = _Greedy(
    step_fn=step_fn,
    eos=eos,
    bos=bos,
    max_steps=max_steps,
    rule=rule,
    alpha=alpha,
    coverage=coverage,
    with_attention=with_attention,
  )
  return loop.run(method, sources, rows, total)


@dataclasses.dataclass(frozen=True)
class _Greedy:
  """The `loop.Method` of greedy search."""

  step_fn: contracts.StepFn
  eos: int
  bos: int
  max_steps: int
  rule: str
  alpha: float
  coverage: float
  with_attention: bool

  def start(self, sources: stepfn.Sources) -> _Hypotheses:
    """A hypothesis without tokens."""
    rows = sources.max_len.shape[0]
    first = jnp.full((rows, 1), self.bos, jnp.int32)
    attention, attention_total = stepfn.attention_buffers(
      self.step_fn,
      sources,
      sources.carry,
      first,
      self.max_steps,
      history=self.with_attention,
      total=bool(self.coverage),
    )
    return _Hypotheses(
      step=jnp.zeros((rows,), jnp.int32),
      carry=sources.carry,
      last=first,
      tokens=jnp.full((rows, 1, self.max_steps), types.PAD, jnp.int32),
      token_log_probs=jnp.zeros((rows, 1, self.max_steps), jnp.float32),
      ended=jnp.zeros((rows,), bool),
      attention=attention,
      attention_total=attention_total,
      parts=stepfn.part_sums(self.step_fn, rows, 1),
    )

  def step(
    self, sources: stepfn.Sources, old: _Hypotheses
  ) -> tuple[_Hypotheses, Bool[jax.Array, " B"]]:
    """Extends every row by its most probable token that is allowed."""
    carry, log_probs, weights, parts = stepfn.advance(
      self.step_fn, sources.memory, old.carry, old.last
    )
    length = old.step + 1
    log_probs = stepfn.mask_forbidden(
      log_probs, length, sources.min_len, self.eos
    )
    token = jnp.argmax(log_probs, axis=-1).astype(jnp.int32)  # [B, 1]
    log_prob = jnp.max(log_probs, axis=-1)
    dead_end = log_prob[:, 0] == -jnp.inf  # nothing may follow
    ended = token[:, 0] == self.eos
    attention, attention_total = old.attention, old.attention_total
    if attention is not None:
      assert weights is not None
      attention = stepfn.write_step(attention, old.step, weights)
    if attention_total is not None:
      assert weights is not None
      attention_total = attention_total + weights
    sums = old.parts
    if sums is not None:
      first = jnp.zeros_like(token)
      gains = [stepfn.chosen(part, first, token) for part in parts]
      sums += jnp.stack(gains, axis=-1)
    new = _Hypotheses(
      step=length,
      carry=carry,
      last=token,
      tokens=stepfn.write_step(old.tokens, old.step, token),
      token_log_probs=stepfn.write_step(
        old.token_log_probs, old.step, log_prob
      ),
      ended=ended,
      attention=attention,
      attention_total=attention_total,
      parts=sums,
    )
    return new, ended | dead_end | (length >= sources.max_len)

  def results(
    self, sources: stepfn.Sources, last: _Hypotheses
  ) -> types.Hypotheses:
    """The hypotheses with their final scores."""
    log_prob = jnp.sum(last.token_log_probs, axis=-1)
    # No output: a dead end, or a filler row, which made no step.
    exists = (log_prob > -jnp.inf) & (last.step[:, None] > 0)
    length = jnp.where(exists, last.step[:, None], 0)
    score = length_rules.rank_score(
      self.rule, self.alpha, log_prob, jnp.maximum(length, 1)
    )
    score += length_rules.coverage_penalty(
      self.coverage, last.attention_total, sources.mask
    )
    parts = last.parts
    if parts is not None:
      parts = jnp.where(exists[..., None], parts, 0.0)
    return types.Hypotheses(
      tokens=jnp.where(exists[..., None], last.tokens, types.PAD),
      length=length,
      score=jnp.where(exists, score, -jnp.inf),
      log_prob=jnp.where(exists, log_prob, -jnp.inf),
      token_log_probs=jnp.where(exists[..., None], last.token_log_probs, 0.0),
      finished=exists & last.ended[:, None],
      attention=last.attention,
      parts=parts,
    )
