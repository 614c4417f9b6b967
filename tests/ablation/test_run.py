"""Making a table: what is refused before anything is trained."""

import dataclasses
import errno
import pathlib

import pytest

from seq2seq_jax import types
from seq2seq_jax.ablation import announce, run, scheduler, spec, suite
from seq2seq_jax.analysis import figure_style
from tests.helpers import finished, tiny_table

pytestmark = pytest.mark.quick


def _make(folder, ablation=None, **changes):
  return run.run_ablation(
    ablation or tiny_table.ablation(),
    folder,
    seeds=2,
    table_only=True,
    **changes,
  )


def test_a_workdir_of_another_table_is_refused(tmp_path):
  folder = tmp_path / "table"
  _make(folder)
  _make(str(folder))
  with pytest.raises(types.UserError, match="holds the table 'Copying'"):
    _make(folder, tiny_table.ablation(title="Reversing"))
  for text, message in (
    ("{", r"ablation\.json is not valid JSON"),
    ("[]", r"ablation\.json: the file must be an object"),
    ('{"title": 3, "scale": "", "seeds": 1}', "title must be a text"),
  ):
    (folder / "ablation.json").write_text(text)
    with pytest.raises(types.UserError, match=message):
      _make(folder)
  single = tmp_path / "single"
  single.mkdir()
  (single / "config.json").write_text("{}")
  with pytest.raises(types.UserError, match="holds a single run"):
    _make(single)
  assert [p.name for p in single.iterdir()] == ["config.json"]


def test_a_table_of_nothing_yet(tmp_path, capfd):
  table = _make(tmp_path, rows=["attention", "greedy"])
  assert [row.name for row in table.rows] == ["attention", "greedy"]
  assert table.reference == "attention" and table.counts.waiting == 4
  names = {"table.md", "table.csv", "table.tex", "table.json", "report.html"}
  assert names <= {path.name for path in tmp_path.iterdir()}
  # Nothing is printed unless it is asked for.
  assert capfd.readouterr() == ("", "")


def test_bad_requests_are_refused(tmp_path):
  with pytest.raises(types.UserError, match="Copying: no row is called 'x'"):
    _make(tmp_path, rows=["x"])
  with pytest.raises(types.UserError, match="Copying: scale 'pod': there are"):
    _make(tmp_path, scale="pod")
  with pytest.raises(types.UserError, match="Copying: unknown metric 'blue'"):
    _make(tmp_path, tiny_table.ablation(metric="blue", metrics=("loss",)))
  assert not list(tmp_path.iterdir())
  for changes, message in (
    ({"seeds": 0}, "seeds: must be a whole number from 1 to 1,000, but is 0"),
    ({"seeds": 10**9}, "seeds: must be a whole number from 1 to 1,000"),
    ({"seeds": True}, "seeds: .* but is True"),
    ({"jobs": -1}, "jobs: must be a whole number from 1 to 4,096, but is -1"),
    ({"jobs": 1.5}, "jobs: .* but is 1.5"),
    ({"cpu_devices": 0}, "cpu_devices: must be a whole number"),
    ({"rows": (1,)}, r"rows\[0\]: must be a str, but is 1"),
    ({"overrides": "--help"}, "--help overrides no field"),
    ({"overrides": 7}, "overrides: must be words of a command line"),
    ({"scale": 7}, "scale: must be a text, but is 7"),
    ({"workdir": 7}, "workdir: must be a path, but is 7"),
  ):
    with pytest.raises(types.UserError, match=message):
      run.Request(
        **{"suite": tiny_table.ablation(), "workdir": tmp_path} | changes
      )
  with pytest.raises(types.UserError, match="no file is called 'x'"):
    _make(tmp_path, tiny_table.ablation(curves=("x/curves/y",)))
  rows = (suite.Row("two", ensemble=2),)
  ensemble = tiny_table.ablation(
    metric="token_accuracy", rows=rows, reference="two", orderings=()
  )
  with pytest.raises(types.UserError, match="'two' is an ensemble, which has"):
    _make(tmp_path, ensemble)
  with pytest.raises(types.UserError, match="not a folder's name"):
    _make("a\0b")


@pytest.mark.parametrize(
  "name, folder",
  [
    ("table.md", True),
    ("report.html", True),
    ("cells", False),
    ("locks", False),
    ("figures", False),
    ("cells/fixed", False),
    ("cells/fixed/seed_1", False),
    ("cells/fixed/seed_1.log", True),
  ],
)
def test_what_is_in_the_way_is_named_before_anything_is_done(
  tmp_path, name, folder
):
  path = tmp_path / name
  path.parent.mkdir(parents=True, exist_ok=True)
  (tmp_path / "cells").mkdir(exist_ok=True) if folder else None
  path.mkdir() if folder else path.write_text("mine")
  kind = "no file" if folder else "no folder"
  with pytest.raises(types.UserError, match=rf"{path}: is {kind}.*move it"):
    _make(tmp_path)
  assert not (tmp_path / "ablation.json").exists()
  assert folder or path.read_text() == "mine"


def test_what_is_somebody_else_s_is_not_replaced(tmp_path):
  (tmp_path / "table.md").write_text("mine")
  with pytest.raises(types.UserError, match=r"holds table\.md, which no table"):
    _make(tmp_path)
  assert [path.name for path in tmp_path.iterdir()] == ["table.md"]
  for name in ("run.json", "metrics.jsonl", "checkpoints"):
    single = tmp_path / name
    single.mkdir()
    (single / name).touch()
    with pytest.raises(types.UserError, match="holds a single run"):
      _make(single)
  file = tmp_path / "file"
  file.write_text("mine")
  with pytest.raises(types.UserError, match="is no folder"):
    _make(file)


def test_tables_of_two_files_need_two_folders(tmp_path):
  """Also of the same title: the second would replace the first one's table."""
  for name in ("one.py", "two.py"):
    (tmp_path / name).write_text(
      "from tests.helpers import tiny_table\n"
      "def get_ablation():\n"
      "  return tiny_table.ablation()\n"
    )
  _make(tmp_path / "t", tmp_path / "one.py")
  _make(tmp_path / "t", tmp_path / "one.py")
  with pytest.raises(types.UserError, match=r"of one\.py .* of two\.py"):
    _make(tmp_path / "t", tmp_path / "two.py")


def test_a_full_disk_leaves_the_last_table_whole(tmp_path, monkeypatch):
  _make(tmp_path)
  before = {p: p.read_bytes() for p in tmp_path.glob("*.*")}

  def full(path, *_, **__):
    raise OSError(errno.ENOSPC, "No space left on device", str(path))

  written = pathlib.Path.write_text

  def write(path, text, **settings):
    if "report" in path.name:
      full(path)
    return written(path, text, **settings)

  monkeypatch.setattr(pathlib.Path, "write_text", write)
  changed = tiny_table.ablation(note="another note")
  with pytest.raises(types.UserError, match="No space left on device; finis"):
    _make(tmp_path, changed)
  assert {p: p.read_bytes() for p in tmp_path.glob("*.*")} == before
  monkeypatch.setattr(spec, "write", lambda _, path: full(path))
  with pytest.raises(types.UserError, match=r"spec\.json: cannot write: No sp"):
    run.run_ablation(tiny_table.ablation(), tmp_path, jobs=1, together=False)


def test_a_figure_that_does_not_fit_is_not_there(tmp_path, monkeypatch):
  figure = pytest.importorskip("matplotlib.figure").Figure()
  figure.subplots()

  def full(path, content):
    path.touch()
    raise OSError(errno.ENOSPC, "No space left on device", str(path))

  monkeypatch.setattr(pathlib.Path, "write_bytes", full)
  with pytest.raises(OSError, match="No space left"):
    figure_style.save(figure, tmp_path / "figures" / "lengths")
  assert not list((tmp_path / "figures").iterdir())


def test_the_end_names_the_cells_that_failed(tmp_path, caplog):
  caplog.set_level("INFO", "seq2seq_jax")
  table = tiny_table.planned(tmp_path)
  cell = table.cells[0]
  finished.write(cell, "failed", message="it broke\nhere")
  _make(tmp_path)
  assert f"attention, seed 0 failed: it broke; see {cell.log}" in caplog.text
  assert "1 cells failed" in caplog.text


def test_a_metric_that_a_row_has_not_is_told(tmp_path):
  for cell in tiny_table.planned(tmp_path).cells:
    finished.write(cell, lacking={"loss": "is not finite", "ter": "is not"})
  plan = tiny_table.planned(tmp_path)
  assert announce.lacking(plan).startswith(
    "Row attention has no loss: it is not finite. Row greedy has"
  )


def test_a_signal_becomes_the_exit_code(tmp_path, monkeypatch):
  monkeypatch.setattr(scheduler.Scheduler, "run", lambda _: 15)
  request = run.Request(
    suite=tiny_table.ablation(), workdir=tmp_path, jobs=1, together=False
  )
  assert run.execute(request).exit_code == 128 + 15
  monkeypatch.setattr(scheduler.Scheduler, "run", lambda _: None)
  assert run.execute(request).exit_code == 1
  only = dataclasses.replace(request, table_only=True)
  assert run.execute(only).exit_code == 1


def test_ctrl_c_is_an_interrupt_to_a_caller(tmp_path, monkeypatch):
  monkeypatch.setattr(scheduler.Scheduler, "run", lambda _: 2)
  with pytest.raises(KeyboardInterrupt):
    run.run_ablation(tiny_table.ablation(), tmp_path, jobs=1, together=False)
  assert (tmp_path / "table.md").exists()
