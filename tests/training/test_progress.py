"""The progress display: it stays in place, or writes plain lines."""

import io
import logging
import re

import pytest

from seq2seq_jax.runtime import log
from seq2seq_jax.training import metrics_writer, progress

VALUES = {
  "loss": 1234.56789,
  "learning_rate": 3e-4,
  "tokens_per_second": 1234567.0,
  "padded_tokens_per_second": 1345678.0,
  "stall": 0.05,
}


class _Clock:
  now = 0.0

  def __call__(self):
    return self.now


def _plain(interval=10.0, total=1000):
  out, clock = io.StringIO(), _Clock()
  display = progress.Display(
    total, live=False, interval=interval, stream=out, clock=clock
  )
  return display, out, clock


@pytest.mark.quick
def test_plain_lines(tmp_path):
  display, out, clock = _plain()
  display.start()
  for i in range(4):
    display.phase("compiling: source 16 x target 24", i + 1, 4)
    clock.now += 1.0
  display.phase("training")
  for step in range(1, 101):
    clock.now += 0.25
    display.progress(step, step // 50, VALUES | {"loss": 2.0})
  display.phase("validating", 1, 32)
  display.validation(100, "bleu", 35.2, 90, 36.125, {"ctc_cer": 21.5})
  display.write_line(
    "warning: \x1b[2Ja long message " + "x" * 200, style="warning"
  )
  display.close()
  display.close()
  lines = out.getvalue().splitlines()
  assert lines[0] == "compiling 1/4: source 16 x target 24"
  assert lines[1] == "compiled in 4.0 s"
  # 25 s of training 4 s after the last line: lines at 10 s, 20 s and the end.
  status = [x for x in lines if x.startswith("step ")]
  assert [x.split()[1] for x in status] == ["24/1,000", "64/1,000", "100/1,000"]
  assert status[1] == (
    "step 64/1,000  epoch 1  loss 2.0000  lr 3.00e-04  "
    "tok/s 1,234,567 (padded 1,345,678)  stall 5%  3:54 left"
  )
  best = "best 36.12 at step 90  valid ctc_cer 21.50"
  assert f"valid bleu 35.20 at step 100  {best}" in lines
  assert "warning: [2Ja long message " + "x" * 200 in lines
  assert len(lines) == 7
  assert all(c.isprintable() or c == "\n" for c in out.getvalue())


@pytest.mark.quick
def test_a_pipe_gets_plain_lines_whatever_the_environment(
  tmp_path, capsys, monkeypatch
):
  monkeypatch.setenv("FORCE_COLOR", "1")
  log.show()
  try:
    display = progress.Display(9)
    with metrics_writer.Writer(tmp_path, display=display) as w:
      w.display.progress(3, 0, VALUES)
      logging.getLogger("seq2seq_jax.training").warning("a message")
  finally:
    log.hide()
  out, err = capsys.readouterr()
  assert out == ""
  assert err.splitlines()[1] == "a message"
  assert "\x1b" not in err


@pytest.mark.quick
def test_time_left_counts_validation_and_leaves_out_compilation():
  display, out, clock = _plain(interval=0.0, total=200)
  display.phase("compiling", 1, 1)
  clock.now += 500
  display.phase("training")
  clock.now += 70  # the first step of a phase is not measured
  for step in range(1, 101):
    display.progress(step, 0, {})
    clock.now += 0.5
    if step % 10 == 0:
      display.phase("validating", 1, 1)
      clock.now += 60
      display.phase("training")
  # 100 steps of 0.5 s, and of 9 validations of 60 s in 99 steps.
  assert "step 100/200  epoch 0  9:55 left" in out.getvalue()
  for step in range(101, 151):  # and it follows a change of speed
    display.progress(step, 0, {})
    clock.now += 5
  assert "step 150/200  epoch 0  7:31 left" in out.getvalue()


class _Terminal(io.StringIO):
  def isatty(self):
    return True


def _live(columns, monkeypatch, stream=None):
  monkeypatch.setenv("COLUMNS", str(columns))
  monkeypatch.setenv("LINES", "24")
  monkeypatch.setenv("TERM", "xterm-256color")
  stream = stream or _Terminal()
  return progress.Display(1_000_000, stream=stream), stream


@pytest.mark.quick
@pytest.mark.parametrize("columns", [200, 80, 60, 33, 10])
def test_the_block_stays_within_the_terminal(columns, monkeypatch):
  display, out = _live(columns, monkeypatch)
  display.start()
  display.phase("compiling: source 1024 x target 1024, on 128 devices", 3, 64)
  display._live.refresh()
  display.phase("training")
  for step in range(999_990, 1_000_001):
    display.progress(step, 1000, VALUES)
  display.validation(999_000, "exact_match", 99.99, 998_000, 100.0)
  display.close()
  text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
  lines = re.split(r"[\r\n]+", text)
  assert max(map(len, lines)) == columns - 1
  if columns >= 60:
    assert any("compiling 3/64: source 1024" in x for x in lines)
    last = "\n".join(lines[-7:])
    for part in (
      "1,000,000/1,000,000 100%  0:00 left",
      "epoch 1000",
      "loss 1235",
      "lr 3.00e-04",
      "tok/s 1,234,567 (padded 1,345,678)",
      "stall 5%",
      "valid exact_match 99.99 at step 999,000",
      "best 100.00 at step 998,000",
    ):
      assert part in last


@pytest.mark.quick
def test_messages_stand_above_the_block_and_in_colour(monkeypatch):
  display, out = _live(80, monkeypatch)
  display.start()
  display.phase("training")
  display.write_line("look\x1b[5Aout", style="warning")
  display.close()
  text = out.getvalue()
  assert "\x1b[33mlook[5Aout" in text
  assert text.rindex("look") < text.rindex("training")


@pytest.mark.quick
def test_an_interrupt_leaves_the_cursor_and_the_last_state(
  tmp_path, monkeypatch
):
  monkeypatch.setenv("TERM", "xterm")
  monkeypatch.setattr("sys.stderr", out := _Terminal())
  with (
    pytest.raises(KeyboardInterrupt),
    metrics_writer.Writer(tmp_path, display=progress.Display(100)) as w,
  ):
    w.display.phase("training")
    w.display.progress(42, 1, VALUES)
    raise KeyboardInterrupt
  text = out.getvalue()
  assert "\x1b[?25l" in text
  assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
  assert "42/100" in text


@pytest.mark.quick
def test_a_step_draws_nothing_itself(monkeypatch):
  display, out = _live(80, monkeypatch)
  # Not started, the thread that redraws does not run.
  for step in range(1000):
    display.progress(step, 0, VALUES)
  assert out.getvalue() == ""
  assert display._live.refresh_per_second <= 4
