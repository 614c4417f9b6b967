"""When a run saves beside its validations."""

import types

import pytest

from seq2seq_jax.training import loop, transitions
from tests.helpers import tiny_runs


@pytest.mark.quick
def test_the_first_process_s_clock_decides(monkeypatch):
  monkeypatch.setattr(loop.time, "monotonic", lambda: 1000.0)
  train = {"checkpoint_minutes": 2.0}

  def due(primary, saved_at, step=7):
    run = types.SimpleNamespace(config=tiny_runs.small(train), primary=primary)
    return loop._save_is_due(run, step, saved_at)

  assert due(True, 879.0) and not due(True, 881.0)
  assert not due(False, 0.0)
  train["checkpoint_every"] = 7  # a step is the same in all processes
  assert due(False, 1000.0) and due(True, 1000.0)
  assert not due(False, 0.0, step=8)


def test_other_processes_save_where_it_is_no_matter_of_time(
  tmp_path, monkeypatch
):
  saved, save = [], transitions.save

  def telling(run, step, writer, **options):
    saved.append(step)
    save(run, step, writer, **options)
    run.primary = step < 2  # then it is as any other process

  monkeypatch.setattr(transitions, "save", telling)
  train = {"steps": 8, "validate_every": 4, "log_every": 1, "patience": 0}
  loop.fit(
    tiny_runs.small(train | {"checkpoint_minutes": 1e-6}), tmp_path / "run"
  )
  assert saved == [1, 2, 4, 8]
