"""A table's definition: rows, scales, and what is refused."""

import dataclasses

import pytest

from seq2seq_jax.ablation import orderings, suite

pytestmark = pytest.mark.quick


def test_overrides_are_words_a_string_or_a_dict():
  rows = (
    suite.Row(
      "a", ("--model.encoder.cell", "gru", "--train.metrics", "bleu", "chrf")
    ),
    suite.Row("a", "--model.encoder.cell gru --train.metrics bleu chrf"),
    suite.Row(
      "a", {"model.encoder.cell": "gru", "train.metrics": ("bleu", "chrf")}
    ),
  )
  assert rows[0] == rows[1] == rows[2]
  row = suite.Row("b", overrides_by_scale={"cpu": {"train.steps": 10}})
  assert row.at("cpu").overrides == ("--train.steps", "10")
  assert suite.Row("c", {"decode.exact": False}).overrides[1] == "False"


@pytest.mark.parametrize(
  "overrides, message",
  [
    ((1, 2), "1 is not a word"),
    ({3: 4}, "3 is not the name of a field"),
    ("--help", "--help overrides no field"),
  ],
)
def test_overrides_that_are_none_are_refused(overrides, message):
  with pytest.raises(ValueError, match=f"row 'a': .*{message}"):
    suite.Row("a", overrides)


def test_rows_that_cannot_be_are_refused():
  with pytest.raises(ValueError, match="needs a letter or a digit"):
    suite.Row("..")
  with pytest.raises(ValueError, match="a whole number of at least 1"):
    suite.Row("a", ensemble=1.5)


def test_a_table_of_ones_own_needs_little():
  rows = (suite.Row("a"), suite.Row("b"))
  table = suite.Ablation("Mine", base="b.py", rows=rows, metric="bleu")
  assert (table.reference, table.paper) == ("a", "")
  with pytest.raises(ValueError, match="metric: must be given"):
    suite.Ablation("Mine", base="b.py", rows=rows)
  with pytest.raises(ValueError, match="needs at least one Row"):
    dataclasses.replace(table, rows=(1, 2))
  with pytest.raises(ValueError, match="do not rise"):
    dataclasses.replace(table, bins=(20, 10))


def test_some_rows_alone():
  table = suite.Ablation(
    "Mine",
    base="b.py",
    rows=tuple(map(suite.Row, "abc")),
    metric="bleu",
    orderings=(orderings.above("a", "b"), orderings.above("c", "b")),
  )
  part = table.with_rows(["c", "b"])
  assert [r.name for r in part.rows] == ["b", "c"] and part.reference == "b"
  assert [o.claim for o in part.orderings] == ["c above b"]
  with pytest.raises(ValueError, match="no row is called 'd'"):
    table.with_rows(["d"])


def test_a_scale_has_its_own_rows_and_claims():
  table = suite.Ablation(
    title="t",
    paper="p",
    base="b",
    rows=(
      suite.Row("a"),
      suite.Row("b", "--x 1", overrides_by_scale={"smoke": ("--y", "2")}),
      suite.Row("c"),
    ),
    metric="bleu",
    reference="a",
    orderings=(orderings.above("b", "a"), orderings.above("c", "b")),
    scales={"smoke": (), "cpu": ()},
    rows_by_scale={"smoke": ("b", "c")},
    base_by_scale={"smoke": "small"},
  )
  assert (table.at("smoke").base, table.at("cpu").base) == ("small", "b")
  with pytest.raises(ValueError, match="'tiny' is not a scale"):
    dataclasses.replace(table, base_by_scale={"tiny": "small"})
  small = table.at("smoke")
  assert [r.name for r in small.rows] == ["b", "c"] and small.reference == "b"
  assert [o.claim for o in small.orderings] == ["c above b"]
  assert len(table.at("cpu").orderings) == 2

  def words(scale):
    return " ".join(table.at(scale).rows[-2].overrides)

  assert (words("smoke"), words("cpu")) == ("--x 1 --y 2", "--x 1")
  with pytest.raises(ValueError, match="row 'a': 'tiny' is not a scale"):
    bad = suite.Row("a", overrides_by_scale={"tiny": ()})
    dataclasses.replace(table, rows=(bad, *table.rows[1:]))
