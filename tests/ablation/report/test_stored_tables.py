"""The stored tables under results/ render to the same bytes."""

import json
import pathlib
import re

import pytest

from seq2seq_jax.ablation import schema
from seq2seq_jax.ablation.report import html, writer

pytestmark = pytest.mark.quick

RESULTS = pathlib.Path(__file__).parents[3] / "results"
TABLES = sorted(RESULTS.glob("*/table.json"))


@pytest.mark.parametrize("path", TABLES, ids=lambda p: p.parent.name)
def test_stored_tables_render_to_the_same_bytes(path, tmp_path):
  text = path.read_text(encoding="utf-8")
  table = schema.from_json(text, str(path))
  writer.write_texts(table, tmp_path)
  for ending in ("md", "tex", "csv"):
    stored = path.with_suffix(f".{ending}").read_bytes()
    assert (tmp_path / f"table.{ending}").read_bytes() == stored, ending
  written = (tmp_path / "table.json").read_text(encoding="utf-8")
  assert schema.from_json(written) == table
  # All that was stored is there; what is new has its default.
  assert _without_defaults(json.loads(text)) == _without_defaults(
    json.loads(written)
  )


def _without_defaults(value):
  if isinstance(value, dict):
    plain = ("", None)
    return {
      k: _without_defaults(v)
      for k, v in value.items()
      if not (k in OPTIONAL and v in plain) and k != "length_unit"
    }
  return [*map(_without_defaults, value)] if isinstance(value, list) else value


# Fields that the oldest stored tables lack.
OPTIONAL = ("published_hedge", "published_parameters", "published", "base")


def test_what_was_never_compared_is_marked():
  """Multi30k beside WMT; and SCAN, whose numbers are of the same data."""
  for name, marked in (("britz_cells", True), ("scan", False)):
    page = (RESULTS / name / "table.md").read_text(encoding="utf-8")
    assert ("† Published, of other data: WMT15" in page) == marked
    assert ("22.22 ± 0.08 † |" in page) == marked


def test_the_sample_page_is_up_to_date():
  """Except for its figures, which depend on Matplotlib's version."""
  folder = RESULTS / "scan"
  table = schema.from_json((folder / "table.json").read_text(encoding="utf-8"))
  stored = (folder / "report.html").read_text(encoding="utf-8")
  figures = re.compile(r'<section id="figures">.*?</section>', re.S)
  assert figures.sub("", stored) == figures.sub("", html.html(table))


@pytest.mark.parametrize("path", TABLES, ids=lambda p: p.parent.name)
def test_bases_are_named_from_the_projects_root(path):
  table = json.loads(path.read_text(encoding="utf-8"))
  bases = {table["run"]["base"], *(row.get("base") for row in table["rows"])}
  assert all((RESULTS.parent / base).is_file() for base in bases if base)
  assert not any(pathlib.Path(base).is_absolute() for base in bases if base)


def test_there_are_stored_tables():
  assert len(TABLES) == 8
