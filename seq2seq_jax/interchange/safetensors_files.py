"""Files of arrays in the format safetensors, read and written."""

import contextlib
import os
import pathlib
import stat
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from seq2seq_jax import records, types
from seq2seq_jax.runtime import files

FILE, INDEX = "model.safetensors", "model.safetensors.index.json"


def library() -> Any:
  """The package safetensors.

  Raises:
    types.UserError: it is not installed.
  """
  try:
    import safetensors
  except ImportError as e:
    raise types.UserError(
      "safetensors is not installed; install it with "
      "pip install 'seq2seq_jax[pretrained]'"
    ) from e
  return safetensors


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[Any]:
  """An open file; its errors name it."""
  safetensors = library()
  try:
    if not stat.S_ISREG(os.stat(path).st_mode):
      raise types.UserError(f"{path}: cannot read: is not a file")
    # Its own errors say nothing of why a file cannot be opened.
    with open(path, "rb"):
      pass
    with safetensors.safe_open(str(path), "numpy") as file:
      yield file
  except OSError as e:
    raise types.UserError(f"{path}: cannot read: {e.strerror or e}") from e
  except (safetensors.SafetensorError, ValueError, TypeError, KeyError) as e:
    line = (str(e).splitlines() or [type(e).__name__])[0]
    raise types.UserError(
      f"{path}: is no whole file of safetensors ({line[:200]})"
    ) from e


def read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
  """All arrays of a file by name; those of bfloat16 have JAX's type for it.

  Raises:
    types.UserError: it cannot be read, or is none.
  """
  import jax.numpy  # noqa: F401  (NumPy learns of bfloat16)

  with _opened(pathlib.Path(path)) as file:
    return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def read_folder(folder: pathlib.Path) -> dict[str, np.ndarray]:
  """All arrays of a folder with one file, or with an index of several.

  Raises:
    types.UserError: there is none, or one that the index names lacks what it
      should have.
  """
  if not os.path.lexists(folder / INDEX):
    return read(folder / FILE)
  index = records.read(folder / INDEX, dict[str, Any])
  place = f"{folder / INDEX}: weight_map"
  parts = records.decode(dict[str, str], index.get("weight_map", {}), place)
  arrays: dict[str, np.ndarray] = {}
  for part in sorted(set(parts.values())):
    if pathlib.PurePath(part).name != part:
      raise types.UserError(f"{place}: {part!r} is no file beside it")
    arrays |= read(folder / part)
  if missing := sorted(parts.keys() - arrays.keys()):
    raise types.UserError(f"{place}: no file has {missing[0]}")
  return arrays


def write(
  path: pathlib.Path, arrays: Mapping[str, np.ndarray], about: dict[str, str]
) -> None:
  """Writes arrays whole or not at all, with texts about them in the header.

  Raises:
    OSError: they cannot be written.
  """
  library()
  import safetensors.numpy

  values = {k: np.ascontiguousarray(v) for k, v in arrays.items()}
  files.replace(path, safetensors.numpy.save(values, metadata=about))
