"""What a person sees of a table while it fills in."""

import io
import logging
import pathlib

import pytest

from seq2seq_jax.ablation import board, cells
from seq2seq_jax.runtime import log

pytestmark = pytest.mark.quick
WAITING = {"status": "waiting", "progress": 0.0}
HALF = {"status": "running", "progress": 0.5}
DONE = {"status": "done", "value": 31.25}


class Clock:
  """Seconds that a test moves on."""

  def __init__(self):
    self.now = 0.0

  def __call__(self):
    return self.now


def _cells():
  folder = pathlib.Path("nowhere")
  return [
    cells.Cell(row, seed, folder, folder, "", {}, ())
    for row in ("GRU", "LSTM")
    for seed in (0, 1)
  ]


def _board(live, stream=None, clock=None):
  table = _cells()
  shown = board.ProgressBoard(
    table,
    lambda status: f"{status.get('value', status['status'])}",
    {"LSTM": "30.1"},
    live=live,
    stream=stream or io.StringIO(),
    clock=clock or Clock(),
  )
  return table, shown


def test_lines_of_the_log_elsewhere(caplog):
  caplog.set_level(logging.INFO, "seq2seq_jax")
  clock, stream = Clock(), io.StringIO()
  table, lines = _board(False, stream, clock)
  with lines:
    statuses = dict.fromkeys(table, WAITING)
    lines.update(statuses)
    assert not caplog.messages
    lines.update(statuses | {table[0]: DONE})
    [line] = caplog.messages
    assert line.startswith("GRU, seed 0: 31.25  (1 of 4 cells done")
    clock.now = 61.0
    lines.update(statuses | {table[0]: DONE, table[1]: HALF})
    assert caplog.messages[1].startswith("1 of 4 cells done, 1 running, about")
    lines.note = "stopping"
    lines.update(statuses | {table[0]: DONE})
    assert caplog.messages[-1] == "stopping"
  assert not stream.getvalue()


def test_the_time_that_is_left_is_by_the_pace_of_this_process():
  clock = Clock()
  table, lines = _board(False, clock=clock)
  first = dict.fromkeys(table, WAITING) | {table[0]: DONE}
  lines.update(first)
  assert lines.remaining_seconds() is None
  clock.now = 90.0
  lines.update(first | {table[1]: DONE})
  assert lines.remaining_seconds() == pytest.approx(180.0)
  assert "about 3:00 left" in lines.summary()


def test_a_table_at_a_terminal():
  stream = io.StringIO()
  table, drawn = _board(True, stream)
  with drawn:
    statuses = dict.fromkeys(table, WAITING)
    drawn.update(statuses | {table[1]: HALF, table[2]: DONE})
    log.show()
    try:
      logging.getLogger("seq2seq_jax.ablation").warning("a message")
    finally:
      log.hide()
  text = stream.getvalue()
  for part in ("GRU", "50 %", "31.25", "30.1", "waiting", "a message"):
    assert part in text, part
