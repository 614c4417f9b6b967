"""The one place where time is stepped through.

Every recurrence of the package, in encoders and decoders, runs through `scan`
or `layer`; a faster implementation replaces them here.
"""

import jax
import jax.numpy as jnp

from seq2seq_jax.models import deferred


def product(x, w, dtype):
  """`x @ w` with operands in `dtype` and the result in float32. [..., D]."""
  if dtype == jnp.float32:
    return x @ w
  return (x.astype(dtype) @ w.astype(dtype)).astype(jnp.float32)


def add_bias(x, bias):
  """`x` [..., D] plus `bias` [D]."""
  return x + bias.reshape((1,) * (x.ndim - 1) + bias.shape)


def scan(body, carry, inputs, *, reverse=False):
  """`carry, y = body(carry, x)` over the leading axis of `inputs`."""
  return deferred.scan(body, carry, inputs, reverse=reverse)


def layer(advance, carry, projected, lengths, noise=None, *, reverse=False):
  """Runs one direction of one layer over padded sequences.

  `advance(carry, gates [B, G], noise) -> (carry, y [B, D])`; `projected`
  [B, S, G] holds the products of the inputs, made outside the loop, `noise`
  the masks of all steps [S, B, D]. Behind a sequence's end the carry stays and
  the output is 0, so padding is never seen; a reversed layer starts at the last
  real position.

  Returns:
    The last carry and the outputs [B, S, D].
  """
  steps = jnp.arange(projected.shape[1], dtype=jnp.int32)
  real = steps[:, None] < lengths[None]  # [S, B]

  def body(carry, inputs):
    gates, real, noise = inputs
    new, y = advance(carry, gates, noise)
    keep = lambda a, b: jnp.where(real[:, None], a, b)
    return jax.tree.map(keep, new, carry), jnp.where(real[:, None], y, 0.0)

  carry, outputs = scan(
    body, carry, (projected.swapaxes(0, 1), real, noise or {}), reverse=reverse
  )
  return carry, outputs.swapaxes(0, 1)
