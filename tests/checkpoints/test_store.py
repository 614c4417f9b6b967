"""Checkpoints that cannot be written. Those that can: tests/test_train.py."""

import errno
import os

import jax.numpy as jnp
import pytest

from seq2seq_jax import types
from seq2seq_jax.checkpoints import folder as checkpoint_folder
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


def a_checkpoint(workdir):
  weights = jnp.arange(6, dtype=jnp.float32)
  store = checkpoint_store.Checkpoints(workdir)
  for step in (1, 2):
    state = {"params": {"w": weights * step}, "ema": None}
    store.save(step, state, {"x": step}, {1})
  store.finish()
  return store, state


def spoil(workdir):
  for path in (workdir / "checkpoints" / "2" / "state").glob("**/d/*"):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_what_cannot_be_read_for_a_moment_is_not_moved(tmp_path, monkeypatch):
  store, state = a_checkpoint(tmp_path)
  spoil(tmp_path)

  def fails(path, mode):
    del mode
    raise OSError(errno.EIO, os.strerror(errno.EIO), path)

  with monkeypatch.context() as m:
    m.setattr(checkpoint_folder, "open", fails, raising=False)
    with pytest.raises(types.UserError, match="cannot be read now: Input/out"):
      store.restore_latest(state)
  assert store.steps() == [1, 2]
  # It is damage once it can be read.
  step, restored, host = store.restore_latest(state)
  assert (step, host["x"], float(restored["params"]["w"][5])) == (1, 1, 5.0)
  assert (tmp_path / "checkpoints-damaged" / "2").is_dir()
  store.close()


def test_nothing_is_moved_if_none_is_good(tmp_path):
  store, state = a_checkpoint(tmp_path)
  host = tmp_path / "checkpoints" / "1" / "host" / "metadata"
  host.write_text("[1]")
  spoil(tmp_path)
  with pytest.raises(types.UserError, match=r"no checkpoint can be read.*anew"):
    store.restore_latest(state)
  assert store.steps() == [1, 2]
  assert not (tmp_path / "checkpoints-damaged").exists()
  store.close()


@pytest.mark.parametrize(
  ("content", "told"),
  [
    ("[1]", "must be an object"),
    ("{}", "lacks the field 'digest'"),
    ('{"digest": "1", "params_digest": 2}', "digest must be a whole number"),
    ('{"digest": 1, "params_digest": 2, "identity": {}}', "identity lacks"),
    ("{", "is damaged"),
  ],
)
def test_a_damaged_host_names_the_entry(content, told, tmp_path):
  store, state = a_checkpoint(tmp_path)
  for step in "12":
    path = tmp_path / "checkpoints" / step / "host" / "metadata"
    assert path.is_file()
    path.write_text(content)
  with pytest.raises(checkpoint_store.Damaged, match=told):
    store.restore(2, state)
  with pytest.raises(types.UserError, match=told):
    store.latest_host()
  store.close()


def test_decisions_of_an_earlier_checkpoint_are_told(tmp_path, caplog):
  store, _ = a_checkpoint(tmp_path)
  (tmp_path / "checkpoints" / "2" / "host" / "metadata").write_text("{")
  assert store.latest_host()["x"] == 1
  store.close()
  assert "checkpoint 1 says" in caplog.text and "is damaged" in caplog.text


def test_what_is_no_folder_is_not_written_over(tmp_path):
  store, state = a_checkpoint(tmp_path)
  (tmp_path / "checkpoints" / "3").symlink_to("3")
  with pytest.raises(types.UserError, match="3: is no checkpoint; move it"):
    store.restore_latest(state)
  store.close()


def test_files_that_may_never_end_are_refused_at_once(tmp_path):
  store, _ = a_checkpoint(tmp_path)
  store.close()
  path = tmp_path / "checkpoints" / "1" / "_CHECKPOINT_METADATA"
  path.unlink()
  os.mkfifo(path)
  with pytest.raises(types.UserError, match="METADATA: is a pipe or a device"):
    checkpoint_store.Checkpoints(tmp_path)
