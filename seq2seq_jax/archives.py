"""Archives of arrays (`.npz`) that are checked where they are read."""

import os
import stat
import zipfile
import zlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from seq2seq_jax import types

_WORDS = {"f": "floating", "i": "integer", "u": "integer", "U": "text"}


class Wanted(NamedTuple):
  """What an array must be."""

  kinds: str
  """Of its dtype: any of NumPy's letters f, i, u, b, U."""
  shape: tuple[int | None, ...]
  """None is any length."""


def read(
  path: str | os.PathLike[str], wanted: Mapping[str, Wanted] | None = None
) -> dict[str, np.ndarray]:
  """All arrays of an archive by name; objects (pickles) are refused.

  Args:
    path: of the file.
    wanted: the arrays that must be there and no others; by default any.

  Raises:
    types.UserError: the file cannot be read, or an array is missing, not
      wanted, or of another kind or shape; the message names both.
  """
  place = os.fspath(path)
  try:
    if not stat.S_ISREG(os.stat(path).st_mode):
      raise types.UserError(f"{place}: cannot read: is not a file")
    with open(path, "rb") as file:
      if not zipfile.is_zipfile(file):
        raise types.UserError(f"{place}: is not a whole .npz file")
      file.seek(0)
      with np.load(file) as stored:
        arrays = {name: stored[name] for name in stored.files}
  except OSError as e:
    raise types.UserError(f"{place}: cannot read: {e.strerror or e}") from e
  except (
    ValueError,
    EOFError,
    KeyError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
  ) as e:
    line = (str(e).splitlines() or [type(e).__name__])[0]
    raise types.UserError(
      f"{place}: is not a whole .npz file of arrays ({line})"
    ) from e
  for name, array in arrays.items():
    if not isinstance(array, np.ndarray):
      raise types.UserError(f"{place}: {name} is no array")
  if wanted is not None:
    _check(place, arrays, wanted)
  return arrays


def _check(
  place: str, arrays: Mapping[str, np.ndarray], wanted: Mapping[str, Wanted]
) -> None:
  if missing := sorted(wanted.keys() - arrays.keys()):
    raise types.UserError(f"{place}: lacks the array {', '.join(missing)}")
  if unknown := sorted(arrays.keys() - wanted.keys()):
    raise types.UserError(
      f"{place}: has the unknown array {', '.join(unknown)}"
    )
  for name, (kinds, shape) in wanted.items():
    array = arrays[name]
    if array.dtype.kind not in kinds:
      raise types.UserError(
        f"{place}: {name} must hold {_WORDS.get(kinds[0], kinds)} values, but "
        f"holds {array.dtype}"
      )
    fits = len(shape) == array.ndim and all(
      n in (None, m) for n, m in zip(shape, array.shape)
    )
    if not fits:
      shown = ", ".join("any" if n is None else str(n) for n in shape)
      raise types.UserError(
        f"{place}: {name} must have the shape [{shown}], but has "
        f"{list(array.shape)}"
      )
