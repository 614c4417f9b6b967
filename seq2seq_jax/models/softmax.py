"""Linear softmax and cross-entropy in one function, backward pass by hand."""

import functools

import jax
import jax.numpy as jnp

from seq2seq_jax.models import recurrence


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


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6))
def losses(features, kernel, bias, targets, smoothing, form, dtype):
  """Per-token losses. [N, D], [D, V], [V], [N] -> three [N].

  Returns the smoothed loss, the negative log-likelihood, and 1 where the
  reference is the most probable token. Gradients flow through the first alone.
  """
  return _forward(features, kernel, bias, targets, smoothing, form, dtype)[0]


def _forward(features, kernel, bias, targets, smoothing, form, dtype):
  logits = recurrence.product(features, kernel, dtype)
  logits = recurrence.add_bias(logits, bias)  # [N, V]
  top = jnp.max(logits, axis=-1)
  total = jnp.sum(jnp.exp(logits - top[:, None]), axis=-1)
  lse = top + jnp.log(total)
  gold = jnp.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
  nll = lse - gold
  loss = nll
  if smoothing:
    size = kernel.shape[1]
    a, b = smoothing_weights(smoothing, form, size)
    loss = a * nll + b * (size * lse - jnp.sum(logits, axis=-1))
  correct = (gold >= top).astype(jnp.float32)
  saved = (features, kernel, targets, logits, lse)
  return (loss, nll, correct), saved


def _backward(smoothing, form, dtype, saved, cotangents):
  features, kernel, targets, logits, lse = saved
  g = cotangents[0]
  size = kernel.shape[1]
  a, b = smoothing_weights(smoothing, form, size)
  ids = jnp.arange(size, dtype=targets.dtype)
  gold = jnp.where(ids[None] == targets[:, None], jnp.float32(a), 0.0)
  probs = jnp.exp(logits - lse[:, None])
  d_logits = g[:, None] * (probs - gold - b)  # [N, V]
  d_features = recurrence.product(d_logits, kernel.T, dtype)
  d_kernel = recurrence.product(features.T, d_logits, dtype)
  return d_features, d_kernel, jnp.sum(d_logits, axis=0), None


losses.defvjp(_forward, _backward)
