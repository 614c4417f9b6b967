"""Checks of what a suite or a request was given, value by value.

Each returns the value if it is of the wanted kind and range, and else raises a
ValueError that names the field and the value.
"""

import itertools
import math
import numbers
from collections.abc import Iterable, Mapping
from typing import Any

MOST_VALUES = 10_000  # of one field


def shown(value: Any) -> str:
  """A value for a message, not too long."""
  text = repr(value)
  return text if len(text) <= 60 else f"{text[:59]}…"


def text(field: str, value: Any, blank: bool = True) -> str:
  """A text; with `blank` False, one that holds something."""
  if not isinstance(value, str):
    raise ValueError(f"{field}: must be a text, but is {shown(value)}")
  if not blank and not value.strip():
    raise ValueError(f"{field}: must be given")
  return value


def line(field: str, value: Any) -> str:
  """A text of one line that a table can print: no control characters."""
  value = text(field, value, blank=False)
  if not value.isprintable():
    raise ValueError(f"{field}: {shown(value)} holds a control character")
  return value


def whole(field: str, value: Any, low: int, high: int) -> int:
  """A whole number in [low, high]."""
  kind = isinstance(value, numbers.Integral) and not isinstance(value, bool)
  if not kind or not low <= value <= high:
    raise ValueError(
      f"{field}: must be a whole number from {low} to {high:,}, but is "
      f"{shown(value)}"
    )
  return int(value)


def number(field: str, value: Any, infinite: bool = False) -> float:
  """A number that is not NaN, and finite unless `infinite`."""
  kind = isinstance(value, numbers.Real) and not isinstance(value, bool)
  if not kind or math.isnan(value) or (math.isinf(value) and not infinite):
    raise ValueError(f"{field}: must be a number, but is {shown(value)}")
  return value


def items(field: str, values: Any, kind: type | tuple[type, ...]) -> tuple:
  """Several values of a kind, as a tuple; a single text is none of texts."""
  if isinstance(values, str) or not isinstance(values, Iterable):
    raise ValueError(
      f"{field}: must be a tuple, such as (a, b), but is {shown(values)}"
    )
  values = bounded(field, values)
  for i, value in enumerate(values):
    if not isinstance(value, kind):
      names = kind if isinstance(kind, tuple) else (kind,)
      wanted = " or ".join(one.__name__ for one in names)
      raise ValueError(
        f"{field}[{i}]: must be a {wanted}, but is {shown(value)}"
      )
  return values


def bounded(field: str, values: Iterable[Any]) -> tuple:
  """Values as a tuple, unless there are more than any table has."""
  taken = tuple(itertools.islice(values, MOST_VALUES + 1))
  if len(taken) > MOST_VALUES:
    raise ValueError(f"{field}: has more than {MOST_VALUES:,} values")
  return taken


def distinct(field: str, values: Iterable[str]) -> None:
  """Refuses a name that stands twice."""
  seen: set[str] = set()
  for value in values:
    if value in seen:
      raise ValueError(f"{field}: {shown(value)} stands there twice")
    seen.add(value)


def by_scale(field: str, value: Any) -> Mapping[str, Any]:
  """A dict by the names of scales."""
  if not isinstance(value, Mapping):
    raise ValueError(
      f"{field}: must be a dict by the names of scales, but is {shown(value)}"
    )
  for name in value:
    line(f"{field}: the name of a scale", name)
  return value
