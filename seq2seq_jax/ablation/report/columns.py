"""The columns of a table, one list for Markdown, LaTeX, CSV and the page.

A column appears in each format for which its record in `COLUMNS` has a header,
in the order of the list. To add one, add a record; its cells may be computed
by a function in `row_cells.py`.
"""

import dataclasses
import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from seq2seq_jax.ablation import schema
from seq2seq_jax.ablation.report import row_cells


class Page(NamedTuple):
  """A column of the page."""

  header: tuple[str, ...]  # its lines; {metric} is replaced
  style: str = "num"  # CSS classes of its cells
  label: str = ""  # header on narrow screens; default: the header
  cell: Callable[[schema.Table, schema.Row], row_cells.PageCell] | None = None
  """Default: the text of the other formats."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
  """A column; a format without a header leaves it out."""

  name: str
  text: Callable[[schema.Table, schema.Row], row_cells.Spans] | None = None
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

  def page_cell(
    self, table: schema.Table, row: schema.Row
  ) -> row_cells.PageCell:
    """The cell of a row on the page."""
    if self.page is not None and self.page.cell is not None:
      return self.page.cell(table, row)
    return row_cells.PageCell(self.spans(table, row))

  def spans(self, table: schema.Table, row: schema.Row) -> row_cells.Spans:
    """The cell of a row in Markdown and LaTeX."""
    return () if self.text is None else self.text(table, row)


def fields(*names: str) -> dict[str, Callable[[schema.Row], Any]]:
  """CSV fields that are attributes of the row."""
  return {name: operator.attrgetter(name) for name in names}


def _of_delta(name: str) -> Callable[[schema.Row], float | None]:
  """The CSV field of an attribute of the difference, empty without one."""

  def value(row: schema.Row) -> float | None:
    return getattr(row.delta, name, None)

  return value


# The CSV file has the p values before the verdict and the difference last, so
# these stand in records of their own.
COLUMNS: tuple[Column, ...] = (
  Column(
    name="row",
    text=row_cells.name,
    markdown="",
    latex="",
    latex_table="both",
    latex_align="l",
    page=Page(("Row",), "", cell=row_cells.page_name),
    csv=fields("name"),
  ),
  Column(
    name="score",
    text=row_cells.score,
    markdown="{metric}, mean ± sd",
    latex="{metric}",
    latex_table="results",
    page=Page(
      ("{metric}", "mean ± sd"), "num two-thirds", "Score", row_cells.page_score
    ),
    csv=fields("mean", "sd"),
  ),
  Column(
    name="seeds",
    text=row_cells.seeds,
    markdown="n",
    latex="$n$",
    latex_table="results",
    page=Page(("n",)),
    csv=fields("n"),
  ),
  Column(
    name="difference",
    text=row_cells.difference,
    markdown="difference",
    latex="$\\Delta$",
    latex_table="results",
    page=Page(
      ("Difference", "95 % interval"),
      "num two-thirds",
      "Difference",
      row_cells.page_difference,
    ),
  ),
  Column(
    name="interval",
    text=row_cells.interval,
    markdown="95 %",
    latex="95\\,\\%",
    latex_table="results",
  ),
  Column(
    name="p",
    text=row_cells.p,
    markdown="p",
    latex="$p$",
    latex_table="results",
    page=Page(("p", "after Holm"), cell=row_cells.page_p),
  ),
  Column(name="mark", text=row_cells.mark, markdown=""),
  Column(
    name="published",
    text=row_cells.published,
    markdown="published",
    latex="published",
    latex_table="results",
    page=Page(("Published",), "num two-thirds", cell=row_cells.page_published),
    csv=fields("published", "published_sd", "published_hedge")
    | {"published_differs": lambda row: "; ".join(row.published_differs)},
  ),
  Column(
    name="tag",
    text=row_cells.tag,
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
    page=Page(("Verdict",), "verdict", cell=row_cells.page_verdict),
    csv=fields("tag_significance", "reference"),
  ),
  Column(
    name="parameters",
    text=row_cells.parameters,
    markdown="parameters",
    latex="parameters",
    page=Page(
      ("Para-", "meters"), "num minor", "Parameters", row_cells.page_parameters
    ),
    csv=fields("parameters", "published_parameters"),
  ),
  Column(
    name="minutes",
    text=row_cells.minutes,
    markdown="minutes",
    latex="minutes",
    page=Page(("Minutes",), "num minor", cell=row_cells.page_minutes),
    csv=fields("minutes"),
  ),
  Column(
    name="tokens per second",
    text=row_cells.rate,
    markdown="tokens/s",
    latex="tokens/s",
    page=Page(
      ("Tokens", "per s"), "num minor", "Tokens/s", row_cells.page_rate
    ),
    csv=fields("tokens_per_second"),
  ),
  Column(
    name="epochs to best",
    text=row_cells.epochs,
    markdown="epochs to best",
    latex="epochs to best",
    page=Page(
      ("Epochs", "to best"), "num minor", "Epochs", row_cells.page_epochs
    ),
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
  """The fields of the CSV file, by name.

  Raises:
    ValueError: two columns have a field of one name.
  """
  found: dict[str, Callable[[schema.Row], Any]] = {}
  for column in COLUMNS:
    if twice := sorted(found.keys() & column.csv.keys()):
      raise ValueError(
        f"column {column.name}: another one has the CSV field "
        f"{', '.join(twice)} already"
      )
    found |= column.csv
  return found


def fill(header: str | None, metric: str) -> str:
  """A header with the name of the table's metric filled in."""
  return (header or "").replace("{metric}", metric)
