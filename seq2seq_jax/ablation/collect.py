"""What the cells of a table left on disk, row by row."""

import json

import numpy as np

from seq2seq_jax.ablation import orderings, statistics, suite


class Found:
  """What the cells of a table left, row by row."""

  def __init__(self, ablation: suite.Ablation, cells, score):
    self.ablation = ablation
    self.cells = {r.name: [] for r in ablation.rows}
    for cell in cells:
      self.cells[cell.row].append((cell, cell.status()))
    self.systems, self.lengths = {}, {}
    for row, own in self.cells.items():
      done = [(c, s) for c, s in own if s["status"] == "done"]
      runs = [np.load(c.folder / "sentences.npz")["rows"] for c, _ in done]
      if runs:
        test = done[0][1]["test"]
        trained = [str(m.folder) for c, _ in done for m in c.members]
        self.systems[row] = statistics.System(
          runs,
          score,
          test,
          " ".join(trained),
          tuple(c.seed for c, _ in done),
        )
        # Older cells have words alone.
        size = lambda o: o.get("length", len(o["source"].split()))
        lengths = [size(o) for o in self.outputs(row)]
        if len(lengths) == len(runs[0]):
          self.lengths[row] = np.array(lengths)

  def done(self, row: str) -> list[dict]:
    return [s for _, s in self.cells[row] if s["status"] == "done"]

  def outputs(self, row: str) -> list[dict]:
    return self._file(row, "outputs.json")

  def attention(self, row: str) -> list[dict]:
    return self._file(row, "attention.json")

  def _file(self, row: str, name: str) -> list[dict]:
    """What the first finished seed of a row left."""
    done = [c for c, s in self.cells[row] if s["status"] == "done"]
    if not done:
      return []
    try:
      return json.loads((done[0].folder / name).read_text())
    except (OSError, ValueError):
      return []

  def of_metric(self, row: str, metric: str) -> statistics.System:
    """Its values of another metric, as runs of a single sentence."""
    own = self.systems[row]
    values = [s["metrics"][metric] for s in self.done(row)]
    return own._replace(
      runs=[np.array([[v]]) for v in values],
      score=lambda sums: sums[..., 0],
      test="",
    )

  def mask(self, row: str, subset: orderings.Subset):
    """Which sentences belong to a subset; None is all of them."""
    if subset == orderings.Subset():
      return None
    lengths = self.lengths[row]
    return (lengths >= subset.shortest) & (lengths <= subset.longest)
