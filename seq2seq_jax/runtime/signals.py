"""Ctrl-C and SIGTERM: a run saves and stops; a second Ctrl-C ends it.

A run answers within seconds, wherever it is. Between two steps it stops and is
saved. Preparation, compilation and validation change nothing of the run, so
they are broken off (`GracefulStop.breaking`): by an exception if Python runs,
else, in a long call of another language, by ending the process. Several
processes agree on where they stop.
"""

import contextlib
import logging
import os
import signal
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, Self

from seq2seq_jax import exits
from seq2seq_jax.runtime import ending, processes

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)
GRACE_SECONDS = 4.0  # for a block to break off by itself


class Stopped(BaseException):
  """A block was broken off; no error, so `except Exception` lets it pass."""

  def __init__(self, number: int) -> None:
    super().__init__(f"signal {number}")
    self.number = number

  def leave(self) -> NoReturn:
    """Ends the program, as the signal would have without a handler."""
    if self.number == signal.SIGINT:
      raise KeyboardInterrupt
    raise SystemExit(128 + self.number)


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

  def __init__(self) -> None:
    self.signal: int | None = None
    self._old_handlers: dict[int, Any] = {}
    self._installed = False
    # What several processes must agree on; held while they do.
    self._lock = threading.RLock()
    self._position: Any = None  # None: before the first step; see `_agree`
    self._stop_at: int | None = None  # the step to stop after, once known
    self._may_break = False
    self._breaking = self._raised = self._closed = False
    self._rescue: Callable[[], object] | None = None
    self._rescuing = False

  def __enter__(self) -> Self:
    self._installed = threading.current_thread() is threading.main_thread()
    self._contexts = contextlib.ExitStack()
    if self._installed:
      self._read_fd, self._write_fd = os.pipe()
      os.set_blocking(self._write_fd, False)
      self._old_wakeup_fd = signal.set_wakeup_fd(
        self._write_fd, warn_on_full_buffer=False
      )
      for number in SIGNALS:
        self._old_handlers[number] = signal.signal(number, self._handle)
      threading.Thread(target=self._listen, daemon=True).start()
      self._contexts.enter_context(ending.hearing_stops(self._agree))
    return self

  def __exit__(self, *_: object) -> None:
    self._closed = True
    self._contexts.close()
    if not self._installed:
      return
    for number, handler in self._old_handlers.items():
      signal.signal(number, handler)
    signal.set_wakeup_fd(self._old_wakeup_fd)
    os.close(self._write_fd)  # the thread reads the end of the pipe, and ends

  def reached(self, step: int) -> bool:
    """True if the run stops after this step, which it has made."""
    if processes.count() == 1:
      return self.signal is not None
    with self._lock:
      self._position = {"step": step}
      return self._stop_at is not None and step >= self._stop_at

  def ended(self) -> None:
    """Notes that the run has made its last step and validation."""
    with self._lock:
      self._position = {"ended": True}

  @contextlib.contextmanager
  def breaking(
    self,
    step: int | None = None,
    rescue: Callable[[], object] | None = None,
  ) -> Iterator[None]:
    """A signal breaks the block off: `Stopped` is raised in it.

    If the block does not end within `GRACE_SECONDS` then, since it is in a long
    call, the process ends.

    Args:
      step: the last step made; None before the first one.
      rescue: saves what would be lost, called from a thread before the end.

    Raises:
      Stopped: a signal came.
    """
    with self._lock:
      if step is not None:
        self._position = {"step": step, "validating": True}
      self._rescue = rescue
    self._raised, self._breaking = False, self._installed
    try:
      if self._may_break or self._stop_at is not None:
        raise Stopped(self.signal or signal.SIGTERM)
      yield
      with self._lock:
        if self._may_break:
          raise Stopped(self.signal or signal.SIGTERM)
        if step is not None:
          self._position = {"step": step, "validated": True}
    finally:
      self._breaking = False
      while self._rescuing:  # the process ends
        time.sleep(1)

  def _handle(self, number: int, frame: types.FrameType | None) -> None:
    """Sets the flag here too: the listening thread may not have run yet."""
    del frame
    self.signal = self.signal or number
    if processes.count() == 1:
      self._may_break = True
    if self._breaking and self._may_break and not self._raised:
      self._raised = True
      raise Stopped(self.signal)

  def _listen(self) -> None:
    """Reads the signals' numbers until the pipe is closed."""
    announced = False
    while received := os.read(self._read_fd, 1):
      number = received[0]
      if number not in SIGNALS:
        continue
      self.signal = self.signal or number
      if announced and number == signal.SIGINT:
        _end_process(number)
      if announced:
        continue
      announced = True
      # On threads of their own, since writing may block or fail where the
      # reader is gone, and the next Ctrl-C must still be heard.
      if processes.count() > 1:
        request = threading.Thread(
          target=ending.request_stop, args=(number,), daemon=True
        )
        request.start()
      else:
        self._may_break = True
        threading.Thread(target=self._force, daemon=True).start()
      threading.Thread(target=_announce, daemon=True).start()
    os.close(self._read_fd)

  def _agree(self, number: int) -> None:
    """Finds, with the other processes, the step after which all stop.

    Where each of them is: before its first step, at a step, validating after a
    step, or at its end. While they tell each other, none goes on.

    Args:
      number: of the signal that one of them was sent.
    """
    self.signal = self.signal or number
    with self._lock:
      told = ending.positions(self._position)
      if told is None:
        code = 128 + self.signal
        ending.tell(
          "error: another process does not answer; stopped without saving", code
        )
        ending.end(code)
      decision = decide(told)
      self._stop_at, self._may_break = decision
    if self._may_break:
      # Lets the main thread run the handler, if it runs Python.
      os.kill(os.getpid(), signal.SIGTERM)
      self._force(anywhere=None in told)

  def _force(self, anywhere: bool = False) -> None:
    """Ends the process if a block does not break off by itself.

    Args:
      anywhere: end it outside of such blocks too: other processes are before
        their first step, so that this one cannot go on.
    """
    number = self.signal or signal.SIGTERM
    deadline = time.monotonic() + GRACE_SECONDS
    again = time.monotonic() + GRACE_SECONDS / 2
    while time.monotonic() < deadline:
      time.sleep(0.1)
      if self._closed or not (self._breaking or anywhere):
        return
      if time.monotonic() > again:  # Python drops what a finalizer raises
        again, self._raised = deadline, False
        os.kill(os.getpid(), signal.SIGTERM)
    self._rescuing = True
    if not (self._breaking or anywhere):
      self._rescuing = False
      return
    _show_cursor()
    if self._rescue:
      with contextlib.suppress(Exception):
        self._rescue()
        if processes.is_first():
          os.write(2, b"stopped and saved; run the same command to resume\n")
    ending.end(128 + number)


@contextlib.contextmanager
def answered(rescue: Callable[[], object]) -> Iterator[None]:
  """Ends the process within seconds of a signal, whatever runs on the devices.

  A search of a long source is one call of another language: no handler runs in
  it, and Python's own end waits for it.

  Args:
    rescue: called from a thread before that end.
  """
  if threading.current_thread() is not threading.main_thread():
    yield
    return
  read_fd, write_fd = os.pipe()
  os.set_blocking(write_fd, False)
  left = threading.Event()

  def listen() -> None:
    while received := os.read(read_fd, 1):
      if received[0] in SIGNALS and not left.wait(GRACE_SECONDS):
        with contextlib.suppress(Exception):
          rescue()
        ending.end(128 + received[0])
    os.close(read_fd)

  threading.Thread(target=listen, daemon=True).start()
  old = signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
  try:
    yield
  except (KeyboardInterrupt, SystemExit):
    if exits.received() is None:
      raise
    exits.stop_alarm()  # which would raise it again on the way to the end
    # A device's program still runs, and Python would wait for its end.
    ending.end(exits.BY_SIGNAL + (exits.received() or 0))
  finally:
    left.set()
    signal.set_wakeup_fd(old)
    os.close(write_fd)


def decide(positions: list[Any]) -> tuple[int | None, bool]:
  """Where several processes stop, given where each of them is.

  Args:
    positions: each one's; None is before the first step, else `step` is the
      last one that it has handed to its devices.

  Returns:
    The step after which all stop, or None: they go on to their end; and whether
    they break off what they are doing.
  """
  if None in positions:
    return 0, True
  if any("ended" in p for p in positions):
    return None, False
  last = max(p["step"] for p in positions)
  validating = {p["step"] for p in positions if p.get("validating")}
  # If one has all scores, the others have them at once.
  validated = {p["step"] for p in positions if p.get("validated")}
  if last in validating - validated:
    return last, True
  # One may be handing over the step after the last that it knew of.
  return last + 1, False


def _announce() -> None:
  with contextlib.suppress(Exception):
    log.warning(
      "stopping and saving what was trained; press Ctrl-C again to stop "
      "without saving"
    )


def _show_cursor() -> None:
  if sys.stderr.isatty():
    os.write(2, b"\x1b[?25h\n")  # which a display hides


def _end_process(number: int) -> None:
  """Ends without unwinding: a program that compiles cannot be interrupted."""
  _show_cursor()
  os.write(2, b"stopped; the last checkpoint is kept\n")
  ending.end(128 + number)
