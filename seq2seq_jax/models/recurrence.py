"""The one place where time is stepped through.

Every recurrence of the package, in encoders and decoders, runs through `scan`
or `layer`; a faster implementation replaces them here.
"""

import functools

import jax
import jax.numpy as jnp

from seq2seq_jax.models import deferred_scan


def product(x, w, dtype):
  """`x @ w` with operands in `dtype`, summed in float32. [..., D]."""
  if dtype == jnp.float32:
    return x @ w
  x, w = x.astype(dtype), w.astype(dtype)
  return jnp.matmul(x, w, preferred_element_type=jnp.float32)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def product_of_all(x, w, dtype):
  """`product` of all steps at once, outside of loops.

  Its weight gradient is formed from the rows as they lie; plain reverse mode
  makes the transpose of it, and turns the cotangents for it.
  """
  return product(x, w, dtype)


def _forward(x, w, dtype):
  return product(x, w, dtype), (x, w)


def _backward(dtype, saved, g):
  x, w = saved
  rows = lambda a: a.reshape(-1, a.shape[-1])
  return product(g, w.T, dtype), product(rows(x).T, rows(g), dtype)


product_of_all.defvjp(_forward, _backward)


def add_bias(x, bias):
  """`x` [..., D] plus `bias` [D]."""
  return x + bias.reshape((1,) * (x.ndim - 1) + bias.shape)


def scan(body, carry, inputs, *, reverse=False):
  """`carry, y = body(carry, x)` over the leading axis of `inputs`."""
  return deferred_scan.scan(body, carry, inputs, reverse=reverse)


def layer(advance, carry, projected, lengths, noise=None, *, reverse=False):
  """Runs one direction of one layer over padded sequences.

  `advance(carry, gates [B, G], noise) -> (carry, y [B, D])`; `projected`
  [S, B, G] holds the products of the inputs, made outside the loop, `noise`
  the masks of all steps [S, B, D]. Behind a sequence's end the carry stays and
  the output is 0, so padding is never seen; a reversed layer starts at the last
  real position.

  Returns:
    The last carry and the outputs [B, S, D].
  """
  steps = jnp.arange(projected.shape[0], dtype=jnp.int32)
  real = steps[:, None] < lengths[None]  # [S, B]

  def body(carry, inputs):
    gates, real, noise = inputs
    new, y = advance(carry, gates, noise)
    keep = lambda a, b: jnp.where(real[:, None], a, b)
    return jax.tree.map(keep, new, carry), jnp.where(real[:, None], y, 0.0)

  carry, outputs = scan(
    body, carry, (projected, real, noise or {}), reverse=reverse
  )
  return carry, outputs.swapaxes(0, 1)
