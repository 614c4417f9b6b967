"""What finished cells leave on disk, and what has become of it since."""

import json

import pytest

from seq2seq_jax.ablation import cells, results, suite
from tests.helpers import finished, tables

pytestmark = pytest.mark.quick


@pytest.fixture
def cell(tmp_path):
  return tables.cell(tmp_path, tables.BASE, 0, (40, 20))


def _stale(cell):
  status = cell.status()
  assert status["status"] == "stale"
  [reason] = status["changed"]
  return reason


def _set(cell, **changes):
  path = cell.folder / results.NAME
  path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
  "content, message",
  [
    (b"", "is not valid JSON"),
    (b"[]", "the file must be an object"),
    (b"null", "the file must be an object"),
    (b"7", "the file must be an object"),
    (b'{"status": "done"', "is not valid JSON"),
    (b'{"key": "k"}', "lacks the field"),
    (b'{"value": NaN}', "NaN is no number"),
    (b"[" * 10_000, "nested too deep"),
    ("é".encode("latin-1"), "is not UTF-8"),
  ],
)
def test_a_result_that_is_none_names_the_file(cell, content, message):
  (cell.folder / results.NAME).write_bytes(content)
  assert message in (reason := _stale(cell))
  assert str(cell.folder / results.NAME) in reason


def test_a_result_that_was_changed(cell):
  """The scores of a table are those that were computed."""
  _set(cell, value="60")
  assert 'value must be a number, but is "60"' in _stale(cell)
  _set(cell, value=99.0)
  assert "was changed after it was written" in _stale(cell)


@pytest.mark.parametrize("name", results.DETAILS)
def test_files_that_do_not_belong_to_the_result(cell, tmp_path, name):
  path = cell.folder / name
  good = path.read_bytes()
  for bad in (b"", good[:-1], good + b" ", b"\xff"):
    path.write_bytes(bad)
    assert f"{path} is not the file that was written with" in _stale(cell)
  path.write_bytes(good)
  assert cell.status()["status"] == "done"
  path.unlink()
  assert f"{path}: cannot read: No such file" in _stale(cell)
  path.mkdir()
  assert f"{path}: cannot read: Is a directory" in _stale(cell)


def test_a_table_leaves_out_a_cell_whose_files_are_damaged(tmp_path):
  table_cells = tables.seeds(tmp_path, tables.BASE, 40, 20)
  (table_cells[1].folder / results.OUTPUTS).write_text("[]")
  ablation = tables.ablation(rows=(suite.Row(tables.BASE),), orderings=())
  table = tables.built(ablation, table_cells)
  assert table.counts.done == 2 and table.state == "partial"
  assert "outputs.json is not the file" in table.rows[0].cells[1].message


def test_what_is_in_the_place_of_a_result_is_kept(cell):
  (cell.folder / results.NAME).unlink()
  (cell.folder / results.NAME).mkdir()
  (cell.folder / results.NAME / "mine").touch()
  assert "cannot read: Is a directory" in _stale(cell)
  finished.write(cell, "failed")
  assert cell.status()["message"] == "why"
  assert (cell.folder / "result.json.stale-1" / "mine").exists()


def test_progress_of_damaged_metrics(tmp_path):
  path = tmp_path / "metrics.jsonl"
  path.write_bytes(b'{"step": 7}\n[]\n{"step": "8"}\n\xff\n' + b"[" * 9000)
  assert cells.last_step(tmp_path) == 0  # its end alone is read
  path.write_bytes(b'{"step": 7}\n[]\n{"step": "8"}\n\xff\n{"st')
  assert cells.last_step(tmp_path) == 7
