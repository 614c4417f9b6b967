"""Configs as files: read, written into a workdir, compared on resuming."""

import dataclasses
import inspect
import json
import os
import pathlib
from typing import TypeVar

from seq2seq_jax import records, types
from seq2seq_jax.config import (
  experiment,
  extensions,
  fields,
  paths,
  python_files,
  shipped,
)

T = TypeVar("T")
FORMAT_VERSION = 2


def load(path: str | os.PathLike[str]) -> experiment.Config:
  """The config that a file's `get_config` returns, its references absolute.

  Raises:
    types.UserError: there is no such file; or it names the line that fails.
  """
  file = shipped.find(path)
  check_is_file("config", path, file)
  conf = returned_by(file, "get_config", experiment.Config)
  return extensions.locate(conf, file.parent)


def check_is_file(
  what: str, path: str | os.PathLike[str], file: pathlib.Path
) -> None:
  """Refuses a Python file that is not there, with the nearest names.

  Args:
    what: it should hold, for the message.
    path: as it was given.
    file: where it was looked for.

  Raises:
    types.UserError: there is no such file.
  """
  shown = os.fspath(path)
  if len(shown) > 200:
    shown = f"{shown[:199]}…"
  if "\0" in shown:
    raise types.UserError(f"{what} {shown!r}: not the name of a file")
  try:
    if file.is_file():
      return
    reason = "no such file"
    if file.is_symlink():
      reason = f"a link to {os.readlink(file)}, which is not there"
    elif file.is_dir():
      reason = "a folder; name a file in it"
    elif file.exists():
      reason = "not a file"
  except OSError as e:
    raise types.UserError(f"{what} {shown}: {e.strerror}") from e
  near = shipped.nearest(file)
  nearest = f"; nearest: {', '.join(near)}" if near else ""
  raise types.UserError(f"{what} {shown}: {reason}{nearest}")


def returned_by(file: pathlib.Path, function: str, kind: type[T]) -> T:
  """What a function without arguments in a user's file returns, of a `kind`.

  Raises:
    types.UserError: names the file and the line at which it fails.
  """
  module = python_files.execute(file, "seq2seq_jax_file")
  make = getattr(module, function, None)
  if not callable(make):
    raise types.UserError(f"{file}: must define {function}()")
  value = python_files.call(file, make)
  if inspect.iscoroutine(value):
    value.close()  # else Python warns that nobody waited for it
  if not isinstance(value, kind):
    raise types.UserError(
      f"{file}: {function}() must return a {kind.__name__}, not "
      f"{type(value).__name__}"
    )
  return value


def to_json(config: experiment.Config) -> str:
  """The content of a config.json; references stay as they are."""
  tree = {"format_version": FORMAT_VERSION} | dataclasses.asdict(config)
  return json.dumps(tree, indent=2) + "\n"


def from_json(text: str | bytes, where: str) -> experiment.Config:
  """The config of a config.json, its references absolute.

  Args:
    text: the content.
    where: path of the file; relative references lie beside it.

  Raises:
    types.UserError: it is none, or of another version; it names `where`.
  """
  tree = records.parse(text, where)
  if not isinstance(tree, dict):
    raise types.UserError(f"{where}: is no config of this program")
  version = tree.pop("format_version", None)
  if version != FORMAT_VERSION or isinstance(version, bool):
    raise types.UserError(
      f"{where}: has format_version {fields.shown(version)}, and this program "
      f"reads {FORMAT_VERSION}; train again into a new workdir, or use the "
      "version of seq2seq_jax that wrote it"
    )
  config: experiment.Config = records.decode(experiment.Config, tree, where)
  return extensions.locate(config, pathlib.Path(where).parent)


def differences(old: experiment.Config, new: experiment.Config) -> list[str]:
  """Fields in which a resumed run may not differ, with both values."""
  old, new = extensions.portable(old), extensions.portable(new)
  out = []
  for (name, a, field), (_, b, _) in zip(paths.leaves(old), paths.leaves(new)):
    if name == "train.steps" and old.optim.schedule != "cosine":
      continue
    if a != b and not field.metadata.get("mutable_on_resume"):
      out.append(f"{name}: {a!r} in the workdir, {b!r} now")
  return out
