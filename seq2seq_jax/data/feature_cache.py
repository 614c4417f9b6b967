"""Features of utterances in files that are mapped into memory.

A set of utterances has two files: `KEY.f16`, their frames one behind another as
16-bit floating-point numbers, and `KEY.npz`, a table of where each one's lie.
KEY is a checksum of the utterances and of how they become features, so that
other ones have other files. The table is put in place last; without it, or if
it contradicts the frames, both are made again.
"""

import contextlib
import dataclasses
import hashlib
import io
import logging
import os
import pathlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import filelock
import numpy as np
from jaxtyping import Float

from seq2seq_jax import archives, types
from seq2seq_jax.data import audio

FORMAT_VERSION = 1
_TABLE = {
  "format_version": archives.Wanted("i", ()),
  "bins": archives.Wanted("i", ()),
  "names": archives.Wanted("u", (None,)),
  "starts": archives.Wanted("i", (None,)),
  "frames": archives.Wanted("i", (None,)),
  "checks": archives.Wanted("u", (None,)),
}
log = logging.getLogger(__name__)

# Gives the features of an utterance; None: it cannot be used.
Measure = Callable[[audio.Utterance], Float[np.ndarray, "S F"] | None]


def name_of(utterance: audio.Utterance) -> int:
  """A checksum of 64 bits of what an utterance's features depend on."""
  # What is said, and by whom, does not change how it sounds. Where a file lies
  # counts: others may have its name.
  heard = dataclasses.replace(
    utterance,
    text="",
    speaker="",
    audio=os.path.abspath(utterance.audio) if utterance.audio else "",
    parts=tuple(map(os.path.abspath, utterance.parts)),
  )
  content = audio.identity(heard).encode("utf-8", "surrogatepass")
  digest = hashlib.blake2b(content, digest_size=8)
  return int.from_bytes(digest.digest(), "little")


class Store:
  """The frames of a set of utterances. Picklable; a copy maps the file anew.

  Args:
    path: of the frames.
    table: of `_TABLE`, names ascending.
  """

  def __init__(self, path: pathlib.Path, table: dict[str, np.ndarray]):
    self.path, self.table = path, table
    self._map: np.ndarray | None = None
    self._told = False

  def __getstate__(self) -> dict[str, Any]:
    return self.__dict__ | {"_map": None}

  def __len__(self) -> int:
    return len(self.table["names"])

  def _row(self, name: int) -> int | None:
    names = self.table["names"]
    row = int(np.searchsorted(names, np.uint64(name)))
    return row if row < len(names) and int(names[row]) == name else None

  def length(self, name: int) -> int | None:
    """Frames of the utterance of a name; None if it is not here."""
    row = self._row(name)
    return None if row is None else int(self.table["frames"][row])

  def read(self, name: int) -> Float[np.ndarray, "S F"] | None:
    """Features of the utterance of a name in 16 bits; None if not here."""
    row = self._row(name)
    if row is None:
      return None
    start, count = int(self.table["starts"][row]), self.table["frames"][row]
    try:
      if self._map is None:
        bins = int(self.table["bins"])
        values = np.memmap(self.path, np.float16, "r")
        self._map = values.reshape(-1, bins)
      frames = np.array(self._map[start : start + count])
    except (OSError, ValueError) as e:
      self._tell_lost(str(e))
      return None
    if zlib.crc32(frames.tobytes()) != self.table["checks"][row]:
      self._tell_lost("its content does not match its checksum")
      return None
    return frames

  def _tell_lost(self, reason: str) -> None:
    """Tells once that frames cannot be read."""
    if not self._told:
      self._told = True
      log.warning(
        f"{self.path}: damaged or lost ({reason}); utterances are decoded "
        "instead; remove it, and it is made again"
      )


def opened(
  folder: str,
  settings: str,
  bins: int,
  utterances: Sequence[audio.Utterance],
  measure: Measure,
) -> Store:
  """The store of these utterances; made if it is not there, or damaged.

  One process makes it, and others that ask for it wait.

  Args:
    folder: of stores; it is made.
    settings: of the features, as a text.
    bins: features F of a frame.
    utterances: those that are stored.
    measure: gives their features.

  Raises:
    types.UserError: the folder or its files cannot be written.
  """
  names = np.array([name_of(u) for u in utterances], np.uint64)
  order = np.argsort(names)
  content = f"{FORMAT_VERSION} {settings} {bins} ".encode()
  key = hashlib.sha256(content + names[order].tobytes()).hexdigest()[:20]
  path = pathlib.Path(folder) / f"{key}.f16"
  if found := _load(path, bins, names[order]):
    return found
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path.with_suffix(".lock")):
      # Another process may have made it meanwhile.
      if found := _load(path, bins, names[order], tell=True):
        return found
      log.info(f"{path}: storing the features of {len(names):,} utterances")
      _make(
        path, bins, [(int(n), u) for n, u in zip(names, utterances)], measure
      )
  except OSError as e:
    raise types.UserError(
      f"data.audio.cache: {e.filename or path}: cannot write: {e.strerror or e}"
      "; name another folder, or none"
    ) from e
  made = _load(path, bins, names[order])
  if made is None:
    raise types.UserError(
      f"data.audio.cache: {path}: is not what was written to it; name another "
      "folder, or none"
    )
  return made


@contextlib.contextmanager
def _alone(path: pathlib.Path) -> Iterator[None]:
  """Lets one process at a time make a store."""
  lock = filelock.FileLock(path)
  try:
    lock.acquire(timeout=0.5)
  except filelock.Timeout:
    log.info(f"waiting for another process to store features ({path})")
    lock.acquire()
  except NotImplementedError:  # a file system without locks: both make it
    yield
    return
  try:
    yield
  finally:
    lock.release()


def _load(
  path: pathlib.Path, bins: int, names: np.ndarray, tell: bool = False
) -> Store | None:
  """The store of a file, if its table and its size are what they should be.

  Args:
    path: of the frames.
    bins: features of each.
    names: of the utterances, ascending.
    tell: log what is wrong.
  """
  table_path = path.with_suffix(".npz")
  if not (os.path.lexists(path) or os.path.lexists(table_path)):
    return None
  try:
    table = archives.read(table_path, _TABLE)
    problem = _problem(path, bins, names, table)
  except (types.UserError, OSError) as e:
    problem = str(e)
  if not problem:
    return Store(path, table)
  if tell:
    log.warning(f"{path}: half written or damaged ({problem}); made again")
  return None


def _problem(
  path: pathlib.Path, bins: int, names: np.ndarray, table: dict[str, np.ndarray]
) -> str:
  """What contradicts in a table and the size of its frames; empty: nothing."""
  if table["format_version"] != FORMAT_VERSION or table["bins"] != bins:
    return "its table is of another version"
  lengths = {len(table[k]) for k in ("names", "starts", "frames", "checks")}
  if len(lengths) > 1 or not np.isin(table["names"], names).all():
    return "its table is of other utterances"
  size = int(table["frames"].sum()) * bins * 2
  if path.stat().st_size != size:
    return f"it has {path.stat().st_size:,} bytes, not {size:,}"
  ends = table["starts"] + table["frames"]
  if len(ends) and (ends.max() * bins * 2 > size or table["starts"].min() < 0):
    return "its table points outside of it"
  return ""


def _make(
  path: pathlib.Path,
  bins: int,
  utterances: Sequence[tuple[int, audio.Utterance]],
  measure: Measure,
) -> None:
  """Writes frames and table, each whole or not at all.

  Args:
    path: of the frames.
    bins: features of each.
    utterances: each with its name.
    measure: gives their features; those without are not stored.
  """
  for old in path.parent.glob(f".{path.stem}.*.part"):
    old.unlink(missing_ok=True)  # of a process that was killed
  rows: dict[int, tuple[int, int, int]] = {}
  total = 0
  with _replacing(path) as part, part.open("wb") as file:
    for name, utterance in utterances:
      frames = None if name in rows else measure(utterance)
      if frames is not None:
        content = frames.astype(np.float16).tobytes()
        rows[name] = total, len(frames), zlib.crc32(content)
        file.write(content)
        total += len(frames)
    if not rows:
      raise types.UserError(
        f"none of {len(utterances):,} utterances can be used; none is cached"
      )
  names = sorted(rows)
  columns = np.array([rows[n] for n in names], np.int64).reshape(-1, 3)
  table = io.BytesIO()
  np.savez(
    table,
    format_version=FORMAT_VERSION,
    bins=bins,
    names=np.array(names, np.uint64),
    starts=columns[:, 0],
    frames=columns[:, 1],
    checks=columns[:, 2].astype(np.uint32),
  )
  with _replacing(path.with_suffix(".npz")) as part:
    part.write_bytes(table.getvalue())
  if missing := len({name for name, _ in utterances}) - len(rows):
    log.warning(
      f"{path}: lacks {missing:,} of {len(utterances):,} utterances, which "
      "cannot be used; remove it once they can"
    )


@contextlib.contextmanager
def _replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """A temporary path that replaces `path` at the end, if nothing was raised."""
  part = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}.part")
  try:
    yield part
    part.replace(path)
  finally:
    part.unlink(missing_ok=True)
