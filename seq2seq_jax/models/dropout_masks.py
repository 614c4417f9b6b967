"""Dropout masks: a function of a row's key alone, drawn before any loop.

A mask is drawn per row by `vmap` over the rows' keys, so it does not depend on
the device, the process, the part of an accumulated batch or the padding that
the row meets: a longer mask begins with the shorter one.

A module declares its masks (`mask_specs`), `draw` makes all of them at once,
and the module applies each where it belongs, by name. No masks at all (`None`)
is the only difference between training and search.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax import types

SHARED = 1  # number of the draw of masks that are the same at all steps
# Masks by name, [L, B, W] when drawn; a step's are [B, W] or [B, 1, W].
Masks = dict[str, types.Array]


class MaskSpec(NamedTuple):
  """A mask to draw. With rate 0 none is drawn."""

  name: str
  width: int
  rate: float  # share of units that are dropped
  shared: bool = False  # one mask for all steps (Gal & Ghahramani 2016)
  stride: int = 1  # source positions to one of the masked vectors


def batch_key(seed: Any, step: Any) -> types.Array:
  """Key of a step: fold_in(seed, step)."""
  return jax.random.fold_in(jax.random.key(seed), step)


def row_keys(seed: Any, step: Any, row: Any) -> types.Array:
  """Keys of a batch's rows: fold_in(fold_in(seed, step), row). [B]."""
  key = batch_key(seed, step)
  return jax.vmap(lambda r: jax.random.fold_in(key, r))(row)


def draw(keys: types.Array, length: int, specs: Iterable[MaskSpec]) -> Masks:
  """Masks `[L, B, width]` by name, of values 0 and 1 / (1 - rate).

  L is `length` over the mask's stride, rounded up. All masks of a row and a
  stride come from one draw, and so do those that are the same at all steps. A
  rate is rounded to a multiple of 2^-16: one 32-bit draw serves two units.

  Args:
    keys: the rows' keys [B].
    length: steps at stride 1.
    specs: what to draw; their order is part of the result.
  """
  groups: dict[int, list[MaskSpec]] = {}
  for spec in specs:
    if spec.rate:
      groups.setdefault(_group(spec), []).append(spec)
  masks: Masks = {}
  for group, members in sorted(groups.items()):
    steps = 1 if group == SHARED else -(-length // members[0].stride)
    pairs = [(spec.width + 1) // 2 for spec in members]
    shape = (steps, sum(pairs))

    def row_bits(
      key: types.Array, group: int = group, shape: tuple[int, ...] = shape
    ) -> types.Array:
      return jax.random.bits(jax.random.fold_in(key, group), shape, jnp.uint32)

    bits = jax.vmap(row_bits, out_axes=1)(keys)  # [L, B, sum of pairs]
    ends = np.cumsum(pairs)[:-1].tolist()
    for spec, part in zip(members, jnp.split(bits, ends, axis=-1)):
      masks[spec.name] = _mask_of_bits(spec, part, -(-length // spec.stride))
  return masks


def _group(spec: MaskSpec) -> int:
  """Number of the draw that a mask is part of."""
  if spec.shared:
    return SHARED
  return 0 if spec.stride == 1 else spec.stride


def _mask_of_bits(
  spec: MaskSpec, bits: types.Array, length: int
) -> types.Array:
  """From random bits [L, B, W / 2] to a mask [length, B, W]."""
  threshold = min(65535, round((1 - spec.rate) * 65536))
  halves = jax.lax.bitcast_convert_type(bits, jnp.uint16)  # [L, B, W / 2, 2]
  units = halves.reshape(*bits.shape[:-1], -1)[..., : spec.width]
  # Scaled by the rounded rate, so that the mean is exactly 1.
  mask = jnp.where(
    units < jnp.uint16(threshold), jnp.float32(65536 / threshold), 0.0
  )
  return jnp.broadcast_to(mask, (length, *mask.shape[1:]))


def apply(x: types.Array, masks: Masks | None, name: str) -> types.Array:
  """`x` times its mask, or `x` if there is none. [..., D]."""
  if not masks or name not in masks:
    return x
  return x * masks[name]


def subset(masks: Masks | None, prefix: str) -> Masks:
  """The masks named `prefix/name`, by `name`."""
  prefix += "/"
  return {
    name.removeprefix(prefix): mask
    for name, mask in (masks or {}).items()
    if name.startswith(prefix)
  }
