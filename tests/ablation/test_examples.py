"""Which sentences a table's page shows."""

import json

import numpy as np
import pytest

from tests.helpers import finished, tables

pytestmark = pytest.mark.quick


def _with_hits(folder, row, hits, sources):
  """A finished cell with these hits and sources."""
  cell = tables.cell(folder, row, 0, (1, 1))
  rows = np.stack([np.array(hits, float), np.ones(len(hits))], axis=1)
  with (cell.folder / "sentences.npz").open("wb") as f:
    np.savez(f, rows=rows)
  outputs = [
    {"source": s, "reference": "r", "hypothesis": f"{row} {s}", "length": 1}
    for s in sources
  ]
  (cell.folder / "outputs.json").write_text(json.dumps(outputs))
  finished.renew(cell)
  return cell


def _shown(folder, lower_is_better=False):
  sources = ["a", "b", "c", "d", "e", "f", "long " * 41]
  cells = [
    _with_hits(folder, tables.BASE, [1, 1, 0, 0, 0, 1, 0], sources),
    _with_hits(folder, tables.BETTER, [0, 1, 1, 1, 0, 1, 1], sources),
  ]
  ablation = tables.ablation(rows=tables.ROWS[:2], orderings=())
  table = tables.built(ablation, cells, lower_is_better=lower_is_better)
  for pair in table.sentences:
    assert (pair.row, pair.against) == (tables.BETTER, tables.BASE)
    assert pair.hypothesis == f"{tables.BETTER} {pair.source}"
    assert pair.other == f"{tables.BASE} {pair.source}"
  return [(p.kind, p.source, p.score, p.other_score) for p in table.sentences]


def test_sentences_are_chosen_by_the_difference_of_scores(tmp_path):
  """The longest one, on which the row is better too, is not shown."""
  assert _shown(tmp_path) == [
    ("this row best", "d", 100.0, 0.0),
    ("this row best", "c", 100.0, 0.0),
    ("baseline best", "a", 0.0, 100.0),
    ("both worst", "e", 0.0, 0.0),
  ]


def test_lower_scores_may_be_better(tmp_path):
  shown = _shown(tmp_path, lower_is_better=True)
  assert [s[:2] for s in shown] == [
    ("this row best", "a"),
    ("baseline best", "c"),
    ("baseline best", "d"),
    ("both worst", "b"),
  ]


def test_attention_of_each_row(tmp_path):
  cells = tables.seeds(tmp_path, tables.BASE, 48, 10)
  maps = [{"source": ["a"], "target": [t], "weights": [[1.0]]} for t in "xyz"]
  (cells[0].folder / "attention.json").write_text(json.dumps(maps))
  finished.renew(cells[0])
  ablation = tables.ablation(rows=tables.ROWS[:1], orderings=())
  shown = tables.built(ablation, cells).attention
  assert [(a.row, a.target) for a in shown] == [
    (tables.BASE, ("x",)),
    (tables.BASE, ("y",)),
  ]
