"""The only place that knows of devices: maps steps over the data axis.

Three mappers of the very same function: `pmap`, `jit(shard_map)` and, as the
oracle of tests, `vmap` on one device. State is replicated, batches are split on
their rows.
"""

import os

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from seq2seq_jax import types

AXIS = "data"


def start_processes(coordinator: str, processes: int, process: int) -> None:
  """Joins several processes, where flags or the environment say so.

  SEQ2SEQ_JAX_COORDINATOR (HOST:PORT, or `auto` on TPU pods, SLURM and other
  clusters that JAX detects), SEQ2SEQ_JAX_PROCESSES, SEQ2SEQ_JAX_PROCESS.
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
      f"{processes}) and this one's place from 0 (got {process})"
    )
  _join(coordinator, coordinator, processes, process)


def _join(told: str, *how) -> None:
  try:
    jax.distributed.initialize(*how)
  except (ValueError, RuntimeError) as e:
    line = (str(e).splitlines() or [type(e).__name__])[0]
    raise types.UserError(
      f"coordinator {told}: could not join the other processes: {line}; see "
      "--coordinator, --processes and --process-id, or "
      "SEQ2SEQ_JAX_COORDINATOR, _PROCESSES and _PROCESS"
    ) from e


def meet(where: str) -> None:
  """Waits for all processes: none writes before every one has read."""
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(where)


def agreed(here: bool) -> bool:
  """Whether it holds in every process."""
  if jax.process_count() == 1:
    return here
  return bool(np.all(multihost_utils.process_allgather(np.array(here))))


class Mapper:
  """Maps functions over devices, by one of three ways.

  Args:
    kind: `pmap`, `shard_map` or `vmap`.
    local: use this process's devices alone (evaluation and search), else all.
    lanes: virtual devices of `vmap`.
  """

  def __init__(self, kind: str, *, local: bool = False, lanes: int = 1):
    self.kind = kind
    devices = jax.local_devices() if local else jax.devices()
    if kind == "vmap":
      devices = jax.local_devices()[:1]
    self.devices = devices
    self.count = lanes if kind == "vmap" else len(devices)
    here = [d for d in devices if d.process_index == jax.process_index()]
    self.here = lanes if kind == "vmap" else len(here)
    # pmap takes and gives arrays of this process's devices alone.
    mine = here if kind == "pmap" else devices
    mesh = jax.sharding.Mesh(
      np.array(mine), (AXIS,), axis_types=(AxisType.Auto,)
    )
    self.replicated = NamedSharding(mesh, P())
    self.split = NamedSharding(mesh, P(AXIS))
    self.mesh = mesh

  def check_rows(self, rows: int, field: str, parts: int = 1) -> None:
    """Refuses rows that do not divide over the devices and parts."""
    if rows % (self.count * parts):
      raise types.UserError(
        f"{field}: {rows} rows do not divide over {self.count} devices"
        + (f" in {parts} parts each" if parts > 1 else "")
        + f"; a multiple of {self.count * parts} does"
      )

  def replicate(self, tree):
    """Puts every leaf on all devices, as the mapped function leaves it."""
    return jax.device_put(tree, self.replicated)

  def shard(self, tree):
    """A host batch of this process's rows, as the mapped function takes it."""
    if self.kind == "shard_map":
      put = jax.make_array_from_process_local_data
      return jax.tree.map(lambda x: put(self.split, np.asarray(x)), tree)
    n = self.here
    split = lambda x: np.asarray(x).reshape(n, -1, *x.shape[1:])
    return jax.tree.map(split, tree)

  def reduce(self, fn, *, donate: bool = False):
    """Maps `fn(state, batch, axis_name=)`; outputs are replicated."""
    keep = (0,) if donate else ()
    # A sum over one device is a copy of all gradients.
    name = AXIS if self.count > 1 or self.kind == "vmap" else None
    inner = lambda state, batch: fn(state, batch, axis_name=name)
    if self.kind == "pmap":
      return jax.pmap(
        inner,
        axis_name=AXIS,
        in_axes=(None, 0),
        out_axes=None,
        devices=self.devices if self.count < jax.device_count() else None,
        donate_argnums=keep,
      )
    if self.kind == "shard_map":
      mapped = jax.shard_map(
        inner,
        mesh=self.mesh,
        in_specs=(P(), P(AXIS)),
        out_specs=P(),
        check_vma=False,
      )
      return jax.jit(mapped, donate_argnums=keep)
    mapped = jax.vmap(inner, in_axes=(None, 0), out_axes=None, axis_name=AXIS)
    return jax.jit(mapped, donate_argnums=keep)

  def rows(self, fn):
    """Maps `fn(state, batch)`, whose outputs have one entry a row.

    Batches go to the devices in turn. Every device runs the very program that
    a single one would: a program partitioned over eight devices is compiled
    otherwise than one for one device and differs in the last bits.

    Returns:
      A function of (replicated state, host batch, turn) to the outputs.
    """
    program = jax.jit(fn)

    def run(state, batch, turn: int):
      device = self.devices[turn % len(self.devices)]
      mine = jax.tree.map(lambda x: _on(x, device), state)
      return program(mine, jax.device_put(batch, device))

    return run


def _on(x, device):
  """The copy of a replicated array that lies on a device."""
  for shard in x.addressable_shards:
    if shard.device == device:
      return shard.data
  raise ValueError(f"no copy on {device}")


def to_global(tree):
  """Replicated state as arrays that a checkpoint takes from any process."""
  if jax.process_count() == 1:
    return tree
  mesh = jax.sharding.Mesh(np.array(jax.devices()), (AXIS,))
  sharding = NamedSharding(mesh, P())

  def whole(x):
    if not x.is_fully_addressable:
      return x
    value = np.asarray(x.addressable_data(0))
    return jax.make_array_from_process_local_data(sharding, value)

  return jax.tree.map(whole, tree)
