"""The page shows everything of a table, escaped, and asks for nothing else."""

import html.parser
import json
import math
import re

import pytest

from seq2seq_jax.ablation import schema
from seq2seq_jax.ablation.report import figures
from seq2seq_jax.ablation.report import html as html_lib

pytestmark = pytest.mark.quick

EVIL = 'input feeding <b>&amp;"</b>'
VOID = {"meta", "br", "img", "link", "input", "hr"}


def _row(name, values, published=None, reference="LSTM", **more):
  done = [v for v in values if v is not None]
  n = len(done)
  mean = sum(done) / n if n else None
  square = sum((v - mean) ** 2 for v in done)
  return {
    "name": name,
    "mean": mean,
    "sd": math.sqrt(square / (n - 1)) if n > 1 else None,
    "n": n,
    "values": values,
    "cells": [_cell(seed, v) for seed, v in enumerate(values)],
    "published": published,
    "published_sd": 0.08 if published else None,
    "tag": "P" if published else None,
    "published_note": "newstest2013" if published else None,
    "unconfirmed": False,
    "reference": reference,
    "delta": None,
    "p": None,
    "p_raw": None,
    "p_bootstrap": None,
    "p_randomisation": None,
    "tag_significance": "untested",
    "seed_share": None,
    "parameters": 6_260_000,
    "minutes": 5.2,
    "tokens_per_second": 4600.0,
    "epochs_to_best": 7.1,
    "others": {"chrf": {"mean": 50.1, "sd": 0.2}},
    "overrides": ["--model.encoder.cell", "lstm"],
    "lengths": {"means": [30.1, 22.5], "sds": [0.4, None]},
  } | more


def _cell(seed, value):
  return {
    "seed": seed,
    "status": "waiting" if value is None else "done",
    "message": "",
    "seconds": 312.0,
    "host": "node3",
    "value": value,
    "steps": 3000,
    "best_step": 2500,
    "epochs_to_best": 7.1,
  }


def _delta(estimate, width):
  ends = {"low": estimate - width, "high": estimate + width}
  return {"estimate": estimate, **ends}


def _ordering(verdict, claim, estimate, interval, low, high=None, note=""):
  return {
    "claim": claim,
    "verdict": verdict,
    "estimate": estimate,
    "interval": interval,
    "low": low,
    "high": high,
    "note": note,
    "p_raw": None,
    "p": None,
  }


def _rows():
  rows = [
    _row(
      "LSTM",
      [22.0, 22.4, 22.1],
      22.22,
      None,
      tag_significance="reference",
    ),
    _row(
      "GRU",
      [21.5, 21.9, 21.8],
      21.78,
      delta=_delta(-0.43, 0.52),
      p=0.21,
      p_raw=0.105,
      tag_significance="same",
    ),
    _row(
      "bidirectional",
      [23.6, 23.9, 24.0],
      23.3,
      tag="D",
      delta=_delta(1.67, 0.44),
      p=0.004,
      p_raw=0.0013,
      p_bootstrap=0.002,
      tag_significance="better",
    ),
    _row(
      "no attention",
      [9.7, 10.4, 9.1],
      11.2,
      tag="M",
      unconfirmed=True,
      delta=_delta(-12.4, 1.1),
      p=0.00004,
      tag_significance="worse",
    ),
    _row(EVIL, [22.9, None, 23.1], reference="GRU"),
    _row("four layers", [22.7, None, None], delta=_delta(0.5, 0.35)),
  ]
  rows[4]["cells"][1] |= {
    "status": "diverged",
    "message": "loss is NaN <script>alert(1)</script>",
  }
  rows[5]["cells"][1] |= {"status": "failed", "message": "out of memory"}
  return rows


def _table():
  rows = _rows()
  return {
    "format_version": 1,
    "title": "Cell & depth",
    "paper": "Britz et al. 2017",
    "note": "Multi30k, not WMT'15",
    "scale": "cpu",
    "metric": "bleu",
    "higher_is_better": True,
    "signature": "nrefs:1|case:mixed",
    "reference": "LSTM",
    "seeds": [0, 1, 2],
    "test_sentences": 1000,
    "state": "partial",
    "rows": rows,
    "bins": [
      {"label": "up to 10", "low": 0, "high": 10, "sentences": 320},
      {"label": "over 10", "low": 10, "high": 1_000_000, "sentences": 680},
    ],
    "published_curves": [
      {"name": "RNNsearch-50", "tag": "D", "x": [8], "y": [12], "source": "F2"}
    ],
    "orderings": [
      _ordering("PASS", "bidirectional above LSTM", 1.67, [1.23, 2.11], 0.5),
      _ordering(
        "FAIL", "no attention near", -12.4, [-13.5, -11.3], -5, 5, "n1"
      ),
      _ordering("INCONCLUSIVE", "LSTM above GRU", 0.43, [-0.09, 0.95], 0),
      _ordering("PRINTED", "four layers <above> LSTM", 0.5, [0.15, 0.85], 0),
      _ordering("MISSING", "the gap grows", None, None, 0.5),
    ],
    "seed_share": 0.31,
    "difference_seed_share": None,
    "counts": {
      "cells": 18,
      "done": 15,
      "failed": 2,
      "running": 0,
      "waiting": 1,
    },
    "learning_curves": [
      {
        "name": "LSTM",
        "metric": "bleu",
        "split": "valid",
        "steps": [5],
        "mean": [20.0],
        "low": [19.0],
        "high": [21.0],
        "n": 3,
      }
    ],
    "sentences": [
      {
        "source": "ein <unk> mann",
        "reference": "a man",
        "kind": "this row best",
        "row": "GRU",
        "against": "LSTM",
        "hypothesis": "a man & dog",
        "other": "a a a",
        "score": 91.2,
        "other_score": 12.0,
      }
    ],
    "attention": [],
    "run": {
      "command": "python -m seq2seq_jax.ablate x.py --note 'a b'",
      "date": "2026-11-25",
      "git_commit": "99f1a4b0c3d2",
      "versions": {"python": "3.11.7", "jax": "0.10.2"},
      "machine": {"device": "cpu", "cpu_cores": 2},
      "data": {"all": {"train": "9f2c" * 16}},
      "configs": {r["name"]: {"model": {"cell": r["name"]}} for r in rows},
      "base": "configs/x.py",
      "published_sources": {"LSTM": "Table 1"},
    },
  }


def _html(table, figures=None):
  """The page of a table given as in its JSON file."""
  return html_lib.html(schema.from_json(json.dumps(table)), figures)


class _Page(html.parser.HTMLParser):
  """Tags, attributes and text of a page; every tag has to be closed."""

  def __init__(self, text):
    super().__init__()
    self.tags, self.words, self.open, self.attributes = [], [], [], []
    self.feed(text)
    assert self.open == []

  def handle_starttag(self, tag, attrs):
    self.tags.append(tag)
    self.attributes += [(tag, k, v) for k, v in attrs]
    if tag not in VOID:
      self.open.append(tag)

  def handle_startendtag(self, tag, attrs):
    self.tags.append(tag)
    self.attributes += [(tag, k, v) for k, v in attrs]

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    if self.open[-1:] != ["style"]:
      self.words.append(data)

  @property
  def text(self):
    return " ".join(" ".join(self.words).split())


def test_everything_is_on_the_page():
  table = _table()
  page = _Page(_html(table, {})).text
  for row in table["rows"]:
    assert page.count(row["name"]) >= 2, row["name"]  # the table, its config
  for ordering in table["orderings"]:
    assert ordering["claim"] in page
    assert ordering["verdict"] in page
  for message in ("loss is NaN <script>alert(1)</script>", "out of memory"):
    assert message in page
  for part in (
    *("22.17 ± 0.21", "−0.43", "[−0.95, 0.09]", "0.210", "22.22 ± 0.08"),
    *("seed 1", "22.40", "diverged", "2 of 3", "1 of 3", "6.26 M", "4,600"),
    *("[−13.50, −11.30]", "−5 to 5", "≥ 0.5", "31.0 %", "15 of 18 done"),
    *("against GRU", "nrefs:1|case:mixed", "a man & dog", "91.2", "< 0.001"),
    *("--note 'a b'", "99f1a4b0c3d2", "9f2c" * 16, "0.10.2", "cpu cores"),
    *("--model.encoder.cell lstm", '"cell": "GRU"', "configs/x.py", "Table 1"),
    *("Multi30k, not WMT'15", "Britz et al. 2017", "50.10 ± 0.20"),
  ):
    assert part in page, part


def test_nothing_is_fetched_or_run():
  svg = '<svg role="img"><image href="data:image/png;base64,AA=="/></svg>'
  text = _html(_table(), {"differences": [svg], "attention": [svg, svg]})
  page = _Page(text)
  assert not {"script", "link", "iframe", "img", "object"} & set(page.tags)
  for tag, name, value in page.attributes:
    assert not name.startswith("on"), (tag, name)
    if name in ("src", "href", "srcset"):
      assert value.startswith(("#", "data:")), (tag, name, value)
  assert not re.search(r"https?:|url\((?!#)|@import|@font-face|//\w", text)
  assert page.tags.count("svg") == 3


def test_everything_is_escaped():
  poison = "<i onclick=x>'\"&"

  def poisoned(value, key=""):
    if isinstance(value, dict):
      return {k: poisoned(v, k) for k, v in value.items()}
    if isinstance(value, list):
      return [poisoned(v, key) for v in value]
    kept = ("status", "tag_significance", "verdict", "state", "tag", "kind")
    return poison if isinstance(value, str) and key not in kept else value

  table = _table()
  clean, dirty = (
    _Page(_html(table)),
    _Page(_html(poisoned(table))),
  )
  assert not any(name == "onclick" for _, name, _ in dirty.attributes)
  assert dirty.tags.count("i") <= clean.tags.count("i")
  assert poison in dirty.text


def test_unconfirmed_values_are_italic_and_others_are_not():
  text = _html(_table())
  assert "<i>11.20 ± 0.08</i>" in text
  assert "<i>22.22" not in text and "<i>23.30" not in text
  table = _table()
  table["rows"][3]["unconfirmed"] = False
  assert "<i>11.20" not in _html(table)


def test_figures_have_captions_that_count_seeds():
  text = _html(_table(), {n: [f"<svg>{n}</svg>"] for n in figures.NAMES})
  page = _Page(text)
  assert page.tags.count("figure") == page.tags.count("figcaption") == 4
  assert "mean and standard deviation over 1 to 3 seeds" in page.text
  assert "mean over 3 seeds" in page.text
  assert "RNNsearch-50 (F2)" in page.text and "up to 10: 320" in page.text
  assert "not drawn" not in page.text
  some = _Page(_html(_table(), {"differences": ["<svg></svg>"]})).text
  assert "not drawn: learning or lengths or attention" in some
  none = _Page(_html(_table(), {})).text
  assert "they need Matplotlib" in none and "[plots]" in none


def test_links_lead_somewhere():
  page = _Page(_html(_table()))
  ids = [v for _, k, v in page.attributes if k == "id"]
  links = [v[1:] for tag, k, v in page.attributes if (tag, k) == ("a", "href")]
  assert len(links) == 6 and set(links) <= set(ids)
  assert len(ids) == len(set(ids))


def test_half_filled_tables():
  table = _table()
  empty = _row("LSTM", [None, None, None], None, None)
  empty |= {"delta": None, "lengths": None, "cells": [], "values": []}
  empty |= {"others": {}, "overrides": []}
  for key in ("parameters", "minutes", "tokens_per_second", "epochs_to_best"):
    empty[key] = None
  table["rows"] = [empty, _row("GRU", [None], overrides=[])]
  for key in ("orderings", "sentences", "attention", "learning_curves"):
    table[key] = []
  for key in ("signature", "seed_share", "test_sentences"):
    table[key] = None
  table |= {"note": "", "bins": []}
  table["run"] |= {"git_commit": None, "configs": {}, "data": {}}
  page = _Page(_html(table, {})).text
  assert "nan" not in page
  assert "None" not in page
  for heading in ("Orderings", "Sentences", "Cells without", "Configs", "Data"):
    assert heading not in page
  table["rows"] = []
  assert "Results" in _Page(_html(table)).text


def test_small_scores_keep_their_digits():
  table = _table()
  table["metric"], table["higher_is_better"] = "wer", False
  table["rows"] = [_row("LSTM", [0.0512, 0.0534], None, None)]
  page = _Page(_html(table)).text
  assert "WER, lower is better" in page and "0.052 ± 0.002" in page


def test_same_table_same_bytes():
  assert _html(_table()) == _html(_table())
