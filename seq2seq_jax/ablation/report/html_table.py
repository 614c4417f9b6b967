"""The report's main table, and the verdicts on the paper's orderings."""

from seq2seq_jax.ablation import published
from seq2seq_jax.ablation.report import parts


def results(table) -> str:
  """The section with the main table and how to read it."""
  names = (
    ("Row", ""),
    (f"{parts.metric(table.get('metric'))}<br>mean ± sd", "num"),
    ("n", "num"),
    ("Difference<br>95 % interval", "num"),
    ("p<br>after Holm", "num"),
    ("Published", "num"),
    ("Verdict", ""),
    ("Para-<br>meters", "num"),
    ("Minutes", "num"),
    ("Tokens<br>per s", "num"),
    ("Epochs<br>to best", "num"),
  )
  head = "".join(
    f'<th scope="col"{parts.css_class(kind)}>{name}</th>'
    for name, kind in names
  )
  body = "\n".join(_row(table, row) for row in table["rows"])
  signature = table.get("signature")
  return parts.section(
    "results",
    "Results",
    f'<div class="wide" tabindex="0"><table class="main"><thead><tr>{head}'
    f"</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>",
    f'<p class="soft below">Signature <code>{parts.text(signature)}</code></p>'
    if signature
    else "",
    _seed_share(table),
    _reading_help(table),
  )


def _row(table, row) -> str:
  digits = parts.digits_of(table)
  delta = row.get("delta") or {}
  base, usual = row.get("reference"), table.get("reference")
  against = ""
  if base and base != usual:
    against = f'<span class="range base">against {parts.text(base)}</span>'
  seeds = len(table.get("seeds") or row.get("values") or ())
  n = row.get("n") or 0
  name = f"{parts.text(row['name'])}{against}"
  cells = [
    _td("Score", _score(row, digits), "num two-thirds"),
    _td("n", f"{n}" if n == seeds else f"{n} of {seeds}", "num"),
    _td("Difference", _difference(delta, digits), "num two-thirds"),
    _td("p after Holm", _p(row), "num"),
    _td("Published", _published(table, row, digits), "num two-thirds"),
    _td("Verdict", parts.tag(row.get("tag_significance")), "verdict"),
    _td("Parameters", _size(row), "num minor"),
    _td("Minutes", parts.number(row.get("minutes"), 1), "num minor"),
    _td("Tokens/s", _whole(row.get("tokens_per_second")), "num minor"),
    _td("Epochs", parts.number(row.get("epochs_to_best"), 1), "num minor"),
  ]
  return f'<tr><th scope="row">{name}</th>{"".join(cells)}</tr>'


def _td(label: str, body: str, kind="") -> str:
  kind = f"{kind} none" if body == parts.NOTHING else kind
  return f'<td data-label="{label}"{parts.css_class(kind.strip())}>{body}</td>'


def _size(row) -> str:
  shown, known = parts.large(row.get("parameters")), "published_parameters"
  if parts.there(row.get(known)):
    paper = _paper(row, parts.large(row[known]))
    shown += f'<span class="range">{paper}</span>'
  return shown


def _paper(row, shown: str) -> str:
  """A published value; unconfirmed ones in italics."""
  return f"paper <i>{shown}</i>" if row.get("unconfirmed") else f"paper {shown}"


def _whole(value) -> str:
  return f"{value:,.0f}" if parts.there(value) else parts.NOTHING


def _plus_minus(mean, sd, digits: int) -> str:
  spread = f" ± {parts.number(sd, digits)}" if parts.there(sd) else ""
  return f"{parts.number(mean, digits)}{spread}"


def _score(row, digits: int) -> str:
  """Mean and deviation; opens to the seeds' values and the other metrics."""
  items = []
  cells = row.get("cells") or ()
  for i, value in enumerate(row.get("values") or ()):
    cell = cells[i] if i < len(cells) else {}
    shown = parts.number(value, digits)
    if not parts.there(value):
      shown = parts.text(cell.get("status") or parts.NOTHING)
    items.append((f"seed {parts.text(cell.get('seed', i))}", shown))
  for name, other in (row.get("others") or {}).items():
    shown = _plus_minus(other.get("mean"), other.get("sd"), digits)
    if parts.there(other.get("published")):
      paper = parts.number(other["published"], digits)
      shown += f" ({_paper(row, paper)})"
    items.append((parts.metric(name), shown))
  shown = _plus_minus(row.get("mean"), row.get("sd"), digits)
  return parts.cell(shown, parts.pairs(items))


def _difference(delta, digits: int) -> str:
  if not parts.there(delta.get("estimate")):
    return parts.NOTHING
  low, high = delta.get("low"), delta.get("high")
  return (
    f"{parts.number(delta['estimate'], digits, '+')}"
    f'<span class="range">{parts.interval(low, high, digits)}</span>'
  )


def _p(row) -> str:
  names = (
    ("before Holm", "p_raw"),
    ("bootstrap", "p_bootstrap"),
    ("randomisation", "p_randomisation"),
  )
  items = [
    (name, parts.p_value(row[k]))
    for name, k in names
    if parts.there(row.get(k))
  ]
  return parts.cell(parts.p_value(row.get("p")), parts.pairs(items))


def _published(table, row, digits: int) -> str:
  if not parts.there(row.get("published")):
    return parts.NOTHING
  shown = row.get("published_hedge", "")
  shown += _plus_minus(row["published"], row.get("published_sd"), digits)
  if row.get("unconfirmed"):
    shown = f"<i>{shown}</i>"
  mark = row.get("tag")
  if mark:
    shown += f' <span class="minor">{parts.text(mark)}</span>'
  sources = (table.get("run") or {}).get("published_sources") or {}
  about = [
    row.get("published_note"),
    sources.get(row["name"]),
    published.TAGS.get(mark),
  ]
  about = "; ".join(parts.text(a) for a in about if a)
  return parts.cell(shown, f"<p>{about}</p>" if about else "")


def _reading_help(table) -> str:
  used = {r.get("tag") for r in table["rows"]}
  sources = "; ".join(
    f"{k} {v}" for k, v in published.TAGS.items() if k in used
  )
  items = [
    (
      "mean ± sd",
      "Mean and standard deviation over the n finished seeds. Open a figure "
      "with a dotted line to see each seed, and the other metrics.",
    ),
    (
      "Difference",
      "Mean difference to the reference, with a 95 % interval over seeds and "
      "test sentences. With a single seed the interval is over sentences "
      "alone, and the row is untested; so it is where seeds have failed.",
    ),
    (
      "p, verdict",
      "Corrected by Holm for all rows tested. <em>No difference</em> means "
      "that none was shown, not that there is none. Behind p: the value "
      "before correction, and those of tests over sentences alone.",
    ),
  ]
  if sources:
    items.append(
      (
        "Published",
        f"The paper's value. {sources}. Unconfirmed ones in <i>italics</i>.",
      )
    )
  return parts.fold(
    "How to read the table", parts.pairs(items), "help", opened=True
  )


def _seed_share(table) -> str:
  share, split = table.get("seed_share"), table.get("difference_seed_share")
  told = []
  if parts.there(share):
    told.append(
      f"Seeds: {100 * share:.0f} % of the variance of all cells lies between "
      "seeds of the same row, the rest between rows."
    )
  if parts.there(split):
    told.append(
      f"Of the variance of a difference, {100 * split:.0f} % is due to seeds, "
      "the rest to test sentences (median over rows)."
    )
  return f"<p>{' '.join(told)}</p>" if told else ""


def orderings(table) -> str:
  """The section with the claims, their verdicts and intervals."""
  digits = parts.digits_of(table)
  rows = []
  for o in table.get("orderings") or ():
    low, high = o.get("interval") or (None, None)
    estimate = parts.number(o.get("estimate"), digits)
    note = parts.text(o.get("note") or "")
    note = f'<span class="range">{note}</span>' if note else ""
    rows.append(
      f"<tr><td>{parts.tag(o.get('verdict'))}</td>"
      f"<td>{parts.text(o['claim'])}{note}</td>"
      f'<td class="num" data-label="Estimate">{estimate}</td>'
      f'<td class="num" data-label="95 % interval">'
      f"{parts.interval(low, high, digits)}</td>"
      f'<td class="num" data-label="Asked">{_asked(o)}</td></tr>'
    )
  if not rows:
    return ""
  head = (
    '<th scope="col">Verdict</th><th scope="col">Claim</th>'
    '<th scope="col" class="num">Estimate</th>'
    '<th scope="col" class="num">95 % interval</th>'
    '<th scope="col" class="num">Asked</th>'
  )
  return parts.section(
    "orderings",
    "Orderings the paper claims",
    "<p>A claim passes where the whole interval lies in the range asked, fails "
    "where it lies wholly outside, and is inconclusive in between, or where it "
    "would pass without seeds that failed. Claims are judged one by one, and "
    "a note says where one is not decided at 5 % after Holm's correction over "
    "all of them; those with unconfirmed support are printed, not "
    "judged.</p>",
    f'<div class="wide"><table class="short"><thead><tr>{head}</tr></thead>'
    f"\n<tbody>{''.join(rows)}</tbody></table></div>",
  )


def _asked(ordering) -> str:
  low, high = ordering.get("low"), ordering.get("high")
  show = lambda v: f"{v:g}".replace("-", "−")
  if parts.there(low) and parts.there(high):
    return f"{show(low)} to {show(high)}"
  if parts.there(low):
    return f"≥ {show(low)}"
  return f"≤ {show(high)}" if parts.there(high) else ""
