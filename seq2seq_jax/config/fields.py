"""How a field of a config is declared and checked.

A number's range stands at the field, `dim: int = fields.field(256, min=1)`;
`validate` checks types and ranges of a section, which then checks only what
its fields ask of each other.
"""

import dataclasses
import difflib
import functools
import math
import re
import typing
from typing import Any, TypeVar

from seq2seq_jax import types
from seq2seq_jax.config import extensions

T = TypeVar("T")
BOUNDS = ("min", "max", "above", "below")
LONGEST = 60  # characters of a value in a message
MOST_STEPS = 2**31 - 1  # of a run: a step is counted in 32 bits
_WHOLE = re.compile(r"[+-]?[0-9]{1,400}")
_NUMBER = re.compile(
  r"[+-]?([0-9]{1,400}(\.[0-9]{0,400})?|\.[0-9]{1,400})([eE][+-]?[0-9]{1,9})?"
  r"|[+-]?(nan|inf|infinity)",
  re.ASCII | re.IGNORECASE,
)


def strict(cls: type[T]) -> type[T]:
  """A section whose constructor tells the nearest names of an unknown one."""
  made: Any = cls.__init__

  @functools.wraps(made)
  def init(self: Any, *args: Any, **kwargs: Any) -> None:
    known = [f.name for f in dataclasses.fields(self)]
    for name in kwargs:
      if name not in known:
        near = difflib.get_close_matches(name, known, 3, 0.3) or known
        raise types.UserError(
          f"{cls.__name__}: has no field {name!r}; nearest: {', '.join(near)}"
        )
    made(self, *args, **kwargs)

  setattr(cls, "__init__", init)  # noqa: B010
  return cls


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


def parse(text: str, kind: type) -> int | float | None:
  """The int or float that a text is, perhaps not a finite one, or None.

  `int` and `float` would also take digits of any script, blanks and
  underscores, and fail at texts of thousands of digits.
  """
  pattern = _WHOLE if kind is int else _NUMBER
  return kind(text) if pattern.fullmatch(text) else None


def shown(value: Any) -> str:
  """A value in a message, however long it is."""
  if isinstance(value, int) and value.bit_length() > 128:
    sign = "negative " if value < 0 else ""
    return f"a {sign}number of {int(value.bit_length() * 0.30103) + 1} digits"
  if isinstance(value, str) and len(value) > LONGEST and value.isdigit():
    return f"a number of {len(value)} digits"
  text = repr(value)
  return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def check_name(field: str, value: str, choices: tuple[str, ...]) -> None:
  """Checks a name or a reference.

  The error of an unknown name lists the nearest ones.
  """
  if value in choices or extensions.is_reference(value):
    return
  near = difflib.get_close_matches(value, choices, 3, 0.3) or choices
  raise types.UserError(
    f"{field}: {shown(value)} is not a choice; nearest: {', '.join(near)}; or "
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
  hints = _hints(type(section))  # type: ignore[arg-type]
  for entry in dataclasses.fields(section):
    field_name, value = path + entry.name, getattr(section, entry.name)
    _check_type(field_name, value, hints[entry.name])
    if isinstance(value, int | float) and not isinstance(value, bool):
      _check_range(field_name, value, entry.metadata)
    if "choices" in entry.metadata:
      check_name(field_name, value, entry.metadata["choices"])


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
  return typing.get_type_hints(kind)


def _check_type(name: str, value: Any, kind: Any) -> None:
  if typing.get_origin(kind) is typing.Literal:
    _check_choice(name, value, typing.get_args(kind))
  elif kind is float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    check(number, name, f"{shown(value)} is not a number")
  elif kind is int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    check(whole, name, f"{shown(value)} is not a whole number")
  elif typing.get_origin(kind) is tuple:
    texts = isinstance(value, tuple) and all(isinstance(v, str) for v in value)
    check(texts, name, f"{shown(value)} is not a tuple of strings")
  else:
    right = isinstance(value, kind)
    check(right, name, f"{shown(value)} is not of type {kind.__name__}")
  for text in value if isinstance(value, tuple) else (value,):
    check(
      not isinstance(text, str) or _is_text(text),
      name,
      f"{shown(value)} holds what no text can: a NUL or half a character",
    )


def _is_text(text: str) -> bool:
  """True if a text can be printed, and name a file."""
  try:
    text.encode()
  except UnicodeEncodeError:
    return False
  return "\0" not in text


def _check_range(
  name: str, value: float, bounds: typing.Mapping[str, Any]
) -> None:
  if isinstance(value, float) and not math.isfinite(value):
    check(False, name, f"{value} is not a finite number; {_must(bounds)}")
  low, high = bounds.get("min", -math.inf), bounds.get("max", math.inf)
  above = bounds.get("above", -math.inf)
  below = bounds.get("below", math.inf)
  inside = low <= value <= high and above < value < below
  check(inside, name, f"{_must(bounds)}, not {shown(value)}")


def _must(bounds: typing.Mapping[str, Any]) -> str:
  return f"must be {range_text(bounds)}"


def range_text(bounds: typing.Mapping[str, Any]) -> str:
  """The range of a field in words: `at least 1`, `in [0, 1)`."""
  number = {key: f"{bounds[key]:,}" for key in BOUNDS if key in bounds}
  low = [f"at least {number['min']}"] if "min" in number else []
  low = [f"above {number['above']}"] if "above" in number else low
  high = [f"at most {number['max']}"] if "max" in number else []
  high = [f"below {number['below']}"] if "below" in number else high
  return " and ".join(low + high) or "finite"


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
  if isinstance(value, str) and value in choices:
    return
  near = difflib.get_close_matches(str(value), choices, 3, 0.3) or choices
  raise types.UserError(
    f"{name}: {shown(value)} is not a choice; nearest: {', '.join(near)}"
  )
