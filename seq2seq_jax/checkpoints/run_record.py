"""run.json of a workdir: how a run was made, and whether it was ever saved."""

import dataclasses
import os
import pathlib
from typing import Any

from seq2seq_jax import records
from seq2seq_jax.runtime import files


@dataclasses.dataclass(frozen=True)
class RunRecord:
  """The content of a run.json."""

  machine: dict[str, Any] = dataclasses.field(default_factory=dict)
  """What the bits of a result depend on, beside config and data."""
  versions: dict[str, str] = dataclasses.field(default_factory=dict)
  command: list[str] = dataclasses.field(default_factory=list)
  git_commit: str | None = None
  data: dict[str, str] = dataclasses.field(default_factory=dict)
  """Checksums of the splits."""
  left_out: dict[str, Any] = dataclasses.field(default_factory=dict)
  """Count and place of the training examples left out, by reason."""
  saved: bool | None = None
  """A checkpoint was written, so a workdir without any has lost them; None in
  the records of older versions."""


def read(workdir: str | os.PathLike[str]) -> RunRecord | None:
  """The record of a workdir; None if there is none.

  Raises:
    types.UserError: it is no record; the message names the file and the field.
  """
  path = pathlib.Path(workdir) / "run.json"
  if not os.path.lexists(path):
    return None
  record: RunRecord = records.read(path, RunRecord)
  return record


def write(workdir: str | os.PathLike[str], record: RunRecord) -> None:
  """Writes the record of a workdir, whole or not at all.

  Raises:
    OSError: it cannot be written.
  """
  path = pathlib.Path(workdir) / "run.json"
  files.write_json(path, dataclasses.asdict(record))
