"""From the cells on disk to the data of a table, a `schema.Table`.

Everything that is printed, drawn or tested is computed from here; the modules
in `report/` only show it.
"""

import datetime
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from seq2seq_jax import metrics
from seq2seq_jax.ablation import (
  cells,
  collect,
  comparisons,
  curves,
  examples,
  intervals,
  notes,
  published,
  rules,
  schema,
  statistics,
  suite,
  verdicts,
)

# Names of further metrics in published tables; `wer` is then of phones.
PUBLISHED_NAMES = {"perplexity": "ppl", "wer": "per"}

Published = Mapping[str, published.Number | None]


def build(
  ablation: suite.Ablation,
  table_cells: Sequence[cells.Cell],
  *,
  score: Callable[[np.ndarray], np.ndarray],
  published_numbers: Published,
  published_curves: Sequence[published.Curve],
  lower_is_better: bool,
  configs: Mapping[str, dict[str, Any]],
  command: str,
  sentences: bool = True,
  bounds: intervals.Bounds | None = None,
) -> schema.Table:
  """The table of all cells, or of those that are done.

  Args:
    ablation: rows, metrics and claims.
    table_cells: of all rows and seeds.
    score: sums of sentence statistics [..., F] -> score [...].
    published_numbers: by row; None or missing for rows without one.
    published_curves: published scores by source length.
    lower_is_better: direction of the metric.
    configs: resolved config of each row, as nested dicts.
    command: that makes the table.
    sentences: whether the table may hold texts of the data.
    bounds: the least and the largest that the metric can be; by default what
      its record says.
  """
  bounds = bounds or metrics.bounds(ablation.metric)
  results = collect.Results(ablation, table_cells, score, bounds)
  sign = -1.0 if lower_is_better else 1.0
  bins = curves.bins(results)
  compared = comparisons.compare(results, sign)
  rows = tuple(
    _row(
      results,
      row,
      published_numbers.get(row.name),
      compared,
      bins,
      _test_sets(configs, row.name),
    )
    for row in ablation.rows
  )
  done = [s for row in ablation.rows for s in results.done(row.name)]
  counts = _counts(results)
  complete = counts.done + counts.failed == counts.cells
  return schema.Table(
    title=ablation.title,
    paper=ablation.paper,
    note=ablation.note,
    scale=ablation.scale,
    metric=ablation.metric,
    higher_is_better=not lower_is_better,
    signature=done[0].get("signature") if done else None,
    reference=ablation.reference,
    seeds=tuple(sorted({cell.seed for cell in table_cells})),
    test_sentences=_common({status["sentences"] for status in done}),
    state="complete" if complete else "partial",
    rows=rows,
    bins=bins,
    length_unit=_length_unit(configs),
    published_curves=tuple(
      _published_curve(c, _test_sets(configs), ablation.metric)
      for c in published_curves
    ),
    orderings=verdicts.judge(results, ablation.orderings, sign),
    seed_share=_seed_share(results),
    difference_seed_share=_median(row.seed_share for row in rows),
    counts=counts,
    learning_curves=curves.learning_curves(results),
    sentences=examples.sentences(results, rows, sign) if sentences else (),
    attention=examples.attention(results) if sentences else (),
    run=_run_record(results, configs, command, published_numbers),
    notes=(
      *notes.of_checkpoints(ablation, configs),
      *notes.of_tests({row: c.limit for row, c in compared.items()}),
    ),
    rules=dict(rules.NAMES),
  )


def _test_sets(
  configs: Mapping[str, dict[str, Any]], row: str | None = None
) -> str:
  """Name of a row's test set, or of that of all rows; empty if not one."""
  if row is not None:
    return published.test_set(configs[row]["data"]) if row in configs else ""
  names = {published.test_set(config["data"]) for config in configs.values()}
  return names.pop() if len(names) == 1 else ""


def _counts(results: collect.Results) -> schema.Counts:
  statuses = [s["status"] for row in results.cells.values() for _, s in row]
  return schema.Counts(
    cells=len(statuses),
    done=statuses.count("done"),
    failed=sum(status in schema.NO_SCORE for status in statuses),
    running=statuses.count("running"),
    waiting=statuses.count("waiting") + statuses.count("stale"),
  )


def _common(values: set[int]) -> int | None:
  """The value that all have; None if they differ."""
  return values.pop() if len(values) == 1 else None


def _median(shares: Iterable[float | None]) -> float | None:
  known = [share for share in shares if share is not None]
  return float(np.median(known)) if known else None


def _length_unit(configs: Mapping[str, dict[str, Any]]) -> str:
  """What the length of a source counts, as the evaluator does."""
  tokenizers = {c["data"]["source"]["tokenizer"] for c in configs.values()}
  return "letters" if tokenizers == {"char"} else "words"


def _published_curve(
  curve: published.Curve, test_set: str, metric: str
) -> schema.PublishedCurve:
  return schema.PublishedCurve(
    paper=curve.paper,
    metric=curve.metric,
    data=curve.data,
    source=curve.source,
    x=curve.x,
    y=curve.y,
    tag=curve.tag,
    whole=curve.whole,
    unconfirmed=curve.unconfirmed,
    name=curve.name,
    differs=curve.differs(test_set, metric),
  )


def _seed_share(results: collect.Results) -> float | None:
  """Share of the variance of single runs due to seeds.

  None if rows have different test sets: then they differ for other reasons.
  """
  if len({system.test for system in results.systems.values()}) > 1:
    return None
  return statistics.seed_share(
    [
      [status["value"] for status in results.done(row.name)]
      for row in results.ablation.rows
    ]
  )


def _row(
  results: collect.Results,
  row: suite.Row,
  number: published.Number | None,
  compared: Mapping[str, comparisons.Comparison],
  bins: tuple[schema.LengthBin, ...],
  test_set: str,
) -> schema.Row:
  """A row of the table.

  Args:
    results: of the table's cells.
    row: of the suite.
    number: its published number, or None.
    compared: comparisons by row.
    bins: of source length.
    test_set: of the row, as published numbers name it.
  """
  done = results.done(row.name)
  values = [status["value"] for status in done]
  mean, sd = statistics.mean_sd(values) if values else (None, None)
  runs = [curve for status in done for curve in status["learning_curves"]]
  seconds = sum(curve["seconds"] for curve in runs)
  tokens = sum(curve["tokens"] for curve in runs)
  epochs = [n for s in done if (n := _epochs_to_best(results, s)) is not None]
  comparison = compared[row.name]
  return schema.Row(
    name=row.name,
    mean=mean,
    sd=sd,
    n=len(values),
    values=tuple(
      status["value"] if status["status"] == "done" else None
      for _, status in results.cells[row.name]
    ),
    cells=tuple(
      _cell(results, cell, status) for cell, status in results.cells[row.name]
    ),
    published=number.value if number else None,
    published_sd=number.sd if number else None,
    published_hedge=number.hedge if number else "",
    tag=number.tag if number else None,
    published_note=number.origin or None if number else None,
    published_parameters=number.more.get("parameters") if number else None,
    published_differs=(
      number.differs(test_set, results.ablation.metric) if number else ()
    ),
    unconfirmed=number.unconfirmed if number else False,
    reference=comparison.reference,
    delta=comparison.delta,
    p=comparison.p,
    p_raw=comparison.p_raw,
    p_bootstrap=comparison.p_bootstrap,
    p_randomisation=comparison.p_randomisation,
    tag_significance=comparison.tag_significance,
    seed_share=comparison.seed_share,
    parameters=done[0]["parameters"] if done else None,
    minutes=seconds / 60 / len(done) if done else None,
    tokens_per_second=tokens / seconds if seconds else None,
    epochs_to_best=float(np.mean(epochs)) if epochs else None,
    others=_other_metrics(results, done, number),
    overrides=tuple(row.overrides),
    base=row.base or results.ablation.base,
    lengths=curves.by_length(results, row.name, bins),
  )


def _other_metrics(
  results: collect.Results,
  done: Sequence[collect.Status],
  number: published.Number | None,
) -> dict[str, schema.OtherMetric]:
  """Means over seeds of the further metrics that were computed."""
  others = {}
  for name in results.ablation.metrics:
    values = [s["metrics"][name] for s in done if name in s["metrics"]]
    if not values:
      continue
    mean, sd = statistics.mean_sd(values)
    paper = None
    if number:
      paper = number.more.get(PUBLISHED_NAMES.get(name, name))
    others[name] = schema.OtherMetric(mean=mean, sd=sd, published=paper)
  return others


def _cell(
  results: collect.Results, cell: cells.Cell, status: collect.Status
) -> schema.Cell:
  runs = status.get("learning_curves", [])
  changed = "; ".join(status.get("changed", []))
  return schema.Cell(
    seed=cell.seed,
    status=status["status"],
    message=status.get("message") or changed,
    seconds=sum(curve["seconds"] for curve in runs) if runs else None,
    host=status.get("host"),
    value=status.get("value"),
    steps=runs[0]["steps"] if runs else None,
    best_step=status.get("best_step"),
    epochs_to_best=_epochs_to_best(results, status) if runs else None,
  )


def _epochs_to_best(
  results: collect.Results, status: collect.Status
) -> float | None:
  """Epochs up to the checkpoint that was scored; None unless it is the best."""
  if results.ablation.checkpoint != "best":
    return None
  step = status.get("best_step")
  batches = status["learning_curves"][0]["batches_per_epoch"]
  return step / batches if step and batches else None


def _run_record(
  results: collect.Results,
  configs: Mapping[str, dict[str, Any]],
  command: str,
  numbers: Published,
) -> schema.RunRecord:
  """What is needed to make the table again."""
  rows = results.ablation.rows
  done = [status for row in rows for status in results.done(row.name)]
  records = [status.get("made", {}) for status in done]
  commits = _merged(
    [{"commit": record.get("git_commit")} for record in records]
  )
  data = {
    row.name: status["identity"]["data checksums"]
    for row in rows
    for status in results.done(row.name)[:1]
  }
  if len({json.dumps(d, sort_keys=True) for d in data.values()}) == 1:
    data = {"all": next(iter(data.values()))}
  return schema.RunRecord(
    command=command,
    date=datetime.date.today().isoformat(),
    git_commit=commits.get("commit"),
    versions=_merged([record.get("versions") or {} for record in records]),
    machine=_merged([record.get("machine") or {} for record in records]),
    data=data,
    configs=dict(configs),
    base=results.ablation.base,
    published_sources={
      name: number.origin for name, number in numbers.items() if number
    },
  )


def _merged(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
  """Each name's value; if records differ all values, joined by slashes."""
  merged: dict[str, Any] = {}
  for name in dict.fromkeys(n for record in records for n in record):
    values = [r[name] for r in records if r.get(name) is not None]
    distinct = list(dict.fromkeys(values))
    if len(distinct) == 1:
      merged[name] = distinct[0]
    elif distinct:
      merged[name] = " / ".join(map(str, distinct))
  return merged
