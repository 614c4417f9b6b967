"""Several processes of one run: who they are, and how they share work.

They talk through the key-value store of JAX's coordination service, which needs
no device, can be used from any thread and works where a program of all devices
would wait for ever. `joining` lets them meet, and `ending` ends them together.
"""

import json
import pickle
import threading
from collections.abc import Callable
from typing import Any

from seq2seq_jax import types

FOLDER = "seq2seq_jax/live/"

# Called by the watching thread once any process has been asked to stop.
StopHandler = Callable[[int], None]


class Group:
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


_group: Group | None = None


def form(client: Any, index: int, count: int) -> Group:
  """The group of this process from now on.

  Args:
    client: of JAX's coordination service.
    index: this process's.
    count: number of processes.
  """
  global _group
  _group = Group(client, index, count)
  return _group


def group() -> Group | None:
  """What this process knows of its group; None if it is alone."""
  return _group


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


def _publish(group: Group, data: bytes) -> None:
  key = f"seq2seq_jax/{group.turn}/{group.index}"
  group.client.key_value_set_bytes(key, data)
  group.old_keys.append(key)


def _wait_for(group: Group, turn: int, process: int) -> bytes:
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
