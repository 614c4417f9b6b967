"""The columns of a table, one list for Markdown, LaTeX, CSV and the page.

A column appears in each format for which its record in `COLUMNS` has a header,
in the order of the list. To add one, add a record.
"""

import dataclasses
import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from seq2seq_jax import metrics
from seq2seq_jax.ablation import published, schema
from seq2seq_jax.ablation.report import formatting

MARKS = {"better": "+", "worse": "-", "same": "=", "untested": "?"}


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


class Page(NamedTuple):
  """A column of the page."""

  header: tuple[str, ...]  # its lines; {metric} is replaced
  style: str = "num"  # CSS classes of its cells
  label: str = ""  # header on narrow screens; default: the header
  cell: Callable[[schema.Table, schema.Row], PageCell] | None = None
  """Default: the text of the other formats."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
  """A column; a format without a header leaves it out."""

  name: str
  text: Callable[[schema.Table, schema.Row], Spans] | None = None
  """What Markdown and LaTeX print."""
  markdown: str | None = None
  """Header in Markdown; {metric} is replaced."""
  latex: str | None = None
  """Header in LaTeX, as it stands there; {metric} is replaced."""
  latex_table: str = "costs"
  """The tabular it belongs to: results, costs, or both."""
  latex_align: str = "r"
  page: Page | None = None
  csv: Mapping[str, Callable[[schema.Row], Any]] = dataclasses.field(
    default_factory=dict
  )
  """Fields of the CSV file, with all digits, by their names."""

  def page_cell(self, table: schema.Table, row: schema.Row) -> PageCell:
    """The cell of a row on the page."""
    if self.page is not None and self.page.cell is not None:
      return self.page.cell(table, row)
    return PageCell(self.spans(table, row))

  def spans(self, table: schema.Table, row: schema.Row) -> Spans:
    """The cell of a row in Markdown and LaTeX."""
    return () if self.text is None else self.text(table, row)


def plain(text: str) -> Spans:
  """Text without any style."""
  return (Span(text),)


def fields(*names: str) -> dict[str, Callable[[schema.Row], Any]]:
  """CSV fields that are attributes of the row."""
  return {name: operator.attrgetter(name) for name in names}


def _name(table: schema.Table, row: schema.Row) -> Spans:
  return plain(row.name)


def _page_name(table: schema.Table, row: schema.Row) -> PageCell:
  if row.reference in (None, table.reference):
    return PageCell(plain(row.name))
  return PageCell(plain(row.name), plain(f"against {row.reference}"))


def _score(table: schema.Table, row: schema.Row) -> Spans:
  if row.mean is None:
    statuses = (cell.status for cell in row.cells)
    ended = [status for status in statuses if status in schema.NO_SCORE]
    return plain(", ".join(dict.fromkeys(ended)) or "to come")
  text = formatting.plain_mean_sd(row.mean, row.sd)
  return (Span(text, bold=row.tag_significance == "better"),)


def _page_score(table: schema.Table, row: schema.Row) -> PageCell:
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
      spans = (*spans, Span(" ("), *paper, Span(")"))
    details.append((metrics.label(name), spans))
  shown = formatting.mean_sd(row.mean, row.sd, digits)
  return PageCell(plain(shown), details=tuple(details))


def _paper(row: schema.Row, value: str) -> Spans:
  """A published value after a value of ours."""
  return (Span("paper "), Span(value, italic=row.unconfirmed))


def _seeds(table: schema.Table, row: schema.Row) -> Spans:
  planned = len(row.values)
  return plain(f"{row.n}" if row.n == planned else f"{row.n} of {planned}")


def _difference(table: schema.Table, row: schema.Row) -> Spans:
  return plain(formatting.plain(row.delta.estimate, True) if row.delta else "")


def _interval(table: schema.Table, row: schema.Row) -> Spans:
  if row.delta is None:
    return plain("")
  return plain(formatting.plain_interval(row.delta.low, row.delta.high))


def _page_difference(table: schema.Table, row: schema.Row) -> PageCell:
  if row.delta is None:
    return PageCell(plain(formatting.MISSING))
  digits = formatting.score_digits(table.rows)
  estimate = formatting.number(row.delta.estimate, digits, "+")
  interval = formatting.interval(row.delta.low, row.delta.high, digits)
  return PageCell(plain(estimate), plain(interval))


def _p(table: schema.Table, row: schema.Row) -> Spans:
  tested = row.delta is not None and row.p is not None
  return plain(formatting.p_value(row.p) if tested else "")


def _page_p(table: schema.Table, row: schema.Row) -> PageCell:
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


def _mark(table: schema.Table, row: schema.Row) -> Spans:
  if row.delta is None and not row.reference:
    return plain("reference")
  return plain(MARKS.get(row.tag_significance, ""))


def _page_verdict(table: schema.Table, row: schema.Row) -> PageCell:
  return PageCell((), badge=row.tag_significance)


def _published(table: schema.Table, row: schema.Row) -> Spans:
  if row.published is None:
    return plain("")
  text = f"{row.published_hedge}{row.published:g}"
  text += f" ± {row.published_sd:g}" if row.published_sd else ""
  return (Span(text, italic=row.unconfirmed),)


def _page_published(table: schema.Table, row: schema.Row) -> PageCell:
  """The published value; opens to its source."""
  if not formatting.is_number(row.published):
    return PageCell(plain(formatting.MISSING))
  digits = formatting.score_digits(table.rows)
  value = formatting.mean_sd(row.published, row.published_sd, digits)
  shown = [Span(f"{row.published_hedge}{value}", italic=row.unconfirmed)]
  if row.tag:
    shown += [Span(" "), Span(row.tag, minor=True)]
  sources = (
    row.published_note,
    table.run.published_sources.get(row.name),
    published.TAGS.get(row.tag or ""),
  )
  return PageCell(tuple(shown), note="; ".join(filter(None, sources)))


def _tag(table: schema.Table, row: schema.Row) -> Spans:
  return plain(row.tag or "")


def _parameters(table: schema.Table, row: schema.Row) -> Spans:
  if not row.parameters:
    return plain("")
  text = formatting.millions(row.parameters)
  if not row.published_parameters:
    return plain(text)
  paper = formatting.millions(row.published_parameters)
  return (Span(f"{text} ("), Span(paper, row.unconfirmed), Span(")"))


def _page_parameters(table: schema.Table, row: schema.Row) -> PageCell:
  shown = plain(formatting.large(row.parameters))
  if not formatting.is_number(row.published_parameters):
    return PageCell(shown)
  return PageCell(
    shown, _paper(row, formatting.large(row.published_parameters))
  )


def _minutes(table: schema.Table, row: schema.Row) -> Spans:
  return plain("" if row.minutes is None else f"{row.minutes:.1f}")


def _page_minutes(table: schema.Table, row: schema.Row) -> PageCell:
  return PageCell(plain(formatting.number(row.minutes, 1)))


def _rate(table: schema.Table, row: schema.Row) -> Spans:
  rate = row.tokens_per_second
  return plain(formatting.grouped(rate) if rate else "")


def _page_rate(table: schema.Table, row: schema.Row) -> PageCell:
  return PageCell(plain(formatting.grouped(row.tokens_per_second)))


def _epochs(table: schema.Table, row: schema.Row) -> Spans:
  epochs = row.epochs_to_best
  return plain("" if epochs is None else f"{epochs:.1f}")


def _page_epochs(table: schema.Table, row: schema.Row) -> PageCell:
  return PageCell(plain(formatting.number(row.epochs_to_best, 1)))


def _of_delta(name: str) -> Callable[[schema.Row], float | None]:
  return lambda row: getattr(row.delta, name, None)


# The CSV file has the p values before the verdict and the difference last, so
# these stand in records of their own.
COLUMNS: tuple[Column, ...] = (
  Column(
    name="row",
    text=_name,
    markdown="",
    latex="",
    latex_table="both",
    latex_align="l",
    page=Page(("Row",), "", cell=_page_name),
    csv=fields("name"),
  ),
  Column(
    name="score",
    text=_score,
    markdown="{metric}, mean ± sd",
    latex="{metric}",
    latex_table="results",
    page=Page(
      ("{metric}", "mean ± sd"), "num two-thirds", "Score", _page_score
    ),
    csv=fields("mean", "sd"),
  ),
  Column(
    name="seeds",
    text=_seeds,
    markdown="n",
    latex="$n$",
    latex_table="results",
    page=Page(("n",)),
    csv=fields("n"),
  ),
  Column(
    name="difference",
    text=_difference,
    markdown="difference",
    latex="$\\Delta$",
    latex_table="results",
    page=Page(
      ("Difference", "95 % interval"),
      "num two-thirds",
      "Difference",
      _page_difference,
    ),
  ),
  Column(
    name="interval",
    text=_interval,
    markdown="95 %",
    latex="95\\,\\%",
    latex_table="results",
  ),
  Column(
    name="p",
    text=_p,
    markdown="p",
    latex="$p$",
    latex_table="results",
    page=Page(("p", "after Holm"), cell=_page_p),
  ),
  Column(name="mark", text=_mark, markdown=""),
  Column(
    name="published",
    text=_published,
    markdown="published",
    latex="published",
    latex_table="results",
    page=Page(("Published",), "num two-thirds", cell=_page_published),
    csv=fields("published", "published_sd", "published_hedge"),
  ),
  Column(
    name="tag",
    text=_tag,
    markdown="tag",
    latex="tag",
    latex_table="results",
    latex_align="l",
    csv=fields("tag"),
  ),
  Column(
    name="p values",
    csv=fields("p", "p_raw", "p_bootstrap", "p_randomisation"),
  ),
  Column(
    name="verdict",
    page=Page(("Verdict",), "verdict", cell=_page_verdict),
    csv=fields("tag_significance", "reference"),
  ),
  Column(
    name="parameters",
    text=_parameters,
    markdown="parameters",
    latex="parameters",
    page=Page(("Para-", "meters"), "num minor", "Parameters", _page_parameters),
    csv=fields("parameters", "published_parameters"),
  ),
  Column(
    name="minutes",
    text=_minutes,
    markdown="minutes",
    latex="minutes",
    page=Page(("Minutes",), "num minor", cell=_page_minutes),
    csv=fields("minutes"),
  ),
  Column(
    name="tokens per second",
    text=_rate,
    markdown="tokens/s",
    latex="tokens/s",
    page=Page(("Tokens", "per s"), "num minor", "Tokens/s", _page_rate),
    csv=fields("tokens_per_second"),
  ),
  Column(
    name="epochs to best",
    text=_epochs,
    markdown="epochs to best",
    latex="epochs to best",
    page=Page(("Epochs", "to best"), "num minor", "Epochs", _page_epochs),
    csv=fields("epochs_to_best"),
  ),
  Column(
    name="difference with all digits",
    csv={
      f"delta_{name}": _of_delta(name) for name in ("estimate", "low", "high")
    },
  ),
)


def in_markdown() -> list[Column]:
  """The columns of the Markdown table."""
  return [column for column in COLUMNS if column.markdown is not None]


def in_latex(part: str) -> list[Column]:
  """The columns of a LaTeX tabular: results or costs."""
  tables = (part, "both")
  return [
    column
    for column in COLUMNS
    if column.latex is not None and column.latex_table in tables
  ]


def on_page() -> list[Column]:
  """The columns of the page."""
  return [column for column in COLUMNS if column.page is not None]


def in_csv() -> dict[str, Callable[[schema.Row], Any]]:
  """The fields of the CSV file, by name."""
  return {k: v for column in COLUMNS for k, v in column.csv.items()}


def fill(header: str | None, metric: str) -> str:
  """A header with the name of the table's metric filled in."""
  return (header or "").replace("{metric}", metric)
