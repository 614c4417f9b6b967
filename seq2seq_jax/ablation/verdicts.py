"""Whether the paper's claims hold in a table: verdicts with their intervals."""

import math

import numpy as np

from seq2seq_jax.ablation import collect, orderings, statistics


def judged(found: collect.Found, claims, sign: float) -> list[dict]:
  """The orderings, each by itself; decided ones with p over all of them."""
  out = [_judge(found, o, sign) for o in claims]
  decided = ("PASS", "FAIL", "INCONCLUSIVE")
  ps = [o["p_raw"] if o["verdict"] in decided else None for o in out]
  for told, p in zip(out, statistics.holm(ps)):
    told["p"] = p
    if (
      told["verdict"] in ("PASS", "FAIL")
      and p is not None
      and p >= statistics.ALPHA
    ):
      alone = f"by itself; over all claims p = {p:.2f}"
      told["note"] = "; ".join(filter(None, (told["note"], alone)))
  return out


def _judge(
  found: collect.Found, ordering: orderings.Ordering, sign: float
) -> dict:
  """An ordering's verdict, estimate and interval."""
  told = {
    "claim": ordering.claim,
    "verdict": "MISSING",
    "estimate": None,
    "interval": None,
    "low": _finite(ordering.low),
    "high": _finite(ordering.high),
    "note": "",
    "p_raw": None,
    "p": None,
  }
  if missing := _missing(found, ordering):
    return told | {"note": f"no score of {', '.join(missing)}"}
  turn = sign if ordering.points else 1.0
  terms, systems = [], dict(found.systems)
  for term in ordering.terms:
    if term.metric:
      name = f"{term.metric} of {term.row}"
      systems[name] = found.of_metric(term.row, term.metric)
      terms.append(statistics.Term(turn * term.weight, name))
      continue
    if term.subset != orderings.Subset() and term.row not in found.lengths:
      return told | {"note": "lengths of the sources are not known"}
    mask = found.mask(term.row, term.subset)
    if mask is not None and not mask.any():
      return told | {"note": "no test sentence is of that length"}
    terms.append(statistics.Term(turn * term.weight, term.row, mask))
  seen = statistics.estimate(terms, systems)
  verdict = statistics.verdict(seen, ordering.low, ordering.high)
  alone = any(t.metric for t in ordering.terms)
  note = "the noise of seeds alone" if alone else ""
  if not seen.tested:
    note = "one seed shows no noise of seeds"
  if failed := lost(found, (t.row for t in ordering.terms)):
    note = "; ".join(failed)
    if verdict == "PASS":
      verdict = "INCONCLUSIVE"
  if not ordering.judged:
    verdict, note = "PRINTED", "published support unconfirmed: not judged"
  elif unasked := _unasked(found, ordering.precondition):
    verdict, note = "PRINTED", unasked
  return told | {
    "verdict": verdict,
    "estimate": seen.value,
    "interval": [seen.low, seen.high],
    "note": note,
    "p_raw": statistics.p_of_verdict(seen, ordering.low, ordering.high),
  }


def _missing(found: collect.Found, ordering: orderings.Ordering) -> list[str]:
  """Rows without a score, or without the metric that is asked for."""
  asked = [t.row for t in ordering.terms]
  others = [(t.metric, t.row) for t in ordering.terms if t.metric]
  if ordering.precondition:
    asked.append(ordering.precondition.row)
    others.append(ordering.precondition[:2])
  missing = [row for row in asked if row not in found.systems]
  missing += [
    f"{row} in {metric}"
    for metric, row in others
    if not all(metric in s["metrics"] for s in found.done(row))
  ]
  return list(dict.fromkeys(missing))


def _unasked(found: collect.Found, where: orderings.Precondition | None) -> str:
  """Why a claim is not asked; empty where it is."""
  if where is None:
    return ""
  values = [s["metrics"][where.metric] for s in found.done(where.row)]
  mean, name = float(np.mean(values)), where.metric.replace("_", " ")
  if mean < where.below:
    return ""
  return (
    f"asked where the {name} of {where.row} is below {where.below:g}; it is "
    f"{mean:.1f}"
  )


def _finite(x: float):
  return x if math.isfinite(x) else None


def lost(found: collect.Found, rows) -> list[str]:
  """Rows of which some seeds have failed: what is left is a choice."""
  out = []
  for row in dict.fromkeys(rows):
    own = [s["status"] for _, s in found.cells[row]]
    bad = sum(s in ("failed", "diverged") for s in own)
    if bad:
      out.append(f"{bad} of {len(own)} seeds of {row} have no score")
  return out
