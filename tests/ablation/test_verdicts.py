"""Notes that say what limits a verdict."""

import json

import pytest

from seq2seq_jax.ablation import orderings
from tests.helpers import tables

pytestmark = pytest.mark.quick


def _judged(cells, *claims, **changes):
  ablation = tables.ablation(rows=tables.ROWS[:2], orderings=claims)
  return tables.built(ablation, cells, **changes).orderings


def test_one_seed_is_not_tested(tmp_path):
  cells = [
    *tables.seeds(tmp_path, tables.BASE, 48, 10, 1),
    *tables.seeds(tmp_path, tables.BETTER, 50, 35),
  ]
  claim = orderings.above(tables.BETTER, tables.BASE)
  [judged] = _judged(cells, claim)
  assert (judged.verdict, judged.p_raw) == ("INCONCLUSIVE", None)
  assert judged.note == "not tested: a row has one seed"


def test_lengths_must_be_known_and_there(tmp_path):
  cells = [
    *tables.seeds(tmp_path, tables.BASE, 48, 10),
    *tables.seeds(tmp_path, tables.BETTER, 50, 35),
  ]

  def claim(long):
    return orderings.gap_grows(tables.BETTER, tables.BASE, short=2, long=long)

  judged = _judged(cells, claim(2), claim(3))
  assert [o.verdict for o in judged] == ["PASS", "MISSING"]
  assert judged[1].note == "no test sentence is of that length"
  (cells[0].folder / "outputs.json").write_text(json.dumps([]))
  [judged] = _judged(cells, claim(2))
  assert judged.note == "lengths of the sources are not known"


def test_a_note_says_what_holm_leaves_open(tmp_path):
  """One claim that passes by itself, among many that decide nothing."""
  cells = [
    *tables.seeds(tmp_path, tables.BASE, 30, 10),
    *tables.seeds(tmp_path, tables.BETTER, 40, 12),
  ]
  low = orderings.above(tables.BETTER, tables.BASE)
  [alone] = _judged(cells, low)
  assert alone.verdict == "PASS" and alone.note == "" and alone.p < 0.05
  others = [orderings.above(tables.BETTER, tables.BASE, by=11)] * 60
  first, *_ = _judged(cells, low, *others)
  assert first.verdict == "PASS" and first.p_raw == alone.p_raw
  assert first.p > 0.05
  assert (
    first.note == f"not decided over all claims: p = {first.p:.2f} after Holm"
  )


def test_unconfirmed_support_judges_nothing(tmp_path):
  cells = [
    *tables.seeds(tmp_path, tables.BASE, 48, 10),
    *tables.seeds(tmp_path, tables.BETTER, 50, 35),
  ]
  claim = orderings.above(tables.BETTER, tables.BASE, judged=False)
  [judged] = _judged(cells, claim)
  assert judged.verdict == "PRINTED" and judged.estimate == 27
  assert judged.note == "not judged: the published support is unconfirmed"
