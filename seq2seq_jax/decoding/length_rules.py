"""Scores by which hypotheses are ranked, and bounds of unfinished ones.

Lengths count tokens with EOS. A new length rule is a function here, monotone in
the length, and its name in `RULES` and in `config.Decode.length_rule`. It takes
arrays of JAX or NumPy.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float

from seq2seq_jax import types


def _none(
  alpha: float, log_prob: types.Array, length: types.Array
) -> types.Array:
  del alpha, length
  return log_prob


def _average(
  alpha: float, log_prob: types.Array, length: types.Array
) -> types.Array:
  return log_prob / length**alpha


def _gnmt(
  alpha: float, log_prob: types.Array, length: types.Array
) -> types.Array:
  return log_prob / ((5.0 + length) / 6.0) ** alpha


def _word_reward(
  alpha: float, log_prob: types.Array, length: types.Array
) -> types.Array:
  return log_prob + alpha * length


RULES: dict[str, Callable[[float, types.Array, types.Array], types.Array]] = {
  "none": _none,  # log P
  "average": _average,  # log P / |Y|^a
  "gnmt": _gnmt,  # log P / ((5 + |Y|) / 6)^a (Wu et al. 2016, eq. 14)
  "word_reward": _word_reward,  # log P + a |Y| (Murray & Chiang 2018)
}


def rank_score(
  rule: str, alpha: float, log_prob: jax.Array, length: jax.Array
) -> jax.Array:
  """The score of outputs of log-probability `log_prob` and `length` tokens."""
  return RULES[rule](alpha, log_prob, jnp.asarray(length).astype(jnp.float32))


def upper_bound(
  rule: str,
  alpha: float,
  log_prob: jax.Array,
  length: jax.Array,
  max_len: jax.Array,
) -> jax.Array:
  """The best score that a hypothesis of now `length` tokens can end with.

  Log-probabilities only fall, and every rule is monotone in the length, so the
  most favourable length is the present one or the longest allowed. A coverage
  penalty may still become 0.
  """
  return jnp.maximum(
    rank_score(rule, alpha, log_prob, length),
    rank_score(rule, alpha, log_prob, max_len),
  )


def coverage_penalty(
  beta: float,
  attention_total: Float[jax.Array, "B K M"] | None,
  mask: Bool[jax.Array, "B M"] | None,
) -> Float[jax.Array, "B K"] | float:
  """GNMT's coverage penalty, at most 0 (Wu et al. 2016, eq. 14).

  beta times the sum over the source of log min(attention received, 1). A
  position that received none counts as 1e-10, and not as minus infinity.

  Args:
    beta: its weight; 0 is none.
    attention_total: attention summed over the steps.
    mask: positions of the source that count.
  """
  if not beta:
    return 0.0
  assert attention_total is not None and mask is not None
  log = jnp.log(jnp.clip(attention_total, 1e-10, 1.0))
  return beta * jnp.sum(jnp.where(mask[:, None], log, 0.0), axis=-1)
