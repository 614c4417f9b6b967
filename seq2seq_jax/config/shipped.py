"""The experiments and suites that come with the package."""

import difflib
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
  if (
    os.path.lexists(file)
    or file.is_absolute()
    or file.parts[:1] != ("configs",)
  ):
    return file
  for folder in _FOLDERS:
    shipped = folder.joinpath(*file.parts[1:])
    if shipped.is_file():
      log.info(f"{path}: not in this folder; using {shipped}")
      return shipped
  return file


def nearest(file: pathlib.Path) -> list[str]:
  """Names of experiments or suites that are most like one that is not there.

  Of its folder, or else of those that come with the package, which are named as
  `configs/x.py`; first those whose name without folder and ending is alike.
  """
  suites = "ablations" in file.parts
  folders = [file.parent] if file.parent.is_dir() else []
  names = [str(path) for folder in folders for path in folder.glob("*.py")]
  for folder in _FOLDERS:
    inside = folder / "ablations" if suites else folder
    names += [
      str(pathlib.Path("configs") / path.relative_to(folder))
      for path in inside.glob("*.py")
    ]
  stems: dict[str, str] = {}
  for name in names:
    stems.setdefault(pathlib.PurePath(name).stem, name)
  near = difflib.get_close_matches(file.stem[:200], stems, 3, 0.5)
  return [stems[stem] for stem in near]
