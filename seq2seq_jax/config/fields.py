"""How a field of a config is declared and checked."""

import dataclasses
import difflib
import functools
import typing

from seq2seq_jax import types


def free(default):
  """A field that may change when a run is resumed."""
  return dataclasses.field(default=default, metadata={"free": True})


def check(ok: bool, field: str, why: str):
  """Refuses a value, with the field's name and the reason."""
  if not ok:
    raise types.UserError(f"{field}: {why}")


_hints = functools.cache(typing.get_type_hints)


def typed(section):
  """Refuses values that are not of their fields' types.

  Flags are parsed by type; what a config file writes is not.
  """
  for name, kind in _hints(type(section)).items():
    value = getattr(section, name)
    if typing.get_origin(kind) is typing.Literal:
      _choice(name, value, typing.get_args(kind))
    elif kind is float:
      number = isinstance(value, int | float) and not isinstance(value, bool)
      check(number, name, f"{value!r} is not a number")
    elif kind is int:
      whole = isinstance(value, int) and not isinstance(value, bool)
      check(whole, name, f"{value!r} is not a whole number")
    elif typing.get_origin(kind) is tuple:
      texts = isinstance(value, tuple) and all(
        isinstance(v, str) for v in value
      )
      check(texts, name, f"{value!r} is not a tuple of strings")
    else:
      ok = isinstance(value, kind)
      check(ok, name, f"{value!r} is not of type {kind.__name__}")


def _choice(name: str, value, choices: tuple):
  if value in choices:
    return
  near = difflib.get_close_matches(str(value), choices, 3, 0.3) or choices
  raise types.UserError(
    f"{name}: {value!r} is not a choice; nearest: {', '.join(near)}"
  )
