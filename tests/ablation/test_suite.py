"""A table's definition: rows, scales, and what is refused."""

import dataclasses
import itertools

import pytest

from seq2seq_jax.ablation import orderings, suite
from tests.helpers import tiny_table

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
    (itertools.repeat("a"), "overrides: has more than 10,000 values"),
    ("--help", "--help overrides no field"),
  ],
)
def test_overrides_that_are_none_are_refused(overrides, message):
  with pytest.raises(ValueError, match=f"row 'a': .*{message}"):
    suite.Row("a", overrides)


def test_rows_that_cannot_be_are_refused():
  with pytest.raises(ValueError, match="needs a letter or a digit"):
    suite.Row("..")
  with pytest.raises(ValueError, match="a whole number from 1 to 100"):
    suite.Row("a", ensemble=1.5)


@pytest.mark.parametrize(
  "name, changes, message",
  [
    (7, {}, "must be a text, but is 7"),
    ("模型", {}, "a letter or a digit of ASCII"),
    ("a\nb", {}, "holds a control character"),
    ("a\x1b[2J", {}, "holds a control character"),
    ("a" * 300, {}, "a name has at most 100 characters"),
    ("a", {"overrides": None}, "overrides: must be words"),
    ("a", {"overrides": "-h"}, "--help overrides no field"),
    ("a", {"overrides_by_scale": ()}, "must be a dict by the names of scales"),
    ("a", {"overrides_by_scale": {"cpu": ["--help"]}}, "--help overrides no"),
    ("a", {"ensemble": 0}, "a whole number from 1 to 100, but is 0"),
    ("a", {"ensemble": True}, "but is True"),
    ("a", {"ensemble": 10**9}, "but is 1000000000"),
    ("a", {"published": 1}, "published: must be a text"),
    ("a", {"base": 3}, "base: must be the name of a config's file"),
  ],
)
def test_fields_of_a_row_are_checked(name, changes, message):
  with pytest.raises(ValueError, match=message):
    suite.Row(name, **changes)


@pytest.mark.parametrize(
  "changes, message",
  [
    ({"title": ""}, "title: must be given"),
    ({"title": 3}, "title: must be a text"),
    ({"title": "a\x00"}, "title: .* holds a control character"),
    ({"base": ""}, "base: must be given"),
    ({"base": 3}, "base: must be the name of a config's file"),
    ({"rows": ()}, "rows: needs at least one Row"),
    ({"rows": range(10**12)}, "rows: has more than 10,000 values"),
    ({"bins": range(10**12)}, "bins: has more than 10,000 values"),
    ({"rows": suite.Row("a")}, "rows: must be a tuple"),
    ({"rows": (suite.Row("a"), 1)}, r"rows\[1\]: must be a Row, but is 1"),
    (
      {"rows": (suite.Row("a b"), suite.Row("a/b"))},
      "row 'a/b': row 'a b' has the same folder, 'a-b'",
    ),
    ({"reference": "attentio"}, "'attentio'; nearest: 'attention'"),
    ({"metrics": "loss"}, "metrics: must be a tuple"),
    ({"metrics": ("loss", "loss")}, "'loss' stands there twice"),
    ({"metrics": (1,)}, r"metrics\[0\]: must be a str"),
    ({"curves": ("a/curves/b", "a/curves/b")}, "stands there twice"),
    ({"orderings": orderings.above("a", "b")}, "orderings: must be a tuple"),
    (
      {"orderings": (orderings.rising(["a", "b"]),)},
      r"orderings\[0\]: must be a Ordering, but is \(Ordering",
    ),
    (
      {"orderings": 2 * (orderings.above("fixed", "two"),)},
      "'fixed above two' stands there twice",
    ),
    ({"orderings": (orderings.above("x", "two"),)}, "no row is called 'x'"),
    (
      {"orderings": (orderings.below("two", "fixed", "bleu"),)},
      "'bleu' is not one of the table's metrics, exact_match, loss",
    ),
    ({"bins": 3}, "bins: must be a tuple"),
    ({"bins": (1.5,)}, r"bins\[0\]: must be a Integral, but is 1.5"),
    ({"bins": (0, 1)}, r"bins\[0\]: must be a whole number from 1"),
    ({"bins": (2, 2)}, "do not rise"),
    ({"bins": (4, 2)}, "do not rise"),
    ({"scales": ["smoke"]}, "scales: must be a dict"),
    ({"scales": {"smoke": 3}}, "overrides: must be words"),
    ({"scales": {"smoke": "--help"}}, "--help overrides no field"),
    ({"scale": "big"}, "scale 'big': there are smoke, none"),
    ({"base_by_scale": {"smoke": 1}}, r"base_by_scale\['smoke'\]: must be"),
    ({"rows_by_scale": {"smoke": "two"}}, "must be a tuple"),
    ({"rows_by_scale": {"smoke": ()}}, "names no row"),
    ({"rows_by_scale": {"smoke": ("tow",)}}, "'tow'; nearest: 'two'"),
    ({"checkpoint": "bset"}, "checkpoint: must be last, best, average or a"),
  ],
)
def test_fields_of_a_table_are_checked(changes, message):
  with pytest.raises(ValueError, match=message):
    tiny_table.ablation(**changes)


def test_a_table_of_ones_own_needs_little():
  rows = (suite.Row("a"), suite.Row("b"))
  table = suite.Ablation("Mine", base="b.py", rows=rows, metric="bleu")
  assert (table.reference, table.paper) == ("a", "")
  with pytest.raises(ValueError, match="metric: must be given"):
    suite.Ablation("Mine", base="b.py", rows=rows)
  with pytest.raises(ValueError, match=r"rows\[0\]: must be a Row"):
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
