"""The experiments and suites that come with the package."""

import logging
import os
import pathlib

log = logging.getLogger(__name__)

_PACKAGE = pathlib.Path(__file__).parents[1]
# In a wheel they lie inside the package, in a checkout beside it.
_FOLDERS = (_PACKAGE / "configs", _PACKAGE.parent / "configs")


def find(path: str | os.PathLike[str]) -> pathlib.Path:
  """A file in the working folder, or else the shipped one of the same name.

  `configs/scan_simple.py` is found wherever the package is installed. A path
  that is found nowhere is returned as it is.
  """
  file = pathlib.Path(path)
  if file.exists() or file.is_absolute() or file.parts[:1] != ("configs",):
    return file
  for folder in _FOLDERS:
    shipped = folder.joinpath(*file.parts[1:])
    if shipped.is_file():
      log.info(f"{path}: not in this folder; using {shipped}")
      return shipped
  return file
