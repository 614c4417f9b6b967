"""How a run went, by its metrics file."""

import json
import pathlib


def read(folder: pathlib.Path, epoch: int, replica: int | None = None) -> dict:
  """How a run went, by its metrics file.

  `seconds` and `tokens` of its updates alone, without compilation and
  validation; `steps`; `epoch`, as it is given; and `valid`: metric -> [step,
  value] of each validation.

  Args:
    folder: the run's workdir.
    epoch: batches in an epoch.
    replica: which of several runs in one program.
  """
  seconds = tokens = before = 0.0
  steps, valid = 0, {}
  suffix = "" if replica is None else f"/replica_{replica}"
  for line in _lines(folder / "metrics.jsonl"):
    if line["split"] == "train":
      count, rate = line.get("tokens") or 0, line.get("tokens_per_second")
      new = count - before if count >= before else count
      before = count
      if rate:
        seconds += new / rate
        tokens += new
      steps = line["step"]
    else:
      for name, value in line.items():
        if suffix and not name.endswith(suffix):
          continue
        if name not in ("step", "split"):
          points = valid.setdefault(name.removesuffix(suffix), [])
          points.append([line["step"], value])
  return {
    "seconds": seconds,
    "tokens": tokens,
    "steps": steps,
    "epoch": epoch,
    "valid": valid,
  }


def _lines(path: pathlib.Path):
  try:
    text = path.read_text()
  except OSError:
    return
  for line in text.splitlines():
    try:
      yield json.loads(line)
    except ValueError:
      continue  # half a line, of a process that was killed
