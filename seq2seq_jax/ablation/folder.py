"""A table's folder: whose it is, and what stands where its files go.

Everything is looked at before the first cell is trained, so that hours of
training do not end at a file that cannot be written.
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterable

from seq2seq_jax import records, types
from seq2seq_jax.ablation import cells
from seq2seq_jax.ablation.report import writer
from seq2seq_jax.runtime import files

NAME = "ablation.json"
FOLDERS = ("cells", "locks", "figures")
# What a run has and a table has not.
OF_A_RUN = ("config.json", "run.json", "metrics.jsonl", "checkpoints")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Owner:
  """The content of ablation.json: whose folder it is."""

  title: str
  scale: str
  seeds: int
  file: str | None = None
  """Name of the suite's file; None if the suite was given as it is."""

  def is_of(self, other: "Owner") -> bool:
    """Returns whether both are of one table."""
    files = {self.file, other.file} - {None}
    same = (self.title, self.scale) == (other.title, other.scale)
    return same and len(files) <= 1

  def __str__(self) -> str:
    of_file = f" of {self.file}" if self.file else ""
    return f"the table {self.title!r}{of_file} at scale {self.scale!r}"


def claim(
  workdir: pathlib.Path, owner: Owner, table_cells: Iterable[cells.Cell]
) -> None:
  """Marks a folder as a table's.

  Raises:
    types.UserError: it is another table's or a run's, cannot be written, or
      something is in the way of a file of the table.
  """
  path = workdir / NAME
  try:
    workdir.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(path):
      old: Owner = records.read(path, Owner)
      if not old.is_of(owner):
        raise types.UserError(
          f"{workdir} holds {old}, and this is {owner}; choose another workdir"
        )
    else:
      _check_unclaimed(workdir)
    _check_places(workdir, table_cells)
    files.write_json(path, dataclasses.asdict(owner))
  except FileExistsError as e:
    raise types.UserError(f"{workdir}: is no folder; choose another") from e
  except OSError as e:
    raise types.UserError(f"{path}: cannot write: {e.strerror}") from e
  except ValueError as e:  # a NUL in the name
    raise types.UserError(f"{str(workdir)!r}: not a folder's name: {e}") from e


def _check_unclaimed(workdir: pathlib.Path) -> None:
  """Refuses a folder without ablation.json that holds what would be lost."""
  if any(os.path.lexists(workdir / name) for name in OF_A_RUN):
    raise types.UserError(
      f"{workdir} holds a single run; choose another workdir"
    )
  if (workdir / "cells").is_dir():
    return  # a table's; each cell says by itself what it is
  for name in writer.TEXTS:
    if os.path.lexists(workdir / name):
      raise types.UserError(
        f"{workdir} holds {name}, which no table here has written and this "
        "one would replace; choose another workdir"
      )


def _check_places(
  workdir: pathlib.Path, table_cells: Iterable[cells.Cell]
) -> None:
  """Refuses files in the place of folders, and the reverse."""
  wanted = {workdir / name for name in FOLDERS}
  for cell in table_cells:
    for folder in (cell.folder, *(m.folder for m in cell.members)):
      wanted |= {folder, folder.parent}
  for path in sorted(wanted):
    if os.path.lexists(path) and not path.is_dir():
      raise types.UserError(
        f"{path}: is no folder, and the table needs one there; move it away"
      )
  written = [workdir / name for name in writer.TEXTS]
  for cell in table_cells:
    written += [cell.spec, cell.log]
  for path in written:
    if os.path.lexists(path) and not path.is_file():
      raise types.UserError(
        f"{path}: is no file, and the table writes one there; move it away"
      )
