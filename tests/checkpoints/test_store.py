"""Checkpoints that cannot be written. Those that can: tests/test_train.py."""

import errno
import os

import jax.numpy as jnp
import pytest

from seq2seq_jax import types
from seq2seq_jax.checkpoints import store as checkpoint_store


@pytest.mark.parametrize(
  "reason, told",
  [
    (f'Error at "a/b": {os.strerror(errno.ENOSPC)} [28]', "No space left on d"),
    ("something else\nand more", "something else"),
    ("", "ValueError"),
  ],
)
def test_a_failed_save_is_one_line_and_harms_none_before(
  tmp_path, monkeypatch, reason, told
):
  weights = jnp.arange(6, dtype=jnp.float32)
  store = checkpoint_store.Checkpoints(tmp_path)
  store.save(1, {"params": {"w": weights}, "ema": None}, {"x": 1}, set())
  store.finish()

  def fails():
    raise ValueError(reason)

  with monkeypatch.context() as m:
    m.setattr(store.manager, "wait_until_finished", fails)
    with pytest.raises(types.UserError) as e:
      store.finish()
  store.close()
  line = str(e.value)
  assert line.startswith(f"{tmp_path / 'checkpoints'}: could not write")
  assert f"MiB free): {told}" in line and "a/b" not in line
  assert "\n" not in line and "the same command again" in line
  assert checkpoint_store.Checkpoints(tmp_path, read_only=True).steps() == [1]
