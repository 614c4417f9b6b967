"""The report of an ablation table: one HTML page that needs nothing else.

No script, no address, no font: it may be mailed, printed, or put beside a
paper. The page itself is `report.html.j2`, its looks `report.css`.
"""

import importlib.resources
import json
import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jinja2
import markupsafe

from seq2seq_jax import metrics
from seq2seq_jax.ablation import schema
from seq2seq_jax.ablation.report import (
  columns,
  explanations,
  figures,
  footnotes,
  formatting,
)

# Significances, verdicts and statuses: (words, CSS class).
BADGES = {
  "better": ("better", "good"),
  "worse": ("worse", "bad"),
  "not shown": ("not shown", ""),
  "untested": ("untested", "blank"),
  "baseline": ("baseline", ""),
  "PASS": ("PASS", "good"),
  "FAIL": ("FAIL", "bad"),
  "INCONCLUSIVE": ("INCONCLUSIVE", "open"),
  "PRINTED": ("PRINTED", ""),
  "MISSING": ("MISSING", "blank"),
  "complete": ("complete", "good"),
  "partial": ("partial", "open"),
  "failed": ("failed", "bad"),
  "diverged": ("diverged", "bad"),
  "stale": ("stale", "open"),
}
SENTENCE_KINDS: dict[schema.SentenceKind, str] = {
  "this row best": "The row is furthest ahead",
  "baseline best": "The baseline is furthest ahead",
  "both worst": "Both at their worst",
}


class Figure(NamedTuple):
  """A figure of the page; attention has several drawings."""

  name: str
  svgs: Sequence[str]
  caption: str


def html(
  table: schema.Table, svgs: Mapping[str, Sequence[str]] | None = None
) -> str:
  """The page of a table, complete or not.

  Args:
    table: to be shown.
    svgs: its figures as inline SVGs, by the names in `figures.NAMES`; they are
      put in as they are, while all other text is escaped.
  """
  drawn = {name: group for name, group in (svgs or {}).items() if group}
  failures = _failures(table)
  names = {
    "results": "Results",
    "orderings": "Orderings the paper claims" if table.orderings else "",
    "figures": "Figures",
    "sentences": "Sentences" if table.sentences else "",
    "failures": "Cells without a result" if failures else "",
    "run": "To run it again",
  }
  return _template().render(
    table=table,
    columns=columns.on_page(),
    metric=metrics.label(table.metric),
    digits=formatting.score_digits(table.rows),
    sections={name: title for name, title in names.items() if title},
    reading=explanations.of(table),
    footnotes=footnotes.lines(table),
    facts=_facts(table),
    figures=[
      Figure(name, drawn[name], _caption(table, name))
      for name in figures.NAMES
      if name in drawn
    ],
    not_drawn=[name for name in figures.NAMES if name not in drawn],
    failures=failures,
    where=_where(table),
    configs=_configs(table),
  )


def _template() -> jinja2.Template:
  folder = importlib.resources.files(__package__)
  environment = jinja2.Environment(
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    undefined=jinja2.StrictUndefined,
  )
  environment.globals.update(
    css=markupsafe.Markup(folder.joinpath("report.css").read_text("utf-8")),
    badges=BADGES,
    kinds=SENTENCE_KINDS,
    missing=formatting.MISSING,
    fill=columns.fill,
    number=formatting.number,
    interval=formatting.interval,
    claimed_range=_claimed_range,
  )
  return environment.from_string(
    folder.joinpath("report.html.j2").read_text("utf-8")
  )


def _facts(table: schema.Table) -> list[tuple[str, str]]:
  """The facts at the head of the page, after the table's state."""
  counts = table.counts
  cells = [f"{counts.done} of {counts.cells} done"]
  for name in ("failed", "running", "waiting"):
    if number := getattr(counts, name):
      cells.append(f"{number} {name}")
  better = "higher" if table.higher_is_better else "lower"
  sentences = table.test_sentences
  return [
    ("Cells", ", ".join(cells)),
    (
      "Metric",
      f"{metrics.label(table.metric)}, {better} is better",
    ),
    ("Baseline", table.reference or formatting.MISSING),
    ("Seeds", ", ".join(map(str, table.seeds)) or formatting.MISSING),
    (
      "Test sentences",
      f"{sentences:,}" if sentences else formatting.MISSING,
    ),
    ("Scale", table.scale or formatting.MISSING),
  ]


def _claimed_range(ordering: schema.Ordering) -> str:
  """The range a claim names: `≥ 0.5`, `≤ 0`, `−5 to 5`."""
  low, high = ordering.low, ordering.high
  if low is None and high is None:
    return ""
  if low is None:
    text = f"≤ {high:g}"
  elif high is None:
    text = f"≥ {low:g}"
  else:
    text = f"{low:g} to {high:g}"
  return formatting.minus(text)


def _caption(table: schema.Table, name: str) -> str:
  metric = metrics.label(table.metric)
  seeds = formatting.seeds(row.n for row in table.rows)
  if name == "differences":
    compared = any(row.delta for row in table.rows)
    caption = (
      f"{'Left, test' if compared else 'Test'} {metric} of every row, mean and "
      f"standard deviation over {seeds}; hollow marks are published values, "
      "pale ones unconfirmed, crosses not of this table's data or metric (its "
      "notes say what of)."
    )
    if compared:
      caption += (
        " Right, the difference to the baseline with its 95 % interval over "
        "seeds and sentences; dark figures passed the test."
      )
    return caption
  if name == "learning":
    return (
      "Learning curves on the validation set: mean over "
      f"{formatting.seeds(curve.n for curve in table.learning_curves)}, with "
      "one standard deviation to either side. Grey lines, if any, are the "
      "other rows."
    )
  if name == "lengths":
    return _lengths_caption(table, metric, seeds)
  return (
    "Attention of one trained model a row, not averaged over seeds: source "
    "tokens across, output tokens down; black is a weight of 1."
  )


def _lengths_caption(table: schema.Table, metric: str, seeds: str) -> str:
  bins = "; ".join(
    f"{length_bin.label}: {length_bin.sentences:,}"
    for length_bin in table.bins
    if length_bin.sentences
  )
  curves = "; ".join(
    f"{curve.name} ({'; '.join((curve.source or curve.tag, *curve.differs))})"
    for curve in table.published_curves
  )
  return (
    f"Test {metric} by source length in {table.length_unit}, mean and standard "
    f"deviation over {seeds}."
    + (f" Test sentences: {bins}." if bins else "")
    + (f" Dashed, published: {curves}." if curves else "")
  )


def _failures(
  table: schema.Table,
) -> list[tuple[schema.Row, schema.Cell, str]]:
  """The cells without a result: row, cell, and how far it came."""
  failures = []
  for row in table.rows:
    for cell in row.cells:
      if cell.status not in (*schema.NO_SCORE, "stale"):
        continue
      about = [f"seed {cell.seed}"]
      if cell.steps is not None:
        about.append(f"step {cell.steps:,}")
      if formatting.is_number(cell.seconds):
        about.append(f"{cell.seconds / 60:.1f} minutes")
      if cell.host:
        about.append(f"on {cell.host}")
      failures.append((row, cell, ", ".join(about)))
  return failures


def _where(table: schema.Table) -> dict[str, object]:
  """When, from what and on which machine the table was made."""
  run = table.run
  facts = {
    "date": run.date,
    "git commit": run.git_commit,
    "base config": run.base,
    **{name.replace("_", " "): value for name, value in run.machine.items()},
  }
  return {k: v for k, v in facts.items() if v not in (None, "")}


def _configs(table: schema.Table) -> list[tuple[schema.Row, str, str]]:
  """For each row its flags, and its whole config as JSON."""
  configs = []
  for row in table.rows:
    config = table.run.configs.get(row.name)
    if config is None and not row.overrides:
      continue
    text = ""
    if config is not None:
      text = json.dumps(config, indent=2, ensure_ascii=False, default=str)
    configs.append((row, shlex.join(row.overrides) or "none", text))
  return configs
