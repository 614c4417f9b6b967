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


def bound(rule: str, alpha: float, log_prob, length, max_len):
  """The best score that a hypothesis of `length` tokens can end with.

  Log-probabilities only fall, and every rule is monotone in the length, so the
  most favourable length is the present one or the longest allowed.
  """
  return jnp.maximum(
    final(rule, alpha, log_prob, length),
    final(rule, alpha, log_prob, max_len),
  )
