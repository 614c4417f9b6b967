"""What a workdir says of its run: which one it is, and on what it was made."""

import json
import logging
import pathlib
import platform
import subprocess
import sys

import flax
import jax
import jaxlib
import numpy as np
import optax

from seq2seq_jax import config, types
from seq2seq_jax.checkpoints import store
from seq2seq_jax.runtime import cores, files

log = logging.getLogger(__name__)


def accept(workdir: pathlib.Path, conf: config.Config, checksums: dict) -> bool:
  """Whether the workdir holds this run; another one is refused.

  Args:
    workdir: of the run.
    conf: the run's.
    checksums: of the data, by split.
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
  at = store.last_step(workdir)
  if at > conf.train.steps:
    raise types.UserError(
      f"{workdir} is at step {at}, beyond train.steps {conf.train.steps}; "
      "choose another workdir"
    )
  sums = read(workdir).get("data", {})
  for split, value in checksums.items():
    if split != "test" and sums.get(split, value) != value:
      raise types.UserError(
        f"{workdir}: the {split} data is not what this run began "
        "with; restore it or choose another workdir"
      )
  return True


def machine() -> dict:
  """What the bits of a result depend on, beside config and data."""
  return {
    "jax": jax.__version__,
    "jaxlib": jaxlib.__version__,
    "device": jax.devices()[0].device_kind,
    "devices": jax.device_count(),
    "processes": jax.process_count(),
    "cpu_cores": len(cores.available()),
  }


def compare(workdir: pathlib.Path, now: dict) -> None:
  """Tells what of the machine differs from when the run was last begun."""
  record = read(workdir)
  old = record.get("machine", {})
  numpy = record.get("versions", {}).get("numpy", np.__version__)
  if numpy != np.__version__:
    log.warning(
      f"numpy was {numpy}, is {np.__version__}: it draws the order of the "
      "examples, which may differ"
    )
  for k in now:
    if old.get(k, now[k]) != now[k]:
      log.warning(
        f"{k} was {old[k]}, is {now[k]}: the same examples follow, but "
        "bits may differ"
      )


def write(
  workdir: pathlib.Path, conf: config.Config, machine: dict, checksums: dict
) -> None:
  """Writes config.json and run.json."""
  record = {
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
  }
  try:
    files.write_json(workdir / "run.json", record)
    files.replace(workdir / "config.json", config.to_json(conf))
  except OSError as e:
    raise types.UserError(f"{workdir}: cannot write: {e.strerror}") from e


def read(workdir: pathlib.Path) -> dict:
  """A run's record, or nothing where it was only half written."""
  path = workdir / "run.json"
  try:
    return json.loads(path.read_text()) if path.is_file() else {}
  except ValueError:
    return {}


def _git_commit() -> str | None:
  try:
    done = subprocess.run(
      ["git", "describe", "--always", "--dirty", "--abbrev=40"],
      cwd=pathlib.Path(__file__).parent,
      capture_output=True,
      text=True,
      check=True,
    )
  except (OSError, subprocess.CalledProcessError):
    return None
  return done.stdout.strip()
