"""Several processes of one run: they share work, and end together.

They talk through the key-value store of JAX's coordination service, which needs
no device, can be used from any thread and works where a program of all devices
would wait for ever. In each process a thread watches the others: an error in
one, or its death, ends all of them, and is one line.
"""

import atexit
import contextlib
import json
import logging
import multiprocessing
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from seq2seq_jax import types
from seq2seq_jax.runtime import rendezvous

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5  # between two looks at the others
SIGN_SECONDS = 3.0  # between two signs of life
DEAD_SECONDS = 45.0  # without one
SURELY_DEAD_SECONDS = 12.0  # the same, once JAX says that a connection broke
LEAVE_SECONDS = 10.0  # for the others to end after an error
HEARTBEAT_SECONDS = 120  # JAX's own, which aborts; ours is first

COORDINATOR = "SEQ2SEQ_JAX_COORDINATOR"  # of the environment
COUNT = "SEQ2SEQ_JAX_PROCESSES"
INDEX = "SEQ2SEQ_JAX_PROCESS"

PEER_DIED = 1  # exit code where another process has died
FOLDER = "seq2seq_jax/live/"

# Called by the watching thread once any process has been asked to stop.
StopHandler = Callable[[int], None]


class _Group:
  """What this process knows of the group; one a program."""

  def __init__(self, client: Any, index: int, count: int) -> None:
    self.client, self.index, self.count = client, index, count
    self.turn = 0  # exchanges made
    self.old_keys: list[str] = []
    self.on_stop: StopHandler | None = None
    self.trained = False  # it hears no signals any more
    self.suspicious = False
    self.leaving = threading.Event()

  def set(self, name: str, value: Any, *, once: bool = False) -> bool:
    """Tells all a value; False if `once` and there is one already."""
    try:
      self.client.key_value_set(
        FOLDER + name, json.dumps(value), allow_overwrite=not once
      )
    except RuntimeError as e:
      if once and "ALREADY_EXISTS" in str(e):
        return False
      raise
    return True

  def look(self) -> dict[str, Any]:
    """All values that processes have told."""
    pairs = self.client.key_value_dir_get(FOLDER)
    return {k.removeprefix(FOLDER): json.loads(v) for k, v in pairs}


_group: _Group | None = None


def join(
  coordinator: str | None = None,
  processes: int | None = None,
  process: int | None = None,
) -> None:
  """Joins the processes of one run, if flags or the environment name them.

  Args:
    coordinator: HOST:PORT, `auto` on TPU pods, SLURM and other clusters that
      JAX detects, or None for the environment's.
    processes: how many there are, or None for the environment's.
    process: this one's index, or None for the environment's.

  Raises:
    types.UserError: a number is missing or the others cannot be reached.
  """
  coordinator = coordinator or os.environ.get(COORDINATOR, "")
  if not coordinator:
    if processes is not None or process is not None:
      raise types.UserError(
        "--processes and --process-id need --coordinator HOST:PORT"
      )
    return
  if coordinator == "auto":
    _initialize(coordinator)
    return
  number = _environment(COUNT) if processes is None else processes
  own = _environment(INDEX) if process is None else process
  if number is None or own is None or not 0 <= own < number:
    raise types.UserError(
      f"coordinator {coordinator}: needs the number of processes (--processes "
      f"or {COUNT}, is {number}) and this one's index from 0 (--process-id or "
      f"{INDEX}, is {own})"
    )
  rendezvous.meet(coordinator, number, own)
  _initialize(coordinator, coordinator, number, own)


def _environment(name: str) -> int | None:
  """A number of the environment; None if it is not set."""
  text = os.environ.get(name)
  if not text:
    return None
  if not (text.isascii() and text.isdigit() and len(text) < 10):
    raise types.UserError(f"{name}={text[:40]}: is not a number of processes")
  return int(text)


def _initialize(
  name: str,
  address: str | None = None,
  processes: int | None = None,
  process: int | None = None,
) -> None:
  """Lets JAX join the processes, and begins to watch them."""
  import jax
  from jaxlib import _jax

  def start_service(
    address: str, processes: int, **_: Any
  ) -> rendezvous.Service:
    return rendezvous.Service(address, processes, HEARTBEAT_SECONDS)

  # Its handler of SIGTERM would make a step to stop at of every single step.
  jax.config.update("jax_enable_preemption_service", False)
  in_process = _jax.get_distributed_runtime_service
  _jax.get_distributed_runtime_service = start_service
  try:
    jax.distributed.initialize(
      address,
      processes,
      process,
      heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
      shutdown_timeout_seconds=3600,
    )
  except (ValueError, RuntimeError) as e:
    line = (str(e).splitlines() or [type(e).__name__])[0]
    raise types.UserError(
      f"coordinator {name}: could not join the other processes: {line}; see "
      "--coordinator, --processes and --process-id"
    ) from e
  finally:
    _jax.get_distributed_runtime_service = in_process
  _watch_group()


def _watch_group() -> None:
  global _group
  from jax._src import distributed

  state = distributed.global_state
  if state.num_processes == 1 or state.client is None:
    return
  group = _Group(state.client, state.process_id, state.num_processes)
  _group = group
  threading.Thread(target=_watch, args=(group,), daemon=True).start()
  atexit.register(group.leaving.set)


def count() -> int:
  """Number of processes."""
  return _group.count if _group else 1


def index() -> int:
  """This process's, from 0; process 0 decides, prints and writes."""
  return _group.index if _group else 0


def is_first() -> bool:
  """True in process 0, and where there is but one."""
  return index() == 0


# ----------------------------------------------------------- exchanging values


def gather(value: Any) -> list[Any]:
  """Every process's value, in their order; each process calls it in turn."""
  group = _group
  if group is None:
    return [value]
  group.turn += 1
  _publish(group, pickle.dumps(value))
  values = [
    value if i == group.index else pickle.loads(_wait_for(group, group.turn, i))
    for i in range(group.count)
  ]
  # All have come to this exchange, so they have read those before.
  for key in group.old_keys[:-1]:
    group.client.key_value_delete(key)
  group.old_keys = group.old_keys[-1:]
  return values


def broadcast(value: Any) -> Any:
  """Process 0's value, in all processes; each process calls it in turn."""
  group = _group
  if group is None:
    return value
  group.turn += 1
  if group.index == 0:
    _publish(group, pickle.dumps(value))
    return value
  return pickle.loads(_wait_for(group, group.turn, 0))


def _publish(group: _Group, data: bytes) -> None:
  key = f"seq2seq_jax/{group.turn}/{group.index}"
  group.client.key_value_set_bytes(key, data)
  group.old_keys.append(key)


def _wait_for(group: _Group, turn: int, process: int) -> bytes:
  """Waits in short times, between which Python answers signals."""
  key = f"seq2seq_jax/{turn}/{process}"
  while True:
    try:
      return group.client.blocking_key_value_get_bytes(key, 500)
    except RuntimeError as e:
      if "DEADLINE_EXCEEDED" not in str(e):
        raise


def barrier() -> None:
  """Waits until all processes have come here."""
  gather(None)


def all_agree(condition: bool) -> bool:
  """True if `condition` holds in every process."""
  return all(gather(condition))


def check_same(what: str, value: Any) -> None:
  """Checks that all processes have the same value.

  Raises:
    types.UserError: one has another, in all processes.
  """
  values = gather(value)
  for i, other in enumerate(values):
    if other != values[0]:
      raise types.UserError(
        f"process {i} has another {what} than process 0; all processes need "
        "the same files and the same versions of all packages"
      )


def share(work: Callable[[list[int]], list[Any]], total: int) -> list[Any]:
  """Divides work over the processes: each does its part, all get all results.

  Args:
    work: (places) -> the result of each.
    total: number of places.
  """
  group = _group
  if group is None:
    return work(list(range(total)))
  parts = gather(work(own_places(total)))
  results: list[Any] = [None] * total
  for i, part in enumerate(parts):
    results[i :: group.count] = part
  return results


def own_places(total: int) -> list[int]:
  """The places of this process's part of `total`."""
  return list(range(index(), total, count()))


# ------------------------------------------------------- stopping together


@contextlib.contextmanager
def hearing_stops(handler: StopHandler) -> Iterator[None]:
  """While the block runs, `handler` is called if any process shall stop."""
  group = _group
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
  if _group:
    with contextlib.suppress(RuntimeError):
      _group.set("stop", number, once=True)


def positions(own: Any) -> list[Any] | None:
  """Where each process is, as it says when all are asked to stop.

  Args:
    own: this process's; JSON.

  Returns:
    That of each; None if one does not answer within `LEAVE_SECONDS`.
  """
  group = _group
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
  group = _group
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
  if _group is None or _is_first_to_fail(_group, code):
    _print(line)


def _is_first_to_fail(group: _Group, code: int) -> bool:
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
  group = _group
  if group is None:
    return
  if code:
    _leave_early(group, code)
  group.set(f"left/{group.index}", 0)
  while len(_left(group)) < group.count:
    time.sleep(0.1)
  group.leaving.set()


def _leave_early(group: _Group, code: int) -> NoReturn:
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
  if _group is None:
    return
  _group.suspicious = True
  time.sleep(SURELY_DEAD_SECONDS + 2 * SIGN_SECONDS)  # the thread ends us


def _print(line: str) -> None:
  if line:
    with contextlib.suppress(OSError, ValueError):
      print(line, file=sys.stderr, flush=True)


def _left(group: _Group) -> list[str]:
  with contextlib.suppress(RuntimeError):
    return [name for name in group.look() if name.startswith("left/")]
  return [""] * group.count  # the service has ended: so have all


def _watch(group: _Group) -> None:
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
  group: _Group,
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
