"""Typed overrides of a config by dotted names, as on the command line."""

import contextlib
import io
import itertools
import os
import pathlib
import re
import threading
from collections.abc import Sequence
from typing import TypeVar

from seq2seq_jax import types
from seq2seq_jax.config import experiment, extensions, files

T = TypeVar("T")

# Standard error belongs to the whole process: one capture at a time.
_capture = threading.Lock()


def load_config(
  path: str | os.PathLike[str], overrides: Sequence[str] = ()
) -> experiment.Config:
  """The config that a file's `get_config` returns, with fields changed.

  Args:
    path: of the Python file.
    overrides: as words of a command line: `["--train.steps", "300"]`.

  Raises:
    types.UserError: no such file or field, or a value that cannot be.
  """
  default = files.load(os.fspath(path))
  return checked(default, overrides, str(path)) if overrides else default


def checked(default: T, words: Sequence[str], where: str) -> T:
  """A config with fields changed as by `apply`, which prints nothing.

  Args:
    default: the config before.
    words: of a command line.
    where: names their origin, for messages.

  Raises:
    types.UserError: no such field, or a value that cannot be.
  """
  messages = io.StringIO()
  with _capture, contextlib.redirect_stderr(messages):
    try:
      return apply(default, list(words), where)
    except SystemExit as e:
      raise types.UserError(
        f"{where}: {_first_message(messages.getvalue())}"
      ) from e
    except types.UserError as e:
      raise types.UserError(f"{where}: {e}") from e


def apply(
  default: T,
  words: Sequence[str],
  prog: str,
  folder: str | os.PathLike[str] = ".",
) -> T:
  """A config with the fields changed that `--section.field VALUE` words name.

  Unknown names and bad values are printed with the nearest valid ones, and end
  the program with code 2; `--help` prints every field.

  Args:
    default: the config before.
    words: of a command line. A reference `FILE.py:NAME` among them is a path
      from `folder`.
    prog: the program's name, for messages.
    folder: by default the current one.
  """
  import tyro

  config = tyro.cli(
    type(default),
    default=default,
    args=list(words),
    prog=prog,
    description="",
    use_underscores=True,
    config=(tyro.conf.FlagConversionOff,),
  )
  return extensions.locate(config, pathlib.Path(folder))


def _first_message(printed: str) -> str:
  """One line of what tyro prints: the error, and the flags that it suggests."""
  # A title, the message in one or more lines, a rule, and what may help.
  lines = [line.strip(" │╭╮╰╯─") for line in printed.splitlines()[1:]]
  message = " ".join(itertools.takewhile(bool, lines))
  message = message.rstrip(".") or "the overrides cannot be parsed"
  after = printed.partition("Perhaps you meant:")[2]
  flags = re.findall(r"^[ │]*(--[\w.]+)", after, re.M)
  return message + (f"; nearest: {', '.join(flags)}" if flags else "")
