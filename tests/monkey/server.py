"""Runs commands in forks of one process, which has imported what is slow.

A request comes on the socket that the first argument names, with the files of
the three standard streams; the answers are the fork's number and its status.
"""

import atexit
import contextlib
import fcntl
import gc
import importlib
import io
import json
import os
import pkgutil
import resource
import runpy
import signal
import socket
import sys
import termios
import threading
import warnings

# Imported by the commands only where they are needed.
SLOW = (
  "jax",
  "flax.linen",
  "optax",
  "orbax.checkpoint",
  "grain",
  "tyro",
  "sentencepiece",
  "sacrebleu",
  "tensorboardX",
  "rich.live",
  "scipy.stats",
  "yaml",
  "jinja2",
  "seq2seq_jax",
)


def load() -> None:
  """Imports what all commands need; no device of JAX is opened."""
  for name in SLOW:
    importlib.import_module(name)
  package = sys.modules["seq2seq_jax"]
  with contextlib.suppress(ImportError):  # a report without figures
    importlib.import_module("matplotlib.backends.backend_agg")
  for module in pkgutil.walk_packages(package.__path__, "seq2seq_jax."):
    if not module.name.endswith("__main__"):
      importlib.import_module(module.name)


def receive(connection: socket.socket) -> tuple[dict, list[int]] | None:
  """A request and its files; None at the end."""
  data, fds, _, _ = socket.recv_fds(connection, 2**20, 3)
  return (json.loads(data), fds) if data else None


def become(request: dict, fds: list[int]) -> None:
  """Makes this fork the process of a command, as a shell would start it."""
  os.setsid()
  given = iter(fds)
  for number, is_open in enumerate(request["open"]):
    if is_open:
      os.dup2(next(given), number)
    else:
      os.close(number)
  for fd in fds:
    if fd > 2:
      os.close(fd)
  if request["open"][0] and os.isatty(0):
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # Ctrl-C is a signal to us
  os.chdir(request["folder"])
  os.environ.update(request["environment"])
  size = request["file_size"]
  resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
  sys.argv = [request["module"], *request["words"]]
  sys.path[0] = request["root"]
  sys.stdin = _stream(0, "r", "strict")
  sys.stdout = _stream(1, "w", "strict")
  sys.stderr = _stream(2, "w", "backslashreplace")
  sys.__stdin__, sys.__stdout__ = sys.stdin, sys.stdout
  sys.__stderr__ = sys.stderr


def _stream(number: int, mode: str, errors: str) -> io.TextIOWrapper | None:
  """A standard stream; None if it is closed, as the interpreter has it."""
  try:
    os.fstat(number)
  except OSError:
    return None
  raw = os.fdopen(number, mode + "b", closefd=False)
  return io.TextIOWrapper(
    raw, encoding="utf-8", errors=errors, line_buffering=number == 2
  )


def run(module: str) -> int:
  """Runs a command as `python -m` would; returns the exit code.

  The interpreter's own end follows by hand: taking all that was imported apart
  takes a second.
  """
  # Not the module that others have imported.
  sys.modules.pop(module, None)
  code = 0
  try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
  except SystemExit as e:
    code = e.code if isinstance(e.code, int) else int(e.code is not None)
  except BaseException:
    sys.excepthook(*sys.exc_info())
    code = 1
  threading._shutdown()
  atexit._run_exitfuncs()
  return 120 if _flush() else code


def _flush() -> bool:
  """Writes what is left; whether that failed, as the interpreter says it."""
  try:
    if sys.stdout and not sys.stdout.closed:
      sys.stdout.flush()
  except Exception as e:
    if sys.stderr:
      print(f"Exception ignored in: {sys.stdout}\n{e!r}", file=sys.stderr)
    return True
  with contextlib.suppress(Exception):
    if sys.stderr:
      sys.stderr.flush()
  return False


def main() -> None:
  """Serves requests, each in a fork."""
  connection = socket.socket(fileno=int(sys.argv[1]))
  load()
  gc.freeze()
  connection.send(b"ready")
  while received := receive(connection):
    request, fds = received
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")
      pid = os.fork()
    if not pid:
      connection.close()
      become(request, fds)
      os._exit(run(f"seq2seq_jax.{request['module']}"))
    for fd in fds:
      os.close(fd)
    connection.send(json.dumps(pid).encode())
    _, status = os.waitpid(pid, 0)
    connection.send(json.dumps(os.waitstatus_to_exitcode(status)).encode())


if __name__ == "__main__":
  signal.signal(signal.SIGINT, signal.default_int_handler)
  main()
