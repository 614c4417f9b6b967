"""Notes that say what limits a verdict."""

import json

import pytest

from seq2seq_jax.ablation import orderings
from tests.helpers import finished, tables

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
  finished.renew(cells[0])
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
  others = [
    orderings.above(tables.BETTER, tables.BASE, by=11 + i / 1000)
    for i in range(60)
  ]
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


def _directional(one, other):
  """Every claim of a direction, both ways round, asking for no points."""
  for a, b in ((one, other), (other, one)):
    yield orderings.above(a, b)
    yield from orderings.rising((a, b))
    yield orderings.gap_grows(a, b, short=2, long=2)
    yield orderings.below(a, b, "loss")


@pytest.mark.parametrize("right", [(0, 0), (30, 20), (60, 40)])
@pytest.mark.parametrize("spread", [0, 1])
def test_equal_rows_pass_no_claim_of_a_direction(tmp_path, right, spread):
  """Equal in every sentence, with and without a spread over seeds."""
  if spread:
    right = right[0] - 2, right[1] - 2  # room for one more in each seed
  if min(right) < 0:
    right = (0, 0)
  cells = [
    tables.cell(tmp_path, row, s, tuple(n + spread * s for n in right))
    for row in (tables.BASE, tables.BETTER)
    for s in range(3)
  ]
  claims = list(_directional(tables.BASE, tables.BETTER))
  # A rise of two rows is the same claim as that one is above the other.
  judged = [_judged(cells, claim)[0] for claim in claims]
  assert {o.verdict for o in judged} == {"INCONCLUSIVE"}
  for ordering in judged:
    assert ordering.estimate == 0
    if ordering.interval:
      low, high = ordering.interval
      assert -200 <= low < 0 < high <= 200


def test_equal_values_without_sentences_decide_nothing(tmp_path):
  """Of another metric only the seeds' values are known: all alike."""
  cells = [
    tables.cell(tmp_path, row, s, (30, 20))
    for row in (tables.BASE, tables.BETTER)
    for s in range(3)
  ]
  for cell in cells:
    path = cell.folder / "result.json"
    result = json.loads(path.read_text())
    result["metrics"]["loss"] = 2.0 + (cell.row == tables.BETTER)
    path.write_text(json.dumps(result))
    finished.renew(cell)
  claim = orderings.below(tables.BASE, tables.BETTER, "loss")
  [judged] = _judged(cells, claim)
  assert (judged.verdict, judged.interval, judged.p) == (
    "INCONCLUSIVE",
    None,
    None,
  )
  assert "all seeds have the same value" in judged.note


def test_too_few_sentences_decide_nothing(tmp_path):
  cells = [
    *tables.seeds(tmp_path, tables.BASE, 10, 10),
    *tables.seeds(tmp_path, tables.BETTER, 50, 35),
  ]
  for cell in cells:
    path = cell.folder / "outputs.json"
    outputs = json.loads(path.read_text())
    for i, output in enumerate(outputs):
      output["length"] = 1 if i < 96 else 30 if i < 99 else 40
    path.write_text(json.dumps(outputs))
    finished.renew(cell)
  three, one, enough = _judged(
    cells,
    *(
      orderings.gap_grows(
        tables.BETTER, tables.BASE, short=2, long=long, by=-90
      )
      for long in (29, 39)
    ),
    orderings.above(tables.BETTER, tables.BASE),
  )
  assert three.verdict == one.verdict == "INCONCLUSIVE"
  assert three.p_raw is one.p_raw is None
  assert one.note == "not tested: too few test sentences, 1 where 5 are needed"
  assert enough.verdict == "PASS"


def test_a_row_that_is_all_right_is_not_certain(tmp_path):
  """100 of 100 in all seeds: 96.4 % or more, not 100 % for sure."""
  cells = [
    tables.cell(tmp_path, tables.BASE, s, (60, 40)) for s in range(3)
  ] + tables.seeds(tmp_path, tables.BETTER, 50, 35)
  [judged, tight] = _judged(
    cells,
    orderings.near(tables.BASE, 99, 4),
    orderings.near(tables.BASE, 99.9, 0.5),
  )
  low, high = judged.interval
  assert 95 < low < 97 and high == 100
  assert (judged.verdict, tight.verdict) == ("PASS", "INCONCLUSIVE")
