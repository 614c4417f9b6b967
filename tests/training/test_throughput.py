"""What is read of finished steps, when, and how fast they were."""

import types as types_

import numpy as np
import pytest

from seq2seq_jax.training import throughput

pytestmark = pytest.mark.quick


class Clock:
  now = 0.0

  def __call__(self):
    return self.now


def on_device(values):
  """An array whose copy on this process's first device is asked for."""
  array = np.array(values, np.float32)
  return types_.SimpleNamespace(addressable_data=lambda i: array)


def test_a_call_is_read_when_the_next_one_was_dispatched():
  meter = throughput.Meter(steps_per_call=1, log_every=10)
  assert meter.dispatched(1, {"loss": on_device(3.0)}) == []
  (window,) = meter.dispatched(2, {"loss": on_device(2.0)})
  assert (window.start, window.end) == (0, 1)
  assert window.values["loss"].tolist() == [[3.0]]
  (window,) = meter.drain()
  assert (window.start, window.end) == (1, 2)
  assert meter.drain() == []


def test_a_call_of_several_steps_is_cut_where_a_line_is_due():
  meter = throughput.Meter(steps_per_call=6, log_every=4)
  losses = np.arange(12).reshape(6, 2)  # of two replicas
  meter.dispatched(12, {"loss": on_device(losses)})
  windows = meter.drain()
  assert [(w.start, w.end) for w in windows] == [(6, 8), (8, 12)]
  assert windows[0].values["loss"].tolist() == [[0, 1], [2, 3]]
  assert windows[1].values["loss"].tolist() == losses[2:].tolist()


def test_rates_count_from_the_last_restart():
  clock = Clock()
  meter = throughput.Meter(1, 1, clock)
  clock.now = 50.0
  meter.restart()
  meter.stall(0.5)
  meter.add(tokens=300.0, padded_tokens=400)
  clock.now = 52.0
  assert meter.rates() == {
    "tokens_per_second": 150.0,
    "padded_tokens_per_second": 200.0,
    "stall": 0.25,
  }
