"""Lines of text files that are given as data: UTF-8, gzipped or not.

Only line feeds end lines. Whatever cannot be text of one's own is refused with
the file and, if it lies in one, the line: pipes and devices, which may never
end, archives, other encodings, and bytes that no UTF-8 text has.
"""

import codecs
import errno
import gzip
import io
import os
import pathlib
import stat
import sys
import zlib
from collections.abc import Iterator

from seq2seq_jax import types

Path = str | pathlib.Path

# A gzipped file may grow without further questions to so many bytes, and beyond
# them so many times: real text grows 3 to 10 times.
FREE_BYTES = 2**28
MOST_GROWTH = 200
CHUNK = 2**24

MISSING = "no such file"

_AUDIO = "is audio, not text; a model of speech reads it"
# First bytes of what is no text, and the way out.
_ARCHIVES = {
  b"\x1f\x8b": "is gzipped; let its name end in .gz",
  b"PK\x03\x04": "is a zip archive, not text; unpack it",
  b"BZh": "is a bzip2 file, not text; unpack it",
  b"\xfd7zXZ\x00": "is an xz file, not text; unpack it",
  b"\x28\xb5\x2f\xfd": "is a zstd file, not text; unpack it",
  b"fLaC\0": _AUDIO,
  b"OggS\0": _AUDIO,
  b"ID3\3\0": _AUDIO,
  b"ID3\4\0": _AUDIO,
}
# UTF-32's mark begins with UTF-16's, so it comes first.
_MARKS = {
  codecs.BOM_UTF32_LE: "UTF-32",
  codecs.BOM_UTF32_BE: "UTF-32",
  codecs.BOM_UTF16_LE: "UTF-16",
  codecs.BOM_UTF16_BE: "UTF-16",
}
_KINDS = {
  stat.S_ISDIR: "is a folder, not a file",
  stat.S_ISFIFO: "is a named pipe; write its text to a file first",
  stat.S_ISSOCK: "is a socket, not a file",
  stat.S_ISCHR: "is a device, not a file",
  stat.S_ISBLK: "is a device, not a file",
}


def read(path: Path) -> list[str]:
  """The lines of a UTF-8 text file, which is gzipped if its name ends in .gz.

  Raises:
    types.UserError: the file cannot be read, is no text, or a line is not
      UTF-8.
  """
  types.check_local("file", path)
  reason = problem(path)
  if reason:
    raise types.UserError(f"{full(path)}: {reason}")
  try:
    data = pathlib.Path(path).read_bytes()
  except OSError as e:  # it went away, or its disk failed
    raise types.UserError(f"{path}: cannot read: {e.strerror}") from e
  except MemoryError as e:
    raise types.UserError(f"{path}: is larger than the memory") from e
  if os.fspath(path).endswith(".gz"):
    data = _unzipped(data, path)
  return _split(data, path)


def standard_input() -> Iterator[str]:
  """The lines of standard input, as they come.

  Raises:
    types.UserError: a line is not UTF-8.
  """
  for n, line in enumerate(sys.stdin.buffer, 1):
    line = line.removeprefix(codecs.BOM_UTF8) if n == 1 else line
    try:
      yield line.decode("utf-8").rstrip("\n").removesuffix("\r")
    except UnicodeDecodeError as e:
      raise types.UserError(f"standard input, line {n}: not UTF-8") from e


def problem(path: Path) -> str | None:
  """Why a path names no file that can be read to an end; None if it does."""
  try:
    mode = os.stat(path).st_mode
  except ValueError:
    return "no file can have this name"
  except OSError as e:
    if e.errno == errno.ENOENT and os.path.islink(path):
      return f"is a link to {os.readlink(path)}, which is not there"
    missing = e.errno in (errno.ENOENT, errno.ENOTDIR)
    return MISSING if missing else f"cannot read: {e.strerror}"
  if stat.S_ISREG(mode):
    return None if os.access(path, os.R_OK) else "cannot read: no permission"
  if stat.S_ISFIFO(mode) and os.path.realpath(path).startswith("/proc/"):
    return None  # <(COMMAND) of a shell: its other end is open
  return next(
    (text for is_kind, text in _KINDS.items() if is_kind(mode)), "is no file"
  )


def full(path: Path) -> str:
  """The absolute path, as far as it can be known."""
  try:
    return os.path.abspath(path)
  except OSError:  # the current folder is gone
    return os.fspath(path)


def _unzipped(data: bytes, path: Path) -> bytes:
  """The content of gzipped bytes."""
  limit = max(FREE_BYTES, MOST_GROWTH * len(data))
  chunks, size = [], 0
  try:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as f:
      while chunk := f.read(CHUNK):
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
          raise types.UserError(
            f"{path}: {len(data):,} bytes unpack to more than {limit:,}, which "
            "no text does; unpack it yourself if that is right"
          )
  except (EOFError, gzip.BadGzipFile, zlib.error) as e:
    raise types.UserError(f"{path}: damaged gzip file: {e}") from e
  except MemoryError as e:
    raise types.UserError(f"{path}: unpacks to more than the memory") from e
  return b"".join(chunks)


def _split(data: bytes, path: Path) -> list[str]:
  """The lines of a file's content."""
  for start, text in _ARCHIVES.items():
    if data.startswith(start):
      raise types.UserError(f"{path}: {text}")
  if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
    raise types.UserError(f"{path}: {_AUDIO}")
  for start, name in _MARKS.items():
    if data.startswith(start):
      raise types.UserError(
        f"{path}: is {name}, not UTF-8; convert it: iconv -f {name} -t UTF-8"
      )
  nul = data.find(b"\0")
  if nul >= 0:
    number = data.count(b"\n", 0, nul) + 1
    raise types.UserError(
      f"{path}, line {number}: not UTF-8 text: it has a "
      "byte 0, as UTF-16 without a mark has many"
    )
  data = data.removeprefix(codecs.BOM_UTF8)
  if b"\n" not in data and b"\r" in data[:-1]:
    raise types.UserError(
      f"{path}: its lines end with CR alone; convert it: tr '\\r' '\\n'"
    )
  encoded = data.split(b"\n")
  if encoded[-1] == b"":
    encoded.pop()
  texts = []
  for n, raw in enumerate(encoded, 1):
    try:
      texts.append(raw.decode("utf-8").removesuffix("\r"))
    except UnicodeDecodeError as e:
      raise types.UserError(
        f"{path}, line {n}: not UTF-8 ({e.reason} at byte {e.start})"
      ) from e
  return texts
