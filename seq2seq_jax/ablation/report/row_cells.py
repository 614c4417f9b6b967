"""What stands in the cells of a row: text, and cells of the page.

Functions come in pairs: `score` is what Markdown and LaTeX print, `page_score`
the same column on the page. Both take the table and a row.
"""

from typing import NamedTuple

from seq2seq_jax import metrics
from seq2seq_jax.ablation import published as published_numbers
from seq2seq_jax.ablation import schema
from seq2seq_jax.ablation.report import footnotes, formatting

MARKS = {"better": "+", "worse": "-", "not shown": "not shown", "untested": "?"}


class Span(NamedTuple):
  """A piece of text in one style; each format sets what it has."""

  text: str
  italic: bool = False
  bold: bool = False  # LaTeX only
  minor: bool = False  # the page only


Spans = tuple[Span, ...]


class PageCell(NamedTuple):
  """A cell of the page."""

  shown: Spans
  below: Spans = ()  # a second line in small print
  details: tuple[tuple[str, Spans], ...] = ()  # opened by a click: term, value
  note: str = ""  # a paragraph opened by a click
  badge: str = ""  # a verdict, shown in its colour


def plain(text: str) -> Spans:
  """Text without any style."""
  return (Span(text),)


def name(table: schema.Table, row: schema.Row) -> Spans:
  """The name of the row."""
  return plain(row.name)


def page_name(table: schema.Table, row: schema.Row) -> PageCell:
  """The name; below it the baseline, if it is not the table's."""
  if row.reference in (None, table.reference):
    return PageCell(plain(row.name))
  return PageCell(plain(row.name), plain(f"against {row.reference}"))


def score(table: schema.Table, row: schema.Row) -> Spans:
  """Mean ± standard deviation, or why there is no score; bold if better."""
  if row.mean is None:
    statuses = (cell.status for cell in row.cells)
    ended = [status for status in statuses if status in schema.NO_SCORE]
    return plain(", ".join(dict.fromkeys(ended)) or "to come")
  text = formatting.plain_mean_sd(row.mean, row.sd)
  return (Span(text, bold=row.tag_significance == "better"),)


def page_score(table: schema.Table, row: schema.Row) -> PageCell:
  """Mean and deviation; opens to the seeds' scores and the other metrics."""
  digits = formatting.score_digits(table.rows)
  details = []
  for value, cell in zip(row.values, row.cells):
    known = formatting.is_number(value)
    text = formatting.number(value, digits) if known else cell.status
    details.append((f"seed {cell.seed}", plain(text)))
  for name, other in row.others.items():
    spans = plain(formatting.mean_sd(other.mean, other.sd, digits))
    if formatting.is_number(other.published):
      paper = _paper(row, formatting.number(other.published, digits))
      spans = (*spans, Span(" ("), *paper, *signs(table, row), Span(")"))
    details.append((metrics.label(name), spans))
  shown = formatting.mean_sd(row.mean, row.sd, digits)
  return PageCell(plain(shown), details=tuple(details))


def _paper(row: schema.Row, value: str) -> Spans:
  """A published value after a value of ours."""
  return (Span("paper "), Span(value, italic=row.unconfirmed))


def seeds(table: schema.Table, row: schema.Row) -> Spans:
  """The number of finished seeds, `2 of 3` if some are missing."""
  planned = len(row.values)
  return plain(f"{row.n}" if row.n == planned else f"{row.n} of {planned}")


def difference(table: schema.Table, row: schema.Row) -> Spans:
  """The difference to the baseline."""
  return plain(formatting.plain(row.delta.estimate, True) if row.delta else "")


def interval(table: schema.Table, row: schema.Row) -> Spans:
  """Its 95 % interval."""
  if row.delta is None:
    return plain("")
  return plain(formatting.plain_interval(row.delta.low, row.delta.high))


def page_difference(table: schema.Table, row: schema.Row) -> PageCell:
  """The difference with its interval below."""
  if row.delta is None:
    return PageCell(plain(formatting.MISSING))
  digits = formatting.score_digits(table.rows)
  estimate = formatting.number(row.delta.estimate, digits, "+")
  interval = formatting.interval(row.delta.low, row.delta.high, digits)
  return PageCell(plain(estimate), plain(interval))


def p(table: schema.Table, row: schema.Row) -> Spans:
  """p of the difference after correction."""
  tested = row.delta is not None and row.p is not None
  return plain(formatting.p_value(row.p) if tested else "")


def page_p(table: schema.Table, row: schema.Row) -> PageCell:
  """p after correction; opens to that before it, and to the other tests."""
  others = (
    ("before Holm", row.p_raw),
    ("bootstrap", row.p_bootstrap),
    ("randomisation", row.p_randomisation),
  )
  details = [
    (name, plain(formatting.p_value(p)))
    for name, p in others
    if formatting.is_number(p)
  ]
  return PageCell(plain(formatting.p_value(row.p)), details=tuple(details))


def mark(table: schema.Table, row: schema.Row) -> Spans:
  """The sign of the verdict, one of `MARKS`."""
  if row.delta is None and not row.reference:
    return plain("baseline")
  return plain(MARKS.get(row.tag_significance, ""))


def page_verdict(table: schema.Table, row: schema.Row) -> PageCell:
  """The verdict on the difference."""
  return PageCell((), badge=row.tag_significance)


def published(table: schema.Table, row: schema.Row) -> Spans:
  """The published value; in italics if it is unconfirmed.

  Signs after it say that it is of other data, or otherwise not the same.
  """
  if row.published is None:
    return plain("")
  text = f"{row.published_hedge}{row.published:g}"
  text += f" ± {row.published_sd:g}" if row.published_sd else ""
  return (Span(text, italic=row.unconfirmed), *signs(table, row))


def signs(table: schema.Table, row: schema.Row) -> Spans:
  """What stands after a published value that is not of this table's kind."""
  known = footnotes.signs(table)
  text = "".join(known[text] for text in row.published_differs)
  return (Span(f" {text}"),) if text else ()


def page_published(table: schema.Table, row: schema.Row) -> PageCell:
  """The published value; opens to its source."""
  if not formatting.is_number(row.published):
    return PageCell(plain(formatting.MISSING))
  digits = formatting.score_digits(table.rows)
  value = formatting.mean_sd(row.published, row.published_sd, digits)
  shown = [Span(f"{row.published_hedge}{value}", italic=row.unconfirmed)]
  shown += signs(table, row)
  if row.tag:
    shown += [Span(" "), Span(row.tag, minor=True)]
  sources = (
    *row.published_differs,
    row.published_note,
    table.run.published_sources.get(row.name),
    published_numbers.TAGS.get(row.tag or ""),
  )
  note = "; ".join(dict.fromkeys(filter(None, sources)))
  return PageCell(tuple(shown), note=note)


def tag(table: schema.Table, row: schema.Row) -> Spans:
  """How the published value is known."""
  return plain(row.tag or "")


def parameters(table: schema.Table, row: schema.Row) -> Spans:
  """Millions of parameters, the published number in brackets."""
  if not row.parameters:
    return plain("")
  text = formatting.millions(row.parameters)
  if not row.published_parameters:
    return plain(text)
  paper = formatting.millions(row.published_parameters)
  return (Span(f"{text} ("), Span(paper, row.unconfirmed), Span(")"))


def page_parameters(table: schema.Table, row: schema.Row) -> PageCell:
  """Parameters, the published number below."""
  shown = plain(formatting.large(row.parameters))
  if not formatting.is_number(row.published_parameters):
    return PageCell(shown)
  return PageCell(
    shown, _paper(row, formatting.large(row.published_parameters))
  )


def minutes(table: schema.Table, row: schema.Row) -> Spans:
  """Training time of a seed in minutes."""
  return plain("" if row.minutes is None else f"{row.minutes:.1f}")


def page_minutes(table: schema.Table, row: schema.Row) -> PageCell:
  """Training time of a seed in minutes."""
  return PageCell(plain(formatting.number(row.minutes, 1)))


def rate(table: schema.Table, row: schema.Row) -> Spans:
  """Tokens per second in training."""
  rate = row.tokens_per_second
  return plain(formatting.grouped(rate) if rate else "")


def page_rate(table: schema.Table, row: schema.Row) -> PageCell:
  """Tokens per second in training."""
  return PageCell(plain(formatting.grouped(row.tokens_per_second)))


def epochs(table: schema.Table, row: schema.Row) -> Spans:
  """Epochs up to the best checkpoint."""
  epochs = row.epochs_to_best
  return plain("" if epochs is None else f"{epochs:.1f}")


def page_epochs(table: schema.Table, row: schema.Row) -> PageCell:
  """Epochs up to the best checkpoint."""
  return PageCell(plain(formatting.number(row.epochs_to_best, 1)))
