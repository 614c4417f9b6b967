"""Checkpoints of a run: every call into Orbax stands here."""

import errno
import functools
import logging
import os
import pathlib
import shutil
import sys
import zlib

import jax
import numpy as np
import orbax.checkpoint as ocp

from seq2seq_jax import types
from seq2seq_jax.runtime import parallel

log = logging.getLogger(__name__)


def _options(read_only: bool):
  return ocp.CheckpointManagerOptions(
    max_to_keep=None,  # `Checkpoints.prune` decides
    cleanup_tmp_directories=not read_only,
    read_only=read_only,
    enable_async_checkpointing=not read_only,
  )


@functools.cache
def _quiet():
  """Once: where a file is damaged or cannot be written, our own line says it.

  Orbax logs pages about it, and its threads print what they meet afterwards.
  """
  for name in ("absl", "asyncio"):
    logging.getLogger(name).setLevel(logging.CRITICAL)
  shown = sys.unraisablehook

  def hook(unraisable):
    if str(unraisable.exc_value) != "Event loop is closed":
      shown(unraisable)

  sys.unraisablehook = hook


class Checkpoints:
  """The folder `checkpoints` of a workdir: written asynchronously, atomic.

  A checkpoint is a tree of arrays and `host`, a small JSON that holds every
  decision up to its step.
  """

  def __init__(self, workdir: pathlib.Path, *, read_only=False):
    self.folder = (workdir / "checkpoints").absolute()
    self._kept: set[int] | None = None
    if not read_only:
      self.folder.mkdir(parents=True, exist_ok=True)
    _quiet()
    self.manager = None
    if self.folder.is_dir():
      self.manager = ocp.CheckpointManager(
        self.folder,
        options=_options(read_only),
        # Without them a fresh manager knows no shapes, and restores to the
        # devices of the process that wrote.
        item_handlers={
          "state": ocp.StandardCheckpointHandler(),
          "host": ocp.JsonCheckpointHandler(),
        },
      )

  def steps(self) -> list[int]:
    """Steps of the complete checkpoints, in order."""
    return sorted(self.manager.all_steps(read=True)) if self.manager else []

  def save(self, step: int, state, host: dict, keep: set[int]) -> None:
    """Starts to write a checkpoint; `keep` are the older steps still needed."""
    self.finish()
    state = _here(state)
    host = host | {
      "digest": digest(state),
      "params_digest": digest((state["params"], state["ema"])),
    }
    try:
      self.manager.save(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardSave(state),
          host=ocp.args.JsonSave(host),
        ),
        force=True,
      )
    except (OSError, ValueError) as e:
      raise self._failed(e) from e
    self._kept = keep | {step}

  def finish(self) -> None:
    """Waits for the last save, then deletes what is no longer kept."""
    try:
      self.manager.wait_until_finished()
    except Exception as e:  # Orbax raises many kinds; all mean: not written
      raise self._failed(e) from e
    if self._kept is not None:
      for step in self.steps():
        if step not in self._kept:
          self.manager.delete(step)
      self._kept = None

  def _failed(self, e) -> types.UserError:
    free = shutil.disk_usage(self.folder).free // 2**20
    reason = str(e).splitlines()[0] if str(e) else type(e).__name__
    full = os.strerror(errno.ENOSPC)
    if full in reason:  # with every path that it was met at
      reason = full
    return types.UserError(
      f"{self.folder}: could not write a checkpoint ({free} MiB free): "
      f"{reason}; the older ones are intact: make room and give the same "
      "command again"
    )

  def restore_latest(self, target) -> tuple | None:
    """(step, state, host) of the last good checkpoint, or None if none is.

    A damaged one is moved aside, into `checkpoints-damaged`.

    Args:
      target: shapes and shardings that the state is restored to.
    """
    steps = self.steps()
    for step in reversed(steps):
      found, told = None, f"checkpoint {step} is damaged for another process"
      try:
        found = self.restore(step, target)
      except types.UserError as e:
        told = e
      if parallel.all_agree(found is not None):
        return step, *found
      log.warning(f"{told}; going back to the one before")
      self._move_aside(step)
    if steps:
      raise types.UserError(
        f"{self.folder}: no checkpoint can be read; they lie in "
        f"{self.folder.parent / 'checkpoints-damaged'}; restore one or choose "
        "another workdir"
      )
    return None

  def _move_aside(self, step: int) -> None:
    if jax.process_index() == 0:
      aside = self.folder.parent / "checkpoints-damaged"
      aside.mkdir(exist_ok=True)
      if (aside / str(step)).exists():
        shutil.rmtree(aside / str(step))
      shutil.move(self.folder / str(step), aside / str(step))
    parallel.barrier(f"checkpoint {step} is aside")
    self.manager.reload()

  def restore(self, step: int, target, *, whole: bool = True) -> tuple:
    """(state, host) of one checkpoint; UserError where it is damaged."""
    shapes = jax.tree.map(_abstract, target)
    try:
      restored = self.manager.restore(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardRestore(shapes),
          host=ocp.args.JsonRestore(),
        ),
      )
      state, host = restored.state, restored.host
    except Exception as e:  # Orbax and TensorStore raise many kinds
      raise self._damaged(step, e) from e
    if whole and digest(_here(state)) != host["digest"]:
      raise self._damaged(step, "its content is not what was written")
    return state, host

  def latest_host(self) -> dict:
    """What the last good checkpoint says of the run's course.

    No array is read, so it may be one whose arrays are damaged.
    """
    only = ocp.args.Composite(host=ocp.args.JsonRestore())
    failed = None
    for step in reversed(self.steps()):
      try:
        return self.manager.restore(step, args=only).host
      except Exception as e:
        failed = failed or self._damaged(step, e)
        failed.__cause__ = e
    raise failed

  def _damaged(self, step: int, told) -> types.UserError:
    line = (str(told).splitlines() or [type(told).__name__])[0]
    return types.UserError(
      f"checkpoint {self.folder / str(step)} is damaged: {line[:200]}"
    )

  def read(self, step: int):
    """The parameters to use, in this process's memory, whatever wrote them."""
    one = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    try:
      meta = self.manager.item_metadata(step)["state"]
      shapes = jax.tree.map(
        lambda m: jax.ShapeDtypeStruct(m.shape, m.dtype, sharding=one),
        meta.tree if hasattr(meta, "tree") else meta,
      )
    except Exception as e:  # a damaged one has no metadata either
      raise self._damaged(step, "no metadata") from e
    state, host = self.restore(step, shapes, whole=False)
    pair = state["params"], state.get("ema")
    if digest(_here(pair)) != host["params_digest"]:
      raise self._damaged(step, "its content is not what was written")
    return jax.device_get(pair[1] or pair[0])

  def reached_preemption(self, step: int) -> bool:
    """Whether a cluster asked this job, on any host, to stop."""
    return jax.process_count() > 1 and self.manager.reached_preemption(step)

  def close(self) -> None:
    """Waits for the last save and closes."""
    if self.manager:
      try:
        if not self.manager._options.read_only:
          self.finish()
      finally:
        self.manager.close()


def _here(state):
  """A copy of replicated arrays in this process's memory.

  Of arrays on several devices Orbax would write a slice from each, and compile
  a program for every slice.
  """
  parts = jax.tree.map(lambda x: x.addressable_data(0), state)
  for part in jax.tree.leaves(parts):
    part.copy_to_host_async()
  return jax.tree.map(np.array, parts)


def _abstract(x):
  return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)


def digest(state) -> int:
  """A checksum of arrays on the host."""
  crc = 0
  for x in jax.tree.leaves(state):
    value = np.ascontiguousarray(x)
    crc = zlib.crc32(value.view(np.uint8).reshape(-1), crc)
  return crc


def last_step(workdir: pathlib.Path) -> int:
  """The last step that a workdir has a checkpoint of, whole or not; 0: none."""
  names = [p.name for p in (workdir / "checkpoints").glob("*")]
  return max((int(n) for n in names if n.isdigit()), default=0)
