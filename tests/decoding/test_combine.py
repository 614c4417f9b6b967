"""Combined step functions against their definition, step by step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax import types
from seq2seq_jax.decoding import beam, combine, stepfn
from tests.helpers import oracle_search

pytestmark = pytest.mark.quick
ROWS, V, LONGEST = 3, 7, 5


def _table(seed):
  """Log-probabilities of a word after another one. [V, V]."""
  logits = 2.0 * np.random.default_rng(seed).standard_normal((V, V))
  table = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
  return table.astype(np.float32)


def _step(table):
  """A Markov chain that counts its steps and attends to its source's number."""

  def step(memory, carry, tokens):
    weights = jnp.broadcast_to(memory[:, None, None], (*tokens.shape, 1))
    return carry + 1, jnp.asarray(table)[tokens], weights

  return step


def _call(step_fn, members, tokens):
  memory = tuple(jnp.full((ROWS,), 10.0 + n) for n in range(members))
  carry = tuple(jnp.full((ROWS, 2), n, jnp.int32) for n in range(members))
  return step_fn(memory, carry, tokens)


TOKENS = jnp.asarray([[1, 4], [5, 6], [4, 4]], jnp.int32)


def test_an_ensemble_is_the_mean_of_probabilities():
  tables = [_table(seed) for seed in range(3)]
  step_fn = combine.ensemble([_step(table) for table in tables])
  carry, log_probs, attention = _call(step_fn, 3, TOKENS)
  mean = np.mean([np.exp(table)[TOKENS] for table in tables], axis=0)
  np.testing.assert_allclose(np.exp(log_probs), mean, rtol=1e-5)
  assert [int(c[0, 0]) for c in carry] == [1, 2, 3]
  assert np.all(attention == 10.0), "not the first member's attention"


def test_an_ensemble_of_one_is_that_member():
  table = _table(0)
  _, log_probs, _ = _call(combine.ensemble([_step(table)]), 1, TOKENS)
  assert np.array_equal(log_probs, table[TOKENS])


def test_a_combination_is_a_weighted_sum_of_log_probabilities():
  tables = [_table(seed) for seed in range(2)]
  tables[1][:, 6] = -np.inf
  members = [_step(table) for table in tables]
  _, log_probs, _ = _call(combine.combine(members, [1.0, 0.3]), 2, TOKENS)
  total = tables[0] + np.float32(0.3) * tables[1]
  np.testing.assert_allclose(log_probs, total[TOKENS], rtol=1e-6)
  assert np.all(log_probs[..., 6] == -np.inf)
  # A weight of 0 leaves a member out, also where it gives no probability.
  _, alone, _ = _call(combine.combine(members, [1.0, 0.0]), 2, TOKENS)
  assert np.array_equal(alone, tables[0][TOKENS])
  with pytest.raises(ValueError, match="2 step functions, 1 weights"):
    combine.combine(members, [1.0])


@pytest.mark.parametrize("ids", [3, [3, 5]])
def test_what_is_forbidden_is_never_chosen(ids):
  """The others' probabilities stay, and so do the scores of outputs."""
  table = _table(4)
  table[:, 3] += 5.0
  step_fn = combine.forbid(_step(table), ids)
  _, log_probs, _ = step_fn(jnp.zeros(ROWS), jnp.zeros((ROWS, 2)), TOKENS)
  allowed = np.delete(np.arange(V), ids)
  assert np.all(log_probs[..., np.array(ids)] == -np.inf)
  assert np.array_equal(log_probs[..., allowed], table[TOKENS][..., allowed])

  sources = stepfn.Sources(
    jnp.zeros(ROWS),
    jnp.zeros((ROWS, 1)),
    jnp.zeros(ROWS, jnp.int32),
    jnp.full(ROWS, LONGEST, jnp.int32),
  )
  limits = dict(eos=types.EOS, bos=types.BOS, max_steps=LONGEST)
  for step, absent in ((step_fn, True), (_step(table), False)):
    tokens = jax.jit(
      lambda sources, step=step: (
        beam.search(step, sources, beam_size=3, n_best=3, **limits).tokens
      )
    )(sources)
    assert np.isin(tokens, ids).any() != absent


def _chain(table):
  """The chain with a carry of its own, and without attention."""

  def step(memory, carry, tokens):
    del memory
    return carry, jnp.asarray(table)[tokens], None

  return step


@pytest.mark.parametrize("beam_size", [1, 6])
def test_fusion_finds_the_best_output_and_what_each_part_gave_it(beam_size):
  """Of two Markov chains, by dynamic programming over their weighted sum."""
  weights = (1.0, 0.7)
  tables = [_table(seed) for seed in (7, 8)]
  table = sum(w * t.astype(np.float64) for w, t in zip(weights, tables))
  step_fn = combine.combine([_chain(t) for t in tables], weights)
  count = 4
  sources = stepfn.Sources(
    (jnp.zeros(count), jnp.zeros(count)),
    (jnp.zeros((count, 1)), jnp.zeros((count, 1))),
    jnp.asarray([1, 1, 2, 3], jnp.int32),
    jnp.asarray([5, 3, 5, 4], jnp.int32),
  )
  limits = dict(eos=types.EOS, bos=types.BOS, max_steps=LONGEST)

  @jax.jit
  def search(sources):
    return beam.search(
      step_fn, sources, beam_size=beam_size, n_best=beam_size, rows=2, **limits
    )

  out = jax.tree.map(np.asarray, search(sources))
  assert out.parts.shape == (count, beam_size, 2)
  for row in range(count):
    best = oracle_search.viterbi(
      table,
      min_len=int(sources.min_len[row]),
      max_len=int(sources.max_len[row]),
      rule="none",
      alpha=0.0,
    )
    found = tuple(out.tokens[row, 0, : out.length[row, 0]])
    assert beam_size == 1 or found == best.tokens
    for n in range(beam_size):
      tokens = out.tokens[row, n, : out.length[row, n]]
      before = np.append(types.BOS, tokens[:-1])
      gave = [t[before, tokens].sum() for t in tables]
      np.testing.assert_allclose(out.parts[row, n], gave, atol=1e-5)
      np.testing.assert_allclose(
        out.parts[row, n] @ weights, out.log_prob[row, n], atol=1e-5
      )


def test_a_search_of_one_part_has_no_parts():
  sources = stepfn.Sources(
    (jnp.zeros(ROWS),),
    (jnp.zeros((ROWS, 1)),),
    jnp.ones(ROWS, jnp.int32),
    jnp.full(ROWS, LONGEST, jnp.int32),
  )
  limits = dict(eos=types.EOS, bos=types.BOS, max_steps=LONGEST)
  step_fn = combine.ensemble([_chain(_table(0))])
  for width in (1, 2):
    shapes = jax.eval_shape(
      lambda sources, width=width: beam.search(
        step_fn, sources, beam_size=width, n_best=1, **limits
      ),
      sources,
    )
    assert shapes.parts is None
