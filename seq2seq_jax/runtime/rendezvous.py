"""How the processes of one run find each other, before JAX joins them.

JAX's own service waits for minutes or ends the process where numbers do not
match, so the processes first compare them on the coordinator's port: each says
who it is, and process 0 answers all of them once all have come.
"""

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from seq2seq_jax import types

WAIT_SECONDS = 300.0  # for processes that start later
ANSWER_SECONDS = 10.0  # for process 0's line, once it has waited
POLL_SECONDS = 0.25  # between two attempts; signals are heard in between

# JAX's service in a process of its own. In that of process 0 it would die with
# it, and JAX would then abort all others before they can say a word. It stays
# until the others have seen that process 0 is gone.
_SERVICE = """
import sys, time
from jaxlib import _jax
address, processes, timeout = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
try:
  service = _jax.get_distributed_runtime_service(
    address, processes, heartbeat_timeout=timeout, shutdown_timeout=timeout)
except BaseException as e:
  print(str(e).splitlines()[0], flush=True)
  sys.exit(1)
print("ready", flush=True)
time.sleep(2 if sys.stdin.buffer.read() else 90)
"""


class Told(types.UserError):
  """An error that process 0 has already told the user."""


class Service:
  """JAX's coordination service, in a process that outlives this one."""

  def __init__(self, address: str, processes: int, timeout: int) -> None:
    """Starts it.

    Raises:
      types.UserError: its port is taken.
    """
    command = [sys.executable, "-c", _SERVICE, address, str(processes)]
    self._process = subprocess.Popen(
      [*command, str(timeout)],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=subprocess.DEVNULL,
      start_new_session=True,  # a terminal's Ctrl-C is not for it
    )
    assert self._process.stdout is not None
    said = self._process.stdout.readline().decode().strip()
    if said != "ready":
      raise types.UserError(
        f"coordinator {address}: cannot be started: {said or 'no reason given'}"
      )

  def shutdown(self) -> None:
    """Ends it soon: all processes have come to their end."""
    assert self._process.stdin is not None
    with contextlib.suppress(OSError):
      self._process.stdin.write(b"end")
      self._process.stdin.close()


def address(coordinator: str) -> tuple[str, int]:
  """Host and port of a coordinator.

  Raises:
    types.UserError: it is not HOST:PORT, or the host has no address.
  """
  host, colon, port = coordinator.rpartition(":")
  if not colon or not host or not (port.isascii() and port.isdigit()):
    raise types.UserError(
      f"coordinator {coordinator}: write HOST:PORT, such as localhost:12345"
    )
  number = int(port[:9])
  if not 1 <= number <= 65535:
    raise types.UserError(
      f"coordinator {coordinator}: the port is not between 1 and 65535"
    )
  host = host.removeprefix("[").removesuffix("]")
  try:
    socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)
  except (OSError, UnicodeError) as e:
    raise types.UserError(
      f"coordinator {coordinator}: no such host: {host}"
    ) from e
  return host, number


def meet(coordinator: str, processes: int, process: int) -> None:
  """Waits until all processes have come, and have said the same.

  Args:
    coordinator: HOST:PORT of process 0.
    processes: how many there are.
    process: index of this one.

  Raises:
    types.UserError: one has not come, or says something else.
  """
  host, port = address(coordinator)
  if process:
    _visit(coordinator, (host, port), processes, process)
  elif processes > 1:
    _receive(coordinator, port, processes)


def _receive(coordinator: str, port: int, processes: int) -> None:
  """Process 0: hears all others, then answers all of them."""
  came: dict[int, socket.socket] = {}
  error = ""
  with contextlib.ExitStack() as stack:
    server = stack.enter_context(_server(coordinator, port))
    deadline = time.monotonic() + WAIT_SECONDS
    while not error and len(came) < processes - 1:
      if time.monotonic() > deadline:
        missing = sorted(set(range(1, processes)) - set(came))
        error = (
          f"coordinator {coordinator}: process {missing[0]} of {processes} has "
          f"not come within {WAIT_SECONDS:.0f} s"
        )
        break
      try:
        guest = stack.enter_context(server.accept()[0])
      except TimeoutError:
        continue
      said = _hear(guest)
      if said is None:
        guest.close()
        continue  # a stranger
      process = said["process"]
      if said["processes"] != processes:
        error = (
          f"coordinator {coordinator}: process 0 was told of {processes} "
          f"processes, process {process} of {said['processes']}; give all the "
          "same --processes"
        )
      elif process in came or not 0 < process < processes:
        error = (
          f"coordinator {coordinator}: there are two processes {process}; "
          "give each its own --process-id"
        )
      else:
        came[process] = guest
      if error:
        came[-1] = guest
    for guest in came.values():
      with contextlib.suppress(OSError):
        guest.sendall(json.dumps({"error": error}).encode() + b"\n")
  if error:
    raise types.UserError(error)


def _server(coordinator: str, port: int) -> socket.socket:
  try:
    server = socket.create_server(("", port), reuse_port=False)
  except OSError as e:
    raise types.UserError(
      f"coordinator {coordinator}: process 0 cannot listen there: {e.strerror}"
    ) from e
  server.settimeout(POLL_SECONDS)
  return server


def _visit(
  coordinator: str, place: tuple[str, int], processes: int, process: int
) -> None:
  """The others: say who they are, and wait for the answer."""
  hello = json.dumps({"process": process, "processes": processes})

  def attempt() -> dict[str, Any] | None:
    with socket.create_connection(place, timeout=5) as connection:
      connection.sendall(hello.encode() + b"\n")
      # Longer than process 0, which tells who has not come.
      connection.settimeout(WAIT_SECONDS + ANSWER_SECONDS)
      return _line(connection)

  answer = _retry(attempt)
  if answer is None:
    raise types.UserError(
      f"coordinator {coordinator}: process 0 does not answer there within "
      f"{WAIT_SECONDS:.0f} s"
    )
  if answer.get("error"):
    raise Told(answer["error"])


def _retry(
  attempt: Callable[[], dict[str, Any] | None],
) -> dict[str, Any] | None:
  deadline = time.monotonic() + WAIT_SECONDS
  while time.monotonic() < deadline:
    with contextlib.suppress(OSError):
      answer = attempt()
      if answer is not None:
        return answer
    time.sleep(POLL_SECONDS)
  return None


def _hear(guest: socket.socket) -> dict[str, Any] | None:
  """What a process says of itself; None of a stranger."""
  guest.settimeout(5)
  with contextlib.suppress(OSError):
    said = _line(guest)
    if said and all(
      isinstance(said.get(k), int) for k in ("process", "processes")
    ):
      return said
  return None


def _line(connection: socket.socket) -> dict[str, Any] | None:
  """A line of JSON from a connection; None if it is closed or no such line."""
  data = b""
  while not data.endswith(b"\n") and len(data) < 4096:
    part = connection.recv(4096)
    if not part:
      return None
    data += part
  try:
    value = json.loads(data)
  except ValueError:
    return None
  return value if isinstance(value, dict) else None
