"""Ctrl-C and SIGTERM: a run saves and stops; a second Ctrl-C ends it."""

import os
import signal
import sys
import threading
from collections.abc import Callable

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
  """Whether a signal asked to stop; a second Ctrl-C ends the process at once.

  Python's own handlers run between two of its instructions, and a compilation
  of a minute is one of these. So a thread listens, and answers at once. A
  second SIGTERM changes nothing: some schedulers send several.

  signal: the first signal's number, or None.
  """

  def __init__(self, say: Callable[[str], None]):
    """Makes a listener; `say` prints a line, from any thread."""
    self.signal: int | None = None
    self._say, self._old = say, {}

  def __enter__(self):
    self._ears, self._mouth = os.pipe()
    os.set_blocking(self._mouth, False)
    self._before = signal.set_wakeup_fd(self._mouth, warn_on_full_buffer=False)
    for number in SIGNALS:
      self._old[number] = signal.signal(number, self._handle)
    threading.Thread(target=self._listen, daemon=True).start()
    return self

  def __exit__(self, *_):
    for number, old in self._old.items():
      signal.signal(number, old)
    signal.set_wakeup_fd(self._before)
    os.close(self._mouth)  # the thread reads the end, and ends

  def _handle(self, number, frame):
    """The thread has it; but it may not have come so far yet."""
    del frame
    self.signal = self.signal or number

  def _listen(self):
    told = False
    while got := os.read(self._ears, 1):
      if got[0] not in SIGNALS:
        continue
      self.signal = self.signal or got[0]
      if told and got[0] == signal.SIGINT:
        _end(got[0])
      if not told:
        self._say("stopping as soon as the run is saved; Ctrl-C: at once")
      told = True
    os.close(self._ears)


def _end(number: int):
  """Without unwinding: programs that are being compiled cannot be left."""
  if sys.stderr.isatty():
    os.write(2, b"\x1b[?25h\n")  # the cursor, which a display hides
  os.write(2, b"ended; what was saved before is kept\n")
  os._exit(128 + number)
