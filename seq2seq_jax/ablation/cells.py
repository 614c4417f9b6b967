"""The cells of a table on disk: row by row, seed by seed, and how each stands.

cells/ROW/seed_N/           a training, and what its evaluation left
cells/ROW/seeds_0-2/        a training of several seeds in one program
cells/ROW/seed_N/result.json    the cell's score, or why it has none
locks/                      who is at work
"""

import dataclasses
import datetime
import json
import pathlib
import socket
from typing import Any

from seq2seq_jax.runtime import files, locks

FINAL = ("done", "failed", "diverged")


@dataclasses.dataclass(frozen=True)
class Training:
  """A run, which cells of several rows may share."""

  folder: pathlib.Path
  lock: pathlib.Path
  seeds: tuple[int, ...]
  config: Any
  steps: int


@dataclasses.dataclass(frozen=True, eq=False)
class Cell:
  """One row and one seed."""

  row: str
  seed: int
  folder: pathlib.Path
  lock: pathlib.Path
  key: str
  """Names config, data and metrics: a result with another key is stale."""
  identity: dict
  """What `key` is made of, by name, to tell what has changed."""
  members: tuple[Training, ...]
  """One, or those of an ensemble."""

  @property
  def name(self) -> str:
    return f"{self.row}, seed {self.seed}"

  def result(self) -> dict | None:
    """What its evaluation left, or None where there is no whole file."""
    try:
      return json.loads((self.folder / "result.json").read_text())
    except (OSError, ValueError):
      return None

  def status(self) -> dict:
    """`status` and what belongs to it.

    done, failed, diverged: with the result; stale: with `changed`; running:
    with `holder` and `progress` in [0, 1]; else waiting.
    """
    found = self.result()
    if found and found["key"] == self.key:
      return found
    held = [self.lock, *(m.lock for m in self.members)]
    for lock in held:
      if locks.is_live(lock):
        holder = str(locks.holder(lock))
        done = self.progress()
        return {"status": "running", "holder": holder, "progress": done}
    if found:
      changed = differences(found.get("identity", {}), self.identity)
      return {"status": "stale", "changed": changed or ["its format"]}
    return {"status": "waiting", "progress": self.progress()}

  def progress(self) -> float:
    """Share of its updates that are made, by the runs' metrics files."""
    shares = [min(1.0, last_step(m.folder) / m.steps) for m in self.members]
    return sum(shares) / len(shares)


def leave(cell: Cell, found: dict):
  """Puts a result in place whole, and an old one aside."""
  cell.folder.mkdir(parents=True, exist_ok=True)
  path = cell.folder / "result.json"
  if path.exists():
    retire(path)
  found = {
    "format_version": 1,
    "key": cell.key,
    "identity": cell.identity,
    "row": cell.row,
    "seed": cell.seed,
    "host": socket.gethostname(),
    "date": datetime.date.today().isoformat(),
    **found,
  }
  files.write_json(path, found)


def differences(old: dict, new: dict) -> list[str]:
  """What has changed; what is not there has its default."""
  shown = lambda d, name: repr(d[name]) if name in d else "the default"
  return [
    f"{name}: {shown(old, name)} -> {shown(new, name)}"
    for name in dict.fromkeys([*new, *old])
    if name not in old or name not in new or old[name] != new[name]
  ]


def last_step(folder: pathlib.Path) -> int:
  """The last step that a run has written down."""
  try:
    with (folder / "metrics.jsonl").open("rb") as f:
      f.seek(0, 2)
      f.seek(max(0, f.tell() - 4000))
      lines = f.read().splitlines()
  except OSError:
    return 0
  for line in reversed(lines):
    try:
      return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
      continue
  return 0


def retire(folder: pathlib.Path) -> pathlib.Path | None:
  """Moves a folder aside, to `NAME.stale-1` or the next free number."""
  if not folder.exists():
    return None
  for n in range(1, 10_000):
    aside = folder.with_name(f"{folder.name}.stale-{n}")
    if not aside.exists():
      folder.rename(aside)
      return aside
  raise OSError(f"{folder}: too many stale copies")
