"""Several processes of one run stop at the same step, and end together.

In each a thread watches the others: an error in one, or its death, ends all of
them, and is one line.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from seq2seq_jax import exits
from seq2seq_jax.runtime import processes

LOOK_SECONDS = 0.5  # between two looks at the others
SIGN_SECONDS = 3.0  # between two signs of life
DEAD_SECONDS = 45.0  # without one
SURELY_DEAD_SECONDS = 12.0  # the same, once JAX says that a connection broke
LEAVE_SECONDS = 10.0  # for the others to end after an error

PEER_DIED = 1  # exit code where another process has died


@contextlib.contextmanager
def hearing_stops(handler: processes.StopHandler) -> Iterator[None]:
  """While the block runs, `handler` is called if any process shall stop."""
  group = processes.group()
  if group is None:
    yield
    return
  group.on_stop, group.trained = handler, False
  try:
    yield
  finally:
    group.on_stop, group.trained = None, True


def request_stop(number: int) -> None:
  """Asks all processes to stop, because of a signal of this number."""
  if group := processes.group():
    with contextlib.suppress(RuntimeError):
      group.set("stop", number, once=True)


def positions(own: Any) -> list[Any] | None:
  """Where each process is, as it says when all are asked to stop.

  Args:
    own: this process's; JSON.

  Returns:
    That of each; None if one does not answer within `LEAVE_SECONDS`.
  """
  group = processes.group()
  if group is None:
    return [own]
  group.set(f"at/{group.index}", {"position": own})
  deadline = time.monotonic() + LEAVE_SECONDS
  while time.monotonic() < deadline:
    told = group.look()
    names = [f"at/{i}" for i in range(group.count)]
    if all(name in told for name in names):
      return [told[name]["position"] for name in names]
    time.sleep(0.1)
  return None


# ------------------------------------------------------- ending together


def on_end(callback: Callable[[], object]) -> Callable[[], None]:
  """Has `callback` called before a thread ends this process.

  Returns:
    A function that undoes it.
  """
  _callbacks.append(callback)

  def undo() -> None:
    if callback in _callbacks:
      _callbacks.remove(callback)

  return undo


_callbacks: list[Callable[[], object]] = []


def end(code: int) -> NoReturn:
  """Ends this process at once, from any thread, whatever the others do."""
  for callback in list(_callbacks):
    with contextlib.suppress(Exception):
      callback()
  group = processes.group()
  if group:
    with contextlib.suppress(RuntimeError):
      group.set(f"left/{group.index}", code)
  for child in multiprocessing.active_children():
    child.terminate()
  for stream in (sys.stdout, sys.stderr):
    with contextlib.suppress(Exception):
      stream.flush()
  os._exit(code)


def tell(line: str, code: int) -> None:
  """Prints an error's line if this process is the first to fail.

  All others end with the same exit code, and say nothing.
  """
  group = processes.group()
  if group is None or _is_first_to_fail(group, code):
    _print(line)


def _is_first_to_fail(group: processes.Group, code: int) -> bool:
  with contextlib.suppress(RuntimeError):
    error = {"code": code, "by": group.index}
    return group.set("error", error, once=True)
  return False


def leave(code: int) -> None:
  """Waits for the others at the end of the program.

  Returns if all have come to a good end; ends this process otherwise.

  Args:
    code: this process's exit code.
  """
  group = processes.group()
  if group is None:
    return
  try:
    if code:
      _leave_early(group, code)
    group.set(f"left/{group.index}", 0)
    while len(_left(group)) < group.count:
      time.sleep(0.1)
  except BaseException:
    # A signal, such as the launcher's: on the way that Python ends by itself,
    # JAX would wait an hour for the others.
    end(code or exits.BY_SIGNAL + (exits.received() or signal.SIGTERM))
  group.leaving.set()


def _leave_early(group: processes.Group, code: int) -> NoReturn:
  """Ends this process; the others too, if they were not asked to stop."""
  group.leaving.set()
  with contextlib.suppress(RuntimeError):
    told = group.look()
    if "stop" not in told:
      _is_first_to_fail(group, code)
      code = group.look()["error"]["code"]
      # While this one stays, no connection breaks before they have looked.
      deadline = time.monotonic() + LEAVE_SECONDS
      while time.monotonic() < deadline and len(_left(group)) < group.count - 1:
        time.sleep(0.1)
  end(code)


def end_if_another_did() -> None:
  """Ends this process if an exception follows from the end of another one.

  Returns if all others are alive, so that the exception is one of our own.
  """
  group = processes.group()
  if group is None:
    return
  group.suspicious = True
  time.sleep(SURELY_DEAD_SECONDS + 2 * SIGN_SECONDS)  # the thread ends us


def _print(line: str) -> None:
  if line:
    with contextlib.suppress(OSError, ValueError):
      print(line, file=sys.stderr, flush=True)


def _left(group: processes.Group) -> list[str]:
  with contextlib.suppress(RuntimeError):
    return [name for name in group.look() if name.startswith("left/")]
  return [""] * group.count  # the service has ended: so have all


def watch(group: processes.Group) -> None:
  """Shows that this process is alive, and looks after the others."""
  signs: dict[int, tuple[Any, float]] = {}
  signed = answered = looked = time.monotonic()
  stop_heard = False
  beats = 0
  while not group.leaving.wait(LOOK_SECONDS):
    now = time.monotonic()
    if now - looked > SIGN_SECONDS:  # this process itself was held up
      signs.clear()
      answered = now
    looked = now
    try:
      if beats == 0 or now - signed > SIGN_SECONDS:
        beats, signed = beats + 1, now
        group.set(f"alive/{group.index}", beats)
      told = group.look()
      answered = now
    except RuntimeError:
      if now - answered > DEAD_SECONDS and not group.leaving.is_set():
        _print("error: the coordinator does not answer any more; stopped")
        end(PEER_DIED)
      continue
    error = told.get("error")
    if error and not group.leaving.is_set():
      end(error["code"])
    _check_alive(group, told, signs, now)
    if "stop" not in told or stop_heard:
      continue
    if group.trained:
      stop_heard = True
      group.set(f"at/{group.index}", {"position": {"ended": True}})
    elif group.on_stop:
      stop_heard = True
      # On a thread of its own: this one goes on to watch.
      threading.Thread(
        target=group.on_stop, args=(told["stop"],), daemon=True
      ).start()


def _check_alive(
  group: processes.Group,
  told: dict[str, Any],
  signs: dict[int, tuple[Any, float]],
  now: float,
) -> None:
  """Ends this process if another one shows no sign of life."""
  limit = SURELY_DEAD_SECONDS if group.suspicious else DEAD_SECONDS
  for i in range(group.count):
    sign = told.get(f"alive/{i}")
    if i not in signs or signs[i][0] != sign:
      signs[i] = (sign, now)
    silent = now - signs[i][1]
    if i == group.index or f"left/{i}" in told or silent < limit:
      continue
    if _is_first_to_fail(group, PEER_DIED):
      _print(
        f"error: process {i} of {group.count} has died or cannot be reached; "
        "the last checkpoint is kept: run the same command again"
      )
    end(PEER_DIED)
