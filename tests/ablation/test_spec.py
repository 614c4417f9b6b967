"""A job's file holds all that its process needs."""

import json
import os

import pytest

from seq2seq_jax import types
from seq2seq_jax.ablation import spec
from tests.helpers import tiny_table

pytestmark = pytest.mark.quick


def _spec(table, job):
  return spec.Spec(
    table.jobs()[job], "exact_match", "best", ("loss",), (1, 3), 2
  )


@pytest.mark.parametrize("together", [False, True])
def test_what_is_written_is_read(tmp_path, together):
  table = tiny_table.planned(tmp_path, together=together)
  for number in range(len(table.jobs())):
    job = _spec(table, number)
    path = job.cells[0].spec
    spec.write(job, path)
    again = spec.read(path)
    assert [vars(c) for c in again.cells] == [vars(c) for c in job.cells]
    assert (again.metric, again.checkpoint) == ("exact_match", "best")
    assert (again.cores, again.cpu_devices) == ((1, 3), 2)
    assert again.directory == os.getcwd()
    # Members that are one run are one object again.
    count = len({m for cell in job.cells for m in cell.members})
    assert len({id(m) for c in again.cells for m in c.members}) == count


def test_paths_are_absolute(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  table = tiny_table.planned("table", 1)
  path = tmp_path / "spec.json"
  spec.write(_spec(table, 0), path)
  monkeypatch.chdir("/")
  [cell] = spec.read(path).cells
  assert cell.folder == tmp_path / "table/cells/attention/seed_0"


def test_what_is_no_spec_is_refused(tmp_path):
  path = tmp_path / "spec.json"
  with pytest.raises(types.UserError, match=r"spec\.json: cannot read: No"):
    spec.read(path)
  for text, message in (
    ("{", r"spec\.json is not valid JSON"),
    ("[]", "the file must be an object"),
    ('{"format_version": 7}', "format_version 7, this is 2"),
    ('{"format_version": 2}', "lacks the field 'directory', 'cores'"),
  ):
    path.write_text(text)
    with pytest.raises(types.UserError, match=message):
      spec.read(path)
  spec.write(_spec(tiny_table.planned(tmp_path), 0), path)
  tree = json.loads(path.read_text())
  for place, wrong, message in (
    ("seed", "1", r"cells\[0\]\.seed must be a whole number, but is \"1\""),
    ("members", [7], "members of row 'attention', seed 0, must be"),
  ):
    cell = tree["cells"][0] | {place: wrong}
    path.write_text(json.dumps(tree | {"cells": [cell]}))
    with pytest.raises(types.UserError, match=message):
      spec.read(path)
  tree["cells"][0]["config"]["format_version"] = 0
  path.write_text(json.dumps(tree))
  with pytest.raises(types.UserError, match=r"spec\.json: .*format_version 0"):
    spec.read(path)
