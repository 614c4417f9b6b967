"""Checkpoints of PyTorch, read without it and without running their pickle.

A file of `torch.save` (since 1.6) is a zip: NAME/data.pkl, a pickle, and the
bytes of each storage of numbers in NAME/data/KEY. The pickle's program is
interpreted here, but a class or a function in it is only a name: those of
`_BUILDERS` make arrays and plain values, and of all others a call becomes a
`Record` of what was called with what. Nothing is imported, nothing of the
file's is called.
"""

import io
import math
import os
import pathlib
import pickle
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np

from seq2seq_jax import types

_DTYPES: dict[str, Any] = {
  "Float": np.float32,
  "Double": np.float64,
  "Half": np.float16,
  "BFloat16": jnp.bfloat16,
  "Long": np.int64,
  "Int": np.int32,
  "Short": np.int16,
  "Char": np.int8,
  "Byte": np.uint8,
  "Bool": np.bool_,
  "ComplexFloat": np.complex64,
  "ComplexDouble": np.complex128,
  "Untyped": np.uint8,
}
_STORAGES = {f"torch.{name}Storage": t for name, t in _DTYPES.items()}
_STORAGES["torch.storage.UntypedStorage"] = np.uint8
# Kinds of numbers without a storage of their own.
_LATER = {f"torch.{n}": np.dtype(n) for n in ("uint16", "uint32", "uint64")}
# What a file of torch.save before 1.6 begins with, a number in a pickle.
_OLD = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_DAMAGE = (
  *(pickle.UnpicklingError, EOFError, LookupError, ValueError, TypeError),
  *(AttributeError, OverflowError, struct.error, RecursionError, MemoryError),
  *(zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError),
)


class Record:
  """An object whose class was not imported.

  Attributes:
    name: of its class, or of the function that was to make it.
    args: what that was to be called with.
    state: of the object, mostly a dict of its attributes.
    items: of a list or a set.
    entries: of a dict.
  """

  def __init__(self, name: str, *args: Any, **kwargs: Any) -> None:
    self.name, self.args = name, args
    self.state: Any = kwargs
    self.items: list[Any] = []
    self.entries: dict[Any, Any] = {}

  def __repr__(self) -> str:
    return f"<{self.name}>"

  def append(self, item: Any) -> None:
    self.items.append(item)

  add = append

  def extend(self, items: Iterable[Any]) -> None:
    self.items.extend(items)

  update = extend

  def __setitem__(self, key: Any, value: Any) -> None:
    self.entries[key] = value


class _Name:
  """A class or function in a pickle: its name. Called, it makes a value."""

  def __init__(self, name: str) -> None:
    self.name = name

  def __repr__(self) -> str:
    return f"<{self.name}>"

  def __call__(self, *args: Any, **kwargs: Any) -> Any:
    builder = _BUILDERS.get(self.name)
    if builder is None:
      return Record(self.name, *args, **kwargs)
    return builder(*args, **kwargs)


class _Storage(NamedTuple):
  """Numbers that tensors are views of."""

  name: str
  values: np.ndarray  # [N]


def _tensor(
  storage: Any, offset: Any, size: Any, stride: Any, *_: Any
) -> np.ndarray:
  """A view of a storage, as the array that it is."""
  if not isinstance(storage, _Storage):
    raise ValueError("a tensor without a storage")
  numbers = [offset, *size, *stride]
  if len(size) != len(stride) or not all(
    type(n) is int and 0 <= n < 2**60 for n in numbers
  ):
    raise ValueError(f"a tensor of shape {size} and strides {stride}")
  values, count = storage.values, math.prod(size)
  last = offset + sum((n - 1) * s for n, s in zip(size, stride))
  if count > len(values) or (count and last >= len(values)):
    raise ValueError(
      f"a tensor of shape {list(size)} is larger than its storage "
      f"{storage.name}"
    )
  if not count:
    return np.zeros(size, values.dtype)
  return np.lib.stride_tricks.as_strided(
    values[offset:], size, [s * values.itemsize for s in stride]
  )


def _later_tensor(
  storage: Any,
  offset: Any,
  size: Any,
  stride: Any,
  grad: Any,
  hooks: Any,
  dtype: Any,
  *_: Any,
) -> Any:
  """A tensor whose storage is bytes, as of unsigned numbers."""
  kind = _LATER.get(getattr(dtype, "name", ""))
  if kind is None:
    return Record("torch._utils._rebuild_tensor_v3", storage, dtype)
  storage = _Storage(storage.name, storage.values.view(kind))
  return _tensor(storage, offset, size, stride)


def _of_type(build: Any, kind: Any, args: Any, *_: Any) -> Any:
  """A tensor of a subclass, or with attributes: the tensor alone."""
  if isinstance(build, _Name) and build.name.startswith("torch._utils."):
    return build(*args)
  return Record("torch._tensor._rebuild_from_type_v2", build, kind, args)


def _object(kind: Any, *args: Any) -> Any:
  """An object of a class, before its state."""
  return kind(*args) if isinstance(kind, _Name) else Record("object", kind)


def _encoded(text: Any, encoding: Any = "latin1") -> bytes:
  """Bytes, which early protocols write as text."""
  if not isinstance(text, str) or encoding not in ("latin1", "utf-8", "ascii"):
    raise ValueError("bytes that are no text")
  return text.encode(encoding)


def _plain(*names: str) -> list[str]:
  return [f"{m}.{n}" for n in names for m in ("builtins", "__builtin__")]


_BUILDERS: dict[str, Callable[..., Any]] = {
  "collections.OrderedDict": lambda items=(): dict(items),
  "collections.defaultdict": lambda factory=None, items=(): dict(items),
  "collections.Counter": lambda items=(): dict(items),
  "torch._utils._rebuild_tensor": _tensor,
  "torch._utils._rebuild_tensor_v2": _tensor,
  "torch._utils._rebuild_tensor_v3": _later_tensor,
  "torch._utils._rebuild_parameter": lambda data, *_: data,
  "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
  "torch._tensor._rebuild_from_type_v2": _of_type,
  "torch.Size": lambda size=(): tuple(size),
  "copyreg._reconstructor": lambda kind, *_: _object(kind),
  "copy_reg._reconstructor": lambda kind, *_: _object(kind),
  "_codecs.encode": _encoded,
  **{name: lambda items=(): set(items) for name in _plain("set", "frozenset")},
}


class _Reader(pickle._Unpickler):
  """Interprets a pickle; names stay names.

  Python's own interpreter and not the faster one in C: that reserves memory as
  a file says.
  """

  # bytearrays are reserved as the file says; buffers and extension codes are
  # never in a checkpoint.
  dispatch: ClassVar[dict[int, Callable[..., None]]] = {
    code: function
    for code, function in pickle._Unpickler.dispatch.items()
    if code
    not in (
      *(pickle.BYTEARRAY8[0], pickle.NEXT_BUFFER[0], pickle.READONLY_BUFFER[0]),
      *(pickle.EXT1[0], pickle.EXT2[0], pickle.EXT4[0], pickle.PERSID[0]),
    )
  }

  def __init__(self, data: bytes, storage: Callable[[str, Any], _Storage]):
    super().__init__(io.BytesIO(data), encoding="utf-8")
    self._storage = storage

  def find_class(self, module: str, name: str) -> Any:
    return _Name(f"{module}.{name}")

  def persistent_load(self, pid: Any) -> _Storage:
    kind, of, key, _, count = pid[:5]
    dtype = _STORAGES.get(getattr(of, "name", ""))
    if kind != "storage" or dtype is None:
      raise ValueError(f"an unknown storage {of!r}")
    storage = self._storage(str(key), np.dtype(dtype))
    bytes_each = storage.values.itemsize
    needed = count if dtype is np.uint8 else count * bytes_each
    if storage.values.nbytes < needed:
      raise ValueError(
        f"the storage {storage.name} holds {storage.values.nbytes} bytes, not "
        f"{needed}"
      )
    return storage

  def _make(self) -> None:
    args = self.stack.pop()  # type: ignore[attr-defined]
    kind = self.stack.pop()  # type: ignore[attr-defined]
    self.append(_object(kind, *args))  # type: ignore[attr-defined]

  def _make_with_keywords(self) -> None:
    self.stack.pop()  # type: ignore[attr-defined]
    self._make()

  def _set_state(self) -> None:
    state = self.stack.pop()  # type: ignore[attr-defined]
    if isinstance(self.stack[-1], Record):  # type: ignore[attr-defined]
      self.stack[-1].state = state  # type: ignore[attr-defined]

  dispatch[pickle.NEWOBJ[0]] = _make
  dispatch[pickle.NEWOBJ_EX[0]] = _make_with_keywords
  dispatch[pickle.BUILD[0]] = _set_state


def read(path: str | os.PathLike[str]) -> Any:
  """The content of a checkpoint: dicts, lists, arrays, texts and `Record`s.

  Arrays are read-only views; of bfloat16 they have JAX's type for it.

  Raises:
    types.UserError: it is no whole checkpoint that PyTorch 1.6 or later wrote.
  """
  place = os.fspath(path)
  try:
    if not stat.S_ISREG(os.stat(path).st_mode):
      raise types.UserError(f"{place}: cannot read: is not a file")
    with open(path, "rb") as file:
      start = file.read(16)
      if not zipfile.is_zipfile(file):
        raise types.UserError(f"{place}: {_no_zip(start)}")
      file.seek(0)
      with zipfile.ZipFile(file) as archive:
        return _content(archive, place, os.fstat(file.fileno()).st_size)
  except OSError as e:
    raise types.UserError(f"{place}: cannot read: {e.strerror or e}") from e
  except _DAMAGE as e:
    line = (str(e).splitlines() or [type(e).__name__])[0]
    raise types.UserError(
      f"{place}: is no whole checkpoint of PyTorch ({line[:200]})"
    ) from e


def _no_zip(start: bytes) -> str:
  """Why a file that is no zip cannot be read, by its first bytes."""
  if start.startswith(_OLD):
    return (
      "was saved by PyTorch before 1.6, as a pickle that cannot be read "
      "without running it; where you trust it, save it again with "
      "torch.save(torch.load(FILE), FILE) and a later PyTorch"
    )
  if start.startswith(b"PK"):
    return "is no whole checkpoint of PyTorch: its end is missing"
  return "is no checkpoint of PyTorch"


def _content(archive: zipfile.ZipFile, place: str, size: int) -> Any:
  """What the pickle in an archive describes; `size` is that of the file."""
  members = {info.filename: info for info in archive.infolist()}
  pickles = [n for n in members if n.split("/")[1:] == ["data.pkl"]]
  if len(pickles) != 1:
    raise types.UserError(
      f"{place}: is a zip, but no checkpoint of PyTorch (no data.pkl in it)"
    )
  root = pickles[0].removesuffix("data.pkl")
  if any(name.startswith(f"{root}code/") for name in members):
    raise types.UserError(
      f"{place}: is a TorchScript program, no checkpoint; save its state_dict"
    )

  def content(name: str) -> bytes:
    if name not in members:
      raise ValueError(f"it lacks {name}")
    info = members[name]
    if info.compress_type != zipfile.ZIP_STORED:
      raise ValueError(f"{name} is compressed, which PyTorch never does")
    if info.file_size > size:
      raise ValueError(f"{name} is said to be larger than the file")
    return archive.read(info)

  big = _is_big_endian(content, root, members)
  raw: dict[str, bytes] = {}

  def storage(key: str, dtype: np.dtype) -> _Storage:
    name = f"{root}data/{key}"
    if key not in raw:
      raw[key] = content(name)
    if dtype.itemsize > 1 and dtype.kind != "V":
      dtype = dtype.newbyteorder(">" if big else "<")
    elif big and dtype.itemsize > 1:
      raise ValueError("bfloat16 in the byte order of another machine")
    size = len(raw[key]) // dtype.itemsize * dtype.itemsize
    return _Storage(name, np.frombuffer(raw[key][:size], dtype))

  return _Reader(content(pickles[0]), storage).load()


def _is_big_endian(
  content: Callable[[str], bytes], root: str, members: Mapping[str, Any]
) -> bool:
  name = f"{root}byteorder"
  return name in members and content(name) == b"big"


def arrays(tree: Any, place: str | pathlib.Path) -> dict[str, np.ndarray]:
  """The arrays of a model's state by their names.

  Args:
    tree: a dict of arrays.
    place: the file and where in it, for messages.

  Raises:
    types.UserError: it is none.
  """
  if not isinstance(tree, dict) or not tree:
    raise types.UserError(f"{place}: is no dict of a model's arrays")
  for name, value in tree.items():
    if not isinstance(name, str) or not isinstance(value, np.ndarray):
      raise types.UserError(f"{place}: {name!r} is no array")
  return tree
