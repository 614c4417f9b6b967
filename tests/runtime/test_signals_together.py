"""Where several processes stop, given where a signal finds each of them."""

import os
import signal
import time

import pytest

from seq2seq_jax.runtime import signals

pytestmark = pytest.mark.quick

AT = {"step": 20}
VALIDATING = {"step": 20, "validating": True}
VALIDATED = {"step": 20, "validated": True}


@pytest.mark.parametrize(
  ("positions", "decision"),
  [
    ([None, AT], (0, True)),  # one prepares: no step can be made
    ([AT, AT], (21, False)),
    ([{"step": 16}, AT], (21, False)),
    ([VALIDATING, VALIDATING], (20, True)),
    ([{"step": 19}, VALIDATING], (20, True)),
    ([VALIDATING, VALIDATED], (21, False)),  # all scores are known
    ([VALIDATING, {"step": 21}], (22, False)),
    ([{"ended": True}, VALIDATING], (None, False)),
  ],
)
def test_all_stop_after_the_same_step(positions, decision):
  assert signals.decide(positions) == decision
  assert signals.decide(positions[::-1]) == decision


def test_a_signal_breaks_a_block_off():
  with signals.GracefulStop() as stop:
    with pytest.raises(signals.Stopped) as raised, stop.breaking(7):
      os.kill(os.getpid(), signal.SIGTERM)
      time.sleep(5)
    assert raised.value.number == signal.SIGTERM
    with pytest.raises(signals.Stopped), stop.breaking(7):
      raise AssertionError("it was asked to stop before")
    assert stop.reached(8)
  with pytest.raises(SystemExit) as ended:
    raised.value.leave()
  assert ended.value.code == 143
