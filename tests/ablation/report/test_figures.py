"""Figures show their data, and their SVGs may share a page."""

import dataclasses
import itertools
import json
import re
import sys
import xml.etree.ElementTree as ET

import pytest

from seq2seq_jax import records, types
from seq2seq_jax.ablation import schema
from seq2seq_jax.ablation.report import figures as figures_lib
from seq2seq_jax.ablation.report import line_panels
from seq2seq_jax.analysis import figure_style


def _row(i, **more):
  mean = 20.0 + i
  delta = schema.Difference(estimate=i, low=i - 0.4, high=i + 0.4)
  settings = {
    "name": f"row {i}",
    "mean": mean,
    "sd": 0.3,
    "n": 3,
    "values": (),
    "cells": (),
    "published": mean + 0.5,
    "published_sd": None,
    "tag": "P",
    "published_note": None,
    "unconfirmed": i == 1,
    "reference": "row 0" if i else None,
    "delta": delta if i else None,
    "tag_significance": "better",
    "others": {},
    "overrides": (),
    "lengths": _lengths((mean + 4, mean, None), (0.3, None, None)),
  }
  for name in ("p", "p_raw", "p_bootstrap", "p_randomisation", "seed_share"):
    settings[name] = None
  for name in ("parameters", "minutes", "tokens_per_second", "epochs_to_best"):
    settings[name] = None
  return schema.Row(**(settings | more))


def _lengths(means, sds):
  return schema.ScoresByLength(means=means, sds=sds)


def _curve(i):
  return schema.LearningCurve(
    name=f"row {i}",
    metric="bleu",
    split="valid",
    steps=(500, 1000, 1500),
    mean=(10.0 + i, 15.0 + i, 18.0 + i),
    low=(9.5 + i, None, 17.0 + i),
    high=(10.5 + i, 15.5 + i, 19.0 + i),
    n=3,
  )


def _published(name, *y):
  return schema.PublishedCurve(name=name, tag="D", x=(8, 12, 30), y=y)


BINS = tuple(
  schema.LengthBin(label=label, low=low, high=high, sentences=sentences)
  for label, low, high, sentences in (
    ("up to 10", 0, 10, 320),
    ("11–15", 10, 15, 410),
    ("over 15", 15, 1_000_000, 80),
  )
)
ATTENTION = schema.AttentionExample(
  row="row 1",
  source=("$x_1$", "<b>", "▁a", "</s>"),
  target=("a$", "猫", "</s>"),
  weights=(
    (0.7, 0.1, 0.1, 0.1),
    (0.1, 0.7, 0.1, 0.1),
    (0.0, 0.0, 0.0, 1.0),
  ),
)


def _table(count=4, **more):
  settings = {
    "title": "",
    "paper": "",
    "note": "",
    "scale": "cpu",
    "metric": "bleu",
    "higher_is_better": True,
    "signature": None,
    "reference": "row 0",
    "seeds": (0, 1, 2),
    "test_sentences": None,
    "state": "complete",
    "rows": tuple(map(_row, range(count))),
    "bins": BINS,
    "published_curves": (
      _published("RNNsearch-50", 22, 24, 23),
      _published("row 1", 20, 19, 15),
    ),
    "orderings": (),
    "seed_share": None,
    "difference_seed_share": None,
    "counts": schema.Counts(cells=0, done=0, failed=0, running=0, waiting=0),
    "learning_curves": tuple(map(_curve, range(count))),
    "sentences": (),
    "attention": (ATTENTION,),
    "run": None,
  }
  return schema.Table(**(settings | more))


def _flat(figures):
  for name, group in figures.items():
    for figure in group:
      yield name, figure


def _words(svg):
  return " ".join(re.findall(r">([^<>]+)</text>", svg))


@pytest.fixture(scope="module")
def drawn():
  """(table, figures, SVGs by name) of four rows."""
  pytest.importorskip("matplotlib")
  table = _table()
  figures = figures_lib.of_table(table)
  return table, figures, {n: figure_style.svg(f, n) for n, f in _flat(figures)}


def test_rows_and_published_curves_are_named(drawn):
  table, figures, svgs = drawn
  assert list(figures) == ["differences", "learning", "lengths", "attention"]
  for name in ("differences", "learning", "lengths"):
    for row in table.rows:
      assert row.name in _words(svgs[name]), name
  assert "RNNsearch-50, published" in _words(svgs["lengths"])
  assert "row 1, published" in _words(svgs["lengths"])
  assert "stroke-dasharray" in svgs["lengths"]
  assert "published, unconfirmed" in _words(svgs["differences"])
  assert "+2.00" in _words(svgs["differences"])
  assert "[1.60, 2.40]" in _words(svgs["differences"])
  # Tokens are no formulas and no tags.
  for token in ("$x_1$", "a$", "&lt;b&gt;", "猫", "▁a"):
    assert token in _words(svgs["attention"])


def test_svgs_may_share_a_page(drawn):
  table, _, svgs = drawn
  # The same axes, and no label to tell them apart.
  for i in (0, 1):
    curve = table.learning_curves[i]
    svgs = svgs | {
      i: figure_style.svg(figures_lib.learning_curves([curve], table.rows))
    }
  ids = {n: re.findall(r'\bid="([^"]+)"', svg) for n, svg in svgs.items()}
  everything = [one for found in ids.values() for one in found]
  assert ids["learning"] and len(everything) == len(set(everything))
  for name, svg in svgs.items():
    asked = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', svg)
    assert {a or b for a, b in asked} == set(ids[name])
    ET.fromstring(svg)
    assert "http" not in svg and "<metadata" not in svg
    assert svg.startswith('<svg role="img"')
  assert svgs["learning"].startswith('<svg role="img" aria-label="learning"')


def test_same_table_same_svg(drawn):
  _, figures, svgs = drawn
  again = dict(_flat(figures_lib.of_table(_table())))
  for name in svgs:
    assert figure_style.svg(again[name], name) == svgs[name]
  # However often and as whatever it was drawn before.
  assert (
    figure_style.svg(figures["learning"][0], "learning") == svgs["learning"]
  )
  assert figure_style.svg(figures["learning"][0], "other") != svgs["learning"]


def test_a_row_has_one_colour_everywhere(drawn):
  table, _, svgs = drawn
  for i, _ in enumerate(table.rows):
    colour = figure_style.look_of(i)["color"].lower()
    for name in ("differences", "learning", "lengths"):
      assert colour in svgs[name], (i, name)
  # The row's place in the table counts, not that among the curves.
  late = figures_lib.learning_curves(table.learning_curves[3:], table.rows)
  svg = figure_style.svg(late)
  assert figure_style.look_of(3)["color"].lower() in svg
  assert figure_style.look_of(0)["color"].lower() not in svg
  looks = [figure_style.look_of(i) for i in range(20)]
  assert len({(k["color"], str(k["ls"])) for k in looks}) == 20


def test_files_are_written_the_same_each_time(drawn, tmp_path):
  _, figures, _ = drawn
  figure = figures["differences"][0]
  png, pdf = figure_style.save(figure, tmp_path / "new" / "v1.2")
  assert (png.name, pdf.name) == ("v1.2.png", "v1.2.pdf")
  assert png.read_bytes().startswith(b"\x89PNG") and png.stat().st_size > 5000
  assert pdf.read_bytes().startswith(b"%PDF") and pdf.stat().st_size > 5000
  before = png.read_bytes(), pdf.read_bytes()
  figure_style.save(figure, tmp_path / "new" / "v1.2")
  assert (png.read_bytes(), pdf.read_bytes()) == before


def test_settings_do_not_stay(drawn):
  import matplotlib

  assert matplotlib.rcParams["text.parse_math"]
  assert "matplotlib.pyplot" not in sys.modules


def test_differences_are_drawn_where_rows_are_compared():
  pytest.importorskip("matplotlib")
  rows = [_row(i) for i in range(3)]
  assert len(figures_lib.differences(rows, "wer").axes) == 2
  alone = [dataclasses.replace(row, delta=None, reference=None) for row in rows]
  figure = figures_lib.differences(alone, "wer")
  assert len(figure.axes) == 1
  assert "difference" not in _words(figure_style.svg(figure))


def test_half_filled_rows():
  pytest.importorskip("matplotlib")
  nothing = _row(
    0,
    name="later",
    reference="row 0",
    mean=None,
    sd=None,
    published=None,
    lengths=None,
  )
  alone = _row(0, sd=None, lengths=_lengths((None, 2.0, 1.0), (None,) * 3))
  few = dict.fromkeys(("learning_curves", "published_curves", "attention"), ())
  table = _table(metric="wer", rows=(nothing, alone), **few)
  figures = figures_lib.of_table(table)
  assert list(figures) == ["differences", "lengths"]
  words = _words(figure_style.svg(figures["lengths"][0]))
  assert "up to 10" in words and "n = 320" in words and "row 0" in words
  assert "later" in _words(figure_style.svg(figures["differences"][0]))
  curve = dataclasses.replace(_curve(0), low=(None,) * 3, high=(None,) * 3)
  empty = dataclasses.replace(curve, steps=(), mean=(), low=(), high=())
  for curves in ([curve], [empty]):
    figure_style.svg(figures_lib.learning_curves(curves, [alone]))
  assert figures_lib.of_table(_table(0, bins=(), attention=())) == {}


def test_many_rows_have_panels_of_their_own():
  pytest.importorskip("matplotlib")
  table = _table(9, attention=())
  figures = figures_lib.of_table(table)
  for name in ("learning", "lengths"):
    assert len(figures[name][0].axes) == 9
    words = _words(figure_style.svg(figures[name][0]))
    assert all(row.name in words for row in table.rows)
  # Its own published curve is in a row's panel, the other one in all.
  dashed = [len(a.get_lines()) for a in figures["lengths"][0].axes]
  assert dashed[1] == dashed[0] + 1 == dashed[2] + 1


def test_labels_move_apart():
  heights = line_panels.apart([0.5, 0.51, 0.52, 1.0, 1.0], 0.1)
  gaps = [b - a for a, b in itertools.pairwise(heights)]
  assert all(gap >= 0.1 - 1e-9 for gap in gaps)
  assert heights[-1] <= 1.0 and heights[0] == 0.5


def test_of_long_sources_some_positions_are_named():
  example = schema.AttentionExample(
    row="speech",
    source=tuple(f"{i}.0 {i}.5" for i in range(150)),
    target=("one", "two"),
    weights=((1 / 150,) * 150,) * 2,
  )
  figure = figures_lib.attention(example)
  names = [label.get_text() for label in figure.axes[0].get_xticklabels()]
  assert names == [f"{i}.0" for i in range(0, 150, 3)]
  assert figure.get_size_inches()[0] < 20


def test_without_matplotlib_a_clear_message(monkeypatch):
  monkeypatch.setitem(sys.modules, "matplotlib", None)
  with pytest.raises(types.UserError, match="plots"):
    figures_lib.of_table(_table())


def test_attention_over_an_utterance_has_its_spectrogram():
  spectrogram = schema.Spectrogram(
    values=("0o", "o0", "0o", "o0"),
    seconds=0.01,
    hertz=(200.0, 900.0),
    frames=2,
    start=-1,
  )
  example = dataclasses.replace(
    ATTENTION,
    source=("0 0.01", "0.02 0.03"),
    weights=((0.9, 0.1),) * 3,
    spectrogram=spectrogram,
  )
  stored = json.loads(json.dumps(dataclasses.asdict(example)))
  assert records.decode(schema.AttentionExample, stored, "x") == example
  figure = figures_lib.attention(example)
  sound, weights = figure.axes[0].images[0], figure.axes[1].images[0]
  assert sound.get_extent() == [0, 0.04, 0, 2]
  assert sound.get_array().tolist() == [[48, 111] * 2, [111, 48] * 2]
  assert [round(x, 6) for x in weights.get_extent()] == [-0.01, 0.03, 3, 0]
  words = _words(figure_style.svg(figure))
  assert "row 1" in words and "seconds" in words
