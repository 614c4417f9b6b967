"""config.json and run.json: which run a workdir holds, and how it was made."""

import json
import logging
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
from seq2seq_jax.checkpoints import store
from seq2seq_jax.runtime import cores, files

log = logging.getLogger(__name__)


def check_workdir(
  workdir: pathlib.Path, conf: config.Config, checksums: dict[str, str]
) -> bool:
  """True if the workdir holds this run, False if it holds none.

  Args:
    workdir: of the run.
    conf: the run's.
    checksums: of the data, by split.

  Raises:
    types.UserError: it holds another run, or the data have changed.
  """
  path = workdir / "config.json"
  if not path.is_file():
    if (workdir / "checkpoints").exists():
      raise types.UserError(
        f"{workdir}: holds checkpoints but no config.json; choose "
        "another workdir"
      )
    return False
  old = config.from_json(path.read_text(), str(path))
  fields = config.differences(old, conf)
  if fields:
    raise types.UserError(
      f"{workdir} holds a run of another config; choose another "
      "workdir, or the same values:\n  " + "\n  ".join(fields)
    )
  step = store.last_step(workdir)
  if step > conf.train.steps:
    raise types.UserError(
      f"{workdir} is at step {step}, beyond train.steps {conf.train.steps}; "
      "choose another workdir"
    )
  old_checksums = read(workdir).get("data", {})
  for split, value in checksums.items():
    if split != "test" and old_checksums.get(split, value) != value:
      raise types.UserError(
        f"{workdir}: the {split} data differ from those that this run began "
        "with; restore them or choose another workdir"
      )
  return True


def record(
  workdir: pathlib.Path,
  conf: config.Config,
  checksums: dict[str, str],
  resumed: bool,
  left_out: dict[str, Any] | None = None,
) -> None:
  """Writes config.json and run.json; of a resumed run logs what has changed."""
  current = machine()
  if resumed:
    log_changes(workdir, current)
  if jax.process_index() == 0:
    write(workdir, conf, current, checksums, left_out)


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
  old = read(workdir)
  numpy = old.get("versions", {}).get("numpy", np.__version__)
  if numpy != np.__version__:
    log.warning(
      f"numpy was {numpy}, is {np.__version__}: it draws the order of the "
      "examples, which may differ"
    )
  old_machine = old.get("machine", {})
  for name, value in current.items():
    if old_machine.get(name, value) != value:
      log.warning(
        f"{name} was {old_machine[name]}, is {value}: the examples are the "
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
    types.UserError: they cannot be written.
  """
  info = {
    "machine": machine,
    "versions": {
      "python": platform.python_version(),
      "flax": flax.__version__,
      "optax": optax.__version__,
      "numpy": np.__version__,
    },
    "command": sys.argv,
    "git_commit": _git_commit(),
    "data": checksums,
    "left_out": {k: reason._asdict() for k, reason in (left_out or {}).items()},
  }
  try:
    files.write_json(workdir / "run.json", info)
    stored = config.extensions.copy(conf, workdir)
    files.replace(workdir / "config.json", config.to_json(stored))
  except OSError as e:
    raise types.UserError(f"{workdir}: cannot write: {e.strerror}") from e


def read(workdir: pathlib.Path) -> dict[str, Any]:
  """The content of run.json; empty if there is none, or only half of one."""
  path = workdir / "run.json"
  try:
    return json.loads(path.read_text()) if path.is_file() else {}
  except ValueError:
    return {}


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
