"""Starts the commands of cases and sees how they end."""

import contextlib
import glob
import json
import os
import pathlib
import pty
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from tests.monkey import case as case_lib

ROOT = pathlib.Path(__file__).parents[2]
HANG_SECONDS = float(os.environ.get("MONKEY_HANG_SECONDS", "60"))
MAKING_SECONDS = 300  # to make what cases are given
ANSWER_SECONDS = 20  # from a signal to the end
MEMORY = 5 * 2**30  # bytes that a command on tiny things may take
POLL_SECONDS = 0.02


class Server:
  """A process that runs commands in forks of itself."""

  def __init__(self, scratch: pathlib.Path) -> None:
    self.scratch = scratch
    scratch.mkdir(parents=True, exist_ok=True)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    self._connection = ours
    environment = os.environ | {
      "PYTHONPATH": str(ROOT),
      "JAX_PLATFORMS": "cpu",
      "TMPDIR": str(scratch),
    }
    environment.pop("SEQ2SEQ_JAX_DATA", None)
    self._environment = environment
    self._process = subprocess.Popen(
      [sys.executable, "-m", "tests.monkey.server", str(theirs.fileno())],
      pass_fds=[theirs.fileno()],
      env=environment,
      cwd=ROOT,
    )
    theirs.close()
    self._connection.recv(100)  # has imported everything

  def close(self) -> None:
    """Ends the server."""
    self._connection.close()
    self._process.wait(timeout=30)

  def run(self, case: case_lib.Case, folder: pathlib.Path) -> case_lib.Outcome:
    """Runs a case's command in its folder."""
    written = [bytearray(), bytearray()]
    readers: list[threading.Thread] = []
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
      terminal, stdin = _stdin(case, folder, self.scratch, stack)
      streams = [stdin]
      for how, content in zip((case.stdout, case.stderr), written):
        streams.append(_sink(how, content, readers, stack))
      if case.fresh:
        process = self._start(case, folder, streams)
      else:
        process = self._fork(case, folder, streams)
      if terminal is None:
        stack.close()
      watch = Watch(case, folder, process, terminal, written[1])
      code = watch.wait()
    for reader in readers:
      reader.join(timeout=2)  # a process left behind may hold the other end
    return case_lib.Outcome(
      code=code,
      stdout=bytes(written[0]),
      stderr=written[1].decode(errors="replace"),
      seconds=time.monotonic() - start,
      stopped=watch.stopped,
      signalled=watch.signalled,
    )

  def _fork(self, case, folder, streams) -> "Forked":
    request = {
      "module": case.module,
      "words": case.words,
      "folder": str(folder),
      "root": str(ROOT),
      "environment": dict(case.environment),
      "file_size": case.file_size,
      "open": [fd is not None for fd in streams],
    }
    fds = [fd for fd in streams if fd is not None]
    socket.send_fds(self._connection, [json.dumps(request).encode()], fds)
    return Forked(json.loads(self._connection.recv(100)), self._connection)

  def _start(self, case, folder, streams) -> "Started":
    closed = [number for number, fd in enumerate(streams) if fd is None]
    shut = "".join(f" {n}>&-" for n in closed)
    words = [os.fsencode(word) for word in case.words]
    process = subprocess.Popen(
      [
        b"/bin/sh",
        b"-c",
        f'exec "$@"{shut}'.encode(),
        b"sh",
        os.fsencode(sys.executable),
        b"-m",
        f"seq2seq_jax.{case.module}".encode(),
        *words,
      ],
      stdin=streams[0],
      stdout=streams[1],
      stderr=streams[2],
      cwd=folder,
      env=self._environment | dict(case.environment),
      start_new_session=True,
    )
    return Started(process)


class Forked:
  """A command in a fork of the server."""

  def __init__(self, pid: int, connection: socket.socket) -> None:
    self.pid = pid
    self._connection = connection

  def poll(self) -> int | None:
    """The exit code, or None."""
    ready, _, _ = select.select([self._connection], [], [], POLL_SECONDS)
    return json.loads(self._connection.recv(100)) if ready else None


class Started:
  """A command in an interpreter of its own."""

  def __init__(self, process: subprocess.Popen) -> None:
    self._process = process
    self.pid = process.pid

  def poll(self) -> int | None:
    """The exit code, or None."""
    with contextlib.suppress(subprocess.TimeoutExpired):
      return self._process.wait(POLL_SECONDS)
    return None


class Watch:
  """Waits for a command, signals and kills it as its case says."""

  def __init__(self, case, folder, process, terminal, heard) -> None:
    """Prepares to wait.

    Args:
      case: of the command.
      folder: in which it runs.
      process: the command's.
      terminal: the end at which one types; None if there is none.
      heard: what the command has written to standard error so far.
    """
    how = case.stdin if isinstance(case.stdin, str) else ""
    self._typed = how.removeprefix("tty:") if terminal is not None else ""
    self._heard = heard
    self._case, self._folder = case, folder
    self._process, self._terminal = process, terminal
    self.stopped = ""
    self.signalled = False

  def wait(self) -> int:
    """The exit code; what the command has left running is killed."""
    start = time.monotonic()
    made = self._case.kind == "base"
    deadline = start + (MAKING_SECONDS if made else HANG_SECONDS)
    while (code := self._process.poll()) is None:
      now = time.monotonic()
      if self._due(now - start):
        self.signalled = True
        deadline = now + ANSWER_SECONDS
        os.kill(self._process.pid, self._case.signal or signal.SIGTERM)
      if not self.stopped and now > deadline:
        self.stopped = "hang"
      if not self.stopped and _memory(self._process.pid) > MEMORY:
        self.stopped = "memory"
      if self.stopped:
        self._kill()
      if self._typed and self._heard:  # it asks for a sentence
        os.write(self._terminal, os.fsencode(self._typed))
        self._typed = ""
      _drain(self._terminal)
    self._kill()
    return code

  def _due(self, seconds: float) -> bool:
    if self.signalled:
      return False
    if self._case.signal:
      return seconds >= self._case.delay
    pattern = self._case.until
    return bool(pattern) and any(
      os.path.getsize(path) for path in glob.glob(str(self._folder / pattern))
    )

  def _kill(self) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
      os.killpg(self._process.pid, signal.SIGKILL)


def _memory(pid: int) -> int:
  """Bytes in memory of a process."""
  try:
    pages = pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]
  except (OSError, IndexError):
    return 0
  return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _drain(terminal: int | None) -> None:
  if terminal is not None and select.select([terminal], [], [], 0)[0]:
    with contextlib.suppress(OSError):
      os.read(terminal, 2**16)


def _stdin(case, folder, scratch, stack) -> tuple[int | None, int | None]:
  """(terminal's other end or None, file of standard input or None)."""
  how = case.stdin
  if how == "closed":
    return None, None
  if isinstance(how, str) and how.startswith("tty:"):
    master, slave = pty.openpty()
    stack.callback(os.close, master)
    stack.callback(_close, slave)
    return master, slave
  if isinstance(how, bytes):
    path = scratch / "stdin"
    path.write_bytes(how)
  else:
    path = folder / how[1:] if how.startswith("<") else pathlib.Path(os.devnull)
  fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
  os.set_blocking(fd, True)
  stack.callback(_close, fd)
  return None, fd


def _sink(
  how: str,
  content: bytearray,
  readers: list[threading.Thread],
  stack: contextlib.ExitStack,
) -> int | None:
  """The descriptor of an output; None if it is closed."""
  if how == "closed":
    return None
  if how == "full":
    write = os.open("/dev/full", os.O_WRONLY)
    stack.callback(_close, write)
    return write
  read, write = os.pipe()
  stack.callback(_close, write)
  if how == "broken":
    os.close(read)
    return write

  def drain() -> None:
    with open(read, "rb", buffering=0) as stream:
      while part := stream.read(2**16):
        content.extend(part)

  readers.append(threading.Thread(target=drain, daemon=True))
  readers[-1].start()
  return write


def _close(fd: int) -> None:
  with contextlib.suppress(OSError):
    os.close(fd)


@contextlib.contextmanager
def server(scratch: pathlib.Path) -> Iterator[Server]:
  """A server that ends with the block."""
  started = Server(scratch)
  try:
    yield started
  finally:
    started.close()
