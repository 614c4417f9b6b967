"""The best continuations by blocks, against a sort of all of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax.decoding import block_topk

ROWS, K, SPECIAL = 3, 4, 3
pytestmark = pytest.mark.quick


def _forbidden(ids):
  """One id everywhere, another one in the second row alone."""
  row = jnp.arange(ROWS, dtype=jnp.int32)[:, None]
  return (ids == 0) | ((ids == 2) & (row == 1))


def _sorted(live, log_probs, n):
  """Total, hypothesis and token of the n best; of equal ones the first."""
  size = log_probs.shape[-1]
  log_probs = log_probs.copy()
  log_probs[:, :, 0] = -np.inf
  log_probs[1, :, 2] = -np.inf
  totals = (live[..., None] + log_probs).reshape(ROWS, -1)
  order = np.argsort(-totals, axis=1, kind="stable")[:, :n]
  return np.take_along_axis(totals, order, 1), order // size, order % size


def _drawn(rng, kind, size):
  shape = (ROWS, K, size)
  if kind == "ties":  # of totals, within hypotheses and between them
    return rng.integers(0, 9, shape[:2]), rng.integers(0, 30, shape)
  if kind == "rare":  # fewer than are asked for
    log_probs = np.full(shape, -np.inf)
    log_probs[..., rng.integers(0, size, 2)] = -1.0
    return rng.normal(size=shape[:2]), log_probs
  live = rng.normal(size=shape[:2])
  live[:, -1] = -np.inf  # no hypothesis
  log_probs = rng.normal(size=shape)
  log_probs[..., :SPECIAL] += 9.0  # what is forbidden would be the best
  return live, log_probs


@pytest.mark.parametrize("size", [5, 64, 200, 331])
@pytest.mark.parametrize("kind", ["ties", "rare", "normal"])
def test_best_equals_a_sort(kind, size):
  rng = np.random.default_rng(size)
  for n in (1, 2 * K):
    live, log_probs = (x.astype(np.float32) for x in _drawn(rng, kind, size))
    want = _sorted(live, log_probs, n)
    for block in (2, 8, 64):
      run = jax.jit(
        lambda a, b, n=n, block=block: block_topk.best_continuations(
          a, b, n, _forbidden, SPECIAL, block
        )
      )
      got = [np.asarray(x) for x in run(live, log_probs)]
      assert np.array_equal(got[0], want[0])
      there = want[0] > -np.inf
      for a, b in zip(got[1:], want[1:], strict=True):
        assert np.array_equal(a[there], b[there])
        assert np.all((a >= 0) & (a < max(K, size)))
