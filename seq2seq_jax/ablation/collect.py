"""The results of a table's cells, read from their folders, row by row."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from seq2seq_jax import metrics
from seq2seq_jax.ablation import (
  cells,
  intervals,
  orderings,
  results,
  statistics,
  suite,
)

Status = dict[str, Any]  # of a cell, with its result if it is done


class Results:
  """What the cells of a table left on disk, by row.

  `cells` holds the cells of each row with their statuses, `systems` the
  sentence statistics of its finished seeds, `lengths` its source lengths [N].
  Rows without a finished seed are in neither of the last two.
  """

  def __init__(
    self,
    ablation: suite.Ablation,
    table_cells: Sequence[cells.Cell],
    score: Callable[[np.ndarray], np.ndarray],
    bounds: intervals.Bounds | None = None,
  ):
    """Reads the cells.

    Args:
      ablation: the table's rows.
      table_cells: of all rows and seeds.
      score: sums of sentence statistics [..., F] -> score [...].
      bounds: the least and the largest that a score can be; None if unknown.
    """
    self.ablation = ablation
    self.bounds = bounds
    self.cells: dict[str, list[tuple[cells.Cell, Status]]] = {
      row.name: [] for row in ablation.rows
    }
    for cell in table_cells:
      self.cells[cell.row].append((cell, cell.status()))
    self.systems: dict[str, statistics.System] = {}
    self.lengths: dict[str, np.ndarray] = {}
    for row in self.cells:
      self._read(row, score)

  def _read(self, row: str, score: Callable[[np.ndarray], np.ndarray]) -> None:
    """Reads the sentence statistics and source lengths of a row."""
    done = self._done_cells(row)
    if not done:
      return
    runs = [np.load(c.folder / results.SENTENCES)["rows"] for c, _ in done]
    trainings = [str(m.folder) for c, _ in done for m in c.members]
    self.systems[row] = statistics.System(
      runs,
      score,
      test=done[0][1]["test"],
      trained=" ".join(trainings),
      seeds=tuple(c.seed for c, _ in done),
      bounds=self.bounds,
    )
    lengths = [output["length"] for output in self.outputs(row)]
    # A model of loss may have statistics of other units than sentences.
    if len(lengths) == len(runs[0]):
      self.lengths[row] = np.array(lengths)

  def _done_cells(self, row: str) -> list[tuple[cells.Cell, Status]]:
    return [(c, s) for c, s in self.cells[row] if s["status"] == "done"]

  def done(self, row: str) -> list[Status]:
    """Results of the finished seeds of a row."""
    return [status for _, status in self._done_cells(row)]

  def outputs(self, row: str) -> list[dict[str, Any]]:
    """Source, reference, hypothesis and length of each test sentence.

    They are those of the first finished seed; empty if there is none.
    """
    done = self._done_cells(row)
    return results.outputs(done[0][0].folder) if done else []

  def attention(self, row: str) -> list[dict[str, Any]]:
    """Attention of a few sentences, by the first finished seed."""
    done = self._done_cells(row)
    return results.attention(done[0][0].folder) if done else []

  def metric_system(self, row: str, metric: str) -> statistics.System:
    """The row's values of another metric, of which sentences are not known.

    Its variance is then that between seeds alone.
    """
    values = [status["metrics"][metric] for status in self.done(row)]
    return self.systems[row]._replace(
      runs=[np.array([[value]]) for value in values],
      score=lambda sums: sums[..., 0],
      test="",
      bounds=metrics.bounds(metric) or intervals.ANY,
      whole=True,
    )

  def mask(self, row: str, subset: orderings.Subset) -> np.ndarray | None:
    """Which sentences belong to a subset [N]; None stands for all."""
    if subset == orderings.Subset():
      return None
    lengths = self.lengths[row]
    return (lengths >= subset.shortest) & (lengths <= subset.longest)
