"""Ctrl-C and SIGTERM: a run saves and stops; a second Ctrl-C ends it."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stop:
  """Whether a signal asked to stop; a Ctrl-C after it ends the process at once.

  Python's own handlers run between two of its instructions, and a compilation
  of a minute is one of these. So a thread listens, and answers at once. A
  second SIGTERM changes nothing: some schedulers send several.

  signal: the first signal's number, or None.
  """

  def __init__(self, say: Callable[[str], None], shared: bool = False):
    """Makes a listener.

    Args:
      say: prints a line, from any thread.
      shared: several processes train together. SIGTERM is left to JAX, which
        makes all of them stop at one step; a Ctrl-C is handed on as one.
    """
    self.signal: int | None = None
    self._say, self._shared, self._old = say, shared, {}
    self._signals = SIGNALS[1:] if shared else SIGNALS

  def __enter__(self):
    self._ears, self._mouth = os.pipe()
    os.set_blocking(self._mouth, False)
    self._before = signal.set_wakeup_fd(self._mouth, warn_on_full_buffer=False)
    for number in self._signals:
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
      if got[0] not in self._signals:
        continue
      self.signal = self.signal or got[0]
      if told and got[0] == signal.SIGINT:
        _end(got[0])
      if told:
        continue
      told = True
      if self._shared:
        os.kill(os.getpid(), signal.SIGTERM)
      # Whoever should read it may be gone; the next Ctrl-C must still be heard.
      say = "stopping as soon as the run is saved; Ctrl-C: at once"
      threading.Thread(target=self._told, args=(say,), daemon=True).start()
    os.close(self._ears)

  def _told(self, text: str):
    with contextlib.suppress(Exception):
      self._say(text)


def _end(number: int):
  """Without unwinding: programs that are being compiled cannot be left."""
  if sys.stderr.isatty():
    os.write(2, b"\x1b[?25h\n")  # the cursor, which a display hides
  os.write(2, b"ended; what was saved before is kept\n")
  os._exit(128 + number)
