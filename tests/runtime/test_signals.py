"""Signals, also while no instruction of Python ends."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from seq2seq_jax.runtime import signals

BUSY = """
import hashlib, logging, sys
from seq2seq_jax.runtime import signals
logging.basicConfig(stream=sys.stdout, format="%(message)s", level="INFO")
with signals.GracefulStop():
  print("ready", flush=True)
  hashlib.pbkdf2_hmac("sha256", b"a", b"b", 10**9)  # minutes, in C
"""


def test_signals_are_answered_in_a_long_call():
  process = subprocess.Popen(
    [sys.executable, "-c", BUSY],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )
  try:
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline().startswith("stopping")
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
      process.wait(1)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 128 + signal.SIGINT
    assert process.stdout.read() == ""
    assert process.stderr.read() == "stopped; the last checkpoint is kept\n"
  finally:
    process.kill()
    process.communicate()


def test_a_message_that_cannot_be_written_does_not_block_the_next_signal():
  process = subprocess.Popen(
    [sys.executable, "-c", BUSY], stdout=subprocess.PIPE, text=True
  )
  try:
    assert process.stdout.readline() == "ready\n"
    process.stdout.close()
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 128 + signal.SIGINT
  finally:
    process.kill()
    process.wait()


def test_a_signal_is_kept_and_the_old_handlers_come_back(caplog):
  old = [signal.getsignal(n) for n in signals.SIGNALS]
  for number in signals.SIGNALS:
    caplog.clear()
    with signals.GracefulStop() as stop:
      assert stop.signal is None
      os.kill(os.getpid(), number)
      assert stop.signal == number
      os.kill(os.getpid(), signal.SIGTERM)
      assert stop.signal == number
      deadline = time.monotonic() + 60
      while not caplog.records and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [r.levelno for r in caplog.records] == [logging.WARNING]
  assert [signal.getsignal(n) for n in signals.SIGNALS] == old
  assert signal.set_wakeup_fd(-1) == -1


def test_no_handlers_are_installed_in_another_thread():
  seen = []

  def work():
    with signals.GracefulStop() as stop:
      seen.append((signal.getsignal(signal.SIGTERM), stop.signal))

  old = signal.getsignal(signal.SIGTERM)
  thread = threading.Thread(target=work)
  thread.start()
  thread.join()
  assert seen == [(old, None)]


@pytest.mark.parametrize("last", [0.0, 0.5], ids=["at once", "slow end"])
def test_what_runs_on_a_device_does_not_delay_the_end(tmp_path, last):
  """Python would wait for a thread as for a device's program."""
  code = (
    "import sys, threading, time\n"
    "from seq2seq_jax import exits\n"
    "from seq2seq_jax.runtime import ending, files, signals\n"
    "exits.AGAIN_SECONDS = 0.2\n"  # before what is done last is done
    f"ending.on_end(lambda: time.sleep({last}))\n"
    "def main():\n"
    "  threading.Thread(target=time.sleep, args=(300,)).start()\n"
    "  with signals.answered(files.remove_parts):\n"
    "    with files.output(sys.argv[1]) as out:\n"
    "      out.write('half')\n"
    "      print('ready', flush=True)\n"
    "      time.sleep(300)\n"
    "exits.run(main)\n"
  )
  path = tmp_path / "out"
  path.write_text("old")
  for number in (signal.SIGTERM, signal.SIGINT):
    child = subprocess.Popen(
      [sys.executable, "-c", code, str(path)],
      stdout=subprocess.PIPE,
      text=True,
    )
    assert child.stdout.readline() == "ready\n"
    child.send_signal(number)
    assert child.wait(timeout=30) == 128 + number
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["out"]
