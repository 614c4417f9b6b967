"""From cells on disk to tables in four formats."""

import csv
import json
import pathlib

import numpy as np
import pytest
import scipy.stats

from seq2seq_jax import metrics
from seq2seq_jax.ablation import build, cells, orderings, suite
from seq2seq_jax.ablation.report import html, text_tables

ROWS = (
  suite.Row("base & co_1", published="x"),
  suite.Row("better | best", published="y"),
  suite.Row("failed"),
  suite.Row("to come"),
)


def _ablation(**changes):
  settings = {
    "title": "Things",
    "paper": "Somebody 2015",
    "base": "x.py",
    "rows": ROWS,
    "metric": "exact_match",
    "reference": "base & co_1",
    "metrics": ("loss",),
    "bins": (2,),
    "orderings": (
      orderings.above("better | best", "base & co_1", by=10),
      orderings.gap_grows("better | best", "base & co_1", short=2, long=2),
      orderings.above("better | best", "base & co_1", judged=False),
      orderings.above("to come", "base & co_1"),
      orderings.near("base & co_1", 99, 2),
    ),
  }
  return suite.Ablation(**(settings | changes))


def _cell(folder: pathlib.Path, row: str, seed: int, right=None, status="done"):
  """A finished cell; `right` is how many of 60 short, 40 long are right."""
  folder = folder / suite.folder(row) / f"seed_{seed}"
  training = cells.Training(folder, folder / "lock", (seed,), None, 10)
  cell = cells.Cell(row, seed, folder, folder / "l", "k", {}, (training,))
  if right is None and status == "done":
    return cell
  folder.mkdir(parents=True)
  found = {"key": "k", "status": status, "message": "it broke"}
  if right:
    hits = np.zeros(100)
    hits[: right[0]] = hits[60 : 60 + right[1]] = 1
    rows = np.stack([hits, np.ones(100)], axis=1)
    with (folder / "sentences.npz").open("wb") as f:
      np.savez(f, rows=rows)
    outputs = [
      {"source": s, "reference": "r", "hypothesis": "h", "length": len(s)}
      for s in ["ab"] * 60 + ["abc"] * 40
    ]
    (folder / "outputs.json").write_text(json.dumps(outputs))
    (folder / "attention.json").write_text("[]")
    valid = {"exact_match": [[5, 40.0 + seed], [10, 50.0 + seed]]}
    found |= {
      "value": float(hits.sum()),
      "metrics": {"exact_match": float(hits.sum()), "loss": 1.5 + seed},
      "signature": "case:mixed",
      "sentences": 100,
      "test": "t",
      "parameters": 1_250_000,
      "best_step": 5,
      "identity": {"data checksums": {"test": "s"}},
      "courses": [
        {
          "seconds": 120.0,
          "tokens": 6000,
          "steps": 10,
          "epoch": 10,
          "valid": valid,
        }
      ],
    }
  (folder / "result.json").write_text(json.dumps(found))
  return cell


def _built(ablation, own, **changes):
  settings = {
    "score": metrics.ratio,
    "published": {},
    "curves": [],
    "falling": False,
    "configs": {},
    "command": "",
  }
  return build.build(ablation, own, **(settings | changes))


def _table(folder, **changes):
  own = [
    *(_cell(folder, ROWS[0].name, s, (48 + s, 10 + s)) for s in range(3)),
    *(_cell(folder, ROWS[1].name, s, (50 + s, 35 + s)) for s in range(3)),
    *(_cell(folder, "failed", s, status="diverged") for s in range(3)),
    *(_cell(folder, "to come", s) for s in range(3)),
  ]
  return _built(
    _ablation(**changes),
    own,
    published={
      ROWS[0].name: {"value": 61.5, "sd": 0.5, "tag": "P", "source": "paper"},
      ROWS[1].name: {
        "value": 88.0,
        "tag": "M",
        "loss": 1.25,
        "parameters": 2_000_000,
      },
    },
    command="python -m x",
  )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
  return _table(tmp_path_factory.mktemp("cells"))


@pytest.mark.quick
def test_published_values_that_are_not_exact_are_shown_so(tmp_path):
  own = [_cell(tmp_path, ROWS[0].name, s, (48 + s, 10 + s)) for s in range(2)]
  for entry, said in (
    ({"approximate": True}, "about 54"),
    ({"bound": "upper"}, "below 54"),
    ({"bound": "lower"}, "above 54"),
  ):
    number = {"value": 54.0, "tag": "P", "source": "a figure"} | entry
    data = _built(_ablation(), own, published={ROWS[0].name: number})
    for text in (text_tables.markdown(data), text_tables.latex(data)):
      assert said in text
    page = html.html(data, {})
    assert said in page


@pytest.mark.quick
def test_figures_by_hand(made):
  base, better, failed, coming = made["rows"]
  assert (base["mean"], base["sd"], base["n"]) == (60, 2, 3)
  assert base["values"] == [58, 60, 62] and base["reference"] is None
  assert better["mean"] == 87 and better["delta"]["estimate"] == 27
  assert better["delta"]["low"] > 10 and better["p"] < 0.01
  assert better["tag_significance"] == "better"
  loss = {"mean": 2.5, "sd": 1.0, "published": 1.25}
  assert better["others"]["loss"] == loss
  assert failed["n"] == coming["n"] == 0 and failed["mean"] is None
  assert [c["status"] for c in failed["cells"]] == ["diverged"] * 3
  assert made["counts"] == {
    "cells": 12,
    "done": 6,
    "failed": 3,
    "running": 0,
    "waiting": 3,
  }
  assert made["state"] == "partial"
  assert base["minutes"] == 2 and base["tokens_per_second"] == 50
  assert base["epochs_to_best"] == 0.5
  # Between rows 27 ** 2 / 2 - 4 / 3, within them 4.
  between = 27**2 / 2 - 4 / 3
  assert made["seed_share"] == pytest.approx(4 / (4 + between))
  # Of the difference: 4 / 3 a row of seeds, of sentences 24 and 11 over 100.
  assert better["seed_share"] == made["difference_seed_share"]
  assert 0.05 < better["seed_share"] < 0.5 and base["seed_share"] is None


@pytest.mark.quick
def test_lengths_and_curves_by_hand(made):
  assert [(b["label"], b["sentences"]) for b in made["bins"]] == [
    ("up to 2", 60),
    ("more than 2", 40),
  ]
  base, better = made["rows"][:2]
  assert base["lengths"]["means"] == pytest.approx([100 * 49 / 60, 27.5])
  assert better["lengths"]["sds"] == pytest.approx([100 / 60, 2.5])
  curve = made["learning_curves"][0]
  assert (curve["steps"], curve["mean"]) == ([5, 10], [41, 51])
  assert (curve["low"], curve["high"], curve["n"]) == ([40, 50], [42, 52], 3)


@pytest.mark.quick
def test_orderings(made):
  gap = made["orderings"][1]
  verdicts = [o["verdict"] for o in made["orderings"]]
  assert verdicts == ["PASS", "PASS", "PRINTED", "MISSING", "FAIL"]
  assert gap["estimate"] == pytest.approx(62.5 - 100 * 2 / 60)
  assert gap["interval"][0] < gap["estimate"] < gap["interval"][1]
  assert made["orderings"][3]["note"] == "no score of to come"


@pytest.mark.quick
def test_of_falling_scores_less_is_better(tmp_path):
  own = [
    *(_cell(tmp_path, ROWS[0].name, s, (48 + s, 10)) for s in range(3)),
    *(_cell(tmp_path, ROWS[1].name, s, (20 + s, 10)) for s in range(3)),
  ]
  found = _built(
    _ablation(rows=ROWS[:2], orderings=_ablation().orderings[:1]),
    own,
    falling=True,
  )
  assert found["rows"][1]["tag_significance"] == "better"
  assert found["rows"][1]["delta"]["estimate"] == -28
  assert found["orderings"][0]["verdict"] == "PASS"
  assert found["orderings"][0]["estimate"] == 28


@pytest.mark.quick
def test_seeds_that_failed_are_no_win(tmp_path):
  """What is left of a row that diverges is a choice of its good seeds."""
  own = [
    *(_cell(tmp_path, ROWS[0].name, s, (48 + s, 10 + s)) for s in range(4)),
    *(_cell(tmp_path, ROWS[1].name, s, (50 + s, 35 + s)) for s in range(3)),
    _cell(tmp_path, ROWS[1].name, 3, status="diverged"),
  ]
  found = _built(
    _ablation(rows=ROWS[:2], orderings=_ablation().orderings[:1]),
    own,
  )
  assert found["rows"][1]["n"] == 3 and found["rows"][1]["p"] < 0.01
  assert found["rows"][1]["tag_significance"] == "untested"
  [claim] = found["orderings"]
  assert claim["verdict"] == "INCONCLUSIVE" and claim["interval"][0] > 10
  assert claim["note"] == "1 of 4 seeds of better | best have no score"
  assert "| 3 of 4 |" in text_tables.markdown(found)
  assert "& 3 of 4 &" in text_tables.latex(found)


@pytest.mark.quick
def test_text_of_the_data_can_be_left_out(made, tmp_path):
  assert made["sentences"] and made["sentences"][0]["source"]
  own = [_cell(tmp_path, ROWS[0].name, 0, (48, 10))]
  found = _built(
    _ablation(rows=ROWS[:1], orderings=()),
    own,
    sentences=False,
  )
  assert found["sentences"] == found["attention"] == []
  assert '"abc"' not in json.dumps(found)


@pytest.mark.quick
def test_markdown(made):
  text = text_tables.markdown(made)
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


@pytest.mark.quick
def test_latex(made):
  text = text_tables.latex(made)
  assert "{base \\& co\\_1} & 60.00 $\\pm$ 2.00 & 3 &" in text
  assert "\\textbf{87.00 $\\pm$ 2.00}" in text and "$+27.00$" in text
  assert "\\textit{88}" in text and "M (\\textit{2.00 M}) & 2.0" in text
  assert text.count("\\toprule") == text.count("\\bottomrule") == 3
  assert text.count("\\\\") == 5 + 5 + 6  # rows, what they took, claims
  assert text.count("{") == text.count("}")


@pytest.mark.quick
def test_csv_and_json(made, tmp_path):
  paths = text_tables.write(made, tmp_path)
  assert [p.name for p in paths] == [
    "table.md",
    "table.tex",
    "table.csv",
    "table.json",
  ]
  with (tmp_path / "table.csv").open() as f:
    read = list(csv.DictReader(f))
  assert [r["name"] for r in read] == [r.name for r in ROWS]
  assert read[0]["seed_2"] == "62.0" and read[2]["mean"] == ""
  assert float(read[1]["delta_low"]) == made["rows"][1]["delta"]["low"]
  assert json.loads((tmp_path / "table.json").read_text()) == made


@pytest.mark.quick
def test_a_claim_is_asked_where_what_it_presupposes_holds(tmp_path):
  own = [
    *(_cell(tmp_path, ROWS[0].name, s, (48 + s, 10 + s)) for s in range(3)),
    *(_cell(tmp_path, ROWS[1].name, s, (50 + s, 35 + s)) for s in range(3)),
  ]
  for limit, verdict in ((2.4, "PRINTED"), (2.6, "PASS")):  # the mean is 2.5
    where = orderings.Precondition("loss", "base & co_1", limit)
    claim = orderings.above("better | best", "base & co_1", precondition=where)
    found = _built(_ablation(rows=ROWS[:2], orderings=(claim,)), own)
    assert found["orderings"][0]["verdict"] == verdict
    note = found["orderings"][0]["note"]
    assert note == (
      "asked where the loss of base & co_1 is below 2.4; it is 2.5"
      if verdict == "PRINTED"
      else ""
    )
  with pytest.raises(
    ValueError, match="'chrf' is not one of the table's metrics"
  ):
    _ablation(
      orderings=(orderings.above("to come", "failed", precondition=_chrf()),)
    )


def _chrf():
  return orderings.Precondition("chrf", "failed", 1)


@pytest.mark.quick
def test_what_cells_were_made_by_is_told_of_all():
  every = build._every([{"jax": "1", "cores": 1}, {"jax": "2", "cores": 1}])
  assert every == {"jax": "1 / 2", "cores": 1}
  assert build._every([]) == build._every([{"x": None}]) == {}


@pytest.mark.quick
def test_claims_about_another_metric_count_seeds_alone(tmp_path):
  """Losses are 1.5, 2.5 and 3.5 of one row, 1.5 and 2.5 of the other."""
  own = [
    *(_cell(tmp_path, ROWS[0].name, s, (48 + s, 10 + s)) for s in range(3)),
    *(_cell(tmp_path, ROWS[1].name, s, (50 + s, 35 + s)) for s in range(2)),
  ]
  claims = (
    orderings.below("better | best", "base & co_1", "loss", by=9),
    orderings.below("better | best", "base & co_1", "loss", by=-99),
    orderings.below("base & co_1", "better | best", "loss"),
  )
  found = _built(_ablation(rows=ROWS[:2], orderings=claims), own)
  verdicts = [o["verdict"] for o in found["orderings"]]
  assert verdicts == ["FAIL", "PASS", "INCONCLUSIVE"]
  assert str(claims[2].high) == "0.0"
  first = found["orderings"][0]
  assert first["estimate"] == -0.5
  welch = scipy.stats.ttest_ind([1.5, 2.5], [1.5, 2.5, 3.5], equal_var=False)
  assert first["interval"] == pytest.approx(welch.confidence_interval(0.95))
  assert "the noise of seeds alone" in first["note"]
  with pytest.raises(
    ValueError, match="'bleu' is not one of the table's metrics"
  ):
    _ablation(orderings=(orderings.below("to come", "failed", "bleu"),))
