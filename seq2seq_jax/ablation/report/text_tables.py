"""A table's data as Markdown, LaTeX (booktabs), CSV and JSON."""

import csv
import io
import json
import pathlib

from seq2seq_jax.ablation import published as sources
from seq2seq_jax.runtime import files

MARKS = {"better": "+", "worse": "-", "same": "=", "untested": "?"}


def write(table: dict, folder: pathlib.Path) -> list[pathlib.Path]:
  """Writes table.md, .tex, .csv and .json, each put in place whole."""
  texts = {
    "table.md": markdown(table),
    "table.tex": latex(table),
    "table.csv": csv_text(table),
    "table.json": json.dumps(table, indent=1, allow_nan=False) + "\n",
  }
  for name, text in texts.items():
    files.replace(folder / name, text)
  return [folder / name for name in texts]


def markdown(table: dict) -> str:
  """The table, its orderings, and how to read them."""
  parts = [f"# {table['title']}", table["paper"]]
  if table["note"]:
    parts.append(table["note"])
  if table["state"] != "complete":
    parts.append(f"**Not complete**: {_counted(table['counts'])}.")
  head = ["", _metric(table), "n", "difference", "95 %", "p", "", "published"]
  head += ["tag", "parameters", "minutes", "tokens/s", "epochs to best"]
  lines = [_line(head), _line(["---", *["---:"] * 12])]
  for row in table["rows"]:
    published = _published(row)
    if row["unconfirmed"] and published:
      published = f"*{published}*"
    cells = [row["name"], _score(row), _seeds(row)]
    cells += _difference(row)
    cells += [published, row["tag"] or ""]
    lines.append(_line([*cells, *_costs(row)]))
  parts.append("\n".join(lines))
  parts += _other_metrics(table)
  parts += _orderings(table)
  parts += _failures(table)
  parts.append(_reading(table))
  parts.append(_made(table))
  return "\n\n".join(parts) + "\n"


def _line(cells) -> str:
  # A message of an exception may hold anything.
  clean = (" ".join(c.split()).replace("|", "\\|") for c in cells)
  return "| " + " | ".join(clean) + " |"


def _metric(table) -> str:
  return f"{table['metric']}, mean ± sd"


def _counted(counts: dict) -> str:
  told = f"{counts['done']} of {counts['cells']} cells done"
  return told + (f", {counts['failed']} failed" if counts["failed"] else "")


def _score(row: dict, plus=" ± ") -> str:
  if row["mean"] is None:
    failed = [c["status"] for c in row["cells"]]
    bad = [s for s in failed if s in ("failed", "diverged")]
    return ", ".join(dict.fromkeys(bad)) or "to come"
  if row["sd"] is None:
    return _number(row["mean"])
  return f"{_number(row['mean'])}{plus}{_number(row['sd'])}"


def _seeds(row: dict) -> str:
  every = len(row["values"])
  return f"{row['n']}" if row["n"] == every else f"{row['n']} of {every}"


def _number(x: float | None, signed=False) -> str:
  if x is None:
    return ""
  digits = 2 if abs(x) < 1000 else 0
  return f"{x:+.{digits}f}" if signed else f"{x:.{digits}f}"


def _difference(row: dict) -> list[str]:
  """Difference, interval, p, mark."""
  mark = MARKS.get(row["tag_significance"], "")
  if row["delta"] is None:
    return ["", "", "", mark if row["reference"] else "reference"]
  d = row["delta"]
  interval = f"{_number(d['low'], True)} to {_number(d['high'], True)}"
  return [_number(d["estimate"], True), interval, _p(row["p"]), mark]


def _p(p: float | None) -> str:
  if p is None:
    return ""
  return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _published(row: dict, plus=" ± ") -> str:
  if row["published"] is None:
    return ""
  text = f"{row.get('published_hedge', '')}{row['published']:g}"
  return text + (
    f"{plus}{row['published_sd']:g}" if row["published_sd"] else ""
  )


def _costs(row: dict, italics="*{}*") -> list[str]:
  """Parameters, the published ones in brackets, and what training took.

  `italics` is how those are set that are unconfirmed.
  """
  size, rate = row["parameters"], row["tokens_per_second"]
  epochs, minutes = row["epochs_to_best"], row["minutes"]
  known = row.get("published_parameters")
  millions = lambda n: f"{n / 1e6:.2f} M"
  beside = ""
  if known:
    form = italics if row["unconfirmed"] else "{}"
    beside = f" ({form.format(millions(known))})"
  return [
    f"{millions(size)}{beside}" if size else "",
    f"{minutes:.1f}" if minutes is not None else "",
    f"{rate:,.0f}" if rate else "",
    f"{epochs:.1f}" if epochs is not None else "",
  ]


def _other_metrics(table: dict) -> list[str]:
  names = list(dict.fromkeys(n for r in table["rows"] for n in r["others"]))
  if not names:
    return []
  lines = [_line(["", *names]), _line(["---", *["---:"] * len(names)])]
  for row in table["rows"]:
    recalled = row["unconfirmed"]
    shown = [_other(row["others"].get(n), recalled) for n in names]
    lines.append(_line([row["name"], *shown]))
  others = [o for r in table["rows"] for o in r["others"].values()]
  known = any(o.get("published") is not None for o in others)
  told = ["Published ones in brackets."] if known else []
  return ["## Other metrics", *told, "\n".join(lines)]


def _other(found: dict | None, recalled: bool) -> str:
  if not found:
    return ""
  known = found.get("published")
  if known is None:
    return _score(found)
  return f"{_score(found)} (" + (f"*{known:g}*)" if recalled else f"{known:g})")


def _orderings(table: dict) -> list[str]:
  if not table["orderings"]:
    return []
  lines = [
    _line(["claim", "verdict", "estimate", "95 %", ""]),
    _line(["---", "---", "---:", "---:", "---"]),
  ]
  for o in table["orderings"]:
    cells = [o["claim"], o["verdict"], _number(o["estimate"], True)]
    cells.append(_interval(o))
    lines.append(_line([*cells, o["note"]]))
  return ["## Orderings", "\n".join(lines)]


def _interval(ordering: dict) -> str:
  return " to ".join(_number(x, True) for x in ordering["interval"] or ())


def _failures(table: dict) -> list[str]:
  lines = [
    f"- {row['name']}, seed {c['seed']}: {c['status']}: "
    + " ".join((c["message"] or "").split())  # an exception's has many lines
    for row in table["rows"]
    for c in row["cells"]
    if c["status"] in ("failed", "diverged", "stale")
  ]
  return ["## Cells without a score", "\n".join(lines)] if lines else []


def _reading(table: dict) -> str:
  tags = sorted({r["tag"] for r in table["rows"] if r["tag"]})
  share, split = table["seed_share"], table["difference_seed_share"]
  lines = [
    f"Differences are to the reference row ({table['reference']}, where a row "
    "names no other): + better, - worse, = no difference at 5 %, ? not "
    "testable, with one seed or with seeds that failed. Intervals and p count "
    "seeds and test sentences as drawn at random; p is corrected by Holm's "
    "method over the table.",
    "A claim passes where its whole interval agrees with it, fails where the "
    "whole interval contradicts it, and is else inconclusive; so is one that "
    "would pass where seeds have failed. Claims are judged one by one; a note "
    "says where one is not decided at 5 % after Holm's correction over all.",
  ]
  if share is not None:
    lines.append(
      f"Of the variance of single runs, {100 * share:.1f} % is due to seeds, "
      "the rest to the rows."
    )
  if split is not None:
    lines.append(
      f"Of the variance of a difference, {100 * split:.0f} % is due to seeds, "
      "the rest to test sentences (median over rows)."
    )
  if tags:
    told = "; ".join(f"{t}: {sources.TAGS[t]}" for t in tags)
    lines.append(f"Tags of published numbers: {told}.")
  if table["signature"]:
    lines.append(f"Signature: `{table['signature']}`.")
  return "\n".join(lines)


def _made(table: dict) -> str:
  run = table["run"]
  versions = ", ".join(f"{k} {v}" for k, v in run["versions"].items() if v)
  machine = ", ".join(f"{k} {v}" for k, v in run["machine"].items() if v)
  lines = [
    "    " + run["command"],
    "",
    f"{run['date']}, scale {table['scale']}, seeds "
    f"{', '.join(map(str, table['seeds']))}"
    + (f"; {machine}" if machine else "")
    + (f"; {versions}" if versions else "")
    + (f"; commit {run['git_commit']}" if run["git_commit"] else ""),
  ]
  return "\n".join(lines)


def latex(table: dict) -> str:
  """A tabular of booktabs, with a comment that may become its caption."""
  caption = " ".join(_reading(table).split())
  lines = [
    "% needs \\usepackage{booktabs}",
    f"% {table['title']}, {table['paper']}. Bold: better than the reference at "
    f"5 %. Italics: unconfirmed. {caption}",
    "\\begin{tabular}{lrrrrrrl}",
    "\\toprule",
    f"& {_tex(table['metric'])} & $n$ & $\\Delta$ & 95\\,\\% & $p$ & published "
    "& tag \\\\",
    "\\midrule",
  ]
  for row in table["rows"]:
    difference, interval, p, _ = _difference(row)
    published = _tex(_published(row))
    if row["unconfirmed"] and published:
      published = f"\\textit{{{published}}}"
    score = _tex(_score(row))
    if row["tag_significance"] == "better":
      score = f"\\textbf{{{score}}}"
    # Braces: behind a line's end [ and * would be its arguments.
    cells = [f"{{{_tex(row['name'])}}}", score, _seeds(row), _tex(difference)]
    cells += [_tex(interval), _tex(p), published, row["tag"] or ""]
    lines.append(" & ".join(cells) + " \\\\")
  lines += ["\\bottomrule", "\\end{tabular}", ""]
  return "\n".join([*lines, *_latex_costs(table), *_latex_orderings(table)])


def _latex_costs(table: dict) -> list[str]:
  """A second tabular: sizes, and what training took."""
  head = ["", "parameters", "minutes", "tokens/s", "epochs to best"]
  lines = ["% What each row took.", "\\begin{tabular}{lrrrr}", "\\toprule"]
  lines += [" & ".join(head).strip() + " \\\\", "\\midrule"]
  for row in table["rows"]:
    cells = [f"{{{_tex(row['name'])}}}", *_costs(row, "\\textit{{{}}}")]
    lines.append(" & ".join(cells) + " \\\\")
  return [*lines, "\\bottomrule", "\\end{tabular}", ""]


def _latex_orderings(table: dict) -> list[str]:
  """A third one: the paper's claims, where there are any."""
  if not table["orderings"]:
    return []
  lines = ["% The paper's claims.", "\\begin{tabular}{lllr}", "\\toprule"]
  lines += ["claim & verdict & estimate & 95\\,\\% \\\\", "\\midrule"]
  for o in table["orderings"]:
    cells = [f"{{{_tex(o['claim'])}}}", o["verdict"]]
    cells += [_tex(_number(o["estimate"], True)), _tex(_interval(o))]
    lines.append(" & ".join(cells) + " \\\\")
  return [*lines, "\\bottomrule", "\\end{tabular}", ""]


_TEX = {
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
  "<": "$<$",
  ">": "$>$",
}


def _tex(text: str) -> str:
  signed = text[:1] in "+-" and text[1:2].isdigit()
  out = "".join(_TEX.get(c, c) for c in text)
  if signed:
    out = " to ".join(f"${part}$" for part in out.split(" to "))
  return out


FIELDS = (
  "name",
  "mean",
  "sd",
  "n",
  "published",
  "published_sd",
  "published_hedge",
  "tag",
  "p",
  "p_raw",
  "p_bootstrap",
  "p_randomisation",
  "tag_significance",
  "reference",
  "parameters",
  "published_parameters",
  "minutes",
  "tokens_per_second",
  "epochs_to_best",
)


def csv_text(table: dict) -> str:
  """One line a row, all digits; the seeds' values last."""
  out = io.StringIO()
  writer = csv.writer(out, lineterminator="\n")
  seeds = [f"seed_{s}" for s in table["seeds"]]
  deltas = ("estimate", "low", "high")
  writer.writerow([*FIELDS, *(f"delta_{d}" for d in deltas), *seeds])
  for row in table["rows"]:
    delta = row["delta"] or {}
    writer.writerow(
      [
        *(row.get(f) for f in FIELDS),
        *(delta.get(d) for d in deltas),
        *row["values"],
      ]
    )
  return out.getvalue()
