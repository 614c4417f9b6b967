"""Whether the paper's claims hold in a table: verdicts with their intervals."""

import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np

from seq2seq_jax.ablation import collect, orderings, schema, statistics


def judge(
  results: collect.Results, claims: Sequence[orderings.Ordering], sign: float
) -> tuple[schema.Ordering, ...]:
  """The claims with their verdicts.

  Each is decided by its own interval. p is corrected over all claims that were
  judged; a note says if one does not pass or fail after correction.

  Args:
    results: of the table's cells.
    claims: of the paper.
    sign: 1 if a higher score is better, else -1.
  """
  judged = [_judge_one(results, claim, sign) for claim in claims]
  tested = ("PASS", "FAIL", "INCONCLUSIVE")
  ps = [o.p_raw if o.verdict in tested else None for o in judged]
  return tuple(map(_with_corrected_p, judged, statistics.holm(ps)))


def _with_corrected_p(
  ordering: schema.Ordering, p: float | None
) -> schema.Ordering:
  note = ordering.note
  decided = ordering.verdict in ("PASS", "FAIL")
  if decided and p is not None and p >= statistics.ALPHA:
    correction = f"not decided over all claims: p = {p:.2f} after Holm"
    note = "; ".join(filter(None, (note, correction)))
  return dataclasses.replace(ordering, p=p, note=note)


def _judge_one(
  results: collect.Results, claim: orderings.Ordering, sign: float
) -> schema.Ordering:
  """The verdict on a claim, with estimate and interval, before correction."""
  unknown = schema.Ordering(
    claim=claim.claim,
    verdict="MISSING",
    estimate=None,
    interval=None,
    low=_finite(claim.low),
    high=_finite(claim.high),
    note="",
    p_raw=None,
    p=None,
  )
  if missing := _missing(results, claim):
    note = f"no score of {', '.join(missing)}"
    return dataclasses.replace(unknown, note=note)
  # A claim in points counts up as better, whatever the metric's direction.
  turn = sign if claim.points else 1.0
  terms, systems = [], dict(results.systems)
  for term in claim.terms:
    if term.metric:
      name = f"{term.metric} of {term.row}"
      systems[name] = results.metric_system(term.row, term.metric)
      terms.append(statistics.Term(turn * term.weight, name))
      continue
    if term.subset != orderings.Subset() and term.row not in results.lengths:
      note = "lengths of the sources are not known"
      return dataclasses.replace(unknown, note=note)
    mask = results.mask(term.row, term.subset)
    if mask is not None and not mask.any():
      note = "no test sentence is of that length"
      return dataclasses.replace(unknown, note=note)
    terms.append(statistics.Term(turn * term.weight, term.row, mask))
  estimate = statistics.estimate(terms, systems)
  verdict, note = _verdict(results, claim, estimate)
  return dataclasses.replace(
    unknown,
    verdict=verdict,
    estimate=estimate.value,
    interval=_finite_interval(estimate),
    note=note,
    p_raw=statistics.p_of_verdict(estimate, claim.low, claim.high),
  )


def _verdict(
  results: collect.Results,
  claim: orderings.Ordering,
  estimate: statistics.Estimate,
) -> tuple[schema.Decision, str]:
  """The verdict and a note on what limits it."""
  verdict = statistics.verdict(estimate, claim.low, claim.high)
  note = ""
  if any(term.metric for term in claim.terms):
    note = "the interval counts seeds only"
  note = estimate.limit or note
  if failed := with_failed_seeds(results, (term.row for term in claim.terms)):
    note = "; ".join(failed)
    if verdict == "PASS":
      verdict = "INCONCLUSIVE"
  if not claim.judged:
    return "PRINTED", "not judged: the published support is unconfirmed"
  if precondition := precondition_note(results, claim.precondition):
    return "PRINTED", precondition
  return verdict, note


def _missing(results: collect.Results, claim: orderings.Ordering) -> list[str]:
  """Rows without a score, or without the metric that the claim needs."""
  rows = [term.row for term in claim.terms]
  others = [(term.metric, term.row) for term in claim.terms if term.metric]
  if claim.precondition:
    rows.append(claim.precondition.row)
    others.append((claim.precondition.metric, claim.precondition.row))
  missing = [row for row in rows if row not in results.systems]
  missing += [
    f"{row} in {metric}"
    for metric, row in others
    if not all(metric in status["metrics"] for status in results.done(row))
  ]
  return list(dict.fromkeys(missing))


def precondition_note(
  results: collect.Results, precondition: orderings.Precondition | None
) -> str:
  """Why a claim's precondition does not hold; empty if it does."""
  if precondition is None:
    return ""
  metric, row, limit = precondition
  mean = float(np.mean([s["metrics"][metric] for s in results.done(row)]))
  if mean < limit:
    return ""
  name = metric.replace("_", " ")
  return (
    f"not judged: the claim presupposes that the {name} of {row} is below "
    f"{limit:g}, but it is {mean:.1f}"
  )


def _finite(bound: float) -> float | None:
  return bound if math.isfinite(bound) else None


def _finite_interval(
  estimate: statistics.Estimate,
) -> tuple[float, float] | None:
  """The interval; None if an end is not known."""
  low, high = estimate.low, estimate.high
  return (low, high) if math.isfinite(low) and math.isfinite(high) else None


def with_failed_seeds(
  results: collect.Results, rows: Iterable[str]
) -> list[str]:
  """A note for each of the rows in which seeds have failed.

  The seeds left are a biased sample, so no claim may pass on them.
  """
  notes = []
  for row in dict.fromkeys(rows):
    statuses = [status["status"] for _, status in results.cells[row]]
    failed = sum(status in schema.NO_SCORE for status in statuses)
    if failed:
      notes.append(f"{failed} of {len(statuses)} seeds of {row} have no score")
  return notes
