"""Files that are replaced whole or not at all.

Data goes to a temporary file in the same folder first, which is renamed to the
final name when it is complete. A reader sees the old content or the new, and a
process that is killed leaves the old.
"""

import contextlib
import gzip
import json
import os
import pathlib
import uuid
from collections.abc import Iterator
from typing import Any, TextIO

from seq2seq_jax import types


@contextlib.contextmanager
def replacing(
  path: str | os.PathLike[str], durable: bool = False
) -> Iterator[pathlib.Path]:
  """Yields a temporary path; what is written there replaces `path` at the end.

  If the block raises, `path` is left as it was. A symbolic link stays one: the
  file that it points to is replaced.

  Args:
    path: of the file to be replaced; its folder must exist.
    durable: return only after the disk has it, so that it also survives a
      crash of the machine.
  """
  target = pathlib.Path(path).resolve()
  # Two processes that replace the same file must not share a temporary one.
  # NumPy, gzip and others look at the suffix, so it stays the last.
  name = f".{target.stem}.{uuid.uuid4().hex[:12]}.part{target.suffix}"
  part = target.with_name(name)
  try:
    yield part
    if durable:
      _sync(part)
    part.replace(target)
    if durable:
      _sync(target.parent)
  finally:
    part.unlink(missing_ok=True)


def replace(
  path: str | os.PathLike[str], data: str | bytes, durable: bool = False
) -> None:
  """Writes a file whole or not at all; text is UTF-8 with `\\n` line ends."""
  if isinstance(data, str):
    data = data.encode()
  with replacing(path, durable) as part:
    part.write_bytes(data)


def write_json(
  path: str | os.PathLike[str], value: Any, durable: bool = False
) -> None:
  """Writes a value as indented JSON, whole or not at all."""
  replace(path, json.dumps(value, indent=2) + "\n", durable)


@contextlib.contextmanager
def output(path: str | os.PathLike[str] | None) -> Iterator[TextIO]:
  """Yields a text stream to a file, or to standard output if `path` is None.

  The file is put in place when the block ends without an exception. A name that
  ends in `.gz` is compressed. A pipe or a device is written to directly, since
  it cannot be replaced.

  Raises:
    types.UserError: the file cannot be written.
  """
  if path is None:
    # A copy of the descriptor: closing it leaves standard output open.
    with os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n") as stream:
      yield stream
    return
  target = pathlib.Path(path)
  device = target.absolute().is_relative_to("/dev")
  try:
    if device or (target.exists() and not target.is_file()):
      with target.open("w", encoding="utf-8", newline="\n") as stream:
        yield stream
      return
    opener = gzip.open if target.suffix == ".gz" else open
    with (
      replacing(target) as part,
      opener(part, "wt", encoding="utf-8", newline="\n") as stream,
    ):
      yield stream
  except OSError as e:
    raise types.UserError(f"{path}: cannot write: {e.strerror}") from e


def check_writable(flag: str, path: str | os.PathLike[str]) -> None:
  """Checks, before any work is done, that an output file can be written.

  Args:
    flag: command-line flag that names the file, for the message.
    path: of the file.

  Raises:
    types.UserError: it is a folder, its folder is missing, or permissions
      forbid it.
  """
  target = pathlib.Path(path)
  folder = target.absolute().parent
  if target.is_dir():
    raise types.UserError(f"{flag} {path}: is a folder; name a file in it")
  if not folder.is_dir():
    raise types.UserError(f"{flag} {path}: its folder does not exist")
  if not os.access(target if target.exists() else folder, os.W_OK):
    raise types.UserError(
      f"{flag} {path}: no permission to write it; choose another file"
    )


def _sync(path: pathlib.Path) -> None:
  """Flushes a file or a folder to the disk."""
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)
