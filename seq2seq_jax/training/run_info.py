"""config.json and run.json: which run a workdir holds, and how it was made."""

import dataclasses
import logging
import os
import pathlib
import platform
import subprocess
import sys
from typing import Any

import flax
import jax
import jaxlib.version
import numpy as np
import optax

from seq2seq_jax import config, types
from seq2seq_jax.checkpoints import folder, run_record
from seq2seq_jax.inference import loading
from seq2seq_jax.runtime import cores, files

log = logging.getLogger(__name__)


def check_workdir(
  workdir: pathlib.Path, conf: config.Config, checksums: dict[str, str]
) -> bool:
  """True if a checkpoint of this run is to be resumed from.

  False if the workdir holds no run, or this one before its first checkpoint.

  Args:
    workdir: of the run.
    conf: the run's.
    checksums: of the data, by split.

  Raises:
    types.UserError: it holds another run, or has lost its checkpoints, or the
      data have changed.
  """
  if not os.path.lexists(workdir / "config.json"):
    return False
  old = loading.read_config(workdir)
  fields = config.differences(old, conf)
  if fields:
    raise types.UserError(
      f"{workdir} holds a run of another config; choose another "
      "workdir, or the same values:\n  " + "\n  ".join(fields)
    )
  step = folder.last_step(workdir)
  if step > conf.train.steps:
    raise types.UserError(
      f"{workdir} is at step {step}, beyond train.steps {conf.train.steps}; "
      "choose another workdir"
    )
  record = run_record.read(workdir)
  old_checksums = record.data if record else {}
  for split, value in checksums.items():
    if split != "test" and old_checksums.get(split, value) != value:
      raise types.UserError(
        f"{workdir}: the {split} data differ from those that this run began "
        "with; restore them or choose another workdir"
      )
  if not step:
    _check_unsaved(workdir, record)
  return bool(step)


def _check_unsaved(
  workdir: pathlib.Path, record: run_record.RunRecord | None
) -> None:
  """Refuses a run that was saved and has no checkpoint any more."""
  saved = record.saved if record else None
  if saved is None:  # not known: metrics tell of steps that were made
    saved = (workdir / "metrics.jsonl").exists()
  if not saved:
    return  # it ended before its first checkpoint, and loses nothing
  aside = workdir / "checkpoints-damaged"
  hint = f" (damaged ones lie in {aside})" if aside.exists() else ""
  raise types.UserError(
    f"{workdir}: this run has no checkpoint any more{hint}; restore "
    f"{workdir / 'checkpoints'}, or begin anew with --restart, which moves "
    "what is there aside"
  )


def machine() -> dict[str, Any]:
  """What the bits of a result depend on, beside config and data."""
  return {
    "jax": jax.__version__,
    "jaxlib": jaxlib.version.__version__,
    "device": jax.devices()[0].device_kind,
    "devices": jax.device_count(),
    "processes": jax.process_count(),
    "cpu_cores": len(cores.available()),
  }


def log_changes(workdir: pathlib.Path, current: dict[str, Any]) -> None:
  """Warns of what differs between the last start of a run and this one.

  Args:
    workdir: of the run.
    current: see `machine`.
  """
  old = run_record.read(workdir) or run_record.RunRecord()
  numpy = old.versions.get("numpy", np.__version__)
  if numpy != np.__version__:
    log.warning(
      f"numpy was {numpy}, is {np.__version__}: it draws the order of the "
      "examples, which may differ"
    )
  for name, value in current.items():
    if old.machine.get(name, value) != value:
      log.warning(
        f"{name} was {old.machine[name]}, is {value}: the examples are the "
        "same, but bits may differ"
      )


def write(
  workdir: pathlib.Path,
  conf: config.Config,
  machine: dict[str, Any],
  checksums: dict[str, str],
  left_out: dict[str, Any] | None = None,
) -> None:
  """Writes config.json and run.json.

  Raises:
    OSError: they cannot be written.
  """
  old = run_record.read(workdir)
  record = run_record.RunRecord(
    machine=machine,
    versions={
      "python": platform.python_version(),
      "flax": flax.__version__,
      "optax": optax.__version__,
      "numpy": np.__version__,
    },
    command=list(sys.argv),
    git_commit=_git_commit(),
    data=checksums,
    left_out={k: reason._asdict() for k, reason in (left_out or {}).items()},
    saved=old is not None and bool(old.saved),
  )
  stored = config.extensions.copy(conf, workdir)
  files.replace(workdir / "config.json", config.to_json(stored))
  run_record.write(workdir, record)


def note_saved(workdir: pathlib.Path) -> None:
  """Records that the run has a checkpoint, so that it may miss it later.

  Raises:
    types.UserError: run.json cannot be read or written.
  """
  record = run_record.read(workdir) or run_record.RunRecord()
  if record.saved:
    return
  try:
    run_record.write(workdir, dataclasses.replace(record, saved=True))
  except OSError as e:
    raise types.UserError(
      f"{workdir / 'run.json'}: cannot write: {e.strerror}"
    ) from e


def _git_commit() -> str | None:
  """Commit of the package's own checkout, `-dirty` if it was changed."""
  try:
    result = subprocess.run(
      ["git", "describe", "--always", "--dirty", "--abbrev=40"],
      cwd=pathlib.Path(__file__).parent,
      capture_output=True,
      text=True,
      check=True,
    )
  except (OSError, subprocess.CalledProcessError):
    return None
  return result.stdout.strip()
