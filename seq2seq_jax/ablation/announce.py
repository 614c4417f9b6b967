"""What a table says of its cells before it starts and when it ends."""

import logging
from collections.abc import Sequence

from seq2seq_jax.ablation import cells, plan, schema

log = logging.getLogger(__name__)

MOST_NAMED = 20  # cells that are told of one by one


def log_plan(table_plan: plan.Plan) -> None:
  """Logs what is done already, and what will be done again and why."""
  statuses = {cell: cell.status() for cell in table_plan.cells}
  done = sum(status["status"] == "done" for status in statuses.values())
  log.info(
    f"{table_plan.ablation.title}: {len(table_plan.configs)} rows x "
    f"{table_plan.seeds} seeds at scale {table_plan.ablation.scale}; {done} of "
    f"{len(statuses)} cells are done"
  )
  for cell, status in statuses.items():
    if status["status"] == "stale":
      reasons = "; ".join(status["changed"])
      log.info(f"{cell.name} is stale and will be done again: {reasons}")
  if table_plan.seeds == 1:
    log.info(
      "one seed does not show how much seeds differ: no difference will be "
      "tested"
    )


def lacking(table_plan: plan.Plan) -> str:
  """Returns which metrics of the table some rows do not have, and why."""
  shown = set(table_plan.ablation.metrics)
  sentences = {
    f"Row {cell.row} has no {name}: it {reason}.": None
    for cell in table_plan.cells
    for name, reason in cell.status().get("lacking", {}).items()
    if name in shown
  }
  return " ".join(sentences)


def log_end(
  table: schema.Table, stopped: int | None, table_cells: Sequence[cells.Cell]
) -> None:
  """Logs what a table still lacks, why, and how to go on.

  Args:
    table: as it was written.
    stopped: the signal that stopped its cells, or None.
    table_cells: of all rows and seeds.
  """
  if stopped is not None:
    log.warning("stopped; run the same command again to resume")
    return
  failed = [
    (cell, entry)
    for row in table.rows
    for entry in row.cells
    for cell in table_cells
    if (cell.row, cell.seed) == (row.name, entry.seed)
    and entry.status in schema.NO_SCORE
  ]
  for cell, entry in failed[:MOST_NAMED]:
    reason = (entry.message or "").partition("\n")[0]
    seen = "" if str(cell.log) in reason else f"; see {cell.log}"
    log.warning(f"{cell.name} {entry.status}: {reason}{seen}")
  if failed:
    log.warning(
      f"{len(failed)} cells failed: the table says why; --retry does them again"
    )
  counts = table.counts
  if missing := counts.waiting + counts.running:
    log.warning(f"{missing} cells are not done; run the same command again")
