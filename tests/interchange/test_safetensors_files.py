"""Files of safetensors: bits, types, shards, and damage told in one line."""

import json
import struct
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax import types
from seq2seq_jax.interchange import safetensors_files

pytest.importorskip("safetensors")

ARRAYS = {
  "a": np.arange(6, dtype=np.float32).reshape(2, 3),
  "b": np.ones((2, 2), jnp.bfloat16),
  "t": np.arange(6.0).reshape(2, 3).T,
  "half": np.float16([0.5]),
  "ids": np.arange(4),
  "empty": np.zeros((0, 3), np.float32),
}


def test_what_is_written_is_read(tmp_path):
  path = tmp_path / "x.safetensors"
  safetensors_files.write(path, ARRAYS, {"about": "us"})
  found = safetensors_files.read(path)
  assert found.keys() == ARRAYS.keys()
  for name, value in ARRAYS.items():
    assert found[name].dtype == value.dtype
    np.testing.assert_array_equal(found[name], value)
  path.rename(tmp_path / "model.safetensors")
  assert safetensors_files.read_folder(tmp_path).keys() == ARRAYS.keys()


def test_the_bytes_are_those_of_the_format(tmp_path):
  """By the format's own description: a length, JSON, numbers."""
  header = {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}
  text = json.dumps(header).encode()
  path = tmp_path / "x.safetensors"
  path.write_bytes(
    struct.pack("<Q", len(text)) + text + struct.pack("<2f", 1.5, -2)
  )
  (value,) = safetensors_files.read(path).values()
  np.testing.assert_array_equal(value, np.float32([1.5, -2]))


def test_several_files_with_an_index(tmp_path):
  for name in ("a", "b"):
    part = {name: ARRAYS[name]}
    safetensors_files.write(tmp_path / f"{name}.safetensors", part, {})
  index = {"metadata": {}, "weight_map": {}}
  index["weight_map"] = {n: f"{n}.safetensors" for n in "ab"}
  path = tmp_path / "model.safetensors.index.json"
  path.write_text(json.dumps(index))
  assert safetensors_files.read_folder(tmp_path).keys() == {"a", "b"}
  for name, file, message in (
    ("c", "b.safetensors", "no file has c"),
    ("a", "../b.safetensors", "is no file beside it"),
    ("a", "c.safetensors", r"c\.safetensors: cannot read: No such file"),
    ("a", 3, "weight_map"),
  ):
    changed = {"weight_map": index["weight_map"] | {name: file}}
    path.write_text(json.dumps(changed))
    with pytest.raises(types.UserError, match=message):
      safetensors_files.read_folder(tmp_path)


@pytest.mark.parametrize(
  "change",
  [
    lambda d: d[:-3],
    lambda d: d + b"x",
    lambda d: d[:4],
    lambda d: b"",
    lambda d: struct.pack("<Q", 2**40) + d[8:],
    lambda d: d[:8] + b"x" * (len(d) - 8),
    lambda d: d.replace(b'"shape":[2,3]', b'"shape":[9,3]'),
    lambda d: d.replace(b'"F32"', b'"F99"'),
  ],
  ids=range(8),
)
def test_damage_is_one_line(change, tmp_path):
  path = tmp_path / "x.safetensors"
  safetensors_files.write(path, ARRAYS, {})
  path.write_bytes(change(path.read_bytes()))
  with pytest.raises(types.UserError, match="no whole file of safet") as e:
    safetensors_files.read(path)
  assert len(str(e.value).splitlines()) == 1 and str(path) in str(e.value)


def test_a_package_that_is_not_installed(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, "safetensors", None)
  with pytest.raises(types.UserError, match=r"seq2seq_jax\[pretrained\]"):
    safetensors_files.read(tmp_path / "x")
  monkeypatch.undo()
  with pytest.raises(types.UserError, match="No such file"):
    safetensors_files.read(tmp_path / "x")
  with pytest.raises(types.UserError, match="is not a file"):
    safetensors_files.read(tmp_path)
