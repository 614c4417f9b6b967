"""How a field of a config is declared and checked.

A number's range stands at the field, `dim: int = fields.field(256, min=1)`;
`validate` checks types and ranges of a section, which then checks only what
its fields ask of each other.
"""

import dataclasses
import difflib
import math
import typing
from typing import Any, TypeVar

from seq2seq_jax import types
from seq2seq_jax.config import extensions

T = TypeVar("T")
BOUNDS = ("min", "max", "above", "below")


def field(
  default: T,
  *,
  min: float | None = None,
  max: float | None = None,
  above: float | None = None,
  below: float | None = None,
  mutable: bool = False,
  extensible: bool = False,
) -> T:
  """A field with its range: [min, max], or with open ends (above, below).

  A `mutable` field may change when a run is resumed; any other one belongs to
  the run. An `extensible` one takes names and references `FILE.py:NAME`.
  """
  bounds = {"min": min, "max": max, "above": above, "below": below}
  metadata: dict[str, Any] = {k: v for k, v in bounds.items() if v is not None}
  metadata |= {"mutable_on_resume": mutable, "extensible": extensible}
  return dataclasses.field(default=default, metadata=metadata)


def name(default: str, choices: tuple[str, ...]) -> str:
  """A field that takes one of the names, or a reference `FILE.py:NAME`."""
  metadata = {
    "choices": choices,
    "mutable_on_resume": False,
    "extensible": True,
  }
  return dataclasses.field(default=default, metadata=metadata)


def mutable_on_resume(
  default: T, *, min: float | None = None, max: float | None = None
) -> T:
  """A field that may change when a run is resumed, with its range."""
  return field(default, min=min, max=max, mutable=True)


def check_name(field: str, value: str, choices: tuple[str, ...]) -> None:
  """Checks a name or a reference.

  The error of an unknown name lists the nearest ones.
  """
  if value in choices or extensions.is_reference(value):
    return
  near = difflib.get_close_matches(value, choices, 3, 0.3) or choices
  raise types.UserError(
    f"{field}: {value!r} is not a choice; nearest: {', '.join(near)}; or "
    "FILE.py:NAME for your own"
  )


def check(ok: bool, name: str, reason: str) -> None:
  """Raises a UserError with the field's name and the reason if not `ok`."""
  if not ok:
    raise types.UserError(f"{name}: {reason}")


def validate(section: Any, prefix: str = "") -> None:
  """Checks the types and ranges of a section's fields.

  Flags are parsed by type; what a config file writes is not. Messages name
  `prefix` and the field, as a flag does.
  """
  path = f"{prefix}." if prefix else ""
  hints = typing.get_type_hints(type(section))
  for entry in dataclasses.fields(section):
    field_name, value = path + entry.name, getattr(section, entry.name)
    _check_type(field_name, value, hints[entry.name])
    if isinstance(value, int | float) and not isinstance(value, bool):
      _check_range(field_name, value, entry.metadata)
    if "choices" in entry.metadata:
      check_name(field_name, value, entry.metadata["choices"])


def _check_type(name: str, value: Any, kind: Any) -> None:
  if typing.get_origin(kind) is typing.Literal:
    _check_choice(name, value, typing.get_args(kind))
  elif kind is float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    check(number, name, f"{value!r} is not a number")
  elif kind is int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    check(whole, name, f"{value!r} is not a whole number")
  elif typing.get_origin(kind) is tuple:
    texts = isinstance(value, tuple) and all(isinstance(v, str) for v in value)
    check(texts, name, f"{value!r} is not a tuple of strings")
  else:
    check(
      isinstance(value, kind), name, f"{value!r} is not of type {kind.__name__}"
    )


def _check_range(
  name: str, value: float, bounds: typing.Mapping[str, Any]
) -> None:
  check(math.isfinite(value), name, f"{value} is not a finite number")
  low, high = bounds.get("min", -math.inf), bounds.get("max", math.inf)
  above = bounds.get("above", -math.inf)
  below = bounds.get("below", math.inf)
  inside = low <= value <= high and above < value < below
  check(inside, name, f"must be {range_text(bounds)}, not {value}")


def range_text(bounds: typing.Mapping[str, Any]) -> str:
  """The range of a field in words: `at least 1`, `in [0, 1)`."""
  low = f"[{bounds['min']}" if "min" in bounds else ""
  low = f"({bounds['above']}" if "above" in bounds else low
  high = f"{bounds['max']}]" if "max" in bounds else ""
  high = f"{bounds['below']})" if "below" in bounds else high
  if low and high:
    return f"in {low}, {high}"
  if low:
    return f"{'at least' if low[0] == '[' else 'above'} {low[1:]}"
  if high:
    return f"{'at most' if high[-1] == ']' else 'below'} {high[:-1]}"
  return "finite"


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
  if value in choices:
    return
  near = difflib.get_close_matches(str(value), choices, 3, 0.3) or choices
  raise types.UserError(
    f"{name}: {value!r} is not a choice; nearest: {', '.join(near)}"
  )
