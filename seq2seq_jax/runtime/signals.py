"""Ctrl-C and SIGTERM: a run saves and stops; a second Ctrl-C ends it."""

import contextlib
import logging
import os
import signal
import sys
import threading
import types
from typing import Any, Self

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class GracefulStop:
  """A context in which SIGTERM and Ctrl-C are remembered in `signal`.

  A second Ctrl-C ends the process at once. A second SIGTERM changes nothing:
  some schedulers send several. In a thread other than the main one, where
  Python allows no signal handlers, none are installed and `signal` stays None.

  Python runs its own handlers between two of its instructions, and a
  compilation of a minute is one instruction. So a thread reads the signals'
  numbers from a pipe and answers at once.

  Attributes:
    signal: number of the first signal, or None.
  """

  def __init__(self, shared: bool = False) -> None:
    """Sets the signals to listen to.

    Args:
      shared: several processes train together. SIGTERM is left to JAX, which
        makes all of them stop at the same step; Ctrl-C is passed on as SIGTERM.
    """
    self.signal: int | None = None
    self._shared = shared
    self._signals = SIGNALS[1:] if shared else SIGNALS
    self._old_handlers: dict[int, Any] = {}
    self._installed = False

  def __enter__(self) -> Self:
    self._installed = threading.current_thread() is threading.main_thread()
    if self._installed:
      self._read_fd, self._write_fd = os.pipe()
      os.set_blocking(self._write_fd, False)
      self._old_wakeup_fd = signal.set_wakeup_fd(
        self._write_fd, warn_on_full_buffer=False
      )
      for number in self._signals:
        self._old_handlers[number] = signal.signal(number, self._handle)
      threading.Thread(target=self._listen, daemon=True).start()
    return self

  def __exit__(self, *_: object) -> None:
    if not self._installed:
      return
    for number, handler in self._old_handlers.items():
      signal.signal(number, handler)
    signal.set_wakeup_fd(self._old_wakeup_fd)
    os.close(self._write_fd)  # the thread reads the end of the pipe, and ends

  def _handle(self, number: int, frame: types.FrameType | None) -> None:
    """Sets the flag here too: the listening thread may not have run yet."""
    del frame
    self.signal = self.signal or number

  def _listen(self) -> None:
    """Reads the signals' numbers until the pipe is closed."""
    announced = False
    while received := os.read(self._read_fd, 1):
      number = received[0]
      if number not in self._signals:
        continue
      self.signal = self.signal or number
      if announced and number == signal.SIGINT:
        _end_process(number)
      if announced:
        continue
      announced = True
      if self._shared:
        os.kill(os.getpid(), signal.SIGTERM)
      # On a thread of its own, since writing may block or fail where the reader
      # is gone, and the next Ctrl-C must still be heard.
      threading.Thread(target=_announce, daemon=True).start()
    os.close(self._read_fd)


def _announce() -> None:
  with contextlib.suppress(Exception):
    log.warning(
      "stopping once the run is saved; press Ctrl-C again to stop without "
      "saving"
    )


def _end_process(number: int) -> None:
  """Ends without unwinding: a program that compiles cannot be interrupted."""
  if sys.stderr.isatty():
    os.write(2, b"\x1b[?25h\n")  # shows the cursor, which a display hides
  os.write(2, b"stopped; the last checkpoint is kept\n")
  os._exit(128 + number)
