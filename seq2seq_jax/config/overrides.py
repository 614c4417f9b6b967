"""Typed overrides of a config by dotted names, as on the command line."""

import os
import pathlib
from collections.abc import Sequence
from typing import TypeVar

from seq2seq_jax.config import extensions

T = TypeVar("T")


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
