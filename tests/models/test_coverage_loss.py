"""See et al.'s coverage loss against its sum."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax.models import seq2seq
from tests.helpers import oracle_models as oracle
from tests.helpers.numeric import close, compiled, double
from tests.helpers.oracle_decoder import a_batch, modelled

pytestmark = pytest.mark.usefixtures("strict")


@pytest.mark.quick
def test_coverage_loss_equals_its_sum():
  mask = np.arange(5)[None] < np.array([5, 3, 1])[:, None]
  steps = 4
  rng = np.random.default_rng(0)
  weights = np.where(mask[:, None], rng.uniform(0.1, 1.0, (3, steps, 5)), 0.0)
  weights = weights.astype(np.float32)
  weights /= np.sum(weights, axis=-1, keepdims=True)
  pull = np.random.default_rng(1).uniform(0.5, 1.5, (3, steps))

  def total(weights):
    terms = seq2seq.coverage_losses(weights)
    return jnp.sum(terms * pull.astype(np.float32)), terms

  def slow(weights):
    out = np.zeros((3, steps))
    for b, t in np.ndindex(3, steps):
      before = oracle.coverage_loss(weights[b, :t]) if t else 0.0
      out[b, t] = oracle.coverage_loss(weights[b, : t + 1]) - before
    return out

  grads, terms = compiled(jax.grad(total, has_aux=True))(weights)
  close(terms, slow(weights))
  assert not np.any(terms[:, 0])
  wanted = oracle.difference(lambda w: np.sum(slow(w) * pull), double(weights))
  close(np.where(mask[:, None], grads, 0), np.where(mask[:, None], wanted, 0))


def test_coverage_is_added_to_the_loss():
  batch = a_batch()
  module, variables = modelled(batch, **{"attention.score": "coverage"})

  def run(module):
    plain = module.losses(batch)
    covered = module.losses(batch, None, seq2seq.Losses(coverage=0.7))
    return plain, covered, module(batch)[1].attention

  apply = compiled(lambda v: module.apply(v, method=run))
  plain, covered, weights = apply(variables)
  missed = [oracle.coverage_loss(w[:n]) for w, n in zip(weights, batch.tgt_len)]
  close(covered["loss"] - plain["loss"], 0.7 * sum(missed), 1e-4)
  assert np.array_equal(covered["nll"], plain["nll"])
