"""Configs as files: read, written into a workdir, compared on resuming."""

import dataclasses
import difflib
import importlib.util
import json
import pathlib
import traceback
import typing
from typing import Any

from seq2seq_jax import types
from seq2seq_jax.config import experiment, paths, shipped

FORMAT_VERSION = 2


def load(path: str) -> experiment.Config:
  """The config that a file's `get_config` returns."""
  file = shipped.find(path)
  if not file.is_file():
    folder = file.parent if file.parent.is_dir() else pathlib.Path("configs")
    there = sorted(str(p) for p in folder.glob("*.py"))
    near = difflib.get_close_matches(path, there, 3, 0.3) or there[:5]
    raise types.UserError(
      f"config {path}: no such file; nearest: {', '.join(near) or 'none'}"
    )
  return returned_by(file, "get_config", experiment.Config)


def returned_by(file: pathlib.Path, function: str, kind: type):
  """What a function without arguments in a user's file returns, of a `kind`.

  Raises:
    UserError: names the file and the line at which it fails.
  """
  spec = importlib.util.spec_from_file_location("seq2seq_jax_file", file)
  if spec is None:
    raise types.UserError(f"{file}: not a Python file")
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
    make = getattr(module, function, None)
    found = make and make()
  except Exception as e:
    lines = [
      f.lineno
      for f in traceback.extract_tb(e.__traceback__)
      if pathlib.Path(f.filename) == file.absolute()
    ]
    line = e.lineno if isinstance(e, SyntaxError) else (lines or [None])[-1]
    where = f"{file}, line {line}" if line else f"{file}"
    plain = isinstance(e, ValueError | types.UserError)
    name = "" if plain else f"{type(e).__name__}: "
    text = e.msg if isinstance(e, SyntaxError) else e
    raise types.UserError(f"{where}: {name}{text}") from e
  if make is None:
    raise types.UserError(f"{file}: must define {function}()")
  if not isinstance(found, kind):
    raise types.UserError(
      f"{file}: {function}() must return a {kind.__name__}, not "
      f"{type(found).__name__}"
    )
  return found


def to_json(config: experiment.Config) -> str:
  tree = {"format_version": FORMAT_VERSION} | dataclasses.asdict(config)
  return json.dumps(tree, indent=2) + "\n"


def from_json(text: str, where: str) -> experiment.Config:
  """The config of a workdir; errors name `where`."""
  wrong = f"{where}: not a config of this program"
  try:
    tree = json.loads(text)
    version = tree.pop("format_version", None)
  except (ValueError, TypeError, AttributeError) as e:
    raise types.UserError(f"{wrong}: {e}") from e
  if version != FORMAT_VERSION:
    raise types.UserError(
      f"{where}: has format_version {version}, and this program reads "
      f"{FORMAT_VERSION}; train again into a new workdir, or use the version "
      "of seq2seq_jax that wrote it"
    )
  try:
    return _build(experiment.Config, tree)
  except (ValueError, TypeError, AttributeError, types.UserError) as e:
    raise types.UserError(f"{wrong}: {e}") from e


def _build(cls, tree: Any):
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
  out = []
  for (name, a, field), (_, b, _) in zip(paths.leaves(old), paths.leaves(new)):
    if name == "train.steps" and old.optim.schedule != "cosine":
      continue
    if a != b and not field.metadata["mutable_on_resume"]:
      out.append(f"{name}: {a!r} in the workdir, {b!r} now")
  return out
