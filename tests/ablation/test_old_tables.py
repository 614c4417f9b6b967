"""A table of format 1 is read as one of this format."""

import json
import pathlib

import pytest

from seq2seq_jax import types
from seq2seq_jax.ablation import old_tables, rules, schema

pytestmark = pytest.mark.quick

RESULTS = pathlib.Path(__file__).parents[2] / "results"
OLD = {
  "not shown": "same",
  "baseline": "reference",
  "baseline best": "reference row best",
}


@pytest.fixture
def old():
  """A stored table as format 1 had it."""
  text = (RESULTS / "scan" / "table.json").read_text(encoding="utf-8")
  data = json.loads(text)
  data["format_version"] = 1
  for name in ("notes", "rules"):
    del data[name]
  for row in data["rows"]:
    del row["published_differs"]
    kind = row["tag_significance"]
    row["tag_significance"] = OLD.get(kind, kind)
  for pair in data["sentences"]:
    pair["kind"] = OLD.get(pair["kind"], pair["kind"])
  return data


def test_words_are_todays(old):
  table = schema.from_json(json.dumps(old))
  assert table.format_version == 2
  assert table.rows[0].tag_significance == "baseline"
  assert table.row("length, top").tag_significance == "not shown"
  assert {pair.kind for pair in table.sentences} <= set(
    schema.SentenceKind.__args__
  )
  assert schema.from_json(schema.to_json(table)) == table


def test_intervals_of_a_score_are_cut_at_its_bounds(old):
  claims = {claim["claim"]: claim for claim in old["orderings"]}
  claims["length, top within 8 of 20.8"]["interval"] = [-2.5, 101.5]
  above = claims["length, top above length, overall-best"]
  above["interval"] = [-20.5, 30.5]  # a difference may be below 0
  table = schema.from_json(json.dumps(old))
  found = {claim.claim: claim.interval for claim in table.orderings}
  assert found["length, top within 8 of 20.8"] == (0.0, 100.0)
  assert found[above["claim"]] == (-20.5, 30.5)


def test_it_says_by_which_rules_it_was_computed(old):
  table = schema.from_json(json.dumps(old))
  assert table.rules == old_tables.RULES
  assert table.rules.keys() == rules.NAMES.keys()
  assert "left out" in table.rules["p_randomisation"]


@pytest.mark.parametrize("broken", [3, None, [1], {"a": 1}, "rows"])
@pytest.mark.parametrize("name", ["rows", "sentences", "orderings"])
def test_what_is_broken_is_named(old, name, broken):
  old[name] = broken
  with pytest.raises(types.UserError, match=name):
    schema.from_json(json.dumps(old))
