"""Dropout masks: a function of a row's key alone, drawn before any loop.

A mask is drawn per row by `vmap` over the rows' keys, so it does not depend on
the device, the process, the part of an accumulated batch or the padding that
the row meets: a longer mask begins with the shorter one.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Mask(NamedTuple):
  """A mask to draw. With rate 0 none is drawn."""

  name: str
  width: int
  rate: float  # of what is dropped
  shared: bool = False  # one mask for all steps (Gal & Ghahramani 2016)


def batch_key(seed, step):
  """The key of a step: fold_in(seed, step)."""
  return jax.random.fold_in(jax.random.key(seed), step)


def row_keys(seed, step, row):
  """The keys of a batch's rows: fold_in(fold_in(seed, step), row). [B]."""
  key = batch_key(seed, step)
  return jax.vmap(lambda r: jax.random.fold_in(key, r))(row)


def draw(keys, length: int, masks: tuple[Mask, ...]) -> dict:
  """Masks `[length, B, width]` by name, 0 or 1 / (1 - rate).

  All masks of a row come from one draw for those that change with the step and
  one for those that do not. A rate is rounded to a multiple of 2^-16: one
  32-bit draw serves two units.
  """
  masks = [Mask(*m) for m in masks]
  masks = [m for m in masks if m.rate]
  drawn = {}
  for i, steps in enumerate((length, 1)):
    group = [m for m in masks if m.shared == bool(i)]
    if not group:
      continue
    pairs = [(m.width + 1) // 2 for m in group]
    shape = (steps, sum(pairs))

    def one(key, i=i, shape=shape):
      return jax.random.bits(jax.random.fold_in(key, i), shape, jnp.uint32)

    bits = jax.vmap(one, out_axes=1)(keys)  # [L, B, sum of pairs]
    ends = np.cumsum(pairs)[:-1].tolist()
    for mask, part in zip(group, jnp.split(bits, ends, axis=-1)):
      drawn[mask.name] = _kept(mask, part, length)
  return drawn


def _kept(mask: Mask, bits, length: int):
  """From random bits [L, B, W / 2] to a mask [length, B, W]."""
  threshold = min(65535, round((1 - mask.rate) * 65536))
  halves = jax.lax.bitcast_convert_type(bits, jnp.uint16)  # [L, B, W / 2, 2]
  units = halves.reshape(*bits.shape[:-1], -1)[..., : mask.width]
  kept = jnp.where(
    units < jnp.uint16(threshold), jnp.float32(65536 / threshold), 0.0
  )
  return jnp.broadcast_to(kept, (length, *kept.shape[1:]))


def apply(x, noise: dict | None, name: str):
  """`x` times its mask, or `x` where there is none. [..., D]."""
  if not noise or name not in noise:
    return x
  return x * noise[name]


def part(noise: dict | None, prefix: str) -> dict:
  """The masks named `prefix/name`, by `name`."""
  prefix += "/"
  return {
    name.removeprefix(prefix): mask
    for name, mask in (noise or {}).items()
    if name.startswith(prefix)
  }
