"""JSON that is checked where it is read: syntax, then every key and type.

A JSON object becomes a dataclass with its keys as fields, a list a tuple.
Fields with a default may be missing; unknown ones are refused. Whatever is
wrong ends as one `types.UserError` that names the file and the key.
"""

import collections
import dataclasses
import difflib
import functools
import json
import math
import os
import pathlib
import stat
import types as builtin_types
import typing
from typing import Any, Literal

from seq2seq_jax import types


def read(path: str | os.PathLike[str], kind: Any) -> Any:
  """The content of a JSON file as `kind`, see `decode`.

  Raises:
    types.UserError: the file cannot be read or is no JSON in UTF-8, or a field
      is missing, unknown or of another type.
  """
  place = os.fspath(path)
  return decode(kind, parse(content(path), place), place)


def content(path: str | os.PathLike[str]) -> bytes:
  """The bytes of a file.

  Raises:
    types.UserError: it cannot be read, or is a pipe or a device, which may
      never end.
  """
  place = os.fspath(path)
  try:
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
      raise types.UserError(f"{place}: cannot read: is no file but a device")
    return pathlib.Path(path).read_bytes()
  except OSError as e:
    raise types.UserError(f"{place}: cannot read: {e.strerror}") from e


def parse(text: str | bytes, place: str) -> Any:
  """The value of a JSON text; numbers must be finite, an object's keys differ.

  Args:
    text: bytes must be UTF-8.
    place: names the file, and the line if there are several, in messages.

  Raises:
    types.UserError: the text is no JSON; the message says where it goes wrong.
      Or an object has a key twice.
  """
  try:
    if isinstance(text, bytes):
      text = text.decode()
    return json.loads(
      text,
      parse_constant=_refuse,
      parse_float=_finite,
      object_pairs_hook=_distinct,
    )
  except _Twice as e:
    raise types.UserError(f"{place}: {e}") from e
  except UnicodeDecodeError as e:
    raise types.UserError(
      f"{place} is not UTF-8: the byte 0x{e.object[e.start]:02x} at position "
      f"{e.start}"
    ) from e
  except RecursionError as e:
    raise types.UserError(f"{place} is not valid JSON: nested too deep") from e
  except ValueError as e:
    raise types.UserError(f"{place} is not valid JSON: {e}") from e


def _refuse(word: str) -> float:
  raise ValueError(f"{word} is no number")


def _finite(digits: str) -> float:
  number = float(digits)
  if not math.isfinite(number):
    raise ValueError(f"{digits} is too large a number")
  return number


class _Twice(Exception):
  """An object has a key twice; `json` alone would take the last one."""


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  """An object, whose keys must differ."""
  value = dict(pairs)
  if len(value) < len(pairs):
    counts = collections.Counter(key for key, _ in pairs)
    [(key, _)] = counts.most_common(1)
    raise _Twice(f"the key {_shortened(key)} is there twice; leave out one")
  return value


def decode(kind: Any, data: Any, place: str) -> Any:
  """Parsed JSON as `kind`.

  Args:
    kind: a dataclass whose fields are annotated with bool, int, float, str,
      Any, Literal, list, tuple, dict, other dataclasses, or `... | None`; or
      such an annotation itself.
    data: what `parse` returned.
    place: names the file in messages.

  Raises:
    types.UserError: a field is missing, unknown or of another type; the message
      names it by its path, such as `rows[3].mean`.
  """
  return _decode(kind, data, place, "")


def _decode(
  kind: Any, value: Any, place: str, path: str, or_null: str = ""
) -> Any:
  """`value` as the annotation `kind`; `path` leads to it, as `rows[3].mean`."""
  if kind is Any:
    return value
  if dataclasses.is_dataclass(kind):
    return _record(kind, value, place, path)
  origin, args = typing.get_origin(kind), typing.get_args(kind)
  if origin is builtin_types.UnionType:
    if value is None and type(None) in args:
      return None
    null = " or null" if type(None) in args else ""
    return _decode(args[0], value, place, path, null)
  if origin is tuple and isinstance(value, list):
    each = [args[0]] * len(value) if args[-1] is ... else args
    if len(each) == len(value):
      items = enumerate(zip(each, value))
      return tuple(_decode(k, v, place, f"{path}[{i}]") for i, (k, v) in items)
  elif origin is list and isinstance(value, list):
    return [
      _decode(args[0], v, place, f"{path}[{i}]") for i, v in enumerate(value)
    ]
  elif origin is dict and isinstance(value, dict):
    return {
      k: _decode(args[1], v, place, f"{path}[{k!r}]") for k, v in value.items()
    }
  elif origin is Literal:
    if value in args:
      return value
  elif kind is float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
      return value
  elif isinstance(kind, type) and type(value) is kind:
    return value
  raise types.UserError(
    f"{place}: {path or 'the file'} must be {_name_of(kind)}{or_null}, but "
    f"is {_shortened(value)}"
  )


def _record(kind: Any, value: Any, place: str, path: str) -> Any:
  """A dataclass from a JSON object with its fields as keys."""
  where = f"{place}: {path or 'the file'}"
  if not isinstance(value, dict):
    raise types.UserError(
      f"{where} must be an object, but is {_shortened(value)}"
    )
  hints = _hints(kind)
  if unknown := [name for name in value if name not in hints]:
    near = difflib.get_close_matches(unknown[0], hints, 3)
    names = ", ".join(f"{name!r:.60}" for name in unknown[:3])
    raise types.UserError(
      f"{where} has the unknown field {names}"
      + (f"; nearest: {', '.join(near)}" if near else "")
    )
  missing = [
    field.name
    for field in dataclasses.fields(kind)
    if field.name not in value
    and field.default is dataclasses.MISSING
    and field.default_factory is dataclasses.MISSING
  ]
  if missing:
    raise types.UserError(
      f"{where} lacks the field {', '.join(map(repr, missing))}"
    )
  dot = f"{path}." if path else ""
  values = {
    k: _decode(hints[k], v, place, f"{dot}{k}") for k, v in value.items()
  }
  try:
    return kind(**values)
  except types.UserError as e:  # a record may check itself
    raise types.UserError(f"{place}: {e}") from e


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
  return typing.get_type_hints(kind)


_NAMES = {
  float: "a number",
  int: "a whole number",
  str: "a text",
  bool: "true or false",
}


def _name_of(kind: Any) -> str:
  """The annotation in a reader's words."""
  origin, args = typing.get_origin(kind), typing.get_args(kind)
  if origin is Literal:
    return "one of " + ", ".join(map(repr, args))
  if origin is list:
    return "a list"
  if origin is tuple:
    return "a list" if args[-1] is ... else f"a list of {len(args)}"
  return _NAMES.get(kind, "an object")


def _shortened(value: Any) -> str:
  if isinstance(value, (dict, list)) and value:
    return "an object" if isinstance(value, dict) else "a list"
  text = json.dumps(value)
  return text if len(text) <= 40 else f"{text[:39]}…"
