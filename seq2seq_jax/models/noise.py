"""Dropout masks: a function of a row's key alone, drawn before any loop.

A mask is drawn per row by `vmap` over the rows' keys, so it does not depend on
the device, the process, the part of an accumulated batch or the padding that
the row meets: a longer mask begins with the shorter one.
"""

import jax
import jax.numpy as jnp

Widths = tuple[tuple[str, int, float], ...]  # name, width, dropout rate


def row_keys(seed, step, row):
  """The keys of a batch's rows: fold_in(fold_in(seed, step), row). [B]."""
  key = jax.random.fold_in(jax.random.key(seed), step)
  return jax.vmap(lambda r: jax.random.fold_in(key, r))(row)


def draw(keys, length: int, widths: Widths) -> dict:
  """Masks `[length, B, width]` by name, 0 or 1 / (1 - rate).

  A rate is rounded to a multiple of 2^-16: one 32-bit draw serves two units.
  Names with rate 0 are left out.
  """
  masks = {}
  for i, (name, width, rate) in enumerate(widths):
    if rate == 0:
      continue
    pairs = (width + 1) // 2
    threshold = round((1 - rate) * 65536)

    def one(key, i=i, pairs=pairs):
      key = jax.random.fold_in(key, i)
      return jax.random.bits(key, (length, pairs), jnp.uint32)

    bits = jax.vmap(one, out_axes=1)(keys)  # [L, B, W/2]
    low, high = bits & jnp.uint32(0xFFFF), bits >> jnp.uint32(16)
    bits = jnp.concatenate([low, high], axis=-1)[..., :width]
    masks[name] = jnp.where(
      bits < jnp.uint32(threshold), jnp.float32(65536 / threshold), 0.0
    )
  return masks


def apply(x, noise: dict | None, name: str):
  """`x` times its mask, or `x` where there is none. [..., D]."""
  if not noise or name not in noise:
    return x
  return x * noise[name]
