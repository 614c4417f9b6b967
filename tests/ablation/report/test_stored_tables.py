"""The stored tables under results/ render to the same bytes."""

import json
import pathlib

import pytest

from seq2seq_jax.ablation.report import text_tables

pytestmark = pytest.mark.quick

RESULTS = pathlib.Path(__file__).parents[3] / "results"
TABLES = sorted(RESULTS.glob("*/table.json"))


@pytest.mark.parametrize("path", TABLES, ids=lambda p: p.parent.name)
def test_stored_tables_render_to_the_same_bytes(path, tmp_path):
  table = json.loads(path.read_text(encoding="utf-8"))
  text_tables.write(table, tmp_path)
  for ending in ("md", "tex", "csv", "json"):
    stored = path.with_suffix(f".{ending}").read_bytes()
    assert (tmp_path / f"table.{ending}").read_bytes() == stored, ending


def test_there_are_stored_tables():
  assert len(TABLES) == 5
