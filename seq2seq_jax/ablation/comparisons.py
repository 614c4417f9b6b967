"""Differences between rows and their baselines, tested and corrected."""

import dataclasses
import math

from seq2seq_jax.ablation import collect, schema, statistics, verdicts


@dataclasses.dataclass(frozen=True)
class Comparison:
  """A row against its baseline; the defaults are those of a baseline.

  The fields go into `schema.Row`, which explains them; `limit` says why
  nothing was tested.
  """

  reference: str | None = None
  delta: schema.Difference | None = None
  p: float | None = None
  p_raw: float | None = None
  p_bootstrap: float | None = None
  p_randomisation: float | None = None
  tag_significance: schema.Significance = "baseline"
  seed_share: float | None = None
  limit: str = ""


def compare(results: collect.Results, sign: float) -> dict[str, Comparison]:
  """Comparisons of all rows, by name, with p corrected over the table.

  Args:
    results: of the table's cells.
    sign: 1 if a higher score is better, else -1.
  """
  default = results.ablation.reference
  compared = {
    row.name: _compare(results, row.name, row.reference or default)
    for row in results.ablation.rows
  }
  corrected = statistics.holm([c.p_raw for c in compared.values()])
  return {
    row: _judged(results, row, comparison, p, sign)
    for (row, comparison), p in zip(compared.items(), corrected)
  }


def _compare(results: collect.Results, row: str, reference: str) -> Comparison:
  """The comparison of a row, before correction and judgement."""
  if reference == row:
    return Comparison()
  if not {row, reference} <= results.systems.keys():
    return Comparison(reference, tag_significance="untested")
  one, other = results.systems[row], results.systems[reference]
  terms = [statistics.Term(1, row), statistics.Term(-1, reference)]
  estimate = statistics.estimate(terms, results.systems)
  variance = estimate.seed_variance + estimate.sentence_variance
  share = None
  if estimate.tested and variance:
    share = estimate.seed_variance / variance
  bootstrap = randomisation = None
  # Both tests resample the same sentences for the two rows.
  if one.test == other.test and len(one.runs[0]) == len(other.runs[0]):
    bootstrap = statistics.paired_bootstrap(one, other)
    randomisation = statistics.approximate_randomisation(one, other)
  return Comparison(
    reference,
    delta=schema.Difference(
      estimate=estimate.value,
      low=_known(estimate.low),
      high=_known(estimate.high),
    ),
    p_raw=None if estimate.limit else estimate.p,
    p_bootstrap=bootstrap,
    p_randomisation=randomisation,
    tag_significance="untested",
    seed_share=share,
    limit=estimate.limit,
  )


def _known(end: float) -> float | None:
  return end if math.isfinite(end) else None


def _judged(
  results: collect.Results,
  row: str,
  comparison: Comparison,
  p: float | None,
  sign: float,
) -> Comparison:
  """The comparison with its corrected p; untested if seeds have failed."""
  significance = comparison.tag_significance
  rows = [row, comparison.reference or row]
  if (
    p is not None
    and comparison.delta is not None
    and not verdicts.with_failed_seeds(results, rows)
  ):
    if p >= statistics.ALPHA:
      significance = "not shown"
    elif sign * comparison.delta.estimate > 0:
      significance = "better"
    else:
      significance = "worse"
  return dataclasses.replace(comparison, p=p, tag_significance=significance)
