"""PyTorch's checkpoints: what its own reader gives, and nothing is run."""

import argparse
import collections
import os
import pathlib
import pickle
import zipfile

import numpy as np
import pytest

from seq2seq_jax import types
from seq2seq_jax.interchange import torch_files

FIXTURES = pathlib.Path(__file__).parents[3] / "shared" / "fixtures"


@pytest.fixture(scope="module")
def torch():
  return pytest.importorskip("torch")


def saved(torch, tree, path):
  torch.save(tree, path)
  return torch_files.read(path)


def test_all_types_of_numbers(torch, tmp_path):
  kinds = "float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool"
  kinds += " complex64 uint16 uint32 uint64"
  given = torch.tensor([[0, 1, 2.5], [100, 7, 3]])
  tree = {kind: given.to(getattr(torch, kind)) for kind in kinds.split()}
  found = saved(torch, tree, tmp_path / "x.pt")
  assert found.keys() == tree.keys()
  for kind, value in tree.items():
    assert str(found[kind].dtype) == kind
    expected = value.to(torch.float64 if kind == "bfloat16" else value.dtype)
    np.testing.assert_array_equal(
      found[kind].astype(expected.numpy().dtype), expected.numpy()
    )


def test_views_parameters_and_shared_storages(torch, tmp_path):
  base = torch.arange(24.0).reshape(4, 6)
  tree = collections.OrderedDict(
    base=base,
    transposed=base.T,
    part=base[1:, 2:4],
    every_other=base.reshape(-1)[1::2],
    scalar=torch.tensor(3.0),
    empty=torch.zeros(0, 5),
    strided=torch.arange(12.0).reshape(3, 4).T,
    parameter=torch.nn.Parameter(base[2]),
  )
  found = saved(torch, tree, tmp_path / "x.pt")
  assert list(found) == list(tree)
  for name, value in tree.items():
    np.testing.assert_array_equal(found[name], value.detach().numpy())
    assert found[name].shape == tuple(value.shape)
  assert np.shares_memory(found["base"], found["part"])
  with zipfile.ZipFile(tmp_path / "x.pt") as archive:
    count = sum("/data/" in name for name in archive.namelist())
  assert count <= 4  # one for all views of a tensor


def test_other_objects_are_records(torch, tmp_path):
  tree = {
    "model": torch.nn.Linear(2, 3).state_dict(),
    "options": argparse.Namespace(layers=2, kind="brnn", size=torch.Size([4])),
    "field": _Vocabulary(),
    "counts": collections.Counter("aab"),
    "default": collections.defaultdict(list, a=[1]),
    "set": {1, 2},
    "bytes": b"\x00\xff",
    "dtype": torch.float16,
    "score": np.float64(0.5),
    "texts": ["é", "<unk>"],
  }
  found = saved(torch, tree, tmp_path / "x.pt")
  assert set(torch_files.arrays(found["model"], "x")) == {"weight", "bias"}
  options = found["options"]
  assert isinstance(options, torch_files.Record)
  assert options.name == "argparse.Namespace"
  assert options.state == {"layers": 2, "kind": "brnn", "size": (4,)}
  assert found["field"].name.endswith("._Vocabulary")
  assert found["field"].state == {"itos": ["a", "b"]}
  assert found["field"].items == ["x"]
  assert found["counts"] == {"a": 2, "b": 1}
  assert found["default"] == {"a": [1]}
  assert found["set"] == {1, 2} and found["bytes"] == b"\x00\xff"
  assert found["dtype"].name == "torch.float16"
  assert isinstance(found["score"], torch_files.Record)
  assert found["texts"] == ["é", "<unk>"]
  with pytest.raises(types.UserError, match=r"x: 'options' is no array"):
    torch_files.arrays({"options": options}, "x")


class _Vocabulary(list):
  def __init__(self):
    super().__init__(["x"])
    self.itos = ["a", "b"]


class _Runs:
  def __init__(self, command):
    self.command = command

  def __reduce__(self):
    return os.system, (self.command,)


def archive(path, data, members=(), root="m"):
  """A checkpoint of a pickle's bytes."""
  with zipfile.ZipFile(path, "w") as out:
    out.writestr(f"{root}/data.pkl", data)
    for name, content in members:
      out.writestr(f"{root}/{name}", content)
  return path


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_runs_a_program_does_not_run_it(protocol, tmp_path):
  mark = tmp_path / "mark"
  tree = {"a": _Runs(f"touch {mark}"), "b": 3}
  found = torch_files.read(
    archive(tmp_path / "x.pt", pickle.dumps(tree, protocol))
  )
  assert not mark.exists() and found["b"] == 3
  assert found["a"].name == f"{os.name}.system"
  assert found["a"].args == (f"touch {mark}",)


REDUCE = b"R."
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
STORAGE = b"((Vstorage\nctorch\nFloatStorage\nV0\nVcpu\nI%d\ntQ"


def tensor(count=6, offset=0, size=(2, 3), stride=(3, 1)):
  """The pickle of a tensor of floats, in protocol 0."""

  def numbers(values):
    return b"(" + b"".join(b"I%d\n" % v for v in values) + b"t"

  parts = [TENSOR, STORAGE % count, b"I%d\n" % offset, numbers(size)]
  return b"".join([*parts, numbers(stride), b"tR."])


NUMBERS = [("data/0", np.arange(6, dtype="<f4").tobytes())]


def test_a_tensor_by_hand(tmp_path):
  found = torch_files.read(archive(tmp_path / "x", tensor(), NUMBERS))
  np.testing.assert_array_equal(found, np.arange(6.0).reshape(2, 3))
  with pytest.raises(ValueError, match="read-only"):
    found[0] = 1
  big = [("data/0", np.arange(6, dtype=">f4").tobytes()), ("byteorder", "big")]
  found = torch_files.read(archive(tmp_path / "x", tensor(), big))
  np.testing.assert_array_equal(found, np.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize(
  ("data", "message"),
  [
    (tensor(count=7), "holds 24 bytes, not 28"),
    (tensor(size=(3, 3)), r"shape \[3, 3\] is larger than its storage"),
    (tensor(offset=1), "larger than its storage m/data/0"),
    (tensor(stride=(4, 1)), "larger than its storage"),
    (tensor(size=(10**6, 10**6), stride=(0, 0)), "larger than its storage"),
    (tensor(offset=-1), "a tensor of shape"),
    (tensor(stride=(-3, 1)), "a tensor of shape"),
    (tensor(size=(10**30,), stride=(1,)), "a tensor of shape"),
    (tensor(size=(6,)), "a tensor of shape"),
    (tensor().replace(b"FloatStorage", b"Float8Storage"), "unknown storage"),
    (tensor().replace(b"V0\n", b"V1\n"), "it lacks m/data/1"),
    (tensor().replace(b"torch._utils", b"os"), None),
    (b"\x80\x04\x96" + b"\xff" * 7 + b"\x0f.", "no whole checkpoint"),
    (b"\x80\x04\x8d" + b"\xff" * 7 + b"\x0fx.", "no whole checkpoint"),
    (b"\x80\x02\x8b\xff\xff\xff\x7f.", "no whole checkpoint"),
    (b"N" + b"r\xff\xff\xff\x7f" + b".", None),
    (b"(lp0\nh\x07.", "no whole checkpoint"),
    (b"\x82\x01.", "no whole checkpoint"),
    (b"I3\n(tR.", "no whole checkpoint"),
    (b"", "no whole checkpoint"),
    (pickle.dumps([1, 2, 3])[:-4], "no whole checkpoint"),
  ],
  ids=range(21),
)
def test_hostile_pickles(data, message, tmp_path):
  path = archive(tmp_path / "x", data, NUMBERS)
  if message is None:
    torch_files.read(path)
    return
  with pytest.raises(types.UserError, match=message) as e:
    torch_files.read(path)
  assert len(str(e.value).splitlines()) == 1 and str(path) in str(e.value)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda d: d[: len(d) // 2], "its end is missing"),
    (lambda d: b"", "is no checkpoint of PyTorch"),
    (lambda d: b"x" * 500, "is no checkpoint of PyTorch"),
    (lambda d: torch_files._OLD + d[14:60], r"before 1.6, .* torch.save\("),
    (lambda d: d.replace(b"data.pkl", b"data.plk"), "no data.pkl in it"),
    (lambda d: d.replace(b"\x00\x00\x80?", b"\x00\x00\x81?"), "Bad CRC"),
    (lambda d: d[200:], "no whole checkpoint|Invalid argument"),
  ],
  ids=range(7),
)
def test_files_that_are_no_checkpoint(change, message, tmp_path):
  path = archive(tmp_path / "x", tensor(), NUMBERS)
  path.write_bytes(change(path.read_bytes()))
  with pytest.raises(types.UserError, match=message) as e:
    torch_files.read(path)
  assert len(str(e.value).splitlines()) == 1


def test_archives_that_are_no_checkpoint(tmp_path):
  path = archive(tmp_path / "x", tensor(), [*NUMBERS, ("code/a.py", "pass")])
  with pytest.raises(types.UserError, match="is a TorchScript program"):
    torch_files.read(path)
  with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
    out.writestr("m/data.pkl", b"N." * 10**6)
  with pytest.raises(types.UserError, match="is compressed"):
    torch_files.read(path)
  with pytest.raises(types.UserError, match="is not a file"):
    torch_files.read(tmp_path)
  with pytest.raises(types.UserError, match="No such file"):
    torch_files.read(tmp_path / "y")


@pytest.mark.skipif(not FIXTURES.is_dir(), reason="no fixtures")
def test_checkpoints_of_toolkits(torch):
  """Names, shapes and bits are those that PyTorch reads."""
  folder = FIXTURES / "rnn_toolkits"
  paths = [*folder.glob("*/*.pt"), *folder.glob("*/*.ckpt")]
  for path in paths:
    with torch.serialization.safe_globals([argparse.Namespace]):
      expected = torch.load(path, weights_only=True)
    found = torch_files.read(path)
    key = "model_state" if "model_state" in expected else "model"
    found = torch_files.arrays(found[key], path)
    assert list(found) == list(expected[key])
    for name, value in expected[key].items():
      np.testing.assert_array_equal(found[name], value.numpy())
  assert len(paths) >= 9
