"""Rows of a table by combinators."""

import pytest

from seq2seq_jax.ablation import suite, sweep

CELL = sweep.factor("--model.encoder.cell", ["lstm", "gru"])
DEPTH = sweep.factor("--train.steps", [1, 2], "{} steps")
pytestmark = pytest.mark.quick


def _shown(rows):
  return [(r.name, " ".join(r.overrides)) for r in rows]


def test_product_and_zip():
  names = [r.name for r in sweep.product(CELL, DEPTH)]
  assert names[:2] == ["lstm, 1 steps", "lstm, 2 steps"] and len(names) == 4
  assert _shown(sweep.zipped(CELL, DEPTH))[1] == (
    "gru, 2 steps",
    "--model.encoder.cell gru --train.steps 2",
  )
  with pytest.raises(ValueError):
    sweep.zipped(CELL, DEPTH[:1])


def test_one_at_a_time():
  base = suite.Row("base", "--model.embed_dim 8")
  rows = _shown(sweep.one_at_a_time(base, CELL, DEPTH[1:]))
  assert [name for name, _ in rows] == ["base", "lstm", "gru", "2 steps"]
  assert rows[3][1] == "--model.embed_dim 8 --train.steps 2"


def test_ladder_adds_up_and_keeps_base_and_scales():
  base = suite.Row("base", "--model.embed_dim 8")
  rows = _shown(sweep.ladder(base, ("+ a", "--a 1"), ("+ b", {"b": 2})))
  assert rows[-1] == ("+ b", "--model.embed_dim 8 --a 1 --b 2")
  base = suite.Row("base", base="x.py", overrides_by_scale={"cpu": "--c 3"})
  last = sweep.ladder(base, ("+ a", "--a 1"))[-1]
  assert last.base == "x.py" and last.at("cpu").overrides[-2:] == ("--c", "3")


def test_published_numbers_by_the_name_of_a_row():
  [row] = sweep.with_published([suite.Row("LSTM")], "britz2017/cells")
  assert row.published == "britz2017/cells/LSTM"
