"""The report of an ablation table: one HTML page that needs nothing else.

No script, no address, no font: it may be mailed, printed, or put beside a
paper. Whatever the table lacks is left out or said to be missing.
"""

import json
import shlex

from seq2seq_jax.ablation.report import html_table, parts
from seq2seq_jax.ablation.report.style import CSS

KINDS = {
  "this row best": "The row is furthest ahead",
  "reference row best": "The reference is furthest ahead",
  "both worst": "Both at their worst",
}
FIGURES = ("differences", "learning", "lengths", "attention")
UNFINISHED = ("failed", "diverged", "stale")


def html(table: dict, figures: dict | None = None) -> str:
  """The page.

  Args:
    table: the finished or half finished table, as in its JSON file.
    figures: inline SVGs by name (`differences`, `learning`, `lengths`), and a
      list of them as `attention`; they are put in as they are.
  """
  sections = [
    html_table.results(table),
    html_table.orderings(table),
    _figures(table, figures or {}),
    _sentences(table),
    _failures(table),
    _run(table),
  ]
  title = parts.text(table.get("title") or "Ablation table")
  return "\n".join(
    [
      '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
      '<meta name="viewport" content="width=device-width, initial-scale=1">',
      f"<title>{title}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>",
      _header(table, title, [s for s in sections if s]),
      *sections,
      "</main>\n</body>\n</html>\n",
    ]
  )


def _header(table, title: str, sections: list[str]) -> str:
  links = []
  for section in sections:
    name = section.split('id="', 1)[1].split('"', 1)[0]
    heading = section.split("<h2>", 1)[1].split("</h2>", 1)[0]
    links.append(f'<a href="#{name}">{heading}</a>')
  paper, note = table.get("paper"), table.get("note")
  return "\n".join(
    [
      f"<header>\n<h1>{title}</h1>",
      f'<p class="paper">{parts.text(paper)}</p>' if paper else "",
      f'<p class="note">{parts.text(note)}</p>' if note else "",
      _facts(table),
      f"<nav>{' '.join(links)}</nav>\n</header>",
    ]
  )


def _facts(table) -> str:
  counts = table.get("counts") or {}
  state = ", ".join(
    f"{counts[k]} {k}"
    for k in ("failed", "running", "waiting")
    if counts.get(k)
  )
  cells = f"{counts.get('done', 0)} of {counts.get('cells', 0)} done"
  sentences = table.get("test_sentences")
  higher = table.get("higher_is_better", True)
  facts = [
    ("State", parts.tag(table.get("state") or "partial")),
    ("Cells", f"{cells}{', ' + state if state else ''}"),
    ("Metric", f"{parts.metric(table.get('metric'))}, {_better(higher)}"),
    ("Reference", parts.text(table.get("reference") or parts.NOTHING)),
    ("Seeds", _seed_list(table)),
    ("Test sentences", f"{sentences:,}" if sentences else parts.NOTHING),
    ("Scale", parts.text(table.get("scale") or parts.NOTHING)),
  ]
  return parts.pairs(facts, "facts")


def _seed_list(table) -> str:
  seeds = ", ".join(str(seed) for seed in table.get("seeds") or ())
  return parts.text(seeds or parts.NOTHING)


def _better(higher: bool) -> str:
  return "higher is better" if higher else "lower is better"


def _figures(table, figures: dict) -> str:
  """Every figure on white paper, also in a dark page."""
  if not any(figures.values()):
    missing = (
      "<p>There are no figures: they need Matplotlib. Install the extra "
      "<code>plots</code>, then give the command of the table again; finished "
      "cells are kept.</p>\n"
      "<pre>pip install -c constraints.txt -e '.[plots]'</pre>"
    )
    return parts.section("figures", "Figures", missing)
  names = [*FIGURES, *(n for n in figures if n not in FIGURES)]
  shown = []
  for name in names:
    drawn = figures.get(name)
    if not drawn:
      continue
    if not isinstance(drawn, str):
      drawn = "".join(f"<div>{one}</div>" for one in drawn)
      drawn = f'<div class="maps">{drawn}</div>'
    shown.append(
      f'<figure id="figure-{parts.text(name)}">'
      f'<div class="paper-white" tabindex="0">{drawn}</div>\n'
      f"<figcaption>{_caption(table, name)}</figcaption></figure>"
    )
  lacking = [n for n in FIGURES if not figures.get(n)]
  if lacking:
    names = " or ".join(lacking)
    shown.append(f'<p class="soft">Without data, so not drawn: {names}.</p>')
  return parts.section("figures", "Figures", *shown)


def _caption(table, name: str) -> str:
  metric = parts.metric(table.get("metric"))
  if name == "differences":
    compared = any(r.get("delta") for r in table["rows"])
    return (
      f"{'Left, test' if compared else 'Test'} {metric} of every row, mean and "
      f"standard deviation over {_seeds(table['rows'])}; hollow marks are "
      "published values, pale ones unconfirmed."
    ) + (
      " Right, the difference to the reference with its 95 % interval over "
      "seeds and sentences; dark figures passed the test."
      if compared
      else ""
    )
  if name == "learning":
    curves = table.get("learning_curves") or []
    return (
      "Learning curves on the validation set: mean over "
      f"{_seeds(curves)}, with one standard deviation to either side. Grey "
      "lines, if any, are the other rows."
    )
  if name == "lengths":
    return _lengths_caption(table, metric)
  if name == "attention":
    return (
      "Attention of one trained model a row, not averaged over seeds: source "
      "tokens across, output tokens down; black is a weight of 1."
    )
  return parts.text(name)


def _lengths_caption(table, metric: str) -> str:
  bins = "; ".join(
    f"{parts.text(b['label'])}: {b['sentences']:,}"
    for b in table.get("bins") or ()
    if b.get("sentences")
  )
  curves = "; ".join(
    f"{parts.text(c['name'])} ({parts.text(c.get('source') or c.get('tag'))})"
    for c in table.get("published_curves") or ()
  )
  return (
    f"Test {metric} by source length in {table.get('length_unit', 'words')}, "
    f"mean and standard deviation over {_seeds(table['rows'])}."
    + (f" Test sentences: {bins}." if bins else "")
    + (f" Dashed, published: {curves}." if curves else "")
  )


def _seeds(rows: list[dict]) -> str:
  """`3 seeds`, or `1 to 3 seeds` where rows differ."""
  counts = sorted({r.get("n") or 0 for r in rows} - {0}) or [0]
  least = f"{counts[0]} to " if len(counts) > 1 else ""
  return f"{least}{parts.seeds(counts[-1])}"


# Sentences, failures, the run.


def _sentences(table) -> str:
  shown = [_pair(s, table) for s in table.get("sentences") or ()]
  if not shown:
    return ""
  about = "Chosen by the difference of the sentences' own scores."
  return parts.section("sentences", "Sentences", f"<p>{about}</p>", *shown)


def _pair(s: dict, table) -> str:
  sides = []
  scores = s.get("score"), s.get("other_score")
  best = max if table.get("higher_is_better", True) else min
  known = [v for v in scores if parts.there(v)]
  names = s["row"], s["against"]
  for name, said, score in zip(names, (s["hypothesis"], s["other"]), scores):
    ahead = len(set(known)) > 1 and score == best(known)
    sides.append(
      f'<div{parts.css_class("ahead" if ahead else "")}><p class="label">'
      f"{parts.text(name)} <b>{parts.number(score, 1)}</b></p>"
      f'<p dir="auto">{parts.text(said)}</p></div>'
    )
  kind = parts.text(KINDS.get(s.get("kind"), s.get("kind") or ""))
  return (
    f'<div class="pair"><p><b>{kind}</b></p>'
    f'<p class="label">Source</p><p dir="auto">{parts.text(s["source"])}</p>'
    f'<p class="label">Reference translation</p>'
    f'<p dir="auto">{parts.text(s["reference"])}</p>'
    f'<div class="two">{"".join(sides)}</div></div>'
  )


def _failures(table) -> str:
  shown = []
  for row in table["rows"]:
    for c in row.get("cells") or ():
      if c.get("status") not in UNFINISHED:
        continue
      about = [f"seed {c.get('seed')}"]
      if c.get("steps") is not None:
        about.append(f"step {c['steps']:,}")
      if parts.there(c.get("seconds")):
        about.append(f"{c['seconds'] / 60:.1f} minutes")
      if c.get("host"):
        about.append(f"on {c['host']}")
      shown.append(
        f"<h3>{parts.text(row['name'])} {parts.tag(c['status'])}</h3>\n"
        f'<p class="soft">{parts.text(", ".join(about))}</p>\n'
        f"<pre>{parts.text(c.get('message') or 'no message')}</pre>"
      )
  return parts.section("failures", "Cells without a result", *shown)


def _run(table) -> str:
  run = table.get("run") or {}
  command = run.get("command")
  facts = {
    "date": run.get("date"),
    "git commit": run.get("git_commit"),
    "base config": run.get("base"),
    **{k.replace("_", " "): v for k, v in (run.get("machine") or {}).items()},
  }
  facts = {k: v for k, v in facts.items() if v not in (None, "")}
  blocks = [
    f"<div><h3>{title}</h3>{parts.two_columns(values)}</div>"
    for title, values in (
      ("Where and when", facts),
      ("Versions", run.get("versions") or {}),
    )
    if values
  ]
  return parts.section(
    "run",
    "To run it again",
    f"<pre>{parts.text(command)}</pre>" if command else "",
    f'<div class="run">{"".join(blocks)}</div>' if blocks else "",
    _configs(table, run),
    _checksums(run.get("data") or {}),
  )


def _configs(table, run: dict) -> str:
  """A block for each row: its overrides, then its whole config."""
  configs, shown = run.get("configs") or {}, []
  for row in table["rows"]:
    config, words = configs.get(row["name"]), row.get("overrides") or ()
    if config is None and not words:
      continue
    flags = parts.text(shlex.join(words)) or "none"
    base = parts.text(row.get("base") or run.get("base") or "")
    body = f"<p><code>{base}</code>, overrides: <code>{flags}</code></p>"
    if config is not None:
      whole = json.dumps(config, indent=2, ensure_ascii=False, default=str)
      body += f"<pre>{parts.text(whole)}</pre>"
    shown.append(parts.fold(parts.text(row["name"]), body))
  return "<h3>Configs by row</h3>\n" + "\n".join(shown) if shown else ""


def _checksums(data: dict) -> str:
  shown = []
  for name, files in data.items():
    title = "" if name == "all" else f"<p><b>{parts.text(name)}</b></p>"
    shown.append(f'{title}<div class="run">{parts.two_columns(files)}</div>')
  if not shown:
    return ""
  return "<h3>Data</h3>\n" + parts.fold("SHA-256 of the data", "".join(shown))
