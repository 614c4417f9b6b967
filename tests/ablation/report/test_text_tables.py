"""A table in Markdown, LaTeX and CSV."""

import csv

import pytest

from seq2seq_jax.ablation import published, schema
from seq2seq_jax.ablation.report import (
  columns,
  html,
  row_cells,
  text_tables,
  writer,
)
from tests.helpers import tables

pytestmark = pytest.mark.quick


@pytest.fixture(scope="module")
def table(tmp_path_factory):
  return tables.table(tmp_path_factory.mktemp("cells"))


def test_published_values_that_are_not_exact_are_shown_so(tmp_path):
  cells = tables.seeds(tmp_path, tables.BASE, 48, 10, 2)
  for entry, said in (
    ({"approximate": True}, "about 54"),
    ({"bound": "upper"}, "below 54"),
    ({"bound": "lower"}, "above 54"),
  ):
    number = published.Number(value=54.0, tag="P", source="x", **entry)
    data = tables.built(
      tables.ablation(), cells, published_numbers={tables.BASE: number}
    )
    for text in (text_tables.markdown(data), text_tables.latex(data)):
      assert said in text
    assert said in html.html(data)


def test_markdown(table):
  text = text_tables.markdown(table)
  lines = text.splitlines()
  widths = {l.count("|") - l.count("\\|") for l in lines if l[:1] == "|"}
  [base] = [l for l in lines if l.startswith("| base & co_1 | 60")]
  [better] = [l for l in lines if l.startswith("| better \\| best | 87")]
  assert "60.00 ± 2.00 | 3 |" in base and "61.5 ± 0.5 | P |" in base
  assert "*88* | M |" in better and "+27.00" in better and "| + |" in better
  assert "| 1.25 M (*2.00 M*) |" in better and "| 1.25 M |" in base
  assert "2.50 ± 1.00 (*1.25*)" in text
  assert "recalled, unconfirmed" in text and "**Not complete**" in text
  assert "failed, seed 2: diverged: it broke" in text
  assert "    python -m x" in lines
  assert len(widths) == 3  # of rows, other metrics and orderings


def test_latex(table):
  text = text_tables.latex(table)
  assert "{base \\& co\\_1} & 60.00 $\\pm$ 2.00 & 3 &" in text
  assert "\\textbf{87.00 $\\pm$ 2.00}" in text and "$+27.00$" in text
  assert "\\textit{88}" in text and "M (\\textit{2.00 M}) & 2.0" in text
  assert text.count("\\toprule") == text.count("\\bottomrule") == 3
  assert text.count("\\\\") == 5 + 5 + 6  # rows, what they took, claims
  assert text.count("{") == text.count("}")


def test_csv_and_json(table, tmp_path):
  paths = writer.write_texts(table, tmp_path)
  assert [p.name for p in paths] == [
    "table.md",
    "table.tex",
    "table.csv",
    "table.json",
  ]
  with (tmp_path / "table.csv").open() as f:
    read = list(csv.DictReader(f))
  assert [r["name"] for r in read] == [r.name for r in tables.ROWS]
  assert read[0]["seed_2"] == "62.0" and read[2]["mean"] == ""
  assert float(read[1]["delta_low"]) == table.rows[1].delta.low
  text = (tmp_path / "table.json").read_text()
  assert schema.from_json(text) == table


def test_two_columns_with_one_field_are_refused(monkeypatch):
  column = columns.Column(name="mine", csv={"minutes": lambda row: 0})
  monkeypatch.setattr(columns, "COLUMNS", (*columns.COLUMNS, column))
  with pytest.raises(ValueError, match=r"column mine: another one has .*minu"):
    columns.in_csv()


def test_a_column_is_one_record(table, monkeypatch):
  """It then stands in all four formats."""

  def range_of(table, row):
    known = [value for value in row.values if value is not None]
    return row_cells.plain(f"{max(known) - min(known):g}" if known else "")

  column = columns.Column(
    name="range",
    text=range_of,
    markdown="range",
    latex="range",
    page=columns.Page(("Range",)),
    csv={"range": lambda row: len(row.values)},
  )
  monkeypatch.setattr(columns, "COLUMNS", (*columns.COLUMNS, column))
  assert "epochs to best | range |" in text_tables.markdown(table)
  assert "| 0.5 | 4 |" in text_tables.markdown(table)
  assert "epochs to best & range \\\\" in text_tables.latex(table)
  assert "delta_high,range,seed_0" in text_tables.csv_text(table)
  page = html.html(table)
  assert '<th scope="col" class="num">Range</th>' in page
  assert '<td data-label="Range" class="num">4</td>' in page
  assert '<td data-label="Range" class="num none"></td>' in page
