"""Long sources and targets of copying heads, within bounded memory."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from seq2seq_jax import types

# Words and positions of all steps that a copying head scores at once; of longer
# targets it takes some steps at a time.
AT_ONCE = 2**24
# Positions up to which each is compared with each.
COMPARED = 1024


def sums_over_equal(
  source: Int[types.Array, "B M"], values: Float[types.Array, "B T M"]
) -> Float[types.Array, "B T M"]:
  """At each position the sum over all that hold the same word."""
  rows, size = source.shape
  row = jnp.arange(rows, dtype=jnp.int32)[:, None]
  places = jnp.arange(size, dtype=jnp.int32)[None]
  # The number of a position's word, counted along the sorted words.
  order = jnp.argsort(source, axis=1)
  ordered = jnp.take_along_axis(source, order, axis=1)
  starts = (places > 0) & (ordered != jnp.roll(ordered, 1, axis=1))
  number = jnp.cumsum(starts, axis=1, dtype=jnp.int32)
  number = jnp.zeros_like(source).at[row, order].set(number)
  row, number = row[:, None], number[:, None]
  step = jnp.arange(values.shape[1], dtype=jnp.int32)[None, :, None]
  sums = jnp.zeros_like(values).at[row, step, number].add(values)
  return jnp.take_along_axis(sums, number, axis=2)


def in_parts(
  function: Callable[[Any, Any], Any],
  size: int,
  output: types.StepOutput,
  targets: Int[types.Array, "B T"],
) -> Any:
  """`function(output, targets)`, `size` of the T steps at a time."""
  steps = targets.shape[1]
  if steps <= size:
    return function(output, targets)
  count = -(-steps // size)

  def split(x: types.Array) -> types.Array:
    """[B, T, ...] -> [count, B, size, ...]."""
    missing = [(0, 0), (0, count * size - steps)] + [(0, 0)] * (x.ndim - 2)
    x = jnp.pad(x, missing).reshape(x.shape[0], count, size, *x.shape[2:])
    return jnp.moveaxis(x, 1, 0)

  def join(x: types.Array) -> types.Array:
    x = jnp.moveaxis(x, 0, 1)
    return x.reshape(x.shape[0], count * size, *x.shape[3:])[:, :steps]

  parts = jax.tree.map(split, (output, targets))
  return jax.tree.map(join, jax.lax.map(lambda part: function(*part), parts))
