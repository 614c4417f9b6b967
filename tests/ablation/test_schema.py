"""table.json is read back as it was written, and checked value by value."""

import json
import pathlib

import pytest

from seq2seq_jax import types
from seq2seq_jax.ablation import schema

pytestmark = pytest.mark.quick

RESULTS = pathlib.Path(__file__).parents[2] / "results"


@pytest.fixture
def data():
  """A stored table as plain JSON."""
  text = (RESULTS / "scan" / "table.json").read_text(encoding="utf-8")
  return json.loads(text)


def test_json_and_back(data):
  text = json.dumps(data, indent=1) + "\n"
  table = schema.from_json(text)
  [compared, *_] = [row for row in table.rows if row.delta]
  [stored, *_] = [row for row in data["rows"] if row["delta"]]
  assert compared.delta.estimate == stored["delta"]["estimate"]
  assert table.rows[0].cells[2].seed == 2
  assert schema.to_json(table) == text
  assert schema.from_json(schema.to_json(table)) == table


def test_a_table_is_shown_by_its_scores(data):
  table = schema.from_json(json.dumps(data))
  lines = repr(table).splitlines()
  assert lines[0] == "<Table 'SCAN', exact_match, complete"
  assert lines[1] == "  simple, top: 99.72 ± 0.11 (n = 3)"
  assert len(lines) == 1 + len(table.rows)
  assert table.row("length, top") is table.rows[2]
  with pytest.raises(KeyError, match="'length'; there are 'simple, top', "):
    table.row("length")


def _changed(data, path, value):
  *parts, last = path
  for part in parts:
    data = data[part]
  data[last] = value


@pytest.mark.parametrize(
  "path, value, message",
  [
    (("title",), 3, "title must be a text, but is 3"),
    (("rows", 2, "mean"), "x", "rows\\[2\\].mean must be a number or null"),
    (("rows", 0, "n"), True, "rows\\[0\\].n must be a whole number"),
    (("rows", 0, "cells"), None, "rows\\[0\\].cells must be a list"),
    (("rows", 0, "others"), [], "rows\\[0\\].others must be an object"),
    (("rows", 1, "delta"), 1.5, "rows\\[1\\].delta must be an object"),
    (("orderings", 0, "interval"), [1], "interval must be a list of 2 or null"),
    (("state",), "done", "state must be one of 'complete', 'partial'"),
    (("format_version",), 3, "format_version must be one of 2"),
    (("counts", "lost"), 2, "counts has the unknown field 'lost'"),
    (
      ("attention", 0, "weights", 0, 0),
      "1",
      "weights\\[0\\]\\[0\\] must be a nu",
    ),
  ],
)
def test_a_wrong_value_is_named(data, path, value, message):
  _changed(data, path, value)
  with pytest.raises(types.UserError, match=f"^x.json: .*{message}"):
    schema.from_json(json.dumps(data), "x.json")


def test_a_missing_field_is_named(data):
  del data["rows"][3]["tag"]
  with pytest.raises(types.UserError, match=r"rows\[3\] lacks the field 'tag'"):
    schema.from_json(json.dumps(data))
  del data["title"], data["rows"]
  with pytest.raises(types.UserError, match="the file lacks the field 'title'"):
    schema.from_json(json.dumps(data))


@pytest.mark.parametrize("text", ["", "{", "[1,"])
def test_what_is_no_json_is_named(text):
  with pytest.raises(types.UserError, match=r"x.json is not valid JSON"):
    schema.from_json(text, "x.json")


def test_another_kind_of_file_is_refused():
  with pytest.raises(types.UserError, match="the file must be an object"):
    schema.from_json("[]")


def test_a_field_with_a_default_may_be_missing(data):
  del data["length_unit"], data["rows"][0]["published_hedge"]
  table = schema.from_json(json.dumps(data))
  assert table.length_unit == "words" and table.rows[0].published_hedge == ""
