"""Memory of the machine, of a container in it, and of a device."""

import jax
import pytest

from seq2seq_jax.runtime import memory

pytestmark = pytest.mark.quick


def test_a_cpu_s_devices_share_the_machine_s_memory():
  room = memory.of_device(jax.local_devices()[0])
  assert room == memory.of_machine() // jax.local_device_count()
  assert 2**20 < room < 2**50


@pytest.mark.parametrize(
  ("text", "limited"), [("1073741824\n", True), ("max\n", False), ("", False)]
)
def test_a_container_may_have_less(text, limited, tmp_path, monkeypatch):
  monkeypatch.setattr(memory, "_FOLDER", tmp_path)
  whole = memory.of_machine()
  (tmp_path / "memory.max").write_text(text)
  assert memory.of_machine() == (2**30 if limited else whole)
