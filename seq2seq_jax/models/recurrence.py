"""The one place where time is stepped through.

Every recurrence of the package, in encoders and decoders, runs through `scan`
or `layer`; a faster implementation replaces them here.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from seq2seq_jax import types
from seq2seq_jax.models import deferred_scan


def product(x: types.Array, w: types.Array, dtype: Any) -> types.Array:
  """`x @ w` with operands in `dtype`, summed in float32. [..., D]."""
  if dtype == jnp.float32:
    return x @ w
  x, w = x.astype(dtype), w.astype(dtype)
  return jnp.matmul(x, w, preferred_element_type=jnp.float32)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def product_of_all(x: types.Array, w: types.Array, dtype: Any) -> types.Array:
  """`product` of all steps at once, outside of loops.

  Its weight gradient is formed from the rows as they lie; plain reverse mode
  makes the transpose of it, and turns the cotangents for it.
  """
  return product(x, w, dtype)


def _forward(
  x: types.Array, w: types.Array, dtype: Any
) -> tuple[types.Array, tuple[types.Array, types.Array]]:
  return product(x, w, dtype), (x, w)


def _backward(
  dtype: Any, saved: Any, g: types.Array
) -> tuple[types.Array, types.Array]:
  x, w = saved

  def rows(a: types.Array) -> types.Array:
    return a.reshape(-1, a.shape[-1])

  return product(g, w.T, dtype), product(rows(x).T, rows(g), dtype)


product_of_all.defvjp(_forward, _backward)


def add_bias(
  x: Float[types.Array, "... D"], bias: Float[types.Array, " D"]
) -> Float[types.Array, "... D"]:
  """`x` plus `bias`, whose missing axes are spelled out.

  Rank promotion is an error in the tests: it hides mistakes in shapes.
  """
  return x + bias.reshape((1,) * (x.ndim - 1) + bias.shape)


def scan(
  body: Callable, carry: Any, inputs: Any, *, reverse: bool = False
) -> tuple[Any, Any]:
  """`carry, y = body(carry, x)` over the leading axis of `inputs`."""
  return deferred_scan.scan(body, carry, inputs, reverse=reverse)


def layer(
  advance: Callable,
  carry: Any,
  projected: Float[types.Array, "S B G"],
  lengths: Int[types.Array, " B"],
  masks: dict[str, types.Array] | None = None,
  *,
  reverse: bool = False,
) -> tuple[Any, Float[types.Array, "B S D"]]:
  """Runs one direction of one layer over padded sequences.

  After a sequence's end the carry stays and the output is 0, so padding is
  never seen; a reversed layer so starts at the last real position.

  Args:
    advance: `advance(carry, gates [B, G], masks) -> (carry, y [B, D])`.
    carry: before the first step.
    projected: the products of the inputs, computed outside the loop.
    lengths: real positions of each row.
    masks: of all steps [S, B, D].
    reverse: True to go from the last position to the first.

  Returns:
    The last carry and the outputs.
  """
  steps = jnp.arange(projected.shape[0], dtype=jnp.int32)
  real = steps[:, None] < lengths[None]  # [S, B]

  def body(carry: Any, inputs: Any) -> tuple[Any, Any]:
    gates, real, step_masks = inputs
    new, y = advance(carry, gates, step_masks)

    def select(a: types.Array, b: types.Array) -> types.Array:
      return jnp.where(real[:, None], a, b)

    return jax.tree.map(select, new, carry), select(y, 0.0)

  carry, outputs = scan(
    body, carry, (projected, real, masks or {}), reverse=reverse
  )
  return carry, outputs.swapaxes(0, 1)
