"""Rows by a few combinators."""

import dataclasses

import pytest

from seq2seq_jax.ablation import suite

CELL = suite.factor("--model.cell", ["lstm", "gru"])
DEPTH = suite.factor("--model.encoder_layers", [1, 2], "{} layers")
pytestmark = pytest.mark.quick


def _shown(rows):
  return [(r.name, " ".join(r.overrides)) for r in rows]


def test_product_and_zip():
  names = [r.name for r in suite.product(CELL, DEPTH)]
  assert names[:2] == ["lstm, 1 layers", "lstm, 2 layers"] and len(names) == 4
  assert _shown(suite.zipped(CELL, DEPTH))[1] == (
    "gru, 2 layers",
    "--model.cell gru --model.encoder_layers 2",
  )
  with pytest.raises(ValueError):
    suite.zipped(CELL, DEPTH[:1])


def test_one_at_a_time_and_ladder():
  base = suite.Row("base", "--model.embed_dim 8")
  rows = _shown(suite.one_at_a_time(base, CELL, DEPTH[1:]))
  assert [name for name, _ in rows] == ["base", "lstm", "gru", "2 layers"]
  assert rows[3][1] == "--model.embed_dim 8 --model.encoder_layers 2"
  rows = _shown(suite.ladder(base, ("+ a", "--a 1"), ("+ b", ("--b", "2"))))
  assert rows[-1] == ("+ b", "--model.embed_dim 8 --a 1 --b 2")
  base = suite.Row("base", base="x.py", overrides_of={"cpu": "--c 3"})
  last = suite.ladder(base, ("+ a", "--a 1"))[-1]
  assert last.base == "x.py" and last.at("cpu").overrides[-2:] == ("--c", "3")


def test_rising_and_published():
  claims = [o.claim for o in suite.rising(["x", "y", "z"], by=1)]
  assert claims == ["y above x by 1", "z above y by 1"]
  [row] = suite.published([suite.Row("LSTM")], "britz2017/cells")
  assert row.published == "britz2017/cells/LSTM"


def test_claims_that_mean_nothing_are_refused():
  loss = suite.Term(1, "a", metric="loss")
  with pytest.raises(ValueError, match="cannot be added up"):
    suite.Ordering("x", (loss, suite.Term(-1, "b")))
  with pytest.raises(ValueError, match="has no bound"):
    suite.Ordering("x", (loss,), low=float("-inf"))


def test_a_scale_has_its_own_rows_and_claims():
  table = suite.Ablation(
    title="t",
    paper="p",
    base="b",
    rows=(
      suite.Row("a"),
      suite.Row("b", "--x 1", overrides_of={"smoke": ("--y", "2")}),
      suite.Row("c"),
    ),
    metric="bleu",
    reference="a",
    orderings=(suite.above("b", "a"), suite.above("c", "b")),
    scales={"smoke": (), "cpu": ()},
    rows_of={"smoke": ("b", "c")},
    bases={"smoke": "small"},
  )
  assert (table.at("smoke").base, table.at("cpu").base) == ("small", "b")
  with pytest.raises(ValueError, match="'tiny' is not a scale"):
    dataclasses.replace(table, bases={"tiny": "small"})
  small = table.at("smoke")
  assert [r.name for r in small.rows] == ["b", "c"] and small.reference == "b"
  assert [o.claim for o in small.orderings] == ["c above b"]
  assert len(table.at("cpu").orderings) == 2
  words = lambda scale: " ".join(table.at(scale).rows[-2].overrides)
  assert (words("smoke"), words("cpu")) == ("--x 1 --y 2", "--x 1")
  with pytest.raises(ValueError, match="row 'a': 'tiny' is not a scale"):
    bad = suite.Row("a", overrides_of={"tiny": ()})
    dataclasses.replace(table, rows=(bad, *table.rows[1:]))
