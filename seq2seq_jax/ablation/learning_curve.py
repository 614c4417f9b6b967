"""The learning curve of a run, read from its metrics file."""

import dataclasses
import logging
import pathlib
from collections.abc import Iterator
from typing import Any

from seq2seq_jax import records, types

log = logging.getLogger(__name__)

HEAD = ("step", "split", "time")  # of each line; all else are values


@dataclasses.dataclass(frozen=True)
class Curve:
  """Cost and validation scores of a run."""

  seconds: float
  """Spent on updates, without compilation and validation."""
  tokens: float
  """Seen in these updates."""
  steps: int
  batches_per_epoch: int
  valid: dict[str, list[tuple[int, float | None]]]
  """(step, value) of each validation, by metric."""


def read(
  folder: pathlib.Path, batches_per_epoch: int, replica: int | None = None
) -> Curve:
  """The learning curve of the run in `folder`.

  Args:
    folder: the run's workdir.
    batches_per_epoch: is passed on.
    replica: which of several runs in one program; None if there is one.
  """
  seconds = tokens = counted = 0.0
  steps = 0
  valid: dict[str, list[tuple[int, float | None]]] = {}
  suffix = "" if replica is None else f"/replica_{replica}"
  for line in _lines(folder / "metrics.jsonl"):
    if line["split"] == "train":
      # Tokens are counted from the start of the run, or, if the process was
      # started again, from there.
      count, rate = line.get("tokens") or 0, line.get("tokens_per_second")
      new = count - counted if count >= counted else count
      counted = count
      if rate:
        seconds += new / rate
        tokens += new
      steps = line["step"]
    else:
      for name, value in line.items():
        if name in HEAD or not name.endswith(suffix):
          continue
        points = valid.setdefault(name.removesuffix(suffix), [])
        points.append((line["step"], value))
  return Curve(seconds, tokens, steps, batches_per_epoch, valid)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Line:
  """What every line of a metrics.jsonl has."""

  step: int
  split: str
  time: Any = None


def _lines(path: pathlib.Path) -> Iterator[dict[str, Any]]:
  """Lines of a metrics file; warns of those that are none, and goes on."""
  try:
    lines = records.content(path).splitlines()
  except types.UserError:
    return
  for number, text in enumerate(lines, 1):
    try:
      yield _line(text, f"{path}, line {number}")
    except types.UserError as e:
      # Half a line at the end is of a process that was killed.
      if number < len(lines):
        log.warning(f"{e}; this line is left out of the learning curve")


def _line(text: bytes, place: str) -> dict[str, Any]:
  line: dict[str, Any] = records.decode(
    dict[str, Any], records.parse(text, place), place
  )
  head = {name: line[name] for name in HEAD if name in line}
  records.decode(_Line, head, place)
  values = {name: v for name, v in line.items() if name not in HEAD}
  records.decode(dict[str, float | None], values, place)
  return line
