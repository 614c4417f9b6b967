"""A table as Markdown, LaTeX (booktabs) and CSV."""

import csv
import io
from collections.abc import Iterable, Sequence

from seq2seq_jax.ablation import schema
from seq2seq_jax.ablation.report import (
  columns,
  explanations,
  formatting,
  row_cells,
)

LATEX_SPECIALS = {
  "\\": "\\textbackslash{}",
  "&": "\\&",
  "%": "\\%",
  "$": "\\$",
  "#": "\\#",
  "_": "\\_",
  "{": "\\{",
  "}": "\\}",
  "~": "\\textasciitilde{}",
  "^": "\\textasciicircum{}",
  "±": "$\\pm$",
  "†": "$\\dagger$",
  "‡": "$\\ddagger$",
  "§": "\\S{}",
  "¶": "\\P{}",
  "<": "$<$",
  ">": "$>$",
}


def markdown(table: schema.Table) -> str:
  """The table, the paper's claims, how to read them, and how it was made."""
  parts = [f"# {table.title}", table.paper]
  if table.note:
    parts.append(table.note)
  if table.state != "complete":
    parts.append(f"**Not complete**: {_progress(table.counts)}.")
  shown = columns.in_markdown()
  names = [columns.fill(column.markdown, table.metric) for column in shown]
  rows = [
    [_markdown_text(column.spans(table, row)) for column in shown]
    for row in table.rows
  ]
  parts.append(_markdown_table(names, rows))
  parts += _markdown_other_metrics(table)
  parts += _markdown_orderings(table)
  parts += _markdown_failures(table)
  reading = explanations.of(table)
  parts.append("\n".join(reading.lines(table.signature)))
  if reading.rules:
    rules = (f"- {name}: {rule}" for name, rule in reading.rules)
    parts += ["How intervals and p were computed:", "\n".join(rules)]
  parts.append(_provenance(table))
  return "\n\n".join(parts) + "\n"


def _progress(counts: schema.Counts) -> str:
  text = f"{counts.done} of {counts.cells} cells done"
  return text + (f", {counts.failed} failed" if counts.failed else "")


def _markdown_table(
  names: Sequence[str],
  rows: Iterable[Sequence[str]],
  align: Sequence[str] | None = None,
) -> str:
  """A pipe table; by default all but the first column stand at the right."""
  align = align or ["---", *["---:"] * (len(names) - 1)]
  lines = (_markdown_line(cells) for cells in (names, align, *rows))
  return "\n".join(lines)


def _markdown_line(cells: Sequence[str]) -> str:
  # A name or the message of an exception may hold line ends and pipes.
  escaped = (" ".join(cell.split()).replace("|", "\\|") for cell in cells)
  return "| " + " | ".join(escaped) + " |"


def _markdown_text(spans: row_cells.Spans) -> str:
  return "".join(f"*{s.text}*" if s.italic else s.text for s in spans)


def _markdown_other_metrics(table: schema.Table) -> list[str]:
  names = list(dict.fromkeys(name for row in table.rows for name in row.others))
  if not names:
    return []
  rows = [
    [row.name, *(_other_metric(table, row, name) for name in names)]
    for row in table.rows
  ]
  others = (other for row in table.rows for other in row.others.values())
  parts = ["## Other metrics"]
  if any(other.published is not None for other in others):
    parts.append("Published ones in brackets.")
  return [*parts, _markdown_table(["", *names], rows)]


def _other_metric(table: schema.Table, row: schema.Row, name: str) -> str:
  other = row.others.get(name)
  if other is None:
    return ""
  text = formatting.plain_mean_sd(other.mean, other.sd)
  if other.published is None:
    return text
  paper = row_cells.Span(f"{other.published:g}", italic=row.unconfirmed)
  return f"{text} ({_markdown_text((paper, *row_cells.signs(table, row)))})"


def _markdown_orderings(table: schema.Table) -> list[str]:
  if not table.orderings:
    return []
  rows = [
    [
      ordering.claim,
      ordering.verdict,
      formatting.plain(ordering.estimate, True),
      _interval(ordering),
      ordering.note,
    ]
    for ordering in table.orderings
  ]
  names = ["claim", "verdict", "estimate", "95 %", ""]
  align = ["---", "---", "---:", "---:", "---"]
  return ["## Orderings", _markdown_table(names, rows, align)]


def _interval(ordering: schema.Ordering) -> str:
  if ordering.interval is None:
    return ""
  return formatting.plain_interval(*ordering.interval)


def _markdown_failures(table: schema.Table) -> list[str]:
  lines = [
    f"- {row.name}, seed {cell.seed}: {cell.status}: "
    + " ".join((cell.message or "").split())  # an exception's has many lines
    for row in table.rows
    for cell in row.cells
    if cell.status in (*schema.NO_SCORE, "stale")
  ]
  return ["## Cells without a score", "\n".join(lines)] if lines else []


def _provenance(table: schema.Table) -> str:
  """The command, and when, on what and with which versions it ran."""
  run = table.run
  facts = [
    f"{run.date}, scale {table.scale}, seeds "
    + ", ".join(map(str, table.seeds)),
    ", ".join(f"{k} {v}" for k, v in run.machine.items() if v),
    ", ".join(f"{k} {v}" for k, v in run.versions.items() if v),
    f"commit {run.git_commit}" if run.git_commit else "",
  ]
  return f"    {run.command}\n\n" + "; ".join(filter(None, facts))


def latex(table: schema.Table) -> str:
  """Three tabulars: results, costs and the paper's claims.

  A comment before the first says how to read it and may become its caption.
  """
  reading = explanations.of(table)
  caption = " ".join(" ".join(reading.lines(table.signature)).split())
  lines = [
    "% needs \\usepackage{booktabs}",
    f"% {table.title}, {table.paper}. Bold: better than the baseline at "
    f"5 %. Italics: unconfirmed. {caption}",
    *(f"% {name}: {rule}" for name, rule in reading.rules),
    *_latex_rows(table, "results"),
    "% What each row took.",
    *_latex_rows(table, "costs"),
  ]
  return "\n".join([*lines, *_latex_orderings(table)])


def _latex_rows(table: schema.Table, part: str) -> list[str]:
  """A tabular with the columns of `results` or `costs`, a line for each row."""
  shown = columns.in_latex(part)
  metric = latex_text(table.metric)
  names = [columns.fill(column.latex, metric) for column in shown]
  rows = []
  for row in table.rows:
    first, *cells = (_latex_cell(column.spans(table, row)) for column in shown)
    # Braces: after a line's end [ and * would be its arguments.
    rows.append([f"{{{first}}}", *cells])
  return _tabular("".join(column.latex_align for column in shown), names, rows)


def _latex_orderings(table: schema.Table) -> list[str]:
  """A tabular of the paper's claims; nothing if there are none."""
  if not table.orderings:
    return []
  rows = [
    [
      f"{{{latex_text(ordering.claim)}}}",
      ordering.verdict,
      latex_text(formatting.plain(ordering.estimate, True)),
      latex_text(_interval(ordering)),
    ]
    for ordering in table.orderings
  ]
  names = ["claim", "verdict", "estimate", "95\\,\\%"]
  return ["% The paper's claims.", *_tabular("lllr", names, rows)]


def _tabular(
  align: str, names: Sequence[str], rows: Iterable[Sequence[str]]
) -> list[str]:
  return [
    f"\\begin{{tabular}}{{{align}}}",
    "\\toprule",
    " & ".join(names).strip() + " \\\\",
    "\\midrule",
    *(" & ".join(cells) + " \\\\" for cells in rows),
    "\\bottomrule",
    "\\end{tabular}",
    "",
  ]


def _latex_cell(spans: row_cells.Spans) -> str:
  parts = []
  for span in spans:
    text = latex_text(span.text)
    if span.italic and text:
      text = f"\\textit{{{text}}}"
    parts.append(f"\\textbf{{{text}}}" if span.bold else text)
  return "".join(parts)


def latex_text(text: str) -> str:
  """The text with special characters escaped and signed numbers in math."""
  signed = text[:1] in "+-" and text[1:2].isdigit()
  escaped = "".join(LATEX_SPECIALS.get(c, c) for c in text)
  if signed:
    return " to ".join(f"${part}$" for part in escaped.split(" to "))
  return escaped


def csv_text(table: schema.Table) -> str:
  """A line for each row with all digits; the seeds' scores come last."""
  out = io.StringIO()
  writer = csv.writer(out, lineterminator="\n")
  fields = columns.in_csv()
  writer.writerow([*fields, *(f"seed_{seed}" for seed in table.seeds)])
  for row in table.rows:
    writer.writerow([*(value(row) for value in fields.values()), *row.values])
  return out.getvalue()
