"""Greedy search of CTC: the most probable label of each position.

The output is what is left without repetitions and blanks (Graves et al. 2006,
section 3.2). There is no loop over its tokens, and no step function.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Int

from seq2seq_jax import types
from seq2seq_jax.decoding import ctc, length_rules, stepfn


def search(
  memory: ctc.Memory,
  path: Int[jax.Array, "B S"],
  sources: stepfn.Sources,
  *,
  eos: int,
  max_steps: int,
  rule: str = "none",
  alpha: float = 0.0,
) -> types.Hypotheses:
  """One hypothesis a source, with the probability of all its alignments.

  Args:
    memory: label probabilities of every position.
    path: of `ctc.best_path`.
    sources: B of them; only `max_len` is read, so outputs may be as short as
      they like.
    eos: id that ends an output.
    max_steps: T, longest output of the program.
    rule: length rule, one of `length_rules.RULES`, with its `alpha`.
  """
  rows = jnp.arange(path.shape[0], dtype=jnp.int32)[:, None]
  places = jnp.arange(max_steps, dtype=jnp.int32)[None]
  is_label = path != ctc.BLANK
  count = jnp.cumsum(is_label, axis=1, dtype=jnp.int32)
  # Labels behind the longest output are written outside of it: dropped.
  place = jnp.where(is_label, count - 1, max_steps)
  labels = jnp.full((path.shape[0], max_steps), types.PAD, jnp.int32)
  labels = labels.at[rows, place].set(path, mode="drop")
  size = jnp.minimum(count[:, -1], sources.max_len)  # without EOS
  finished = size < sources.max_len
  length = size + finished.astype(jnp.int32)

  ends_here = finished[:, None] & (places == size[:, None])
  inside = places < length[:, None]
  tokens = jnp.where(ends_here, eos, jnp.where(inside, labels, types.PAD))
  prefixes = ctc.prefixes(memory, labels)
  following = jnp.where(
    ends_here, prefixes.ends[:, :-1], prefixes.starts[:, 1:]
  )
  token_log_probs = jnp.where(inside, following - prefixes.starts[:, :-1], 0.0)
  log_prob = jnp.sum(token_log_probs, axis=1)

  exists = sources.max_len > 0
  score = length_rules.rank_score(rule, alpha, log_prob, jnp.maximum(length, 1))
  return types.Hypotheses(
    tokens=tokens[:, None],
    length=length[:, None],
    score=jnp.where(exists, score, -jnp.inf)[:, None],
    log_prob=jnp.where(exists, log_prob, -jnp.inf)[:, None],
    token_log_probs=token_log_probs[:, None],
    finished=finished[:, None],
  )
