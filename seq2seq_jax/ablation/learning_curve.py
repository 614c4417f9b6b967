"""The learning curve of a run, read from its metrics file."""

import dataclasses
import json
import pathlib
from collections.abc import Iterator
from typing import Any


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
        if name in ("step", "split") or not name.endswith(suffix):
          continue
        points = valid.setdefault(name.removesuffix(suffix), [])
        points.append((line["step"], value))
  return Curve(seconds, tokens, steps, batches_per_epoch, valid)


def _lines(path: pathlib.Path) -> Iterator[dict[str, Any]]:
  try:
    text = path.read_text()
  except OSError:
    return
  for line in text.splitlines():
    try:
      yield json.loads(line)
    except ValueError:
      continue  # half a line, of a process that was killed
