"""Files that are replaced whole or not at all.

Data goes to a temporary file in the same folder first, which is renamed to the
final name when it is complete. A reader sees the old content or the new, and a
process that is killed leaves the old.
"""

import contextlib
import errno
import gzip
import json
import os
import pathlib
import stat
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TextIO

from seq2seq_jax import types

Path = str | os.PathLike[str]

# What a run keeps in its workdir, and a table in its folder.
RUN_FILES = (
  "config.json",
  "run.json",
  "lengths.npz",
  "metrics.jsonl",
  "lock",
  "tokenizers",
  "checkpoints",
  "checkpoints-damaged",
  "tensorboard",
  "extensions",
)
TABLE_FILES = ("cells", "locks")

_PARTS: set[pathlib.Path] = set()  # that are being written


def check_regular(path: str | os.PathLike[str]) -> None:
  """Refuses a folder, pipe or device where a file is to be replaced.

  Raises:
    types.UserError: it is one, or a link leads to one.
  """
  if os.path.exists(path) and not os.path.isfile(path):
    raise types.UserError(
      f"{path}: is no regular file, so it cannot be replaced; move it away"
    )


@contextlib.contextmanager
def replacing(
  path: str | os.PathLike[str], durable: bool = False
) -> Iterator[pathlib.Path]:
  """Yields a temporary path; what is written there replaces `path` at the end.

  If the block raises, `path` is left as it was. A symbolic link stays one: the
  file that it points to is replaced. The new file has the old one's owner and
  permissions.

  Args:
    path: of the file to be replaced; its folder must exist.
    durable: return only after the disk has it, so that it also survives a
      crash of the machine.
  """
  try:
    target = pathlib.Path(path).resolve()
  except RuntimeError as e:  # as some versions of Python call a loop of links
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from e
  check_regular(path)
  # Two processes that replace the same file must not share a temporary one.
  # NumPy, gzip and others look at the suffix, so it stays the last.
  name = f".{target.stem}.{uuid.uuid4().hex[:12]}.part{target.suffix}"
  part = target.with_name(name)
  _PARTS.add(part)
  try:
    yield part
    _copy_permissions(target, part)
    if durable:
      _sync(part)
    part.replace(target)
    if durable:
      _sync(target.parent)
  finally:
    part.unlink(missing_ok=True)
    _PARTS.discard(part)


def remove_parts() -> None:
  """Removes what is half written, before the process ends at once."""
  for part in list(_PARTS):
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
    try:
      with os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n") as stream:
        yield stream
    except BrokenPipeError:
      raise  # its reader went away
    except OSError as e:
      raise types.UserError(
        f"standard output: cannot write: {e.strerror}"
      ) from e
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
  types.check_local(flag, path)
  target = pathlib.Path(path)
  folder = target.absolute().parent
  try:
    os.stat(target)
  except (FileNotFoundError, NotADirectoryError):
    pass
  except (OSError, ValueError) as e:  # a loop of links, too long a name
    reason = e.strerror if isinstance(e, OSError) else e
    raise types.UserError(f"{flag} {path}: cannot write: {reason}") from e
  if target.is_dir():
    raise types.UserError(f"{flag} {path}: is a folder; name a file in it")
  if not folder.is_dir():
    raise types.UserError(f"{flag} {path}: its folder does not exist")
  if not os.access(target if target.exists() else folder, os.W_OK):
    raise types.UserError(
      f"{flag} {path}: no permission to write it; choose another file"
    )


def make_folder(flag: str, path: str | os.PathLike[str]) -> pathlib.Path:
  """Makes a folder for output files, if it is not there.

  Args:
    flag: command-line flag that names it, for the message.
    path: of the folder.

  Raises:
    types.UserError: it cannot be made or written into, or belongs to a run.
  """
  types.check_local(flag, path)
  folder = pathlib.Path(path)
  if owner := _owner(folder / "any"):
    raise types.UserError(
      f"{flag} {path}: belongs to {owner}; choose another folder"
    )
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except (OSError, ValueError) as e:
    reason = "is no folder" if os.path.exists(path) else f"cannot be made: {e}"
    if isinstance(e, OSError) and not os.path.exists(path):
      reason = f"cannot be made: {e.strerror}"
    raise types.UserError(f"{flag} {path}: {reason}") from e
  if not os.access(folder, os.W_OK):
    raise types.UserError(f"{flag} {path}: no permission to write into it")
  return folder


def check_outputs(
  outputs: Mapping[str, Path | None],
  inputs: Iterable[tuple[str, Path | None]] = (),
  runs: Iterable[Path] = (),
) -> None:
  """Checks, before any work is done, that outputs overwrite nothing given.

  Files are compared by what they are, not by their names, so links are seen.

  Args:
    outputs: flag -> file to write; None or `-` is no file.
    inputs: what is read, each with the words that name it in messages.
    runs: workdirs that are read.

  Raises:
    types.UserError: an output cannot be written, is also read, is another
      output, or belongs to a run or a table.
  """
  known = [
    (name, pathlib.Path(path)) for name, path in inputs if path and path != "-"
  ]
  _check_standard_output(known)
  for run in map(pathlib.Path, runs):
    files = (run / name for name in RUN_FILES)
    known += [(f"a file of the run {run}", f) for f in files if f.is_file()]
    tokenizers = (run / "tokenizers").glob("*.json")
    known += [(f"a vocabulary of the run {run}", f) for f in tokenizers]
  for flag, path in outputs.items():
    if path is None or path == "-":
      continue
    check_writable(flag, path)
    target = pathlib.Path(path)
    if target.exists() and not target.is_file():
      continue  # a pipe or a device: nothing is replaced
    owner = _owner(target)
    if owner:
      raise types.UserError(
        f"{flag} {path}: belongs to {owner}; choose another file"
      )
    for name, other in known:
      if _same(target, other):
        raise types.UserError(
          f"{flag} {path}: is the same file as {name}, which would be lost; "
          "choose another file"
        )
    known.append((f"{flag} {path}", target))


def _check_standard_output(inputs: list[tuple[str, pathlib.Path]]) -> None:
  """Refuses a standard output that a shell has led to an input's end."""
  try:
    if not stat.S_ISREG(os.fstat(1).st_mode):
      return
  except OSError:
    return  # it is closed
  for name, path in inputs:
    if _same(path, pathlib.Path("/dev/stdout")):
      raise types.UserError(
        f"standard output is the same file as {name}; write to another one"
      )


def _same(a: pathlib.Path, b: pathlib.Path) -> bool:
  """True if two paths lead to one file, which need not be there yet."""
  try:
    return os.path.samefile(a, b)
  except OSError:
    return os.path.realpath(a) == os.path.realpath(b)


def _owner(path: pathlib.Path) -> str | None:
  """The run or the table that a file is a part of, in words; None if none."""
  path = pathlib.Path(os.path.realpath(path))
  for folder in path.parents:
    name = path.relative_to(folder).parts[0]
    is_run = (folder / "config.json").is_file() and any(
      (folder / other).exists() for other in RUN_FILES[1:]
    )
    if is_run and name in RUN_FILES:
      return f"the run {folder}"
    if name in TABLE_FILES and (folder / "cells").is_dir():
      return f"the table {folder}"
  return None


def _copy_permissions(old: pathlib.Path, new: pathlib.Path) -> None:
  """Gives `new` the owner and the permissions of `old`, if there is one."""
  try:
    known = old.stat()
  except OSError:
    return
  with contextlib.suppress(OSError):  # only root may give a file away
    os.chown(new, known.st_uid, known.st_gid)
  with contextlib.suppress(OSError):
    new.chmod(stat.S_IMODE(known.st_mode))


def _sync(path: pathlib.Path) -> None:
  """Flushes a file or a folder to the disk."""
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)
