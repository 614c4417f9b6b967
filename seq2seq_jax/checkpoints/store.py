"""Checkpoints of a run: every call into Orbax stands here."""

import dataclasses
import functools
import logging
import pathlib
import shutil
import sys
from collections.abc import Mapping, Set
from typing import Any

import jax
import orbax.checkpoint as ocp

from seq2seq_jax import records, types
from seq2seq_jax.checkpoints import arrays
from seq2seq_jax.checkpoints import folder as folder_lib
from seq2seq_jax.checkpoints import identity as identity_lib
from seq2seq_jax.runtime import files, processes

log = logging.getLogger(__name__)

ADDED = "added.json"  # in a checkpoint's folder: decisions made after it

Tree = arrays.Tree


def _alone() -> ocp.options.MultiprocessingOptions:
  """Every process reads by itself, and the first one writes, for all."""
  process = processes.index()
  if processes.count() == 1:
    return ocp.options.MultiprocessingOptions()
  return ocp.options.MultiprocessingOptions(
    primary_host=process,
    active_processes={process},
    barrier_sync_key_prefix=f"process_{process}",
  )


def _options(read_only: bool) -> ocp.CheckpointManagerOptions:
  return ocp.CheckpointManagerOptions(
    max_to_keep=None,  # `Checkpoints.finish` deletes
    cleanup_tmp_directories=not read_only,
    read_only=read_only,
    multiprocessing_options=_alone(),
    create=False,
    enable_async_checkpointing=not read_only,
  )


@functools.cache
def _silence_orbax() -> None:
  """Leaves errors of files to our own messages; done once a process.

  Orbax logs pages about a file that is damaged or cannot be written, and its
  threads print what they meet afterwards.
  """
  for name in ("absl", "asyncio"):
    logging.getLogger(name).setLevel(logging.CRITICAL)
  before = sys.unraisablehook

  def hook(unraisable: Any) -> None:
    if str(unraisable.exc_value) != "Event loop is closed":
      before(unraisable)

  sys.unraisablehook = hook


@dataclasses.dataclass(frozen=True)
class _Header:
  """What is read here of a checkpoint's JSON."""

  digest: int
  params_digest: int
  identity: identity_lib.Identity | None = None


class Damaged(types.UserError):
  """A checkpoint that can be read and is not what was written."""


class Checkpoints:
  """The folder `checkpoints` of a workdir: written asynchronously, atomic.

  A checkpoint is a tree of arrays and `host`, a small JSON that holds every
  decision up to its step.
  """

  def __init__(
    self,
    workdir: pathlib.Path,
    *,
    read_only: bool = False,
    anew: bool = False,
  ) -> None:
    """Opens the folder if it is there; else the first save makes it.

    Args:
      workdir: of a run.
      read_only: create, delete and move nothing.
      anew: do not look into the folder before the first save.
    """
    self.folder = (workdir / "checkpoints").absolute()
    self._read_only = read_only or not processes.is_first()
    # Steps that stay when the save in progress is complete.
    self._kept: set[int] | None = None
    _silence_orbax()
    # None only if there is no folder, and then there are no steps either.
    self.manager: Any = None
    if not anew and self.folder.is_dir():
      self._open()

  def _open(self) -> None:
    folder_lib.check_files(self.folder)
    self.manager = ocp.CheckpointManager(
      self.folder,
      options=_options(self._read_only),
      # Without handlers a fresh manager knows no shapes, and restores to
      # the devices of the process that wrote.
      item_handlers={
        "state": ocp.StandardCheckpointHandler(
          multiprocessing_options=_alone()
        ),
        "host": ocp.JsonCheckpointHandler(multiprocessing_options=_alone()),
      },
    )

  def steps(self) -> list[int]:
    """Steps of the complete checkpoints, in order."""
    return sorted(self.manager.all_steps(read=True)) if self.manager else []

  def save(
    self, step: int, state: Tree, host: Mapping[str, Any], keep: Set[int]
  ) -> None:
    """Starts to write a checkpoint.

    Args:
      step: number of updates made.
      state: a dict of replicated arrays, `params` and `ema` among them.
      host: the decisions up to this step, and perhaps `identity`; JSON.
      keep: older steps that are still needed; all others are deleted once this
        one is written.

    Of several processes, which hold the same, the first one writes.

    Raises:
      types.UserError: it, or the one before, cannot be written.
    """
    if not processes.is_first():
      return
    if self.manager is None:
      try:
        self.folder.mkdir(exist_ok=True)
        self._open()
      except (OSError, ValueError) as e:
        raise folder_lib.not_written(self.folder, e) from e
    elif not self.folder.is_dir():  # Orbax would make it again, with this one
      raise types.UserError(
        f"{self.folder.parent}: the workdir is gone or was emptied; step "
        f"{step} is not saved"
      )
    self.finish()
    state = arrays.local_copy(state)
    digests = {
      "digest": arrays.digest(state),
      "params_digest": arrays.digest((state["params"], state["ema"])),
    }
    try:
      self.manager.save(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardSave(state),
          host=ocp.args.JsonSave({**host, **digests}),
        ),
        force=True,
      )
    except (OSError, ValueError) as e:
      raise folder_lib.not_written(self.folder, e) from e
    self._kept = {*keep, step}

  def add(self, step: int, host: Mapping[str, Any]) -> None:
    """Adds decisions to a checkpoint, in place of older ones of their names.

    Args:
      step: of the checkpoint.
      host: the decisions; JSON.

    Raises:
      types.UserError: they cannot be written.
    """
    self.finish()
    if not processes.is_first():
      return
    path = self.folder / str(step) / ADDED
    try:
      files.write_json(path, host, durable=True)
    except OSError as e:
      raise types.UserError(f"{path}: cannot write: {e.strerror}") from e

  def _added(self, step: int) -> dict[str, Any]:
    """The decisions that were added to a checkpoint."""
    path = self.folder / str(step) / ADDED
    return records.read(path, dict[str, Any]) if path.is_file() else {}

  def finish(self) -> None:
    """Waits for the last save, then deletes what is no longer kept."""
    if self.manager is None:
      return
    try:
      self.manager.wait_until_finished()
    except Exception as e:  # Orbax raises many kinds; all mean: not written
      raise folder_lib.not_written(self.folder, e) from e
    if self._kept is not None:
      for step in self.steps():
        if step not in self._kept:
          self.manager.delete(step)
      self._kept = None

  def restore_latest(
    self, target: Tree, here: identity_lib.Identity | None = None
  ) -> tuple[int, Tree, dict[str, Any]] | None:
    """(step, state, host) of the last good checkpoint, or None if none is.

    Damaged ones behind it are moved to `checkpoints-damaged`. All processes
    restore the same step.

    Args:
      target: shapes and shardings that the state is restored to.
      here: identity of the run that the workdir holds.

    Raises:
      types.UserError: there are checkpoints, and none is good; or one cannot
        be read now, and may be good. Nothing is moved then.
    """
    if strange := folder_lib.strangers(self.folder):
      raise types.UserError(
        f"{strange[0]}: is no checkpoint; move it elsewhere"
      )
    steps, message = processes.broadcast(self.steps()), ""
    damaged: list[int] = []
    for step in reversed(steps):
      restored = None
      message = f"checkpoint {step} is damaged for another process"
      try:
        restored = self.restore(step, target, here)
      except Damaged as e:
        message = str(e)
      good = processes.all_agree(restored is not None)
      if good and restored is not None:
        for other in damaged:
          self._move_aside(other)
        return step, *restored
      log.warning(f"{message}; going back to the one before")
      damaged.append(step)
    if steps:
      raise types.UserError(
        f"{self.folder}: no checkpoint can be read ({message}); restore one, "
        "or begin anew with --restart"
      )
    return None

  def _move_aside(self, step: int) -> None:
    if processes.is_first():
      aside = self.folder.parent / "checkpoints-damaged"
      aside.mkdir(exist_ok=True)
      if (aside / str(step)).exists():
        shutil.rmtree(aside / str(step))
      shutil.move(self.folder / str(step), aside / str(step))
    processes.barrier()
    self.manager.reload()

  def restore(
    self,
    step: int,
    target: Tree,
    here: identity_lib.Identity | None = None,
    *,
    whole: bool = True,
  ) -> tuple[Tree, dict[str, Any]]:
    """(state, host) of one checkpoint.

    Args:
      step: of the checkpoint.
      target: shapes and shardings that the state is restored to.
      here: identity of the run that the workdir holds.
      whole: compare the digest of the whole state; False if `target` is only
        a part of it.

    Raises:
      types.UserError: the checkpoint is damaged, or belongs to another run.
    """
    host, header = self._host(step)
    if here is not None and header.identity is not None:
      identity_lib.check(header.identity, here, self.folder / str(step))
    shapes = jax.tree.map(arrays.abstract, target)
    try:
      restored = self.manager.restore(
        step,
        args=ocp.args.Composite(state=ocp.args.StandardRestore(shapes)),
      )
      state = restored.state
    except Exception as e:  # Orbax and TensorStore raise many kinds
      raise self._damaged(step, e) from e
    if whole and arrays.digest(arrays.local_copy(state)) != header.digest:
      raise self._damaged(step, "its content is not what was written")
    return state, host

  def _host(self, step: int) -> tuple[dict[str, Any], _Header]:
    """The JSON of a checkpoint, and what this module reads of it.

    Raises:
      types.UserError: it is damaged.
    """
    only = ocp.args.Composite(host=ocp.args.JsonRestore())
    try:
      host = self.manager.restore(step, args=only).host
      if isinstance(host, dict):
        host = host | self._added(step)
    except Exception as e:
      raise self._damaged(step, e) from e
    place = str(self.folder / str(step) / "host")
    names = {field.name for field in dataclasses.fields(_Header)}
    shown = host
    if isinstance(host, dict):
      shown = {name: host[name] for name in names & host.keys()}
    try:
      return host, records.decode(_Header, shown, place)
    except types.UserError as e:
      raise self._damaged(step, e) from e

  def latest_host(self) -> dict[str, Any]:
    """`host` of the last checkpoint in which it can be read.

    No array is read, so its arrays may be damaged.

    Raises:
      types.UserError: there is none.
    """
    error: Exception | None = None
    for step in reversed(self.steps()):
      try:
        host = self._host(step)[0]
      except types.UserError as e:
        error = error or e
        continue
      if error:
        log.warning(f"{error}; going by what checkpoint {step} says")
      return host
    raise error or types.UserError(f"{self.folder}: holds no checkpoint")

  def _damaged(self, step: int, reason: Exception | str) -> types.UserError:
    """The error of a checkpoint that was not restored for a reason."""
    folder = self.folder / str(step)
    if isinstance(reason, MemoryError) or "RESOURCE_EXHAUSTED" in str(reason):
      return types.UserError(
        f"checkpoint {folder}: there is not enough memory to read it"
      )
    if error := folder_lib.unreadable(folder):
      return types.UserError(
        f"{error.filename or folder}: cannot be read now: {error.strerror}; "
        "nothing was changed: see to it and try again"
      )
    line = (str(reason).splitlines() or [type(reason).__name__])[0]
    return Damaged(f"checkpoint {folder} is damaged: {line[:200]}")

  def read(self, step: int, here: identity_lib.Identity | None = None) -> Tree:
    """Averaged parameters of a checkpoint if there are any, else the last ones.

    They are NumPy arrays, whatever devices and processes wrote them.

    Args:
      step: of the checkpoint.
      here: identity of the run that the workdir holds.

    Raises:
      types.UserError: the checkpoint is damaged, or belongs to another run.
    """
    one = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    try:
      meta = self.manager.item_metadata(step)["state"]
      shapes = jax.tree.map(
        lambda m: jax.ShapeDtypeStruct(m.shape, m.dtype, sharding=one),
        meta.tree if hasattr(meta, "tree") else meta,
      )
    except Exception as e:  # a damaged one has no metadata either
      raise self._damaged(step, "no metadata") from e
    state, _ = self.restore(step, shapes, here, whole=False)
    pair = state["params"], state.get("ema")
    found = arrays.digest(arrays.local_copy(pair))
    if found != self._host(step)[1].params_digest:
      raise self._damaged(step, "its content is not what was written")
    return jax.device_get(pair[1] or pair[0])

  def close(self) -> None:
    """Waits for the last save and closes."""
    if self.manager:
      try:
        if not self._read_only:
          self.finish()
      finally:
        self.manager.close()
