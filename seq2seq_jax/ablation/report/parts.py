"""Numbers, tags and small pieces of HTML for the report; all text escaped."""

import math
from html import escape

from seq2seq_jax import metrics

NOTHING = "–"
# What becomes of a difference, an ordering, a cell: (words, class).
TAGS = {
  "better": ("better", "good"),
  "worse": ("worse", "bad"),
  "same": ("no difference", ""),
  "untested": ("untested", "blank"),
  "reference": ("reference", ""),
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


def text(value) -> str:
  """Escaped, with quotes, so that it may stand in an attribute."""
  return escape(str(value), quote=True)


def there(value) -> bool:
  return value is not None and math.isfinite(value)


def number(value, digits: int, sign="") -> str:
  if not there(value):
    return NOTHING
  return f"{value:{sign}.{digits}f}".replace("-", "−")


def digits_of(table: dict) -> int:
  """Decimals of scores: two where they reach ten, three below."""
  means = [r.get("mean") for r in table["rows"] if there(r.get("mean"))]
  return 2 if max(map(abs, means), default=10.0) >= 10 else 3


def large(value) -> str:
  """6260000 -> 6.26 M."""
  for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
    if there(value) and abs(value) >= size:
      return f"{value / size:.3g}{unit}"
  return f"{value:.3g}" if there(value) else NOTHING


def p_value(value) -> str:
  if not there(value):
    return NOTHING
  return "&lt; 0.001" if value < 0.001 else f"{value:.3f}"


def interval(low, high, digits: int) -> str:
  if not (there(low) and there(high)):
    return ""
  return f"[{number(low, digits)}, {number(high, digits)}]"


def tag(name) -> str:
  words, kind = TAGS.get(name, (text(name), ""))
  return f'<span class="tag {kind}">{words}</span>' if name else NOTHING


def css_class(kind: str) -> str:
  return f' class="{kind}"' if kind else ""


def metric(name) -> str:
  return text(metrics.label(str(name or "score")))


def seeds(n: int) -> str:
  return f"{n} seed{'' if n == 1 else 's'}"


def section(name: str, title: str, *parts: str) -> str:
  """A titled section; empty where it has nothing to show."""
  body = "\n".join(p for p in parts if p)
  if not body:
    return ""
  return f'<section id="{name}">\n<h2>{title}</h2>\n{body}\n</section>'


def fold(title: str, body: str, kind="", opened=False) -> str:
  """A block that opens at a click; `title` and `body` are HTML."""
  state = " open" if opened else ""
  head = f"<summary>{title}</summary>"
  return f'<details class="fold {kind}"{state}>{head}\n{body}\n</details>'


def cell(shown: str, inside: str) -> str:
  """A figure of the table that opens to show what is behind it."""
  if not inside:
    return shown
  head = f"<summary>{shown}</summary>"
  return f'<details class="cell">{head}{inside}</details>'


def pairs(items, kind="") -> str:
  """A list of (term, HTML)."""
  body = "".join(f"<div><dt>{k}</dt><dd>{v}</dd></div>" for k, v in items)
  return f"<dl{css_class(kind)}>{body}</dl>" if body else ""


def two_columns(mapping: dict) -> str:
  """A small table of names and values."""
  body = "".join(
    f'<tr><th scope="row">{text(k)}</th><td>{text(v)}</td></tr>'
    for k, v in mapping.items()
  )
  return f"<table><tbody>{body}</tbody></table>" if body else ""
