"""From the cells on disk to the data of a table: one plain dict.

Everything that is printed, drawn or tested comes from here; `table.py` and
`report.py` only show it.
"""

import datetime
import itertools
import json

import numpy as np

from seq2seq_jax.ablation import cells as cells_
from seq2seq_jax.ablation import collect, orderings, statistics, suite, verdicts
from seq2seq_jax.ablation import published as published_

SHOWN = 3  # rows whose sentences stand beside the reference's
LONGEST = 40  # words of a sentence that is shown
# What published tables call a further metric; `wer` is then of phones.
PUBLISHED = {"perplexity": "ppl", "wer": "per"}


def build(
  ablation: suite.Ablation,
  cells,
  *,
  score,
  published: dict,
  curves: list[dict],
  falling: bool,
  configs: dict,
  command: str,
  sentences: bool = True,
) -> dict:
  """The data of a table, of all cells or of those that are there.

  Args:
    ablation: what is in it.
    cells: of it.
    score: sums of sentences' statistics -> score.
    published: row -> its published number, or None.
    curves: published curves by length.
    falling: a lower score is better.
    configs: row -> config, as nested dicts.
    command: that made it.
    sentences: whether texts of the data may be shown.
  """
  found = collect.Found(ablation, cells, score)
  sign = -1.0 if falling else 1.0
  rows = [_row(found, row, published.get(row.name)) for row in ablation.rows]
  _compare(found, rows, sign)
  bins = _bins(found, ablation)
  for row in rows:
    row["lengths"] = _by_length(found, row["name"], bins)
  statuses = [s["status"] for own in found.cells.values() for _, s in own]
  failed = sum(s in ("failed", "diverged") for s in statuses)
  counts = {
    "cells": len(statuses),
    "done": statuses.count("done"),
    "failed": failed,
    "running": statuses.count("running"),
    "waiting": statuses.count("waiting") + statuses.count("stale"),
  }
  done = [s for r in ablation.rows for s in found.done(r.name)]
  some = done[0] if done else {}
  return {
    "format_version": 1,
    "title": ablation.title,
    "paper": ablation.paper,
    "note": ablation.note,
    "scale": ablation.scale,
    "metric": ablation.metric,
    "higher_is_better": not falling,
    "signature": some.get("signature"),
    "reference": ablation.reference,
    "seeds": sorted({c.seed for c in cells}),
    "test_sentences": _only({s["sentences"] for s in done}),
    "state": "complete"
    if counts["done"] + failed == len(statuses)
    else "partial",
    "rows": rows,
    "bins": bins,
    "length_unit": _unit(configs),
    "published_curves": curves,
    "orderings": verdicts.judged(found, ablation.orderings, sign),
    "seed_share": _seed_share(found),
    "difference_seed_share": _median([r["seed_share"] for r in rows]),
    "counts": counts,
    "learning_curves": _learning(found, ablation),
    "sentences": _side_by_side(found, rows, sign) if sentences else [],
    "attention": _attention(found, ablation) if sentences else [],
    "run": _record(found, ablation, configs, command, published, done),
  }


def _only(values: set):
  return values.pop() if len(values) == 1 else None


def _median(shares: list) -> float | None:
  there = [s for s in shares if s is not None]
  return float(np.median(there)) if there else None


def _seed_share(found: collect.Found) -> float | None:
  """Of rows of one test set: those of several lie apart for other reasons."""
  if len({s.test for s in found.systems.values()}) > 1:
    return None
  rows = found.ablation.rows
  return statistics.seed_share(
    [[s["value"] for s in found.done(r.name)] for r in rows]
  )


def _row(found: collect.Found, row: suite.Row, number: dict | None) -> dict:
  own, done = found.cells[row.name], found.done(row.name)
  values = [s["value"] for s in done]
  mean, sd = statistics.mean_sd(values) if values else (None, None)
  courses = [c for s in done for c in s["courses"]]
  seconds = sum(c["seconds"] for c in courses)
  number = number or {}
  others = {}
  for name in found.ablation.metrics:
    some = [s["metrics"][name] for s in done if name in s["metrics"]]
    if some:
      others[name] = dict(zip(("mean", "sd"), statistics.mean_sd(some)))
      others[name]["published"] = number.get(PUBLISHED.get(name, name))
  best = [e for s in done if (e := _epochs_to_best(found, s)) is not None]
  return {
    "name": row.name,
    "mean": mean,
    "sd": sd,
    "n": len(values),
    "values": [s["value"] if s["status"] == "done" else None for _, s in own],
    "cells": [_cell(found, c, s) for c, s in own],
    "published": number.get("value"),
    "published_sd": number.get("sd"),
    "published_hedge": published_.hedge(number),
    "tag": number.get("tag"),
    "published_note": _note(number),
    "published_parameters": number.get("parameters"),
    "unconfirmed": number.get("tag") == "M",
    "reference": None,
    "delta": None,
    "p": None,
    "p_raw": None,
    "p_bootstrap": None,
    "p_randomisation": None,
    "tag_significance": "reference",
    "seed_share": None,
    "parameters": done[0]["parameters"] if done else None,
    "minutes": seconds / 60 / len(done) if done else None,
    "tokens_per_second": (
      sum(c["tokens"] for c in courses) / seconds if seconds else None
    ),
    "epochs_to_best": float(np.mean(best)) if best else None,
    "others": others,
    "overrides": list(row.overrides),
    "base": row.base or found.ablation.base,
  }


def _note(number: dict) -> str | None:
  told = [str(number[k]) for k in ("source", "data") if number.get(k)]
  return ", ".join(told) or None


def _cell(found: collect.Found, cell: cells_.Cell, status: dict) -> dict:
  courses = status.get("courses", [])
  return {
    "seed": cell.seed,
    "status": status["status"],
    "message": status.get("message") or "; ".join(status.get("changed", [])),
    "seconds": sum(c["seconds"] for c in courses) if courses else None,
    "host": status.get("host"),
    "value": status.get("value"),
    "steps": courses[0]["steps"] if courses else None,
    "best_step": status.get("best_step"),
    "epochs_to_best": _epochs_to_best(found, status) if courses else None,
  }


def _epochs_to_best(found: collect.Found, status: dict) -> float | None:
  """Epochs up to the checkpoint that was scored, where that is the best."""
  if found.ablation.checkpoint != "best":
    return None
  step, epoch = status.get("best_step"), status["courses"][0]["epoch"]
  return step / epoch if step and epoch else None


def _compare(found: collect.Found, rows: list[dict], sign: float):
  """Differences to the reference rows, tested and corrected."""
  names = {r.name: r for r in found.ablation.rows}
  for row in rows:
    own = row["name"]
    against = names[own].reference or found.ablation.reference
    if against == own:
      continue
    row["reference"], row["tag_significance"] = against, "untested"
    if not {own, against} <= found.systems.keys():
      continue
    one, other = found.systems[own], found.systems[against]
    terms = [statistics.Term(1, own), statistics.Term(-1, against)]
    seen = statistics.estimate(terms, found.systems)
    row["delta"] = {
      "estimate": seen.value,
      "low": seen.low,
      "high": seen.high,
    }
    row["p_raw"] = seen.p
    spread = seen.seed_variance + seen.sentence_variance
    if seen.tested and spread:
      row["seed_share"] = seen.seed_variance / spread
    if one.test == other.test and len(one.runs[0]) == len(other.runs[0]):
      row["p_bootstrap"] = statistics.paired_bootstrap(one, other)
      row["p_randomisation"] = statistics.approximate_randomisation(one, other)
  corrected = statistics.holm([row["p_raw"] for row in rows])
  for row, p in zip(rows, corrected):
    row["p"] = p
    if p is not None and not verdicts.lost(
      found, (row["name"], row["reference"])
    ):
      better = sign * row["delta"]["estimate"] > 0
      row["tag_significance"] = (
        "same" if p >= statistics.ALPHA else "better" if better else "worse"
      )


def _bins(found: collect.Found, ablation: suite.Ablation) -> list[dict]:
  """Bins of source length, of a table whose rows have one test set."""
  tests = {s.test for s in found.systems.values()}
  if len(tests) != 1 or not found.lengths or not ablation.bins:
    return []
  lengths = next(iter(found.lengths.values()))
  edges, out = (0, *ablation.bins, None), []
  for low, high in itertools.pairwise(edges):
    first = low + 1 if out else 0
    inside = (lengths >= first) & (lengths <= (high or lengths.max()))
    label = f"up to {high}" if not out else f"{first} to {high}"
    if high is None:
      label = f"more than {low}"
    if inside.any():
      out.append(
        {
          "label": label,
          "low": first,
          "high": high or int(lengths.max()),
          "sentences": int(inside.sum()),
        }
      )
  return out


def _unit(configs: dict) -> str:
  """What a source's length counts, as `evaluate_split.detail` does."""
  kinds = {c["data"]["source"]["tokenizer"] for c in configs.values()}
  return "letters" if kinds == {"char"} else "words"


def _by_length(found: collect.Found, row: str, bins: list[dict]) -> dict | None:
  if row not in found.systems or row not in found.lengths or not bins:
    return None
  means, sds = [], []
  for one in bins:
    mask = found.mask(row, orderings.Subset(one["low"], one["high"]))
    mean, sd = statistics.mean_sd(statistics.values(found.systems[row], mask))
    means.append(mean)
    sds.append(sd)
  return {"means": means, "sds": sds}


def _learning(found: collect.Found, ablation: suite.Ablation) -> list[dict]:
  """Curves of validation, with a deviation over seeds to either side."""
  out = []
  for row in ablation.rows:
    runs = [s["courses"][0]["valid"] for s in found.done(row.name)]
    names = [n for n in (ablation.metric, "loss") if runs and n in runs[0]]
    if not names:
      continue
    by_step: dict[int, list[float]] = {}
    for run in runs:
      for step, value in run.get(names[0], []):
        if value is not None:
          by_step.setdefault(step, []).append(value)
    steps = sorted(by_step)
    means = [float(np.mean(by_step[s])) for s in steps]
    sds = [statistics.mean_sd(by_step[s])[1] or 0.0 for s in steps]
    out.append(
      {
        "name": row.name,
        "metric": names[0],
        "split": "valid",
        "steps": steps,
        "mean": means,
        "low": [m - d for m, d in zip(means, sds)],
        "high": [m + d for m, d in zip(means, sds)],
        "n": len(runs),
      }
    )
  return out


def _side_by_side(
  found: collect.Found, rows: list[dict], sign: float
) -> list[dict]:
  """Sentences on which a row beats or misses its reference most (seed 0)."""
  out = []
  compared = [r for r in rows if r["p_bootstrap"] is not None]
  for row in compared[:SHOWN]:
    name, against = row["name"], row["reference"]
    mine, theirs = found.outputs(name), found.outputs(against)
    size = len(found.systems[name].runs[0])  # of a loss, pairs
    if not mine or not len(mine) == len(theirs) == size:
      continue
    one = found.systems[name].score(found.systems[name].runs[0])
    other = found.systems[against].score(found.systems[against].runs[0])
    difference = sign * (one - other)
    fits = [len(o["source"].split()) <= LONGEST for o in mine]
    order = [i for i in np.argsort(difference, kind="stable") if fits[i]]
    lost = [i for i in order[:2] if difference[i] < 0]
    won = [i for i in order[:-3:-1] if difference[i] > 0]
    both = sorted(order, key=lambda i: sign * (one[i] + other[i]))
    hard = [i for i in both if i not in (*lost, *won)][:1]
    for kind, chosen in (
      ("this row best", won),
      ("reference row best", lost),
      ("both worst", hard),
    ):
      out += [
        {
          "kind": kind,
          "row": name,
          "against": against,
          "source": mine[i]["source"],
          "reference": mine[i]["reference"],
          "hypothesis": mine[i]["hypothesis"],
          "other": theirs[i]["hypothesis"],
          "score": float(one[i]),
          "other_score": float(other[i]),
        }
        for i in chosen
      ]
  return out


def _attention(found: collect.Found, ablation: suite.Ablation) -> list[dict]:
  out = []
  for row in ablation.rows:
    out += [{"row": row.name} | a for a in found.attention(row.name)[:2]]
  return out


def _record(found, ablation, configs, command, published, done) -> dict:
  """Everything that is needed to run it again."""
  made = [s.get("made", {}) for s in done]
  every = lambda name: _every([m.get(name) or {} for m in made])
  commits = _every([{"commit": m.get("git_commit")} for m in made])
  data = {
    row.name: s["identity"]["data checksums"]
    for row in ablation.rows
    for s in found.done(row.name)[:1]
  }
  if len({json.dumps(d, sort_keys=True) for d in data.values()}) == 1:
    data = {"all": next(iter(data.values()))}
  return {
    "command": command,
    "date": datetime.date.today().isoformat(),
    "git_commit": commits.get("commit"),
    "versions": every("versions"),
    "machine": every("machine"),
    "data": data,
    "configs": configs,
    "base": ablation.base,
    "published_sources": {name: _note(n) for name, n in published.items() if n},
  }


def _every(records: list[dict]) -> dict:
  """Of each name its value, or all of them where cells differ."""
  out = {}
  for name in dict.fromkeys(n for r in records for n in r):
    there = [r[name] for r in records if r.get(name) is not None]
    values = list(dict.fromkeys(there))
    if values:
      out[name] = (
        values[0] if len(values) == 1 else " / ".join(map(str, values))
      )
  return out
