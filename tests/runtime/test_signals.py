"""Signals, also while no instruction of Python ends."""

import os
import signal
import subprocess
import sys
import time

import pytest

from seq2seq_jax.runtime import signals

BUSY = """
import hashlib, sys
from seq2seq_jax import stopping
say = lambda text: print(text, flush=True)
with stopping.Stop(say):
  say("ready")
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
    assert process.stderr.read() == "ended; what was saved before is kept\n"
  finally:
    process.kill()
    process.communicate()


def test_whoever_should_be_told_may_be_gone():
  code = BUSY.replace("Stop(say)", "Stop(lambda text: 1 / 0)")
  process = subprocess.Popen(
    [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
  )
  try:
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 128 + signal.SIGINT
  finally:
    process.kill()
    process.communicate()


def test_a_signal_is_kept_and_what_was_there_before_comes_back():
  old = [signal.getsignal(n) for n in signals.SIGNALS]
  told = []
  for number in signals.SIGNALS:
    with signals.Stop(told.append) as stop:
      assert stop.signal is None
      os.kill(os.getpid(), number)
      assert stop.signal == number
      os.kill(os.getpid(), signal.SIGTERM)
      assert stop.signal == number
      deadline = time.monotonic() + 60
      while not told and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(told) == 1
    told.clear()
  assert [signal.getsignal(n) for n in signals.SIGNALS] == old
  assert signal.set_wakeup_fd(-1) == -1
