"""Arrays of a checkpoint: their copies on the host, shapes and digest."""

import zlib
from typing import Any

import jax
import numpy as np

from seq2seq_jax.runtime import processes

Tree = Any  # nested dicts and tuples of arrays


def local_copy(state: Tree) -> Tree:
  """A copy of replicated arrays in this process's memory.

  Orbax would write a slice from each of several devices, and compile a program
  for every slice.
  """
  parts = jax.tree.map(lambda x: x.addressable_data(0), state)
  for part in jax.tree.leaves(parts):
    part.copy_to_host_async()
  return jax.tree.map(np.array, parts)


def abstract(x: Any) -> jax.ShapeDtypeStruct:
  """Shape and sharding that an array is restored to."""
  sharding = x.sharding
  if processes.count() > 1:  # each reads for itself
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)


def digest(state: Tree) -> int:
  """CRC-32 of the bytes of all arrays of a tree on the host."""
  crc = 0
  for x in jax.tree.leaves(state):
    value = np.ascontiguousarray(x)
    crc = zlib.crc32(value.view(np.uint8).reshape(-1).data, crc)
  return crc
