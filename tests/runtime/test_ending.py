"""How a process leaves the others."""

import threading

import pytest

from seq2seq_jax.runtime import ending, processes

pytestmark = pytest.mark.quick


class Group:
  """A process whose others never leave."""

  index, count = 0, 2

  def __init__(self):
    self.leaving = threading.Event()

  def set(self, name, value, once=False):
    return True

  def look(self):
    return {"error": {"code": 2, "by": 0}}


@pytest.mark.parametrize("code, ended", [(2, 2), (0, 143)])
def test_a_signal_while_the_others_are_waited_for_ends_it(
  monkeypatch, code, ended
):
  """Python's own end would run JAX's, which waits for the others."""
  codes = []
  monkeypatch.setattr(processes, "_group", Group())
  monkeypatch.setattr(ending, "end", codes.append)

  def signalled(seconds):
    raise SystemExit(143)

  monkeypatch.setattr(ending.time, "sleep", signalled)
  ending.leave(code)
  assert codes == [ended]
