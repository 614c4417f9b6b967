"""The only place that maps steps over devices, along the data axis.

Three mappers of the very same function: `pmap`, `jit(shard_map)` and, as the
oracle of tests, `vmap` on one device. State is replicated, batches are split on
their rows.
"""

import os
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from seq2seq_jax import types

AXIS = "data"

Tree = Any  # nested tuples and dicts of arrays


def start_processes(coordinator: str, processes: int, process: int) -> None:
  """Joins the processes of one run, if flags or the environment name them.

  Args:
    coordinator: HOST:PORT, `auto` on TPU pods, SLURM and other clusters that
      JAX detects, or "" for SEQ2SEQ_JAX_COORDINATOR.
    processes: how many there are, or 0 for SEQ2SEQ_JAX_PROCESSES.
    process: this one's index, or -1 for SEQ2SEQ_JAX_PROCESS.

  Raises:
    types.UserError: a number is missing or the others cannot be reached.
  """
  env = os.environ.get
  coordinator = coordinator or env("SEQ2SEQ_JAX_COORDINATOR", "")
  if not coordinator:
    return
  if coordinator == "auto":
    _join(coordinator)
    return
  try:
    processes = processes or int(env("SEQ2SEQ_JAX_PROCESSES", "0"))
    if process < 0:
      process = int(env("SEQ2SEQ_JAX_PROCESS", "-1"))
  except ValueError as e:
    raise types.UserError(
      f"SEQ2SEQ_JAX_PROCESSES or SEQ2SEQ_JAX_PROCESS: not a number: {e}"
    ) from e
  if processes < 1 or not 0 <= process < processes:
    raise types.UserError(
      f"coordinator {coordinator}: needs the number of processes (got "
      f"{processes}) and this one's index from 0 (got {process})"
    )
  _join(coordinator, coordinator, processes, process)


def _join(name: str, *arguments: Any) -> None:
  try:
    jax.distributed.initialize(*arguments)
  except (ValueError, RuntimeError) as e:
    line = (str(e).splitlines() or [type(e).__name__])[0]
    raise types.UserError(
      f"coordinator {name}: could not join the other processes: {line}; see "
      "--coordinator, --processes and --process-id, or "
      "SEQ2SEQ_JAX_COORDINATOR, _PROCESSES and _PROCESS"
    ) from e


def barrier(name: str) -> None:
  """Waits until all processes have come to the barrier of this name."""
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(name)


def all_agree(condition: bool) -> bool:
  """True if `condition` holds in every process."""
  if jax.process_count() == 1:
    return condition
  return bool(np.all(multihost_utils.process_allgather(np.array(condition))))


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

  def check_rows(self, rows: int, field: str, parts: int = 1) -> None:
    """Checks that a batch divides over the devices, and there into parts.

    Args:
      rows: of a batch.
      field: of the config that decides them, for the message.
      parts: into which a device divides its rows (`optim.accumulate`).

    Raises:
      types.UserError: it does not.
    """
    if rows % (self.count * parts):
      raise types.UserError(
        f"{field}: {rows} rows do not divide over {self.count} devices"
        + (f" in {parts} parts each" if parts > 1 else "")
        + f"; a multiple of {self.count * parts} does"
      )

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

  def round_robin(
    self, fn: Callable[[Tree, Tree], Tree]
  ) -> Callable[[Tree, Tree, int], Tree]:
    """Maps `fn(state, batch)` of independent rows: each batch to one device.

    Every device runs the very program that a single one would. A program that
    is partitioned over eight devices is compiled differently from one for one
    device, and its results differ in the last bits.

    Returns:
      A function of (replicated state, host batch, turn) to the outputs; `turn`
      counts the batches.
    """
    program = jax.jit(fn)

    def run(state: Tree, batch: Tree, turn: int) -> Tree:
      device = self.devices[turn % len(self.devices)]
      local = jax.tree.map(lambda x: _copy_on(x, device), state)
      return program(local, jax.device_put(batch, device))

    return run


def _copy_on(x: jax.Array, device: jax.Device) -> jax.Array:
  """The copy of a replicated array that lies on a device."""
  for shard in x.addressable_shards:
    if shard.device == device:
      return shard.data
  raise ValueError(f"no copy on {device}")


def to_global(tree: Tree) -> Tree:
  """Replicated state as arrays that a checkpoint takes from any process."""
  if jax.process_count() == 1:
    return tree
  mesh = jax.sharding.Mesh(np.array(jax.devices()), (AXIS,))
  sharding = NamedSharding(mesh, P())

  def to_global_array(x: jax.Array) -> jax.Array:
    if not x.is_fully_addressable:
      return x
    value = np.asarray(x.addressable_data(0))
    return jax.make_array_from_process_local_data(sharding, value)

  return jax.tree.map(to_global_array, tree)
