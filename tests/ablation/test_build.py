"""From cells on disk to the data of a table."""

import pytest
import scipy.stats

from seq2seq_jax.ablation import build, orderings, schema
from seq2seq_jax.ablation.report import text_tables
from tests.helpers import tables

pytestmark = pytest.mark.quick


@pytest.fixture(scope="module")
def table(tmp_path_factory):
  return tables.table(tmp_path_factory.mktemp("cells"))


def test_figures_by_hand(table):
  base, better, failed, coming = table.rows
  assert (base.mean, base.sd, base.n) == (60, 2, 3)
  assert base.values == (58, 60, 62) and base.reference is None
  assert better.mean == 87 and better.delta.estimate == 27
  assert better.delta.low > 10 and better.p < 0.01
  assert better.tag_significance == "better"
  loss = schema.OtherMetric(mean=2.5, sd=1.0, published=1.25)
  assert better.others["loss"] == loss
  assert failed.n == coming.n == 0 and failed.mean is None
  assert [c.status for c in failed.cells] == ["diverged"] * 3
  assert table.counts == schema.Counts(
    cells=12, done=6, failed=3, running=0, waiting=3
  )
  assert table.state == "partial"
  assert base.minutes == 2 and base.tokens_per_second == 50
  assert base.epochs_to_best == 0.5
  # Between rows 27 ** 2 / 2 - 4 / 3, within them 4.
  between = 27**2 / 2 - 4 / 3
  assert table.seed_share == pytest.approx(4 / (4 + between))
  # Of the difference: 4 / 3 a row of seeds, of sentences 24 and 11 over 100.
  assert better.seed_share == table.difference_seed_share
  assert 0.05 < better.seed_share < 0.5 and base.seed_share is None


def test_lengths_and_curves_by_hand(table):
  assert [(b.label, b.sentences) for b in table.bins] == [
    ("up to 2", 60),
    ("more than 2", 40),
  ]
  base, better = table.rows[:2]
  assert base.lengths.means == pytest.approx([100 * 49 / 60, 27.5])
  assert better.lengths.sds == pytest.approx([100 / 60, 2.5])
  curve = table.learning_curves[0]
  assert (curve.steps, curve.mean) == ((5, 10), (41, 51))
  assert (curve.low, curve.high, curve.n) == ((40, 50), (42, 52), 3)


def test_orderings(table):
  gap = table.orderings[1]
  verdicts = [o.verdict for o in table.orderings]
  assert verdicts == ["PASS", "PASS", "PRINTED", "MISSING", "FAIL"]
  assert gap.estimate == pytest.approx(62.5 - 100 * 2 / 60)
  assert gap.interval[0] < gap.estimate < gap.interval[1]
  assert table.orderings[3].note == "no score of to come"


def test_lower_is_better(tmp_path):
  cells = [
    *tables.seeds(tmp_path, tables.BASE, 48, 10),
    *tables.seeds(tmp_path, tables.BETTER, 20, 10),
  ]
  table = tables.built(
    tables.ablation(
      rows=tables.ROWS[:2], orderings=tables.ablation().orderings[:1]
    ),
    cells,
    lower_is_better=True,
  )
  assert table.rows[1].tag_significance == "better"
  assert table.rows[1].delta.estimate == -28
  assert table.orderings[0].verdict == "PASS"
  assert table.orderings[0].estimate == 28


def test_seeds_that_failed_are_no_win(tmp_path):
  """The seeds left of a row that diverges are a biased sample."""
  cells = [
    *tables.seeds(tmp_path, tables.BASE, 48, 10, 4),
    *tables.seeds(tmp_path, tables.BETTER, 50, 35),
    tables.cell(tmp_path, tables.BETTER, 3, status="diverged"),
  ]
  table = tables.built(
    tables.ablation(
      rows=tables.ROWS[:2], orderings=tables.ablation().orderings[:1]
    ),
    cells,
  )
  assert table.rows[1].n == 3 and table.rows[1].p < 0.01
  assert table.rows[1].tag_significance == "untested"
  [claim] = table.orderings
  assert claim.verdict == "INCONCLUSIVE" and claim.interval[0] > 10
  assert claim.note == "1 of 4 seeds of better | best have no score"
  assert "| 3 of 4 |" in text_tables.markdown(table)
  assert "& 3 of 4 &" in text_tables.latex(table)


def test_text_of_the_data_can_be_left_out(table, tmp_path):
  assert table.sentences and table.sentences[0].source
  cells = [tables.cell(tmp_path, tables.BASE, 0, (48, 10))]
  table = tables.built(
    tables.ablation(rows=tables.ROWS[:1], orderings=()),
    cells,
    sentences=False,
  )
  assert table.sentences == table.attention == ()
  assert '"abc"' not in schema.to_json(table)


def test_a_claim_is_judged_if_its_precondition_holds(tmp_path):
  cells = [
    *tables.seeds(tmp_path, tables.BASE, 48, 10),
    *tables.seeds(tmp_path, tables.BETTER, 50, 35),
  ]
  for limit, verdict in ((2.4, "PRINTED"), (2.6, "PASS")):  # the mean is 2.5
    precondition = orderings.Precondition("loss", tables.BASE, limit)
    claim = orderings.above(
      tables.BETTER, tables.BASE, precondition=precondition
    )
    table = tables.built(
      tables.ablation(rows=tables.ROWS[:2], orderings=(claim,)), cells
    )
    assert table.orderings[0].verdict == verdict
    note = table.orderings[0].note
    assert note == (
      "not judged: the claim presupposes that the loss of base & co_1 is below "
      "2.4, but it is 2.5"
      if verdict == "PRINTED"
      else ""
    )
  chrf = orderings.Precondition("chrf", "failed", 1)
  with pytest.raises(
    ValueError, match="'chrf' is not one of the table's metrics"
  ):
    tables.ablation(
      orderings=(orderings.above("to come", "failed", precondition=chrf),)
    )


def test_records_of_cells_are_merged():
  merged = build._merged([{"jax": "1", "cores": 1}, {"jax": "2", "cores": 1}])
  assert merged == {"jax": "1 / 2", "cores": 1}
  assert build._merged([]) == build._merged([{"x": None}]) == {}


def test_claims_about_another_metric_count_seeds_alone(tmp_path):
  """Losses are 1.5, 2.5 and 3.5 of one row, 1.5 and 2.5 of the other."""
  cells = [
    *tables.seeds(tmp_path, tables.BASE, 48, 10),
    *tables.seeds(tmp_path, tables.BETTER, 50, 35, 2),
  ]
  claims = (
    orderings.below(tables.BETTER, tables.BASE, "loss", by=9),
    orderings.below(tables.BETTER, tables.BASE, "loss", by=-99),
    orderings.below(tables.BASE, tables.BETTER, "loss"),
  )
  table = tables.built(
    tables.ablation(rows=tables.ROWS[:2], orderings=claims), cells
  )
  verdicts = [o.verdict for o in table.orderings]
  assert verdicts == ["FAIL", "PASS", "INCONCLUSIVE"]
  assert str(claims[2].high) == "0.0"
  first = table.orderings[0]
  assert first.estimate == -0.5
  welch = scipy.stats.ttest_ind([1.5, 2.5], [1.5, 2.5, 3.5], equal_var=False)
  assert first.interval == pytest.approx(welch.confidence_interval(0.95))
  assert "counts seeds only" in first.note
  with pytest.raises(
    ValueError, match="'bleu' is not one of the table's metrics"
  ):
    tables.ablation(orderings=(orderings.below("to come", "failed", "bleu"),))
