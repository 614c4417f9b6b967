"""Configs as files: read, written into a workdir, compared on resuming."""

import dataclasses
import difflib
import inspect
import json
import os
import pathlib
import typing
from typing import Any, TypeVar

from seq2seq_jax import records, types
from seq2seq_jax.config import (
  experiment,
  extensions,
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
  if not file.is_file():
    folder = file.parent if file.parent.is_dir() else pathlib.Path("configs")
    names = sorted(str(p) for p in folder.glob("*.py"))
    near = difflib.get_close_matches(str(path), names, 3, 0.3) or names[:5]
    raise types.UserError(
      f"config {path}: no such file; nearest: {', '.join(near) or 'none'}"
    )
  conf = returned_by(file, "get_config", experiment.Config)
  return extensions.locate(conf, file.parent)


def returned_by(file: pathlib.Path, function: str, kind: type[T]) -> T:
  """What a function without arguments in a user's file returns, of a `kind`.

  Raises:
    types.UserError: names the file and the line at which it fails.
  """
  module = python_files.execute(file, "seq2seq_jax_file")
  make = getattr(module, function, None)
  if make is None:
    raise types.UserError(f"{file}: must define {function}()")
  try:
    value = make()
  except BaseException as e:
    python_files.raise_in(file, e)
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


def from_json(text: str, where: str) -> experiment.Config:
  """The config of a config.json, its references absolute.

  Args:
    text: the content.
    where: path of the file; relative references lie beside it.

  Raises:
    types.UserError: it is none, or of another version; it names `where`.
  """
  wrong = f"{where}: not a config of this program"
  tree = records.decode(dict[str, Any], records.parse(text, where), where)
  version = tree.pop("format_version", None)
  if version != FORMAT_VERSION:
    raise types.UserError(
      f"{where}: has format_version {version}, and this program reads "
      f"{FORMAT_VERSION}; train again into a new workdir, or use the version "
      "of seq2seq_jax that wrote it"
    )
  try:
    config = _build(experiment.Config, tree)
  except (ValueError, TypeError, AttributeError, types.UserError) as e:
    raise types.UserError(f"{wrong}: {e}") from e
  return extensions.locate(config, pathlib.Path(where).parent)


def _build(cls: Any, tree: Any) -> Any:
  hints = typing.get_type_hints(cls)
  kwargs = {}
  for name, value in tree.items():
    kind = hints.get(name)
    if dataclasses.is_dataclass(kind):
      value = _build(kind, value)
    elif isinstance(value, list):
      value = tuple(value)
    kwargs[name] = value
  return cls(**kwargs)


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
