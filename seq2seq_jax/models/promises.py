"""What a part of the user's own promises, checked while its class is used.

The package's parts keep these promises; the checks read shapes alone, so they
cost nothing once a program is compiled.
"""

import inspect
from typing import Any

from seq2seq_jax import types


def check_class(name: str, part: Any, base: type) -> None:
  """Checks that a class is of a kind, and defines what it must.

  Args:
    name: of the class in the config.
    part: the class; its `must_define` lists methods and numbers above 0.
    base: the kind.

  Raises:
    types.UserError: it is no subclass, or leaves something out.
  """
  kind = f"{base.__module__}.{base.__name__}"
  if not (isinstance(part, type) and issubclass(part, base)):
    raise types.UserError(f"{name}: must be a subclass of {kind}")
  if part is base:
    raise types.UserError(f"{name}: is {kind} itself; it must be a subclass")
  for entry in getattr(base, "must_define", ()):
    mine, theirs = getattr(part, entry), getattr(base, entry)
    if callable(theirs):
      if mine is theirs:
        raise types.UserError(f"{name}: must define {entry}, see {kind}")
    elif type(mine) is not int or mine < 1:
      raise types.UserError(
        f"{name}: {entry} must be a whole number of at least 1, not {mine!r}, "
        f"see {kind}"
      )


def check_carry(part: Any, method: str, old: Any, new: Any) -> None:
  """Checks that a new carry has the arrays of the old one.

  Raises:
    types.UserError: it has other ones.
  """
  if _shapes(new) != _shapes(old):
    raise types.UserError(
      f"{_place(part)}: {method} must return a tuple of arrays of shape "
      f"{_shapes(old)}, but returned {_shapes(new)}"
    )


def check_scores(part: Any, scores: Any, shape: tuple[int, int, int]) -> None:
  """Checks that a score returned [B, Q, M], or [B, H, Q, M].

  Raises:
    types.UserError: it has another shape.
  """
  found = tuple(getattr(scores, "shape", ()))
  several = len(found) == 4 and (found[0], *found[2:]) == shape
  if found != shape and not several:
    raise types.UserError(
      f"{_place(part)}: __call__ must return scores [B, Q, M], here {shape}, "
      f"or [B, H, Q, M], but returned {_shapes(scores)}"
    )


def _place(part: Any) -> str:
  """`FILE.py:NAME` of a module's class."""
  kind = type(part)
  return f"{inspect.getfile(kind)}:{kind.__name__}"


def _shapes(value: Any) -> Any:
  """Shapes of a tuple's arrays; of anything else what it is."""
  if isinstance(value, tuple):
    return tuple(_shapes(item) for item in value)
  return tuple(getattr(value, "shape", (type(value).__name__,)))
