"""What a case is: a command, what is spoilt, and what may follow."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

REFUSED, ACCEPTED, EITHER = "refused", "accepted", "either"


@dataclasses.dataclass(frozen=True)
class Case:
  """One command on something broken.

  The command runs in a folder of its own, with copies of `needs` in it.
  """

  name: str
  kind: str
  """What is broken: numbers, text files, workdirs, streams, ..."""
  module: str
  """Of the command, below seq2seq_jax: `train`, `data.scan`."""
  words: tuple[str, ...]
  """Its arguments."""
  needs: tuple[str, ...] = ()
  """Names of `base.PARTS`."""
  spoil: Callable[[pathlib.Path], Any] | None = None
  """Breaks something in the folder."""
  expect: str = REFUSED
  codes: tuple[int, ...] = ()
  """Exit codes; empty: 2 of what is refused, 0 of what is accepted."""
  mentions: tuple[str, ...] = ()
  """One of these is part of the message of a refusal."""
  may_change: tuple[str, ...] = ()
  """Patterns of paths that the command may write where it succeeds."""
  scratch: tuple[str, ...] = ()
  """Patterns of paths that it may write whatever happens."""
  same_output: str = ""
  """Name of a reference of `base.OUTPUTS`: what is answered with exit code 0 is
  answered in the same words."""
  stdin: str | bytes = "null"
  """null, closed, a file's path after `<`, `tty:` and what is typed, or
  bytes."""
  stdout: str = "pipe"
  """pipe, closed, full, broken (a pipe that nobody reads)."""
  stderr: str = "pipe"
  """The same."""
  signal: int = 0
  delay: float = 0.0
  """Seconds until the signal is sent."""
  until: str = ""
  """Pattern of a file: once it is there and not empty, SIGTERM ends a command
  that was rightly accepted and would go on for long."""
  environment: tuple[tuple[str, str], ...] = ()
  fresh: bool = False
  """In an interpreter of its own, which takes seconds."""
  file_size: int = 2**28
  """Largest file in bytes that can be written, as on a device that is full."""


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What a command did."""

  code: int
  """Negative: the signal that ended it."""
  stdout: bytes
  stderr: str
  seconds: float
  stopped: str
  """Why it was killed: `hang`, `memory`; else empty."""
  signalled: bool
  """Whether it still ran when a signal was sent to it."""
  problems: tuple[str, ...] = ()
