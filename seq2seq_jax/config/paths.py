"""Fields of a config by their dotted names: `model.encoder.dim`."""

import dataclasses
import difflib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from seq2seq_jax import types

Section = TypeVar("Section")


def replace(
  section: Section, changes: Mapping[str, Any], place: str = ""
) -> Section:
  """A copy of a section with changed fields: `{"encoder.dim": 64, ...}`.

  Everything is checked once, after all changes.

  Args:
    section: is not changed.
    changes: by dotted names.
    place: dotted name of the section, for messages.

  Raises:
    UserError: a name is not a field's; it names the nearest ones.
  """
  known = {field.name for field in dataclasses.fields(section)}  # type: ignore
  fields: dict[str, Any] = {}
  inner: dict[str, dict[str, Any]] = {}
  for path, value in changes.items():
    name, _, rest = path.partition(".")
    if name not in known:
      paths = [path for path, _, _ in leaves(section, place)]
      wanted = place + path
      near = difflib.get_close_matches(wanted, paths, 3, 0.3) or sorted(known)
      raise types.UserError(
        f"{wanted}: no such field; nearest: {', '.join(near)}"
      )
    if rest:
      inner.setdefault(name, {})[rest] = value
    else:
      fields[name] = value
  for name, part in inner.items():
    inside = fields.get(name, getattr(section, name))
    fields[name] = replace(inside, part, f"{place}{name}.")
  try:
    return dataclasses.replace(section, **fields)  # type: ignore
  except types.UserError as e:
    # A section that stands in two places does not know its own.
    kind = f"{type(section).__name__}."
    if not str(e).startswith(kind):
      raise
    raise types.UserError(place + str(e).removeprefix(kind)) from e


def leaves(
  section: Any, prefix: str = ""
) -> Iterator[tuple[str, Any, dataclasses.Field]]:
  """Yields (dotted name, value, dataclass field) of every leaf."""
  for field in dataclasses.fields(section):
    value = getattr(section, field.name)
    if dataclasses.is_dataclass(value):
      yield from leaves(value, f"{prefix}{field.name}.")
    else:
      yield prefix + field.name, value, field
