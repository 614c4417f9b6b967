"""Final scores of hypotheses, and what an unfinished one can still reach.

Lengths count tokens with EOS.
"""

import jax.numpy as jnp

RULES = ("none", "average", "gnmt", "word_reward")


def final(rule: str, alpha: float, log_prob, length):
  """The score by which hypotheses are ranked.

  none: log P; average: log P / |Y|^a; gnmt: log P / ((5 + |Y|) / 6)^a
  (Wu et al. 2016, eq. 14); word_reward: log P + a |Y| (Murray & Chiang 2018).
  """
  length = jnp.asarray(length).astype(jnp.float32)
  if rule == "none":
    return log_prob
  if rule == "average":
    return log_prob / length**alpha
  if rule == "gnmt":
    return log_prob / ((5.0 + length) / 6.0) ** alpha
  if rule == "word_reward":
    return log_prob + alpha * length
  raise ValueError(f"unknown length rule {rule!r}")


def coverage(beta: float, given, real):
  """GNMT's coverage penalty, at most 0 (Wu et al. 2016, eq. 14). [B, K].

  beta times the sum over the source of log min(attention received, 1). A
  position that received none counts as 1e-10, and not as minus infinity.

  Args:
    beta: its weight; 0 is none.
    given: attention summed over the steps [B, K, S'].
    real: positions of the source that count [B, S'].
  """
  if not beta:
    return 0.0
  log = jnp.log(jnp.clip(given, 1e-10, 1.0))
  return beta * jnp.sum(jnp.where(real[:, None], log, 0.0), axis=-1)


def bound(rule: str, alpha: float, log_prob, length, max_len):
  """The best score that a hypothesis of `length` tokens can end with.

  Log-probabilities only fall, and every rule is monotone in the length, so the
  most favourable length is the present one or the longest allowed. A coverage
  penalty may still become 0.
  """
  return jnp.maximum(
    final(rule, alpha, log_prob, length),
    final(rule, alpha, log_prob, max_len),
  )
