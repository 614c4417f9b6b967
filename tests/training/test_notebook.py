"""The display of a notebook: one output that is drawn in place."""

import sys
import types

import pytest

from seq2seq_jax.training import loop, notebook
from tests.helpers.tiny_runs import small

pytestmark = pytest.mark.quick


@pytest.fixture
def outputs(monkeypatch):
  """(verb, display id, plain text) of everything that IPython was given."""
  calls = []

  def recorder(verb):
    def record(bundle, raw, display_id):
      assert raw and set(bundle) == {"text/plain", "text/html"}
      calls.append((verb, display_id, bundle["text/plain"]))

    return record

  fake = types.ModuleType("IPython.display")
  fake.display, fake.update_display = recorder("display"), recorder("update")
  monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
  monkeypatch.setitem(sys.modules, "IPython.display", fake)
  return calls


def test_one_output_is_drawn_in_place(outputs, capsys):
  now = [0.0]
  display = notebook.Display(100, clock=lambda: now[0])
  display.start()
  for step in range(1, 11):
    now[0] += 0.1
    display.progress(step, 1, {"loss": 2.0 / step})
  display.validation(10, "bleu", 31.5, 10, 31.5)
  display.write_line("a message")
  display.close()
  verbs, ids, texts = zip(*outputs)
  assert verbs[0] == "display" and set(verbs[1:]) == {"update"}
  assert len(set(ids)) == 1
  # Not a drawing a step: ten steps took one second.
  assert 3 <= len(texts) <= 8
  assert "10/100" in texts[-1] and "loss 0.2000" in texts[-1]
  assert "valid bleu 31.50 at step 10" in texts[-1]
  assert capsys.readouterr().out == "a message\n"


def test_a_run_in_a_kernel_draws_there(outputs, tmp_path, monkeypatch, capsys):
  monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
  conf = small(train={"steps": 2, "validate_every": 2})
  loop.fit(conf, tmp_path, show_progress=True)
  assert outputs and "2/2" in outputs[-1][2]
  assert "step 2" not in capsys.readouterr().out
