"""How a program ends: an exit code, and one line for an error, no traceback.

All programs of the package run in `run`. It makes standard streams safe first:
a closed one is opened again as one that cannot be used, so that no file of
ours takes its number; what cannot be written to standard error is dropped,
since a message that nobody can read must not end a training; and what cannot
be written to standard output is an error that names it.
"""

import atexit
import contextlib
import errno
import io
import os
import signal
import sys
import tempfile
import threading
import traceback
import types as python_types
from collections.abc import Callable
from typing import Any, NoReturn

from seq2seq_jax import types

INTERNAL_ERROR = 1
BAD_USAGE = 2
AGAIN_SECONDS = 4.0  # until a signal that was swallowed is raised again
BY_SIGNAL = 128  # is added to the signal's number

STANDARD_OUTPUT = "standard output"

# What helps against an error of the operating system.
_ADVICE = {
  errno.ENOSPC: "make room and run the same command again",
  errno.EDQUOT: "make room and run the same command again",
  errno.EROFS: "choose a folder that can be written",
  errno.EACCES: "choose another file, or change its permissions",
  errno.EMFILE: "allow more open files (ulimit -n) and run it again",
  errno.ENFILE: "allow more open files and run it again",
  errno.ENAMETOOLONG: "choose a shorter name",
  errno.ELOOP: "its links lead back to themselves; name the file itself",
}

# The exit code, once the program has ended by `end`.
_code: int | None = None

# Number of the first signal that this process was to stop by.
_received: list[int] = []


def received() -> int | None:
  """Number of the first signal that this process was to stop by."""
  return _received[0] if _received else None


def run(main: Callable[[], int]) -> NoReturn:
  """Runs a program in safe streams, and exits.

  Args:
    main: parses `sys.argv` and returns the exit code.
  """
  prepare()
  end(code_of(main))


def end(code: int) -> NoReturn:
  """Ends the program, whose streams `prepare` has made safe."""
  global _code
  _code = code
  sys.exit(code)


def _leave() -> None:
  """Ends the process, as the last of what is done at exit.

  Otherwise the interpreter would be taken apart, and threads of JAX's libraries
  that still run would abort the process.
  """
  if _code is not None:
    with contextlib.suppress(Exception):
      sys.stdout.flush()
    os._exit(_code)


def prepare() -> None:
  """Makes standard streams and signals those of a program of ours."""
  atexit.register(_leave)  # the first registered is the last called
  _read_names_as_utf8()
  _open_closed_streams()
  _listen_to_signals()
  _hide_swallowed()


def print_error(line: str, code: int) -> None:
  """Writes what an error is to standard error."""
  del code
  print(line, file=sys.stderr, flush=True)


def code_of(
  main: Callable[[], int], tell: Callable[[str, int], object] = print_error
) -> int:
  """Runs a program; its exit code, after one line if it failed.

  Args:
    main: returns the exit code.
    tell: called with an error's line and the exit code.
  """
  try:
    _check_arguments()
    code = main()
    stop_alarm()
    sys.stdout.flush()
  except BaseException as e:
    stop_alarm()
    code = _reported(e, tell)
  try:
    sys.stdout.flush()
  except BaseException as e:
    code = _reported(e, tell)
  return code


def stop_alarm() -> None:
  """Lets no signal be raised again: the program ends."""
  if threading.current_thread() is threading.main_thread():
    signal.setitimer(signal.ITIMER_REAL, 0.0)


def error_line(error: BaseException) -> str | None:
  """What to tell of an error that a user can cause; None of one of ours."""
  text = " ".join(str(error).split())
  if isinstance(error, types.UserError):
    return str(error)
  if isinstance(error, MemoryError):
    return (
      "there is not enough memory for this; smaller batches or a smaller "
      "model need less" + (f" ({text})" if text else "")
    )
  if isinstance(error, RuntimeError):
    if "RESOURCE_EXHAUSTED" in text:
      return (
        "the device has not enough memory for this; smaller batches or a "
        f"smaller model need less ({text[:200]})"
      )
    if text.startswith("Unable to initialize backend"):
      asked = os.environ.get("JAX_PLATFORMS", "")
      return (
        f"JAX_PLATFORMS={asked}: this machine has no such device, or JAX was "
        f"installed without it ({text[:200]})"
      )
  if isinstance(error, AssertionError) and _raised_by(error, "xla_bridge.py"):
    return (
      f"JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')}: this machine has "
      "no such device, or JAX was installed without it"
    )
  if isinstance(error, OSError):
    return _line_of_system_error(error)
  return None


def _raised_by(error: BaseException, file: str) -> bool:
  """Whether a file of this name raised the error."""
  frames = traceback.extract_tb(error.__traceback__)
  return bool(frames) and os.path.basename(frames[-1].filename) == file


def _line_of_system_error(error: OSError) -> str:
  names = [os.fsdecode(n) for n in (error.filename, error.filename2) if n]
  if error.errno == errno.EBADF and names == [STANDARD_OUTPUT]:
    return f"{STANDARD_OUTPUT} is closed"
  if error.errno == errno.EBADF and not names:
    # Every other file of ours was opened by its name.
    return "standard input cannot be read: it is closed, or open for writing"
  reason = error.strerror or str(error) or type(error).__name__
  advice = _ADVICE.get(error.errno or 0, "")
  return ": ".join([*names, reason]) + (f"; {advice}" if advice else "")


def _reported(error: BaseException, tell: Callable[[str, int], object]) -> int:
  """The exit code for what a program raised, which is told in one line."""
  if _received:
    # Whatever was raised on the way out: this is why it ends.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return BY_SIGNAL + _received[0]
  if isinstance(error, SystemExit):
    if error.code is None or isinstance(error.code, int):
      return error.code or 0
    tell(f"error: {error.code}", BAD_USAGE)
    return BAD_USAGE
  if isinstance(error, KeyboardInterrupt):
    return BY_SIGNAL + signal.SIGINT
  if isinstance(error, BrokenPipeError):
    _drop_output()  # its reader went away
    return BY_SIGNAL + signal.SIGPIPE
  if isinstance(error, OSError) and error.filename == STANDARD_OUTPUT:
    _drop_output()
  line = error_line(error)
  if line is not None:
    tell(f"error: {line}", BAD_USAGE)
    return BAD_USAGE
  _report_bug(error, tell)
  return INTERNAL_ERROR


def _report_bug(
  error: BaseException, tell: Callable[[str, int], object]
) -> None:
  """Tells of a fault of this program, and where its traceback lies."""
  text = "".join(traceback.format_exception(error))
  what = (str(error).splitlines() or [""])[0][:300]
  try:
    descriptor, path = tempfile.mkstemp("-traceback.txt", "seq2seq_jax-")
    with open(descriptor, "w", encoding="utf-8", errors="replace") as file:
      file.write(f"{sys.argv}\n{text}")
  except OSError:
    print(text, file=sys.stderr)
    path = "the lines above"
  tell(
    f"error: this is a fault of the program ({type(error).__name__}: {what}); "
    f"please report it with {path}",
    INTERNAL_ERROR,
  )


def _check_arguments() -> None:
  """Refuses words of the command line that are no text."""
  for word in sys.argv:
    try:
      word.encode()
    except UnicodeEncodeError as e:
      shown = os.fsencode(word).decode("utf-8", "backslashreplace")
      raise types.UserError(
        f"the argument {shown} is not UTF-8; rename the file that it names"
      ) from e


def _read_names_as_utf8() -> None:
  """Starts the same command again if this Python takes all names for ASCII.

  It does in the locale C where the environment forbids it to take UTF-8, and
  then no library can open a path with other letters.
  """
  if sys.getfilesystemencoding() == "utf-8" or not sys.executable:
    return
  if os.environ.get("PYTHONUTF8") == "1":
    return  # this is the command that was started again
  os.environ["PYTHONUTF8"] = "1"
  os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


class _Raw(io.RawIOBase):
  """The bytes of a standard stream; its errors name it, or are dropped."""

  def __init__(self, descriptor: int, name: str | None) -> None:
    """Wraps a descriptor, which stays open.

    Args:
      descriptor: of the stream.
      name: for errors; None drops what cannot be written.
    """
    self._descriptor, self._name = descriptor, name

  def writable(self) -> bool:
    """Always true."""
    return True

  def fileno(self) -> int:
    """The descriptor."""
    return self._descriptor

  def isatty(self) -> bool:
    """Whether it is a terminal."""
    return os.isatty(self._descriptor)

  def write(self, data: Any) -> int:
    """Writes bytes, perhaps a part of them; returns their number."""
    try:
      return os.write(self._descriptor, data)
    except OSError as e:
      if self._name is None:
        return len(data)
      raise OSError(e.errno, e.strerror, self._name) from e


def _open_closed_streams() -> None:
  """Opens closed descriptors, and wraps the streams that are the process's."""
  # One that is open the other way round fails where it is used.
  for descriptor, mode in (
    (0, os.O_WRONLY),
    (1, os.O_RDONLY),
    (2, os.O_WRONLY),
  ):
    try:
      os.fstat(descriptor)
    except OSError:
      opened = os.open(os.devnull, mode)
      if opened != descriptor:
        os.dup2(opened, descriptor)
        os.close(opened)
  if sys.stdin is None:
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
  # Tests and notebooks exchange streams; theirs stay.
  if sys.stdout is sys.__stdout__:
    sys.stdout = _text(1, STANDARD_OUTPUT, sys.stdout)
  if sys.stderr is sys.__stderr__:
    sys.stderr = _text(2, None, sys.stderr)


def _text(descriptor: int, name: str | None, old: Any) -> io.TextIOWrapper:
  """A text stream over a descriptor, in the old one's encoding."""
  raw = _Raw(descriptor, name)
  return io.TextIOWrapper(
    io.BufferedWriter(raw),
    encoding=old.encoding if old else "utf-8",
    errors="backslashreplace",
    line_buffering=name is None or raw.isatty(),
    write_through=name is None,
  )


def _drop_output() -> None:
  """Sends the rest of standard output nowhere.

  Otherwise the interpreter would write it once more at its end, and fail.
  """
  os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _listen_to_signals() -> None:
  """Ctrl-C and SIGTERM end the program through its `finally` clauses."""
  process = os.getpid()

  def stop(number: int, frame: python_types.FrameType | None) -> None:
    del frame
    if os.getpid() != process:  # a forked worker
      signal.signal(number, signal.SIG_DFL)
      os.kill(os.getpid(), number)
      return
    _received.append(number)
    # An import, or a function that C code calls, may swallow what is raised.
    signal.setitimer(signal.ITIMER_REAL, AGAIN_SECONDS)
    if number == signal.SIGINT:
      raise KeyboardInterrupt
    raise SystemExit(BY_SIGNAL + number)

  for number in (signal.SIGINT, signal.SIGTERM):
    # What the shell of a background job lets us ignore stays so.
    if signal.getsignal(number) is not signal.SIG_IGN:
      signal.signal(number, stop)
  signal.signal(signal.SIGALRM, lambda _, frame: stop(_received[0], frame))


def _hide_swallowed() -> None:
  """Prints no traceback of a signal that Python drops.

  It does where one falls into a callback or the end of an object. What is no
  `Exception` is raised by signals alone, which are raised again.
  """
  before = sys.unraisablehook

  def hook(unraisable: Any) -> None:
    error = unraisable.exc_value
    if error is None or isinstance(error, Exception):
      before(unraisable)

  sys.unraisablehook = hook
