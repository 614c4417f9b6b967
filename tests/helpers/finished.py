"""Results of cells on disk, as their processes would leave them."""

import json
from typing import Any

from seq2seq_jax.ablation import cells, results

SCORE: dict[str, Any] = {
  "value": 1.0,
  "metrics": {"exact_match": 1.0, "loss": 1.5},
  "signature": None,
  "sentences": 0,
  "test": "t",
  "parameters": 10,
  "best_step": 5,
  "learning_curves": [
    {
      "seconds": 120.0,
      "tokens": 6000,
      "steps": 10,
      "batches_per_epoch": 10,
      "valid": {},
    }
  ],
}


def write(cell: cells.Cell, status: str = "done", **changes: Any) -> None:
  """Writes a cell's result; what a score needs has defaults.

  Files beside it that are not there yet are empty.
  """
  cell.folder.mkdir(parents=True, exist_ok=True)
  if status != "done":
    cells.write_result(cell, {"status": status, "message": "why", **changes})
    return
  for name in results.DETAILS:
    if not (cell.folder / name).exists():
      text = "" if name == results.SENTENCES else json.dumps([])
      (cell.folder / name).write_text(text)
  files = results.checksums(cell.folder)
  cells.write_result(cell, {"status": "done", "files": files} | SCORE | changes)


def renew(cell: cells.Cell) -> None:
  """Writes a result again, for files beside it that a test has exchanged."""
  result = json.loads((cell.folder / results.NAME).read_text())
  del result["checksum"]
  result["files"] = results.checksums(cell.folder)
  results.write(cell.folder, result)
