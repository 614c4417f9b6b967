"""Values that processes exchange, each process a thread with its own group."""

import pickle
import threading
from concurrent import futures

import pytest

from seq2seq_jax import types
from seq2seq_jax.runtime import processes

pytestmark = pytest.mark.quick


class Store:
  """The key-value store of the coordination service, in memory."""

  def __init__(self):
    self.values, self.changed = {}, threading.Condition()

  def key_value_set_bytes(self, key, value):
    with self.changed:
      assert key not in self.values
      self.values[key] = value
      self.changed.notify_all()

  def blocking_key_value_get_bytes(self, key, milliseconds):
    with self.changed:
      if self.changed.wait_for(lambda: key in self.values, milliseconds / 1000):
        return self.values[key]
    raise RuntimeError("DEADLINE_EXCEEDED")

  def key_value_delete(self, key):
    with self.changed:
      del self.values[key]


@pytest.fixture
def together(monkeypatch):
  """(count, work) -> what `work` returns or raises in each process."""
  group = threading.local()  # each thread has attributes of its own
  monkeypatch.setattr(processes, "_group", group)

  def run(count, work):
    store = Store()

    def one(index):
      group.client, group.index, group.count = store, index, count
      group.turn, group.old_keys = 0, []
      try:
        return work()
      except types.UserError as e:
        return str(e)

    with futures.ThreadPoolExecutor(count) as pool:
      return list(pool.map(one, range(count), timeout=20)), store.values

  return run


@pytest.mark.parametrize("what", ["config", "data", "vocabulary"])
def test_another_value_is_named_in_all_processes(what, together):
  def work():
    processes.check_same("rest", 1)
    processes.check_same(what, "b" if processes.index() == 2 else "a")

  said, _ = together(4, work)
  assert len(set(said)) == 1
  assert said[0].startswith(
    f"process 2 has another {what} than process 0; all processes need the same"
  )


def test_the_same_value_is_accepted(together):
  assert together(3, lambda: processes.check_same("data", (1, "x")))[0] == (
    [None] * 3
  )


def test_all_get_all_values_in_order_and_old_ones_are_deleted(together):
  def work():
    index = processes.index()
    gathered = [processes.gather((index, turn)) for turn in range(5)]
    shared = processes.share(lambda places: [10 * i for i in places], 8)
    return gathered, shared, processes.broadcast(index)

  said, left = together(3, work)
  values = [[(i, turn) for i in range(3)] for turn in range(5)]
  assert said == [(values, [10 * i for i in range(8)], 0)] * 3
  assert len(left) <= 3 * 2 + 1
  assert pickle.loads(left["seq2seq_jax/7/0"]) == 0
