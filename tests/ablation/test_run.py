"""Making a table: what is refused before anything is trained."""

import dataclasses

import pytest

from seq2seq_jax import types
from seq2seq_jax.ablation import run, scheduler
from tests.helpers import tiny_table

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
  (folder / "ablation.json").write_text("{")
  with pytest.raises(types.UserError, match=r"ablation\.json: not readable"):
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
  (tmp_path / "table.md").mkdir()
  with pytest.raises(types.UserError, match=r"table\.md.*: cannot write the"):
    _make(tmp_path)


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
