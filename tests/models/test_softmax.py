"""The fused loss against its plain formula, and central differences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax.models import softmax
from tests.helpers import numeric
from tests.helpers.small_models import VOCAB

pytestmark = pytest.mark.usefixtures("strict")

close = functools.partial(numeric.close, tolerance=1e-5)


def plain_losses(x, kernel, bias, targets, smoothing, form):
  """Cross-entropy with the smoothed distribution written out, in float64."""
  x, kernel, bias = (np.asarray(a, np.float64) for a in (x, kernel, bias))
  size, out = len(bias), []
  for row, gold in zip(x, targets):
    logits = row @ kernel + bias
    log_p = logits - np.max(logits)
    log_p = log_p - np.log(np.sum(np.exp(log_p)))
    if form == "uniform":
      q = np.full(size, smoothing / size)
      q[gold] += 1 - smoothing
    else:
      q = np.full(size, smoothing / (size - 1))
      q[gold] = 1 - smoothing
    out.append((-q @ log_p, -log_p[gold], float(np.argmax(logits) == gold)))
  return tuple(np.array(a) for a in zip(*out))


def softmax_losses(*args):
  terms = softmax.losses(*args, jnp.float32)
  return terms[0], terms


@pytest.mark.quick
@pytest.mark.parametrize("chunk", [2**24, 2 * VOCAB], ids=["whole", "chunks"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("form", ["uniform", "others"])
def test_losses_equal_the_plain_formula(form, smoothing, chunk, monkeypatch):
  monkeypatch.setattr(softmax, "CHUNK", chunk)
  rng = np.random.default_rng(6)
  x = rng.normal(size=(7, 4)).astype(np.float32)
  kernel = rng.normal(size=(4, VOCAB)).astype(np.float32)
  bias = rng.normal(size=VOCAB).astype(np.float32)
  targets = rng.integers(0, VOCAB, 7).astype(np.int32)
  targets[0] = np.argmax(x[0] @ kernel + bias)
  weight = rng.normal(size=7).astype(np.float32)

  @jax.jit
  def run(*args):
    def total(*args):
      return softmax_losses(*args, targets, weight, smoothing, form)

    return jax.grad(total, (0, 1, 2), has_aux=True)(*args)

  grads, (total, *terms) = run(x, kernel, bias)
  want = plain_losses(x, kernel, bias, targets, smoothing, form)
  close(total, np.sum(weight * want[0]))
  for got, one in zip(terms, want[1:]):
    close(got, one)
  args = [np.asarray(a, np.float64) for a in (x, kernel, bias)]
  for i, grad in enumerate(grads):
    close(grad, difference(args, i, targets, weight, smoothing, form))


def difference(args, i, targets, weight, smoothing, form, step=1e-5):
  """Central differences of the weighted loss for argument `i`."""

  def total():
    return np.sum(weight * plain_losses(*args, targets, smoothing, form)[0])

  grad = np.zeros_like(args[i])
  for at in np.ndindex(grad.shape):
    kept = args[i][at]
    args[i][at] = kept + step
    above = total()
    args[i][at] = kept - step
    grad[at] = (above - total()) / (2 * step)
    args[i][at] = kept
  return grad


@pytest.mark.quick
def test_losses_hold_for_large_logits():
  x = jnp.array([[1.0], [1.0]], jnp.float32)
  kernel = jnp.array([[1e4, -1e4, 0.0]], jnp.float32)
  targets = np.array([0, 1], np.int32)
  args = kernel, jnp.zeros(3), targets, jnp.ones(2), 0.0, "uniform"
  loss, nll, correct = jax.jit(lambda x: softmax.losses(x, *args, jnp.float32))(
    x
  )
  close(loss, 2e4)
  close(nll, [0.0, 2e4])
  assert np.array_equal(correct, [1, 0])
