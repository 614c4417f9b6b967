"""Published numbers that are not of the table's kind are marked everywhere."""

import dataclasses
import html as html_lib

import pytest

from seq2seq_jax.ablation.report import footnotes, html, text_tables
from tests.helpers import tables

pytestmark = pytest.mark.quick

WMT, ROUGE = "of other data: WMT14", "of another variant of the metric: pyrouge"


@pytest.fixture
def table(tmp_path):
  """The first row's number is of other data and metric, the second's of one."""
  whole = tables.table(tmp_path)
  first, second, *rest = whole.rows
  first = dataclasses.replace(first, published_differs=(WMT, ROUGE))
  second = dataclasses.replace(second, published_differs=(ROUGE,))
  return dataclasses.replace(whole, rows=(first, second, *rest))


def test_signs_are_given_in_order(table):
  assert footnotes.signs(table) == {WMT: "†", ROUGE: "‡"}
  assert footnotes.lines(table)[0] == "† Published, of other data: WMT14."


def test_more_than_four(table):
  many = tuple(f"thing {i}" for i in range(6))
  row = dataclasses.replace(table.rows[0], published_differs=many)
  signs = footnotes.signs(dataclasses.replace(table, rows=(row,)))
  assert [*signs.values()] == ["†", "‡", "§", "¶", "(5)", "(6)"]


def test_each_format_has_them(table):
  markdown, latex = text_tables.markdown(table), text_tables.latex(table)
  assert "| 61.5 ± 0.5 †‡ |" in markdown and "| *88* ‡ |" in markdown
  assert "(*1.25* ‡)" in markdown  # of the other metric, too
  assert "‡ Published, of another variant of the metric: pyrouge." in markdown
  assert "61.5 $\\pm$ 0.5 $\\dagger$$\\ddagger$" in latex
  assert "Published, of other data: WMT14." in latex
  [_, line, *_] = text_tables.csv_text(table).splitlines()
  assert f'"{WMT}; {ROUGE}"' in line or f"{WMT}; {ROUGE}" in line
  page = html.html(table)
  assert "†‡" in page and "‡ Published, of another variant" in page


def test_the_figure_has_a_mark_of_its_own(table):
  figures = pytest.importorskip("seq2seq_jax.ablation.report.figures")
  figure = figures.differences(table.rows, table.metric)
  [legend] = figure.legends
  texts = [text.get_text() for text in legend.get_texts()]
  assert "published, of other data or metric" in texts
  plain = [dataclasses.replace(r, published_differs=()) for r in table.rows]
  [legend] = figures.differences(plain, table.metric).legends
  assert not any("other data" in t.get_text() for t in legend.get_texts())


def test_rules_of_each_p_are_printed(table):
  """In Markdown, LaTeX's comments, the page and table.json."""
  from seq2seq_jax.ablation import rules, schema

  assert table.rules == rules.NAMES
  for rule in rules.NAMES.values():
    for page in (text_tables.markdown(table), text_tables.latex(table)):
      assert rule in page
    assert rule in schema.to_json(table)
    assert rule in html_lib.unescape(html.html(table))


def test_what_is_not_shown_is_not_called_equal(table):
  row = dataclasses.replace(table.rows[1], tag_significance="not shown")
  table = dataclasses.replace(table, rows=(table.rows[0], row))
  page = html.html(table)
  assert '<span class="tag ">not shown</span>' in page
  for text in (page, text_tables.markdown(table), text_tables.csv_text(table)):
    assert "no difference</span>" not in text and ",same," not in text
  assert "| baseline |" in text_tables.markdown(table)
