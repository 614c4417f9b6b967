"""Ways to break a file or to put something else where it was."""

import functools
import gzip
import json
import os
import pathlib
import random
import shutil
from collections.abc import Callable
from typing import Any

Break = Callable[[bytes, random.Random], bytes]


def _half(content: bytes, rng: random.Random) -> bytes:
  return content[: rng.randrange(1, max(2, len(content) - 1))]


def _garbage(content: bytes, rng: random.Random) -> bytes:
  return rng.randbytes(max(20, min(len(content), 2000)))


def _utf16(content: bytes, rng: random.Random) -> bytes:
  del rng
  return content.decode(errors="replace").encode("utf-16")


def _latin1(content: bytes, rng: random.Random) -> bytes:
  at = rng.randrange(len(content) + 1)
  return content[:at] + b"\xe9\xff" + content[at:]


def _flipped(content: bytes, rng: random.Random) -> bytes:
  broken = bytearray(content or b"0")
  broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
  return bytes(broken)


def _hole(content: bytes, rng: random.Random) -> bytes:
  """Zeros in the middle, as a crashed machine leaves."""
  start = rng.randrange(max(1, len(content)))
  end = min(len(content), start + 512)
  return content[:start] + bytes(max(1, end - start)) + content[end:]


BREAKS: dict[str, Break] = {
  "empty": lambda content, rng: b"",
  "half": _half,
  "garbage": _garbage,
  "utf-16": _utf16,
  "latin-1": _latin1,
  "a bit": _flipped,
  "a hole": _hole,
  "doubled": lambda content, rng: content * 2,
  "a web page": lambda content, rng: b"<!DOCTYPE html><p>404 Not Found</p>\n",
  "zipped": lambda content, rng: gzip.compress(content),
}


def _deep(value: Any, rng: random.Random) -> Any:
  del value, rng
  return "[" * 20000 + "]" * 20000


def _places(value: Any) -> list[tuple[Any, Any]]:
  """(container, key) of every value inside of a JSON value."""
  found = []
  if isinstance(value, dict | list):
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in keys:
      found += [(value, key), *_places(value[key])]
  return found


WRONG = (
  None,
  [],
  {},
  "",
  "x",
  -1,
  3.5,
  True,
  [None],
  {"a": 1},
  10**400,
  float("nan"),
  float("inf"),
  "\ud800",
  [[[]]],
)


def _wrong_value(value: Any, rng: random.Random) -> Any:
  places = _places(value)
  if not places:
    return rng.choice(WRONG)
  container, key = rng.choice(places)
  old = container[key]
  others = [w for w in WRONG if type(w) is not type(old)]
  container[key] = rng.choice(others)
  return value


def _lost_key(value: Any, rng: random.Random) -> Any:
  places = _places(value)
  if not places:
    return None
  container, key = rng.choice(places)
  del container[key]
  return value


def _new_key(value: Any, rng: random.Random) -> Any:
  inner = [c[k] for c, k in _places(value) if isinstance(c[k], dict)]
  target = rng.choice([value, *inner])
  if isinstance(target, dict):
    target["not a key"] = 1
  return value


SHAPES: dict[str, Callable[[Any, random.Random], Any]] = {
  "null": lambda value, rng: None,
  "a list": lambda value, rng: [value],
  "a number": lambda value, rng: 17,
  "a text": lambda value, rng: "text",
  "an empty object": lambda value, rng: {},
  "a list of lists": lambda value, rng: [[1], [2]],
  "a wrong value": _wrong_value,
  "another wrong value": _wrong_value,
  "a lost key": _lost_key,
  "a new key": _new_key,
  "deep": _deep,
}


def dumps(value: Any) -> bytes:
  """JSON, with the words NaN and Infinity as they come."""
  if isinstance(value, str) and value.startswith("[["):
    return value.encode()
  return json.dumps(value).encode()


def shape(name: str, content: bytes, rng: random.Random) -> bytes:
  """JSON of another shape; of JSON lines, one line of another shape."""
  lines = content.decode().splitlines()
  try:
    return dumps(SHAPES[name](json.loads(content), rng))
  except ValueError:
    at = rng.randrange(len(lines))
    line = dumps(SHAPES[name](json.loads(lines[at]), rng)).decode()
    return "\n".join([*lines[:at], line, *lines[at + 1 :], ""]).encode()


def _gone(path: pathlib.Path) -> None:
  if path.is_dir() and not path.is_symlink():
    shutil.rmtree(path)
  elif os.path.lexists(path):
    path.unlink()


def _replaced(path: pathlib.Path, make: Callable[[pathlib.Path], Any]) -> None:
  _gone(path)
  make(path)


def _full_folder(path: pathlib.Path) -> None:
  path.mkdir()
  (path / "mine.txt").write_text("not of this program\n")


PLACES: dict[str, Callable[[pathlib.Path], Any]] = {
  "gone": _gone,
  "a folder": functools.partial(_replaced, make=_full_folder),
  "a dangling link": functools.partial(
    _replaced, make=lambda path: path.symlink_to("not/there")
  ),
  "a link loop": functools.partial(
    _replaced, make=lambda path: path.symlink_to(path.name)
  ),
  "a pipe": functools.partial(_replaced, make=os.mkfifo),
  "an endless device": functools.partial(
    _replaced, make=lambda path: path.symlink_to("/dev/zero")
  ),
  "nothing's device": functools.partial(
    _replaced, make=lambda path: path.symlink_to("/dev/null")
  ),
}

ALL = (*BREAKS, *PLACES)


def apply(
  how: str, path: pathlib.Path, rng: random.Random
) -> pathlib.Path | None:
  """Breaks a file in a way that `BREAKS`, `SHAPES` or `PLACES` names."""
  if how in PLACES:
    return PLACES[how](path)
  if path.is_dir():
    PLACES["gone"](path)
    path.write_bytes(b"a file\n")
  elif how in SHAPES:
    path.write_bytes(shape(how, path.read_bytes(), rng))
  else:
    path.write_bytes(BREAKS[how](path.read_bytes(), rng))
  return None
