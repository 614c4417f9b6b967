"""Parts of the user's own, named in a config as `FILE.py:NAME`.

A score, cell, bridge, objective, metric or task may lie in a Python file beside
the config. A reference goes through three forms:

* relative, as it is written: `distance.py:Distance`, beside the config's file;
* absolute, in every `Config` that was loaded: `resolve` imports it;
* portable, in a workdir: `extensions/distance-1f2e3d4c5b6a.py:Distance`, a copy
  below the workdir whose name holds the checksum of its content. So what the
  file holds belongs to the identity of the run.
"""

import hashlib
import pathlib
import re
import sys
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

from seq2seq_jax import types
from seq2seq_jax.config import paths, python_files

FOLDER = "extensions"
_MODULE = "seq2seq_jax_extension_"  # and the file's checksum
# An objective may have a weight: FILE.py:NAME=0.5.
_REFERENCE = re.compile(
  r"(?P<file>[^=]+\.py):(?P<name>[A-Za-z_]\w*)(?P<weight>=.*)?"
)
_COPY = re.compile(r"(?P<stem>.*)-(?P<digest>[0-9a-f]{12})")

Section = TypeVar("Section")


def is_reference(text: str) -> bool:
  """Whether a text has the form `FILE.py:NAME`."""
  return _REFERENCE.fullmatch(text) is not None


def resolve(reference: str) -> Any:
  """What a reference names in its file, a class or a function.

  The same content gives the same object, wherever the file lies.

  Raises:
    types.UserError: no such file, its code fails, or it has no such name.
  """
  match = _REFERENCE.fullmatch(reference)
  if match is None:
    raise types.UserError(f"{reference!r}: not of the form FILE.py:NAME")
  path = pathlib.Path(match["file"]).absolute()
  name = _MODULE + _digest(path)
  module = sys.modules.get(name) or python_files.execute(path, name)
  if not hasattr(module, match["name"]):
    names = [n for n in vars(module) if not n.startswith("_")]
    raise types.UserError(
      f"{path}: defines no {match['name']}; it has {', '.join(sorted(names))}"
    )
  return getattr(module, match["name"])


def blamed(error: BaseException) -> types.UserError | None:
  """The message for an error that passed through a user's file, or None."""
  frame = error.__traceback__
  while frame is not None:
    name = frame.tb_frame.f_globals.get("__name__", "")
    if name.startswith(_MODULE):
      path = pathlib.Path(frame.tb_frame.f_code.co_filename)
      return python_files.error_in(path, error)
    frame = frame.tb_next
  return None


def locate(config: Section, folder: pathlib.Path) -> Section:
  """The config with its references absolute, relative ones from `folder`.

  Raises:
    types.UserError: a file is missing, or a workdir's copy was changed.
  """

  def absolute(field: str, path: pathlib.Path) -> pathlib.Path:
    file = folder.absolute() / path
    if not file.is_file():
      raise types.UserError(
        f"{field}: no file {file}; {path} is looked for in {folder.absolute()}"
        ", and a run that has begun keeps a copy that can be named instead: "
        f"WORKDIR/{FOLDER}/{path.stem}-CHECKSUM.py"
      )
    _check_copy(field, file)
    return file

  return _replace_files(config, absolute)


def portable_name(text: str) -> str:
  """A reference as a workdir holds it; a text that is none, as it is."""
  match = _REFERENCE.fullmatch(text)
  if match is None:
    return text
  name = _copy_name(pathlib.Path(match["file"])).as_posix()
  return f"{name}:{match['name']}{match['weight'] or ''}"


def portable(config: Section) -> Section:
  """The config as a workdir holds it: references name copies by checksum."""
  return _replace_files(config, lambda _, path: _copy_name(path))


def copy(config: Section, workdir: pathlib.Path) -> Section:
  """Copies the files of a config's references to `WORKDIR/extensions`.

  Returns the portable config, which belongs into the workdir's config.json.
  """

  def save(field: str, path: pathlib.Path) -> pathlib.Path:
    name = _copy_name(path)
    target = workdir / name
    if not target.exists():
      target.parent.mkdir(parents=True, exist_ok=True)
      # Whole or not at all: another process may be reading it.
      part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.part")
      part.write_bytes(path.read_bytes())
      part.replace(target)
    return name

  return _replace_files(config, save)


def _replace_files(
  config: Section, function: Callable[[str, pathlib.Path], pathlib.Path]
) -> Section:
  """Maps (field, path of a reference's file) to the path in its place."""

  def mapped(field: str, text: str) -> str:
    match = _REFERENCE.fullmatch(text)
    if match is None:
      return text
    path = function(field, pathlib.Path(match["file"]))
    return f"{path.as_posix()}:{match['name']}{match['weight'] or ''}"

  changes: dict[str, Any] = {}
  for name, value, field in paths.leaves(config):
    if not field.metadata.get("extensible"):
      continue
    new = (
      mapped(name, value)
      if isinstance(value, str)
      else tuple(mapped(name, text) for text in value)
    )
    if new != value:
      changes[name] = new
  return paths.replace(config, changes) if changes else config


def _digest(path: pathlib.Path) -> str:
  try:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
  except OSError as e:
    raise types.UserError(f"{path}: cannot be read: {e.strerror}") from e


def _copy_name(path: pathlib.Path) -> pathlib.Path:
  """`extensions/STEM-DIGEST.py` of a file; of a copy its own name."""
  match = _COPY.fullmatch(path.stem) if path.parent.name == FOLDER else None
  stem = match["stem"] if match else path.stem
  return pathlib.Path(FOLDER) / f"{stem}-{_digest(path)}.py"


def _check_copy(field: str, path: pathlib.Path) -> None:
  match = _COPY.fullmatch(path.stem) if path.parent.name == FOLDER else None
  if match and match["digest"] != _digest(path):
    raise types.UserError(
      f"{field}: {path} was changed after its run had begun; restore it"
    )
