"""Typed overrides of a config by dotted names, as on the command line."""

import dataclasses
import difflib
import os
import pathlib
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from seq2seq_jax import types
from seq2seq_jax.config import experiment, extensions, fields, files, paths

T = TypeVar("T")
HELP = ("-h", "--help")


def load_config(
  path: str | os.PathLike[str], overrides: Sequence[str] = ()
) -> experiment.Config:
  """The config that a file's `get_config` returns, with fields changed.

  Args:
    path: of the Python file.
    overrides: as words of a command line: `["--train.steps", "300"]`.

  Raises:
    types.UserError: no such file or field, or a value that cannot be.
  """
  default = files.load(os.fspath(path))
  return checked(default, overrides, str(path)) if overrides else default


def checked(default: T, words: Sequence[str], where: str) -> T:
  """A config with fields changed as by `apply`.

  Args:
    default: the config before.
    words: of a command line, none of them a request for help.
    where: names their origin, for messages.

  Raises:
    types.UserError: no such field, or a value that cannot be.
  """
  try:
    if asked := [word for word in words if word in HELP]:
      raise types.UserError(f"{asked[0]}: is no field of the config")
    return apply(default, words, where)
  except types.UserError as e:
    raise types.UserError(f"{where}: {e}") from e


def apply(
  default: T,
  words: Sequence[str],
  prog: str,
  folder: str | os.PathLike[str] = ".",
) -> T:
  """A config with the fields changed that `--section.field VALUE` words name.

  `--help` among the words prints every field, and ends the program.

  Args:
    default: the config before.
    words: of a command line. A reference `FILE.py:NAME` among them is a path
      from `folder`.
    prog: the program's name, for its help.
    folder: by default the current one.

  Raises:
    types.UserError: no such field, with the nearest ones, or a value that
      cannot be.
  """
  if any(word in HELP for word in words):
    _print_help(default, prog)
  config = paths.replace(default, _changes(default, words))
  return extensions.locate(config, pathlib.Path(folder))


def _print_help(default: Any, prog: str) -> typing.NoReturn:
  import tyro

  tyro.cli(
    type(default),
    default=default,
    args=["--help"],
    prog=prog,
    description="",
    use_underscores=True,
    config=(tyro.conf.FlagConversionOff,),
  )
  raise SystemExit(0)


def _changes(default: Any, words: Sequence[str]) -> dict[str, Any]:
  """Values by dotted names; of a field given twice the last."""
  known = dict(_kinds(type(default)))
  bounds = {path: field.metadata for path, _, field in paths.leaves(default)}
  changes: dict[str, Any] = {}
  left = list(words)
  while left:
    word = left.pop(0)
    if not word.startswith("--"):
      raise types.UserError(
        f"{fields.shown(word)}: belongs to no flag; fields of the config are "
        "given as --section.field VALUE"
      )
    flag, equals, text = word.partition("=")
    path = flag[2:].replace("-", "_")
    if path not in known:
      value = text if equals else next(iter(left), "")
      raise types.UserError(_unknown(flag, path, value, default))
    values = [text] if equals else []
    many = typing.get_origin(known[path]) is tuple
    while left and not left[0].startswith("--") and (many or not values):
      values.append(left.pop(0))
    if not many and not values:
      raise types.UserError(f"{flag}: needs a value")
    changes[path] = (
      tuple(values)
      if many
      else _parsed(flag, values[0], known[path], bounds[path])
    )
  return changes


def _kinds(section: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
  """Yields (dotted name, annotation) of every field."""
  for name, kind in typing.get_type_hints(section).items():
    if dataclasses.is_dataclass(kind):
      yield from _kinds(kind, f"{prefix}{name}.")
    else:
      yield prefix + name, kind


def _parsed(flag: str, text: str, kind: Any, bounds: Mapping[str, Any]) -> Any:
  """The value that a text means for a field of this kind and range."""
  if kind is bool:
    if text not in ("True", "False"):
      raise types.UserError(
        f"{flag}: must be True or False, not {fields.shown(text)}"
      )
    return text == "True"
  if kind in (int, float):
    number = fields.parse(text, kind)
    if number is None:
      raise types.UserError(
        f"{flag}: must be a {'whole ' if kind is int else ''}number "
        f"{fields.range_text(bounds)}, not {fields.shown(text)}"
      )
    return number
  return text


def _unknown(flag: str, path: str, value: str, default: Any) -> str:
  """What to say of a name that is no field's."""
  known = dict(_kinds(type(default)))
  inside = [name for name in known if name.startswith(f"{path}.")]
  if inside:
    # First of a section's fields one that takes the value, or nearly so.
    choices = {
      name: field.metadata.get("choices") or typing.get_args(known[name])
      for name, _, field in paths.leaves(default)
      if name in inside and typing.get_origin(known[name]) is not tuple
    }
    takes = [
      name
      for name, texts in choices.items()
      if difflib.get_close_matches(value, texts, 1)
    ]
    reason, near = "is a section, not a field", takes[:1] + inside
    near = list(dict.fromkeys(near))[:4]
  else:
    last = path.rpartition(".")[2]
    by_last = [name for name in known if name.rpartition(".")[2] == last]
    near = difflib.get_close_matches(path, known, 3, 0.6)
    near = list(dict.fromkeys(by_last + near)) or difflib.get_close_matches(
      path, known, 3, 0.3
    )
    reason = "no such field"
  nearest = ", ".join(f"--{name}" for name in near[:4])
  shown = flag if len(flag) <= fields.LONGEST else flag[: fields.LONGEST] + "…"
  return f"{shown}: {reason}" + (f"; nearest: {nearest}" if nearest else "")
