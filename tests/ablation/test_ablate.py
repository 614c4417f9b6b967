"""Tables from end to end, on a model of a few thousand parameters."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import types as types_

import pytest

from seq2seq_jax import ablate, train, types
from seq2seq_jax.ablation import orderings, suite, worker
from seq2seq_jax.ablation import plan as ablation_plan
from seq2seq_jax.data import corpus as corpus_lib

ROOT = pathlib.Path(__file__).parents[2]
TINY = str(pathlib.Path(__file__).parent.parent / "configs" / "tiny.py")
ENV = os.environ | {"JAX_PLATFORMS": "cpu"}
FEW = ("--train.steps", "40", "--train.validate_every", "20")
FEW += ("--data.buckets", "1", "--train.average", "0")
FEW += ("--train.metric", "loss")  # no search in validation: less to compile


def _ablation(**changes):
  rows = (
    suite.Row("attention"),
    suite.Row("greedy", "--decode.beam_size 1"),
    suite.Row(
      "fixed",
      "--model.attention.score none --model.decoder.input_feeding False",
    ),
    suite.Row("two", ensemble=2),
  )
  settings = {
    "title": "Copying",
    "paper": "of nobody",
    "base": TINY,
    "rows": rows,
    "metric": "exact_match",
    "metrics": ("loss",),
    "reference": "fixed",
    "scales": {"smoke": FEW, "none": ()},
    "scale": "smoke",
    "bins": (2, 4),
    "orderings": (orderings.above("attention", "fixed", by=5),),
  }
  return suite.Ablation(**(settings | changes))


def _plan(folder, seeds=2, extra=(), **changes):
  return ablation_plan.Plan(_ablation(**changes), folder, seeds, extra)


@pytest.mark.quick
def test_rows_that_differ_in_search_share_their_trainings(tmp_path):
  plan = _plan(tmp_path)
  by_row = {}
  for cell in plan.cells:
    by_row.setdefault(cell.row, []).append(cell)
  trained = lambda row: [[m.folder for m in c.members] for c in by_row[row]]
  assert trained("attention") == trained("greedy") != trained("fixed")
  assert trained("attention")[0] == [tmp_path / "cells/attention/seed_0"]
  # The members of an ensemble are nobody else's, from seed to seed.
  members = [m.name for row in trained("two") for m in row]
  assert members == ["seed_0", "seed_1", "seed_2", "seed_3"]
  assert [m.config.train.seed for m in by_row["two"][1].members] == [2, 3]
  assert len({c.key for c in plan.cells}) == len(plan.cells)


@pytest.mark.quick
def test_rows_of_other_test_sets_share_their_trainings(tmp_path):
  """And the beam of validation, which chooses the best, makes another one."""
  rules = "--data.task copy_rules --data.name all --data.synthetic.rules 5"
  rows = (
    suite.Row("all", rules),
    suite.Row("some", f"{rules} --data.test x_xx"),
    suite.Row("beam", f"{rules} --decode.valid_beam_size 2"),
  )
  changes = {"rows": rows, "reference": "all", "orderings": ()}
  cells = _plan(tmp_path, 1, **changes).cells
  trained = [c.members[0].folder.parent.name for c in cells]
  assert trained == ["all", "all", "beam"]
  assert len({c.key for c in cells}) == 3
  tests = [
    corpus_lib.Corpus(m.data).test for m in _configs(tmp_path, **changes)
  ]
  assert 5 * len(tests[1]) == len(tests[0]) == len(tests[2])


def _configs(folder, **changes):
  return _plan(folder, 1, **changes).configs.values()


@pytest.mark.quick
def test_seeds_in_one_program(tmp_path):
  plan = ablation_plan.Plan(_ablation(), tmp_path, 3, (), together=True)
  jobs = {job.name: job for job in plan.jobs()}
  job = jobs["attention, seed 0, 1, 2"]
  [training] = {m for c in job.cells for m in c.members}
  assert training.config.train.seeds == 3 and training.seeds == (0, 1, 2)
  assert len(jobs["two, seed 0"].cells[0].members) == 2


@pytest.mark.quick
def test_of_seeds_in_one_program_the_diverged_one_is_told(
  tmp_path, monkeypatch
):
  plan = ablation_plan.Plan(_ablation(), tmp_path, 3, (), together=True)
  [training] = plan.cells[0].members
  training.folder.mkdir(parents=True)
  run = types_.SimpleNamespace(
    histories=[{"diverged": at} for at in (None, 26, None)],
    train_data=types_.SimpleNamespace(plan=range(7)),
  )
  monkeypatch.setattr(train, "train", lambda *_, **__: run)
  for _ in range(2):  # trained, then remembered
    assert worker._train(training, 0) == 7
    with pytest.raises(types.Diverged, match="diverged at step 26"):
      worker._train(training, 1)
    assert worker._train(training, 2) == 7
    monkeypatch.setattr(train, "train", None)


@pytest.mark.quick
def test_what_makes_a_cell_another_one(tmp_path):
  key = lambda *extra, **changes: (
    _plan(tmp_path, 1, extra, **changes).cells[0].key
  )
  assert key() == key("--data.workers", "2", "--train.log_every", "7")
  others = {
    key(),
    key("--train.steps", "80"),
    key("--decode.beam_size", "2"),
    key("--data.synthetic.train", "200"),
    key(checkpoint="last"),
    key(metrics=()),
  }
  assert len(others) == 6


@pytest.mark.quick
def test_bad_tables_are_refused_with_the_place(tmp_path):
  file = tmp_path / "x.py"
  with pytest.raises(types.UserError, match=r"x\.py: no such file; there are"):
    ablation_plan.load(str(file))
  file.write_text("import math\n")
  with pytest.raises(types.UserError, match="must define get_ablation"):
    ablation_plan.load(str(file))
  for text, told in (
    ("x = 1\ndef get_ablation(:", r"x\.py, line 2: SyntaxError: invalid"),
    (
      "def get_ablation():\n  pass",
      r"x\.py: get_ablation\(\) must return a Abl",
    ),
    ("\n\nimport nonesuch", r"x\.py, line 3: ModuleNotFoundError: No module"),
    (ABLATION.replace("rows=", "rosw="), r"x\.py, line 8: TypeError: .*rosw"),
    (ABLATION + "\n", None),
  ):
    file.write_text(text.format(folder=str(ROOT)))
    if told:
      with pytest.raises(types.UserError, match=told):
        ablation_plan.load(str(file))
    else:
      assert ablation_plan.load(str(file)).metric == "exact_match"
  changed = ABLATION.replace("rows=(", "metric='exact_mach', rows=(")
  file.write_text(changed.format(folder=str(ROOT)))
  with pytest.raises(types.UserError, match="'exact_mach'; nearest: exact_m"):
    ablation_plan.load(str(file))
  assert _ablation(scales={}).at("smoke").scale == "smoke"
  with pytest.raises(ValueError, match="no row is called 'best'"):
    _ablation(reference="best")
  with pytest.raises(ValueError, match="another row has the same folder"):
    _ablation(rows=(suite.Row("fixed"), suite.Row("Fixed")))
  with pytest.raises(ValueError, match=r"scale 'gpu': there are smoke, none"):
    _ablation().at("gpu")


@pytest.mark.quick
def test_a_workdir_of_another_table_is_refused(tmp_path):
  class args:
    seeds = 2

  ablate._open(_plan(tmp_path), args)
  ablate._open(_plan(tmp_path), args)
  with pytest.raises(types.UserError, match="holds the table 'Copying'"):
    ablate._open(_plan(tmp_path, title="Reversing"), args)
  (tmp_path / "ablation.json").write_text("{")
  with pytest.raises(types.UserError, match=r"ablation\.json: not readable"):
    ablate._open(_plan(tmp_path), args)
  single = tmp_path / "single"
  single.mkdir()
  (single / "config.json").write_text("{}")
  with pytest.raises(types.UserError, match="holds a single run"):
    ablate._open(_plan(single), args)
  assert [p.name for p in single.iterdir()] == ["config.json"]


def grow_stale(tmp_path):
  """Run by the test below, with one device: less to compile."""
  rows = (
    suite.Row(
      "fixed",
      "--model.attention.score none --model.decoder.input_feeding False",
    ),
    suite.Row("wild", "--optim.learning_rate 3e38 --optim.clip_norm 0"),
  )
  make = lambda *extra: _plan(
    tmp_path, 1, ("--train.steps", "20", *extra), rows=rows, orderings=()
  )
  plan = make()
  for job in plan.jobs():
    assert worker.work(job, plan) == 0
  good, wild = plan.cells
  assert good.status()["status"] == "done"
  assert wild.status()["status"] == "diverged"
  assert "learning_rate" in wild.status()["message"]
  assert not list((tmp_path / "locks").iterdir())
  # Another search needs no other training.
  search = make("--decode.beam_size", "1")
  assert search.cells[0].status() == {
    "status": "stale",
    "changed": ["decode.beam_size: 3 -> 1"],
  }
  trains = train.train
  train.train = None
  assert worker.work(search.jobs()[0], search) == 0
  train.train = trains
  assert search.cells[0].status()["status"] == "done"
  assert (good.folder / "result.json.stale-1").exists()
  # Fewer steps are another course of the learning rate.
  kept = good.folder.with_name("seed_0.stale-1")
  shorter = make("--train.steps", "10")
  assert shorter.cells[0].status()["status"] == "stale"

  def pretended(conf, folder, live):
    folder.mkdir()
    return types_.SimpleNamespace(
      histories=[{"diverged": None}],
      train_data=types_.SimpleNamespace(plan=[conf.train.steps, live]),
    )

  train.train = pretended
  worker._train(shorter.cells[0].members[0], 0)
  assert (kept / "checkpoints").is_dir()
  assert not (good.folder / "checkpoints").exists()
  shutil.rmtree(good.folder)
  kept.rename(good.folder)
  train.train = trains
  # Other data do; the old run is kept aside.
  other = make("--data.synthetic.train", "200")
  assert other.cells[0].status()["status"] == "stale"
  worker._train(other.cells[0].members[0], 0)
  aside = good.folder.with_name("seed_0.stale-1")
  assert (aside / "checkpoints").is_dir() and (aside / "result.json").exists()


def test_cells_that_diverge_and_cells_that_grow_stale(tmp_path):
  code = f"""
import pathlib, sys
sys.path.insert(0, {str(ROOT)!r})
from tests.ablation import test_ablate
test_ablate.grow_stale(pathlib.Path({str(tmp_path)!r}))
"""
  subprocess.run([sys.executable, "-c", code], env=ENV, check=True)


ABLATION = """
import sys
sys.path.insert(0, {folder!r})
from seq2seq_jax.ablation import orderings, suite
from tests.ablation import test_ablate

def get_ablation():
  return test_ablate._ablation(
    rows=(
      suite.Row("attention"),
      suite.Row("greedy", "--decode.beam_size 1"),
    ),
    reference="attention",
    orderings=(orderings.alike("attention", "greedy", 30),),
  )
"""


def _start(folder):
  file = folder.parent / "table.py"
  here = str(ROOT)
  file.write_text(ABLATION.format(folder=here))
  return subprocess.Popen(
    [
      *(sys.executable, "-m", "seq2seq_jax.ablate", str(file)),
      *("--workdir", str(folder), "--seeds", "1", "--jobs", "2"),
      *("--together", "no"),
    ],
    env=ENV,
    start_new_session=True,
  )


def _kill_when(folder, pattern):
  """Starts, and kills everything once a file of this name is there."""
  main = _start(folder)
  while main.poll() is None and not list(folder.glob(pattern)):
    time.sleep(0.05)
  main.kill()
  main.wait()
  for path in (folder / "locks").glob("*"):
    try:
      os.kill(json.loads(path.read_text())["process"], signal.SIGKILL)
    except (OSError, ValueError):
      continue


def _figures(folder):
  table = json.loads((folder / "table.json").read_text())
  for row in table["rows"]:
    for name in ("minutes", "tokens_per_second"):
      row.pop(name)
    for cell in row["cells"]:
      cell.pop("seconds")
  for name in ("run",):
    table.pop(name)
  return table


def test_a_table_that_was_killed_is_the_same_table(tmp_path):
  whole, killed = tmp_path / "whole", tmp_path / "killed"
  assert _start(whole).wait() == 0
  _kill_when(killed, "cells/*/seed_*/metrics.jsonl")
  _kill_when(killed, "cells/*/seed_*/result.json")
  figures = killed / "figures"
  figures.mkdir(exist_ok=True)
  for name in ("attention_99.png", "mine.png"):
    (figures / name).touch()
  assert _start(killed).wait() == 0
  # What an earlier, unfinished table had drawn; nothing else is taken away.
  assert not (figures / "attention_99.png").exists()
  assert (figures / "mine.png").exists()
  assert _figures(killed) == _figures(whole)
  table = json.loads((killed / "table.json").read_text())
  assert table["state"] == "complete" and table["counts"]["done"] == 2
  assert [r["name"] for r in table["rows"]] == ["attention", "greedy"]
  keys = {"name", "mean", "sd", "n", "published", "tag", "p"}
  assert keys <= set(table["rows"][1])
  [ordering] = table["orderings"]
  assert {"claim", "verdict", "estimate", "interval"} <= set(ordering)
  for name in ("table.md", "table.tex", "table.csv", "report.html"):
    assert (killed / name).stat().st_size > 200, name
