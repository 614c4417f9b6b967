"""Runs a user's Python file; its errors name the file and the line."""

import importlib.util
import pathlib
import sys
import traceback
from types import ModuleType

from seq2seq_jax import types


def execute(path: pathlib.Path, name: str) -> ModuleType:
  """The module that a file makes, listed in `sys.modules` as `name`.

  Raises:
    types.UserError: it is no Python file, or its code fails.
  """
  spec = importlib.util.spec_from_file_location(name, path)
  if spec is None or spec.loader is None:
    raise types.UserError(f"{path}: not a Python file")
  module = importlib.util.module_from_spec(spec)
  # Dataclasses and Linen modules look up their own module while they are made.
  sys.modules[name] = module
  try:
    spec.loader.exec_module(module)
  except BaseException as e:
    del sys.modules[name]
    if isinstance(e, Exception):
      raise error_in(path, e) from e
    raise
  return module


def error_in(path: pathlib.Path, error: BaseException) -> types.UserError:
  """The message for an error in a user's file: where, and what."""
  lines = [
    frame.lineno
    for frame in traceback.extract_tb(error.__traceback__)
    if pathlib.Path(frame.filename) == path.absolute()
  ]
  line = lines[-1] if lines else None
  reason = str(error)
  if isinstance(error, SyntaxError):
    line, reason = error.lineno, error.msg
  place = f"{path}, line {line}" if line else str(path)
  # Raised on purpose, its text says enough; else the kind of error helps.
  if not isinstance(error, ValueError | types.UserError):
    reason = f"{type(error).__name__}: {reason}"
  return types.UserError(f"{place}: {reason.partition(chr(10))[0]}")
