"""Linear softmax and cross-entropy in one function.

Its gradients are made in the forward pass, while the logits are there, a chunk
of rows at a time: the logits [N, V] are never held for the backward pass, and
no product is made twice.
"""

import functools

import jax
import jax.numpy as jnp

from seq2seq_jax.models import recurrence

# Logits that exist at a time: 64 MiB.
CHUNK = 2**24


def smoothing_weights(smoothing: float, form: str, size: int):
  """(a, b) of the smoothed loss `a nll + b sum_k(-log p_k)`.

  uniform (Szegedy et al. 2016): q = (1 - e) onehot + e / V;
  others (fairseq): 1 - e on the reference, e / (V - 1) on each other token.
  """
  spread = smoothing / (size if form == "uniform" else size - 1)
  if form == "uniform":
    return 1.0 - smoothing, spread
  return 1.0 - smoothing - spread, spread


def log_probs(features, kernel, bias, dtype):
  """Log-probabilities of all tokens. [..., D] -> [..., V]."""
  logits = recurrence.product(features, kernel, dtype)
  logits = recurrence.add_bias(logits, bias)
  return jax.nn.log_softmax(logits, axis=-1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(5, 6, 7))
def losses(features, kernel, bias, targets, weights, smoothing, form, dtype):
  """The weighted sum of smoothed losses, and two terms a token.

  Returns the sum [], the negative log-likelihoods [N], and 1 where the
  reference is the most probable token [N]. Gradients flow through the sum
  alone, to the first three arguments.

  Args:
    features: [N, D].
    kernel: [D, V].
    bias: [V].
    targets: [N] ids.
    weights: [N] of the losses, 0 over padding.
    smoothing: probability moved away from the reference token.
    form: see `smoothing_weights`.
    dtype: of the products' operands.
  """
  out, _ = _chunked(
    features, kernel, bias, targets, weights, smoothing, form, dtype, False
  )
  return out


def _forward(features, kernel, bias, targets, weights, smoothing, form, dtype):
  return _chunked(
    features, kernel, bias, targets, weights, smoothing, form, dtype, True
  )


def _backward(smoothing, form, dtype, gradients, cotangents):
  del smoothing, form, dtype
  scale = lambda g: cotangents[0] * g
  return (*jax.tree.map(scale, gradients), None, None)


losses.defvjp(_forward, _backward)


def _chunked(
  features, kernel, bias, targets, weights, smoothing, form, dtype, gradients
):
  """Results, and the gradients of the sum if asked for, by chunks of rows."""
  rows, size = features.shape[0], kernel.shape[1]
  one = functools.partial(
    _chunk, kernel, bias, smoothing, form, dtype, gradients
  )
  parts = -(-rows * size // CHUNK)
  if parts <= 1:
    return one(features, targets, weights)
  each = -(-rows // parts)

  def split(x):
    padded = jnp.pad(x, ((0, parts * each - rows),) + ((0, 0),) * (x.ndim - 1))
    return padded.reshape(parts, each, *x.shape[1:])

  def body(sums, chunk):
    (total, nll, correct), found = one(*chunk)
    if not gradients:
      return sums + total, (nll, correct, None)
    d_features, *others = found
    sums = jax.tree.map(jnp.add, sums, (total, *others))
    return sums, (nll, correct, d_features)

  zero = jnp.float32(0.0)
  if gradients:
    zero = (zero, jnp.zeros_like(kernel), jnp.zeros_like(bias))
  sums, (nll, correct, d_features) = jax.lax.scan(
    body, zero, (split(features), split(targets), split(weights))
  )
  join = lambda x: x.reshape(parts * each, *x.shape[2:])[:rows]
  if not gradients:
    return (sums, join(nll), join(correct)), None
  total, *others = sums
  return (total, join(nll), join(correct)), (join(d_features), *others)


def _chunk(
  kernel, bias, smoothing, form, dtype, gradients, features, targets, weights
):
  """One chunk: results, and gradients of its sum if asked for."""
  logits = recurrence.product(features, kernel, dtype)
  logits = recurrence.add_bias(logits, bias)  # [N, V]
  top = jnp.max(logits, axis=-1)
  exp = jnp.exp(logits - top[:, None])
  total = jnp.sum(exp, axis=-1)
  lse = top + jnp.log(total)
  gold = jnp.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
  nll = lse - gold
  loss, size = nll, kernel.shape[1]
  a, b = smoothing_weights(smoothing, form, size)
  if smoothing:
    loss = a * nll + b * (size * lse - jnp.sum(logits, axis=-1))
  correct = (gold >= top).astype(jnp.float32)
  out = jnp.sum(weights * loss), nll, correct
  if not gradients:
    return out, None
  ids = jnp.arange(size, dtype=targets.dtype)
  hit = jnp.where(ids[None] == targets[:, None], jnp.float32(a), 0.0)
  # a + b V = 1 in both forms.
  d_logits = exp * (weights / total)[:, None] - weights[:, None] * (hit + b)
  d_features = recurrence.product(d_logits, kernel.T, dtype)
  d_kernel = recurrence.product(features.T, d_logits, dtype)
  return out, (d_features, d_kernel, jnp.sum(d_logits, axis=0))
