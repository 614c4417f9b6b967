"""The cells of a table on disk: one row and one seed each, and their states.

cells/ROW/seed_N/               a training, and what its evaluation wrote
cells/ROW/seeds_0-2/            a training of several seeds in one program
cells/ROW/seed_N/result.json    the cell's score, or why it has none
cells/ROW/seed_N.spec.json      the cell's job, as its process reads it
cells/ROW/seed_N.log            what that process printed
locks/                          which process works on what
"""

import dataclasses
import datetime
import os
import pathlib
import socket
from typing import Any

from seq2seq_jax import records, types
from seq2seq_jax.ablation import results
from seq2seq_jax.runtime import locks

RESULT_VERSION = 3
"""Of result.json and the files beside it: a result of another is stale."""
TERMINAL = ("done", "failed", "diverged")
"""States of a cell that nothing more is done for."""


@dataclasses.dataclass(frozen=True)
class Training:
  """A run, which cells of several rows may share."""

  folder: pathlib.Path
  lock: pathlib.Path
  seeds: tuple[int, ...]
  """More than one: replicas of one program."""
  config: Any
  steps: int


@dataclasses.dataclass(frozen=True, eq=False)
class Cell:
  """One row and one seed of a table."""

  row: str
  seed: int
  folder: pathlib.Path
  lock: pathlib.Path
  key: str
  """Hash of `identity`: a result with another key is stale."""
  identity: dict[str, Any]
  """All that decides the result, by name, to say what has changed."""
  members: tuple[Training, ...]
  """One training, or those of an ensemble."""
  config: Any = None
  """The row's config, by which the cell is scored."""

  @property
  def name(self) -> str:
    """Returns the row and seed, for messages."""
    return f"{self.row}, seed {self.seed}"

  @property
  def log(self) -> pathlib.Path:
    """Returns the file with the output of the cell's process."""
    return self.folder.with_name(f"{self.folder.name}.log")

  @property
  def spec(self) -> pathlib.Path:
    """Returns the file with the cell's job."""
    return self.folder.with_name(f"{self.folder.name}.spec.json")

  def locks(self) -> list[pathlib.Path]:
    """Returns the locks of everything that work on the cell writes to."""
    return [self.lock, *(member.lock for member in self.members)]

  def result(self) -> dict[str, Any] | None:
    """Returns the content of result.json; None if it is none of this cell."""
    return self._read()[0]

  def status(self) -> dict[str, Any]:
    """Returns the cell's state, under `status`, and what belongs to it.

    done, failed, diverged: the result; stale: with `changed`, the reasons;
    running: with `holder` of the lock and `progress` in [0, 1]; waiting: with
    `progress`.
    """
    result, reasons = self._read()
    if result:
      return result
    for lock in self.locks():
      if locks.is_live(lock):
        return {
          "status": "running",
          "holder": str(locks.holder(lock)),
          "progress": self.progress(),
        }
    if reasons:
      return {"status": "stale", "changed": reasons}
    return {"status": "waiting", "progress": self.progress()}

  def _read(self) -> tuple[dict[str, Any] | None, list[str]]:
    """Returns the result, or None and why the one on disk does not count."""
    version = results.version(self.folder)
    if version not in (None, RESULT_VERSION):
      return None, [f"format of results: {version} -> {RESULT_VERSION}"]
    try:
      result = results.read(self.folder)
    except types.UserError as e:
      return None, [str(e)]
    if result is None or result["key"] == self.key:
      return result, []
    changes = differences(result["identity"], self.identity)
    return None, changes or ["its key"]

  def progress(self) -> float:
    """Returns the share of updates made, by the runs' metrics files."""
    shares = [min(1.0, last_step(m.folder) / m.steps) for m in self.members]
    return sum(shares) / len(shares)


def write_result(cell: Cell, result: dict[str, Any]) -> None:
  """Writes a cell's result.json, whole; an older one is moved aside."""
  cell.folder.mkdir(parents=True, exist_ok=True)
  archive(cell.folder / results.NAME)
  header = {
    "format_version": RESULT_VERSION,
    "key": cell.key,
    "identity": cell.identity,
    "row": cell.row,
    "seed": cell.seed,
    "host": socket.gethostname(),
    "date": datetime.date.today().isoformat(),
  }
  results.write(cell.folder, header | result)


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
  """Returns the entries in which two identities differ, with both values."""

  def shown(identity: dict[str, Any], name: str) -> str:
    return repr(identity[name]) if name in identity else "absent"

  return [
    f"{name}: {shown(old, name)} -> {shown(new, name)}"
    for name in dict.fromkeys([*new, *old])
    if name not in old or name not in new or old[name] != new[name]
  ]


def last_step(folder: pathlib.Path) -> int:
  """Returns the step of the last whole line of a run's metrics.jsonl, or 0."""
  path = folder / "metrics.jsonl"
  if not path.is_file():
    return 0
  try:
    with path.open("rb") as f:
      size = f.seek(0, 2)
      f.seek(max(0, size - 4000))  # a few lines are enough
      lines = f.read().splitlines()
  except OSError:
    return 0
  for line in reversed(lines):
    try:
      content = records.parse(line, str(path))
    except types.UserError:
      continue
    step = content.get("step") if isinstance(content, dict) else None
    if type(step) is int:
      return step
  return 0


def archive(path: pathlib.Path) -> pathlib.Path | None:
  """Moves a file or folder aside, to `NAME.stale-1` or the next free number.

  Returns:
    Where it is now; None if there was nothing.
  """
  if not os.path.lexists(path):
    return None
  for n in range(1, 10_000):
    aside = path.with_name(f"{path.name}.stale-{n}")
    if not os.path.lexists(aside):
      path.rename(aside)
      return aside
  raise OSError(f"{path}: too many stale copies; remove some")
