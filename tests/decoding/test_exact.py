"""Exact search against brute force."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax import types
from seq2seq_jax.decoding import beam, exact, stepfn
from tests.helpers import oracle_search as oracle

LOW, HIGH = np.array([0, 1, 2, 4, 5, 1]), np.array([4, 4, 4, 4, 4, 2])
RULES = [("none", 0.0), ("average", 1.0), ("gnmt", 0.6), ("word_reward", 0.4)]


@functools.partial(jax.jit, static_argnames=("rule", "alpha", "limit", "size"))
def _search(params, carry, *, rule, alpha, limit, size=1):
  """The beam's hypothesis and the exact one."""

  def step_fn(memory, carry, tokens):
    del memory
    return oracle.Rnn.apply(params, carry, tokens)

  limits = jnp.asarray(LOW, jnp.int32), jnp.asarray(HIGH, jnp.int32)
  sources = stepfn.Sources((), carry, *limits)
  how = {"eos": types.EOS, "bos": types.BOS, "max_steps": 4}
  how |= {"rule": rule, "alpha": alpha}
  found = beam.search(step_fn, sources, beam_size=size, n_best=1, **how)
  return found, exact.improve(step_fn, sources, found, limit=limit, **how)


def _best(model, row, **rule):
  low, high = int(LOW[row]), int(HIGH[row])
  return oracle.enumerate_all(model, row, min_len=low, max_len=high, **rule)[0]


@pytest.mark.parametrize("rule,alpha", RULES)
@pytest.mark.parametrize("size", [1, 3])
def test_finds_the_best_of_all(size, rule, alpha):
  errors = 0
  for seed in range(4):
    model = oracle.Rnn(seed, 6, len(LOW), 1.5)
    first, got = jax.tree.map(
      np.asarray,
      _search(
        model.params,
        model.carry(range(len(LOW))),
        rule=rule,
        alpha=alpha,
        limit=100_000,
        size=size,
      ),
    )
    assert got.proven.all() and got.attention is None
    for row in range(len(LOW)):
      want = _best(model, row, rule=rule, alpha=alpha)
      length = int(got.length[row, 0])
      tokens = got.tokens[row, 0]
      assert tuple(tokens[:length].tolist()) == want.tokens
      assert (tokens[length:] == types.PAD).all()
      assert bool(got.finished[row, 0]) == want.finished
      terms = got.token_log_probs[row, 0]
      assert math.isclose(got.score[row, 0], want.score, rel_tol=1e-5)
      assert math.isclose(got.log_prob[row, 0], want.log_prob, rel_tol=1e-5)
      assert math.isclose(terms.sum(), want.log_prob, rel_tol=1e-5)
      missed = (
        tuple(first.tokens[row, 0, : first.length[row, 0]]) != want.tokens
      )
      assert bool(got.improved[row]) == missed
      errors += missed
  assert errors or size > 1, "greedy search finds all: too easy"


@pytest.mark.quick
def test_what_is_cut_short_is_not_called_proven():
  model = oracle.Rnn(0, 6, len(LOW), 1.5)
  run = functools.partial(
    _search, model.params, model.carry(range(len(LOW))), rule="none", alpha=0.0
  )
  first, few = run(limit=3)
  _, all_ = run(limit=100_000)
  assert not np.all(few.proven) and np.all(all_.proven)
  # Three programs, which may round differently.
  slack = 1e-5 * np.abs(all_.score)
  assert np.all(few.score >= first.score - slack)
  assert np.all(few.score <= all_.score + slack)
