"""Linear softmax and cross-entropy in one function.

Its gradients are computed in the forward pass, while the logits are there, a
chunk of rows at a time: the logits [N, V] are never held for the backward pass,
and no product is computed twice. That is possible since the loss is a sum: its
cotangent is one scalar, which scales the gradients afterwards.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from seq2seq_jax import types
from seq2seq_jax.models import recurrence

# Logits that exist at a time: 64 MiB.
CHUNK = 2**24

# The sum of losses [], and nll and correctness of each row [N].
Terms = tuple[
  Float[types.Array, ""], Float[types.Array, " N"], Float[types.Array, " N"]
]
# Of the sum, to features, kernel and bias.
Gradients = tuple[types.Array, types.Array, types.Array]


def smoothing_weights(
  smoothing: float, smoothing_kind: str, size: int
) -> tuple[float, float]:
  """(a, b) of the smoothed loss `a nll + b sum_k(-log p_k)`.

  uniform (Szegedy et al. 2016): q = (1 - e) onehot + e / V;
  others (fairseq): 1 - e on the reference, e / (V - 1) on each other token.
  """
  if smoothing_kind == "uniform":
    return 1.0 - smoothing, smoothing / size
  spread = smoothing / (size - 1)
  return 1.0 - smoothing - spread, spread


@functools.partial(jax.custom_vjp, nondiff_argnums=(5, 6, 7))
def losses(
  features: Float[types.Array, "N D"],
  kernel: Float[types.Array, "D V"],
  bias: Float[types.Array, " V"],
  targets: Int[types.Array, " N"],
  weights: Float[types.Array, " N"],
  smoothing: float,
  smoothing_kind: str,
  dtype: Any,
) -> Terms:
  """The weighted sum of smoothed losses, and two terms a token.

  Returns the sum [], the negative log-likelihoods [N], and 1 where the
  reference is the most probable token [N]. Gradients flow through the sum
  alone, to the first three arguments.

  Args:
    features: rows.
    kernel: the output matrix.
    bias: of the logits.
    targets: ids.
    weights: of the losses, 0 over padding.
    smoothing: probability moved away from the reference token.
    smoothing_kind: see `smoothing_weights`.
    dtype: of the products' operands.
  """
  terms, _ = _chunked(
    features,
    kernel,
    bias,
    targets,
    weights,
    smoothing,
    smoothing_kind,
    dtype,
    False,
  )
  return terms


def _forward(
  features: types.Array,
  kernel: types.Array,
  bias: types.Array,
  targets: types.Array,
  weights: types.Array,
  smoothing: float,
  smoothing_kind: str,
  dtype: Any,
) -> tuple[Terms, Gradients | None]:
  return _chunked(
    features,
    kernel,
    bias,
    targets,
    weights,
    smoothing,
    smoothing_kind,
    dtype,
    True,
  )


def _backward(
  smoothing: float,
  smoothing_kind: str,
  dtype: Any,
  gradients: Gradients,
  cotangents: Any,
) -> tuple:
  del smoothing, smoothing_kind, dtype
  d_features, d_kernel, d_bias = (cotangents[0] * g for g in gradients)
  return d_features, d_kernel, d_bias, None, None


losses.defvjp(_forward, _backward)


def _chunked(
  features: types.Array,
  kernel: types.Array,
  bias: types.Array,
  targets: types.Array,
  weights: types.Array,
  smoothing: float,
  smoothing_kind: str,
  dtype: Any,
  with_gradients: bool,
) -> tuple[Terms, Gradients | None]:
  """Results, and the gradients of the sum if asked for, by chunks of rows."""
  rows, size = features.shape[0], kernel.shape[1]
  chunk_terms = functools.partial(
    _chunk, kernel, bias, smoothing, smoothing_kind, dtype, with_gradients
  )
  chunks = -(-rows * size // CHUNK)
  if chunks <= 1:
    return chunk_terms(features, targets, weights)
  chunk_rows = -(-rows // chunks)

  def split(x: types.Array) -> types.Array:
    # Rows that fill up the last chunk have weight 0.
    missing = chunks * chunk_rows - rows
    padded = jnp.pad(x, ((0, missing),) + ((0, 0),) * (x.ndim - 1))
    return padded.reshape(chunks, chunk_rows, *x.shape[1:])

  def body(sums: Any, chunk: Any) -> tuple[Any, Any]:
    (total, nll, correct), gradients = chunk_terms(*chunk)
    if not with_gradients:
      return sums + total, (nll, correct, None)
    assert gradients is not None
    d_features, *others = gradients
    sums = jax.tree.map(jnp.add, sums, (total, *others))
    return sums, (nll, correct, d_features)

  zero: Any = jnp.float32(0.0)
  if with_gradients:
    zero = (zero, jnp.zeros_like(kernel), jnp.zeros_like(bias))
  sums, (nll, correct, d_features) = jax.lax.scan(
    body, zero, (split(features), split(targets), split(weights))
  )

  def join(x: types.Array) -> types.Array:
    return x.reshape(chunks * chunk_rows, *x.shape[2:])[:rows]

  if not with_gradients:
    return (sums, join(nll), join(correct)), None
  total, d_kernel, d_bias = sums
  terms = total, join(nll), join(correct)
  return terms, (join(d_features), d_kernel, d_bias)


def _chunk(
  kernel: types.Array,
  bias: types.Array,
  smoothing: float,
  smoothing_kind: str,
  dtype: Any,
  with_gradients: bool,
  features: types.Array,
  targets: types.Array,
  weights: types.Array,
) -> tuple[Terms, Gradients | None]:
  """One chunk: results, and gradients of its sum if asked for."""
  logits = recurrence.product(features, kernel, dtype)
  logits = recurrence.add_bias(logits, bias)  # [N, V]
  # Shifted by the largest, no exponential overflows.
  top = jnp.max(logits, axis=-1)
  exp = jnp.exp(logits - top[:, None])
  total = jnp.sum(exp, axis=-1)
  log_total = top + jnp.log(total)
  reference = jnp.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
  nll = log_total - reference
  loss, size = nll, kernel.shape[1]
  a, b = smoothing_weights(smoothing, smoothing_kind, size)
  if smoothing:
    loss = a * nll + b * (size * log_total - jnp.sum(logits, axis=-1))
  correct = (reference >= top).astype(jnp.float32)
  terms = jnp.sum(weights * loss), nll, correct
  if not with_gradients:
    return terms, None
  # d loss / d logit_k = (a + b V) p_k - a [k is the target] - b, and for both
  # kinds of smoothing a + b V = 1.
  ids = jnp.arange(size, dtype=targets.dtype)
  hit = jnp.where(ids[None] == targets[:, None], jnp.float32(a), 0.0)
  d_logits = exp * (weights / total)[:, None] - weights[:, None] * (hit + b)
  d_features = recurrence.product(d_logits, kernel.T, dtype)
  d_kernel = recurrence.product(features.T, d_logits, dtype)
  return terms, (d_features, d_kernel, jnp.sum(d_logits, axis=0))
