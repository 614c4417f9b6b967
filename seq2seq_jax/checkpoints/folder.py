"""A folder of checkpoints: what lies there, why it is not read or written."""

import errno
import os
import pathlib
import re
import shutil

from seq2seq_jax import types


def step_names(workdir: str | os.PathLike[str]) -> set[str]:
  """Names of what lies in a workdir's folder of checkpoints now."""
  try:
    return set(os.listdir(pathlib.Path(workdir) / "checkpoints"))
  except OSError:
    return set()


def check_files(folder: pathlib.Path) -> None:
  """Refuses a folder of checkpoints with a file that may never end.

  Raises:
    types.UserError: it names a pipe or a device.
  """
  for parent, _, names in os.walk(folder):
    for name in names:
      path = os.path.join(parent, name)
      if os.path.exists(path) and not os.path.isfile(path):
        raise types.UserError(
          f"{path}: is a pipe or a device, no file of a checkpoint; move it "
          "elsewhere"
        )


def strangers(folder: pathlib.Path) -> list[pathlib.Path]:
  """What is called like a checkpoint in a folder of them and is no folder."""
  try:
    named = [path for path in folder.iterdir() if path.name.isdigit()]
  except OSError:
    return []
  return sorted(path for path in named if not path.is_dir())


def last_step(workdir: pathlib.Path) -> int:
  """The last step with a checkpoint in a workdir, whole or not; 0 if none.

  Raises:
    types.UserError: the folder of checkpoints cannot be read.
  """
  folder = workdir / "checkpoints"
  try:
    names = os.listdir(folder)
  except FileNotFoundError as e:
    if not os.path.lexists(folder):
      return 0
    raise types.UserError(
      f"{folder}: is a link to {os.readlink(folder)}, which is not there"
    ) from e
  except OSError as e:
    raise types.UserError(f"{folder}: cannot be read: {e.strerror}") from e
  # int() knows digits of other scripts, and refuses very long ones.
  steps = [int(n) for n in names if re.fullmatch("[0-9]{1,18}", n)]
  return max(steps, default=0)


def unreadable(folder: pathlib.Path) -> OSError | None:
  """Why a file below a folder cannot be read; None if all can be.

  A file that is missing is damage, and no such reason.
  """
  try:
    for path, _, names in os.walk(folder, onerror=_raise):
      for name in names:
        with open(os.path.join(path, name), "rb") as file:
          file.read(1)
  except (FileNotFoundError, NotADirectoryError):
    return None
  except OSError as e:
    return e
  return None


def _raise(error: OSError) -> None:
  raise error


def not_written(folder: pathlib.Path, e: Exception) -> types.UserError:
  """The error of a checkpoint that could not be written into a folder."""
  try:
    free = f"{shutil.disk_usage(folder).free // 2**20} MiB free"
  except OSError:
    free = "the folder is gone"
  reason = str(e).splitlines()[0] if str(e) else type(e).__name__
  full = os.strerror(errno.ENOSPC)
  if full in reason:  # Orbax adds every path that was affected
    reason = full
  return types.UserError(
    f"{folder}: could not write a checkpoint ({free}): "
    f"{reason}; the older ones are intact: make room and run the same "
    "command again"
  )
