"""Typed overrides of a config by dotted names, as on the command line."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def apply(default: T, words: Sequence[str], prog: str) -> T:
  """A config with the fields changed that `--section.field VALUE` words name.

  Unknown names and bad values are printed with the nearest valid ones, and end
  the program with code 2; `--help` prints every field.

  Args:
    default: the config before.
    words: of a command line.
    prog: the program's name, for messages.
  """
  import tyro

  return tyro.cli(
    type(default),
    default=default,
    args=list(words),
    prog=prog,
    description="",
    use_underscores=True,
    config=(tyro.conf.FlagConversionOff,),
  )
