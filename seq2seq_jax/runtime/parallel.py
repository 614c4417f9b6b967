"""The only place that maps steps over devices, along the data axis.

Three mappers of the very same function: `pmap`, `jit(shard_map)` and, as the
oracle of tests, `vmap` on one device. State is replicated, batches are split on
their rows.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

AXIS = "data"

Tree = Any  # nested tuples and dicts of arrays


class Mapper:
  """Maps functions over devices, by one of three ways.

  Attributes:
    kind: `pmap`, `shard_map` or `vmap`.
    devices: those that are used.
    count: devices over which rows are split, of all processes.
    local_count: those of this process.
  """

  def __init__(
    self, kind: str, *, local: bool = False, virtual_devices: int = 1
  ) -> None:
    """Chooses the devices.

    Args:
      kind: `pmap`, `shard_map` or `vmap`.
      local: use this process's devices only (evaluation and search).
      virtual_devices: simulated ones, of `vmap` only.
    """
    self.kind = kind
    devices = jax.local_devices() if local else jax.devices()
    if kind == "vmap":
      devices = jax.local_devices()[:1]
    self.devices = devices
    self.count = virtual_devices if kind == "vmap" else len(devices)
    mine = [d for d in devices if d.process_index == jax.process_index()]
    self.local_count = virtual_devices if kind == "vmap" else len(mine)
    # pmap takes and returns arrays of this process's devices only.
    mesh = jax.sharding.Mesh(
      np.array(mine if kind == "pmap" else devices),
      (AXIS,),
      axis_types=(AxisType.Auto,),
    )
    self.replicated = NamedSharding(mesh, P())
    self.split = NamedSharding(mesh, P(AXIS))
    self.mesh = mesh

  def __repr__(self) -> str:
    return f"Mapper({self.kind!r}, {self.count} x {self.devices[0].platform})"

  def replicate(self, tree: Tree) -> Tree:
    """Copies every leaf to all devices, as the mapped function returns it."""
    return jax.device_put(tree, self.replicated)

  def shard(self, tree: Tree) -> Tree:
    """Splits a host batch of this process's rows over its devices."""
    if self.kind == "shard_map":
      put = jax.make_array_from_process_local_data
      return jax.tree.map(lambda x: put(self.split, np.asarray(x)), tree)

    def split(x: np.ndarray) -> np.ndarray:
      return np.asarray(x).reshape(self.local_count, -1, *x.shape[1:])

    return jax.tree.map(split, tree)

  def map_train_step(
    self, fn: Callable[..., Tree], *, donate: bool = False
  ) -> Callable[[Tree, Tree], Tree]:
    """Maps `fn(state, batch, axis_name=)` over devices; all return the same.

    Args:
      fn: sums over `axis_name` whatever depends on its own rows.
      donate: the state's memory may be reused for the new one.

    Returns:
      A function of (replicated state, sharded batch) to replicated outputs.
    """
    donated = (0,) if donate else ()
    # A sum over one device would be a copy of all gradients.
    name = AXIS if self.count > 1 or self.kind == "vmap" else None

    def inner(state: Tree, batch: Tree) -> Tree:
      return fn(state, batch, axis_name=name)

    if self.kind == "pmap":
      return jax.pmap(
        inner,
        axis_name=AXIS,
        in_axes=(None, 0),
        out_axes=None,
        devices=self.devices if self.count < jax.device_count() else None,
        donate_argnums=donated,
      )
    if self.kind == "shard_map":
      mapped = jax.shard_map(
        inner,
        mesh=self.mesh,
        in_specs=(P(), P(AXIS)),
        out_specs=P(),
        # Its check of replication makes gradients silently too large.
        check_vma=False,
      )
      return jax.jit(mapped, donate_argnums=donated)
    mapped = jax.vmap(inner, in_axes=(None, 0), out_axes=None, axis_name=AXIS)
    return jax.jit(mapped, donate_argnums=donated)

  def round_robin(self, fn: Callable[[Tree, Tree], Tree]) -> "RoundRobin":
    """Maps `fn(state, batch)` of independent rows: each batch to one device."""
    return RoundRobin(fn, self.devices)


class RoundRobin:
  """A function of (replicated state, host batch, turn) on one device a call.

  `turn` counts the batches. Every device runs the very program that a single
  one would. A program that is partitioned over eight devices is compiled
  differently from one for one device, and its results differ in the last bits.

  Args:
    fn: of a state and a batch of independent rows.
    devices: that take turns.
  """

  def __init__(self, fn: Callable[[Tree, Tree], Tree], devices: Sequence[Any]):
    self.fn, self.devices = fn, devices
    self._program = jax.jit(fn)
    self._compiled: dict[Any, Any] = {}

  def __call__(self, state: Tree, batch: Tree, turn: int) -> Tree:
    device = self.devices[turn % len(self.devices)]
    local = jax.tree.map(lambda x: _copy_on(x, device), state)
    batch = jax.device_put(batch, device)
    # What was compiled to be measured is not compiled again.
    program = self._compiled and self._compiled.get(_shapes(batch, device))
    return (program or self._program)(local, batch)

  def bytes_needed(self, state: Tree, batch: Tree) -> int | None:
    """Memory of a call beside the state; None if the compiler does not say.

    Args:
      state: replicated.
      batch: arrays of the host, or their shapes (`jax.ShapeDtypeStruct`).
    """
    device = self.devices[0]
    key = _shapes(batch, device)
    if key not in self._compiled:
      on_device = jax.sharding.SingleDeviceSharding(device)

      def abstract(x: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=on_device)

      local = jax.tree.map(abstract, state)
      lowered = self._program.lower(local, jax.tree.map(abstract, batch))
      self._compiled[key] = lowered.compile()
    analysis = self._compiled[key].memory_analysis()
    if analysis is None:
      return None
    return (
      analysis.argument_size_in_bytes
      + analysis.output_size_in_bytes
      + analysis.temp_size_in_bytes
      - analysis.alias_size_in_bytes
      - sum(x.nbytes for x in jax.tree.leaves(state))
    )

  def forget(self, batch: Tree) -> None:
    """Drops what was compiled for a batch's shapes."""
    self._compiled.pop(_shapes(batch, self.devices[0]), None)


def _shapes(batch: Tree, device: Any) -> Any:
  """A key of a batch's structure, shapes and types on a device."""
  leaves, structure = jax.tree.flatten(batch)
  return device, structure, tuple((x.shape, str(x.dtype)) for x in leaves)


def _copy_on(x: jax.Array, device: jax.Device) -> jax.Array:
  """The copy of a replicated array that lies on a device."""
  for shard in x.addressable_shards:
    if shard.device == device:
      return shard.data
  raise ValueError(f"no copy on {device}")
