"""Dropout masks: a function of a row's key alone, drawn before any loop.

A mask is drawn per row by `vmap` over the rows' keys, so it does not depend on
the device, the process, the part of an accumulated batch or the padding that
the row meets: a longer mask begins with the shorter one.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


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

  A rate is rounded to a multiple of 2^-16: one 32-bit draw serves two units.
  """
  drawn = {}
  for i, mask in enumerate(Mask(*m) for m in masks):
    if mask.rate == 0:
      continue
    pairs = (mask.width + 1) // 2
    threshold = round((1 - mask.rate) * 65536)
    steps = 1 if mask.shared else length

    def one(key, i=i, shape=(steps, pairs)):
      return jax.random.bits(jax.random.fold_in(key, i), shape, jnp.uint32)

    bits = jax.vmap(one, out_axes=1)(keys)  # [L, B, W/2]
    low, high = bits & jnp.uint32(0xFFFF), bits >> jnp.uint32(16)
    bits = jnp.concatenate([low, high], axis=-1)[..., : mask.width]
    kept = jnp.where(
      bits < jnp.uint32(threshold), jnp.float32(65536 / threshold), 0.0
    )
    drawn[mask.name] = jnp.broadcast_to(kept, (length, *kept.shape[1:]))
  return drawn


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
