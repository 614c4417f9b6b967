"""The names that the schema lists are those of the tables that they index."""

import typing

import pytest

from seq2seq_jax import config
from seq2seq_jax.config import decoder, fields
from seq2seq_jax.data import corpus
from seq2seq_jax.decoding import length_rules
from seq2seq_jax.models import (
  attention_scores,
  bridges,
  cells,
  heads,
  placements,
)
from seq2seq_jax.training import size_estimate

pytestmark = pytest.mark.quick


def choices(section: type, name: str) -> tuple[str, ...]:
  """The names that a field takes."""
  hint = typing.get_type_hints(section)[name]
  if typing.get_origin(hint) is typing.Literal:
    return typing.get_args(hint)
  return section.__dataclass_fields__[name].metadata["choices"]


@pytest.mark.parametrize(
  ("section", "name", "table", "others"),
  [
    (config.Encoder, "cell", cells.CELLS, set()),
    (config.Decoder, "cell", cells.CELLS, {"same"}),
    (config.Decoder, "bridge", bridges.BRIDGES, set()),
    (config.Decoder, "placement", placements.PLACEMENTS, set()),
    (config.Attention, "score", attention_scores.SCORES, {"none"}),
    (config.Model, "head", heads.HEADS, set()),
    (config.Data, "task", corpus.TASKS, set()),
    (config.Decode, "length_rule", length_rules.RULES, set()),
    (config.Optim, "optimizer", size_estimate.SLOTS, set()),
  ],
)
def test_names_of_the_schema_are_those_of_the_table(
  section, name, table, others
):
  assert set(choices(section, name)) == set(table) | others


@pytest.mark.parametrize(
  ("listed", "fact"),
  [
    (decoder.ASKS_ABOVE_ALL, lambda p: p.query == "top"),
    (decoder.ASKS_PREVIOUS_TOP, lambda p: p.query == "top_previous"),
    (decoder.FEEDS_ABOVE, lambda p: p.feeds_above),
    (
      decoder.LOWEST_SEES_NO_CONTEXT,
      lambda p: p.feeds_above and not (p.feeds_first or p.carries_context),
    ),
  ],
)
def test_facts_of_the_schema_are_those_of_the_placements(listed, fact):
  table = placements.PLACEMENTS
  assert listed == {name for name in table if fact(table[name])}


def test_range_text_says_which_ends_are_open():
  assert fields.range_text({"min": 1}) == "at least 1"
  assert fields.range_text({"above": 0, "max": 1}) == "above 0 and at most 1"
  assert fields.range_text({"max": 5}) == "at most 5"
