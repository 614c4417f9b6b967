"""Runs a user's Python file; its errors name the file and the line."""

import importlib.util
import pathlib
import sys
import traceback
from types import ModuleType
from typing import NoReturn

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
    raise_in(path, e)
  return module


def raise_in(path: pathlib.Path, error: BaseException) -> NoReturn:
  """Raises the message for an error in a user's file; Ctrl-C stays itself.

  Raises:
    types.UserError: names the file and the line. A file that ends the program
      is at fault too: the command would end well and have done nothing.
  """
  if isinstance(error, Exception | SystemExit):
    raise error_in(path, error) from error
  raise error


def error_in(path: pathlib.Path, error: BaseException) -> types.UserError:
  """The message for an error in a user's file: where, and what."""
  lines = [
    frame.lineno
    for frame in traceback.extract_tb(error.__traceback__)
    if pathlib.Path(frame.filename) == path.absolute()
  ]
  line = lines[-1] if lines else None
  try:
    reason = str(error)
  except Exception:  # an exception of the user's own
    reason = "its message cannot be shown"
  if isinstance(error, SystemExit):
    reason = "must not end the program"
  if isinstance(error, SyntaxError):
    line, reason = error.lineno, error.msg
  place = f"{path}, line {line}" if line else str(path)
  # Raised on purpose, its text says enough; else the kind of error helps.
  if not isinstance(error, ValueError | types.UserError | SystemExit):
    reason = f"{type(error).__name__}: {reason}"
  return types.UserError(f"{place}: {reason.partition(chr(10))[0]}")
