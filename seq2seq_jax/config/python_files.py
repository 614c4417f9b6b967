"""Runs a user's Python file; its errors name the file and the line."""

import importlib.util
import pathlib
import sys
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

from seq2seq_jax import types

T = TypeVar("T")
LONGEST = 500  # characters of an error's text


def execute(path: pathlib.Path, name: str) -> ModuleType:
  """The module that a file makes, listed in `sys.modules` as `name`.

  Raises:
    types.UserError: it is no Python file, or its code fails.
  """
  spec = importlib.util.spec_from_file_location(name, path)
  if spec is None or spec.loader is None:
    raise types.UserError(f"{path}: not a Python file; its name ends with .py")
  module = importlib.util.module_from_spec(spec)
  # Dataclasses and Linen modules look up their own module while they are made.
  sys.modules[name] = module
  try:
    call(path, spec.loader.exec_module, module)
  except BaseException:
    sys.modules.pop(name, None)
    raise
  return module


def call(path: pathlib.Path, function: Callable[..., T], *args: Any) -> T:
  """The result of a function of a user's file.

  Raises:
    types.UserError: it fails or would end the program; the file is named, and
      the line.
  """
  try:
    return function(*args)
  except KeyboardInterrupt:
    raise
  # A file that calls `sys.exit` would end a command, with success perhaps.
  except BaseException as e:
    raise error_in(path, e) from e


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
  except Exception:  # the message of a user's own error may fail itself
    reason = "its message cannot be shown"
  if isinstance(error, SystemExit):
    reason = "must not end the program"
  if isinstance(error, SyntaxError):
    line, reason = error.lineno, error.msg
  place = f"{path}, line {line}" if line else str(path)
  # Raised on purpose, its text says enough; else the kind of error helps.
  plain = ValueError | types.UserError | SystemExit
  if not isinstance(error, plain) or not reason:
    reason = f"{type(error).__name__}: {reason}"
  reason = reason.partition("\n")[0]
  if len(reason) > LONGEST:
    reason = f"{reason[: LONGEST - 1]}…"
  return types.UserError(f"{place}: {reason}")
