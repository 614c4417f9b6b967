"""Finished cells on disk, and tables built from them."""

import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from seq2seq_jax import metrics
from seq2seq_jax.ablation import (
  build,
  cells,
  orderings,
  published,
  schema,
  suite,
)
from tests.helpers import finished

BASE, BETTER = "base & co_1", "better | best"
ROWS = (
  suite.Row(BASE, published="x"),
  suite.Row(BETTER, published="y"),
  suite.Row("failed"),
  suite.Row("to come"),
)


def ablation(**changes: Any) -> suite.Ablation:
  """A suite of these rows, with a claim of each kind."""
  settings = {
    "title": "Things",
    "paper": "Somebody 2015",
    "base": "x.py",
    "rows": ROWS,
    "metric": "exact_match",
    "reference": BASE,
    "metrics": ("loss",),
    "bins": (2,),
    "orderings": (
      orderings.above(BETTER, BASE, by=10),
      orderings.gap_grows(BETTER, BASE, short=2, long=2),
      orderings.above(BETTER, BASE, judged=False),
      orderings.above("to come", BASE),
      orderings.near(BASE, 99, 2),
    ),
  }
  return suite.Ablation(**(settings | changes))


def cell(
  folder: pathlib.Path,
  row: str,
  seed: int,
  right: tuple[int, int] | None = None,
  status: str = "done",
) -> cells.Cell:
  """A cell with its result on disk, or a waiting one.

  Args:
    folder: of the table's cells.
    row: its name.
    seed: its number.
    right: how many of 60 short and 40 long sentences are right.
    status: of the cell; without `right`, `done` makes a waiting one.
  """
  folder = folder / suite.folder(row) / f"seed_{seed}"
  training = cells.Training(folder, folder / "lock", (seed,), None, 10)
  cell = cells.Cell(
    row,
    seed,
    folder,
    folder / "l",
    "k",
    {"data checksums": {"test": "s"}},
    (training,),
  )
  if right is None and status == "done":
    return cell
  folder.mkdir(parents=True)
  if not right:
    finished.write(cell, status, message="it broke")
  else:
    hits = np.zeros(100)
    hits[: right[0]] = hits[60 : 60 + right[1]] = 1
    rows = np.stack([hits, np.ones(100)], axis=1)
    with (folder / "sentences.npz").open("wb") as f:
      np.savez(f, rows=rows)
    outputs = [
      {"source": s, "reference": "r", "hypothesis": "h", "length": len(s)}
      for s in ["ab"] * 60 + ["abc"] * 40
    ]
    (folder / "outputs.json").write_text(json.dumps(outputs))
    (folder / "attention.json").write_text("[]")
    valid = {"exact_match": [[5, 40.0 + seed], [10, 50.0 + seed]]}
    finished.write(
      cell,
      value=float(hits.sum()),
      metrics={"exact_match": float(hits.sum()), "loss": 1.5 + seed},
      signature="case:mixed",
      sentences=100,
      parameters=1_250_000,
      learning_curves=[finished.SCORE["learning_curves"][0] | {"valid": valid}],
    )
  return cell


def built(
  ablation: suite.Ablation, table_cells: Sequence[cells.Cell], **changes: Any
) -> schema.Table:
  """The table of these cells."""
  settings = {
    "score": metrics.ratio,
    "published_numbers": {},
    "published_curves": [],
    "lower_is_better": False,
    "configs": {},
    "command": "",
  }
  return build.build(ablation, table_cells, **(settings | changes))


def seeds(
  folder: pathlib.Path, row: str, short: int, long: int, count: int = 3
) -> list[cells.Cell]:
  """Finished cells; each seed has one sentence of each kind more right."""
  return [cell(folder, row, s, (short + s, long + s)) for s in range(count)]


def table(folder: pathlib.Path, **changes: Any) -> schema.Table:
  """Two finished rows, one that diverged and one to come."""
  table_cells = [
    *seeds(folder, BASE, 48, 10),
    *seeds(folder, BETTER, 50, 35),
    *(cell(folder, "failed", s, status="diverged") for s in range(3)),
    *(cell(folder, "to come", s) for s in range(3)),
  ]
  return built(
    ablation(**changes),
    table_cells,
    published_numbers={
      BASE: published.Number(value=61.5, sd=0.5, tag="P", source="paper"),
      BETTER: published.Number(
        value=88.0,
        tag="M",
        source="",
        more={"loss": 1.25, "parameters": 2_000_000},
      ),
    },
    command="python -m x",
  )
