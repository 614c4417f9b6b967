"""What a finished cell leaves in its folder, checked where it is read.

result.json says how the cell ended and has its scores, sentences.npz the
statistics of each test sentence, outputs.json the texts, and attention.json
some maps. result.json holds the checksums of the other three, so that a file
that was lost, cut or exchanged is noticed, whatever it holds.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
from typing import Any, Literal

from seq2seq_jax import records, types
from seq2seq_jax.ablation import learning_curve, schema
from seq2seq_jax.runtime import files

NAME = "result.json"
SENTENCES, OUTPUTS = "sentences.npz", "outputs.json"
ATTENTION = "attention.json"
DETAILS = (SENTENCES, OUTPUTS, ATTENTION)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ending:
  """The content of a result.json, of a cell with or without a score."""

  format_version: int
  key: str
  status: Literal["done", "failed", "diverged"]
  identity: dict[str, Any]
  row: str
  seed: int
  host: str
  date: str
  message: str | None = None
  """Why there is no score."""
  made: dict[str, Any] = dataclasses.field(default_factory=dict)
  work_seconds: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score(Ending):
  """The content of a result.json with a score."""

  value: float
  metrics: dict[str, float]
  lacking: dict[str, str] = dataclasses.field(default_factory=dict)
  """Metrics that were asked for and that the cell has not, with the reason."""
  signature: str | None
  sentences: int
  test: str
  """Checksum of the test set."""
  parameters: int
  best_step: int | None
  learning_curves: list[learning_curve.Curve]
  """One for each member."""
  files: dict[str, str]
  """Checksum of each of `DETAILS`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Output:
  """An entry of outputs.json."""

  source: str
  reference: str
  hypothesis: str
  length: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Attention:
  """An entry of attention.json."""

  source: list[str]
  target: list[str]
  weights: list[list[float]]
  spectrogram: schema.Spectrogram | None = None


def write(folder: pathlib.Path, result: dict[str, Any]) -> None:
  """Writes result.json into a cell's folder, whole, with its own checksum."""
  files.write_json(folder / NAME, {"checksum": _seal(result), **result})


def read(folder: pathlib.Path) -> dict[str, Any] | None:
  """The result of a cell's folder; None if there is none.

  Raises:
    types.UserError: there is one, but it or a file beside it is damaged.
  """
  path = folder / NAME
  if not os.path.lexists(path):
    return None
  result: dict[str, Any] = records.read(path, dict[str, Any])
  seal = result.pop("checksum", None)
  kind = Score if result.get("status") == "done" else Ending
  records.decode(kind, result, str(path))
  if seal != _seal(result):
    raise types.UserError(f"{path} was changed after it was written")
  for name, checksum in result.get("files", {}).items():
    if _checksum(folder / name) != checksum:
      raise types.UserError(
        f"{folder / name} is not the file that was written with {NAME}"
      )
  return result


def outputs(folder: pathlib.Path) -> list[dict[str, Any]]:
  """Source, reference, hypothesis and length of each test sentence."""
  return _entries(folder / OUTPUTS, Output)


def attention(folder: pathlib.Path) -> list[dict[str, Any]]:
  """Attention of a few sentences."""
  return _entries(folder / ATTENTION, Attention)


def _entries(path: pathlib.Path, kind: type) -> list[dict[str, Any]]:
  entries: list[dict[str, Any]] = records.read(path, list[dict[str, Any]])
  records.decode(list[kind], entries, str(path))  # type: ignore[valid-type]
  return entries


def _seal(result: dict[str, Any]) -> str:
  text = json.dumps(result, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()


def version(folder: pathlib.Path) -> int | None:
  """The format version of a result that `read` may refuse; None if unknown."""
  try:
    number = records.read(folder / NAME, dict[str, Any]).get("format_version")
  except types.UserError:
    return None
  return number if type(number) is int else None


def checksums(folder: pathlib.Path) -> dict[str, str]:
  """The checksums of a cell's files, as its result.json holds them."""
  return {name: _checksum(folder / name) for name in DETAILS}


def _checksum(path: pathlib.Path) -> str:
  """SHA-256 of a file's content.

  Raises:
    types.UserError: it cannot be read.
  """
  return hashlib.sha256(records.content(path)).hexdigest()
