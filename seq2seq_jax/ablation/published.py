"""Published results, kept as data with their sources.

`published/FILE.yaml` holds the tables of one paper. Each entry has a value, a
tag and a source; the tag says how the number is known (`TAGS`). Recalled
numbers are printed in italics, and no claim is judged by them.
"""

import dataclasses
import difflib
import functools
import importlib.resources
from collections.abc import Iterable
from importlib.resources.abc import Traversable
from typing import Any

import yaml

TAGS = {
  "P": "read in the primary source",
  "S": "read in a transcription of the primary source",
  "D": "digitised from the authors' vector figure",
  "M": "recalled, unconfirmed: in italics, bounds nothing",
}
UNCONFIRMED = "M"
INHERITED = ("paper", "metric", "data", "source")  # from the file, if missing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Number:
  """A published number, and where it is from."""

  value: float
  tag: str
  """How it is known: a key of `TAGS`."""
  source: str
  paper: str = ""
  metric: str = ""
  data: str = ""
  sd: float | None = None
  approximate: bool = False
  bound: str = ""
  """`upper` or `lower` if only a bound was published."""
  more: dict[str, Any] = dataclasses.field(default_factory=dict)
  """What else the entry says, such as parameters and other metrics."""

  @property
  def unconfirmed(self) -> bool:
    """True if the number is recalled only."""
    return self.tag == UNCONFIRMED

  @property
  def hedge(self) -> str:
    """What stands before a value that is not exact: about, below, above."""
    if self.bound:
      return {"upper": "below ", "lower": "above "}[self.bound]
    return "about " if self.approximate else ""

  @property
  def origin(self) -> str:
    """Source and data, as a reader of the table sees them."""
    return ", ".join(filter(None, (self.source, self.data)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
  """Published scores `y` by source length `x`."""

  name: str
  x: tuple[float, ...]
  y: tuple[float, ...]
  tag: str
  source: str
  paper: str = ""
  metric: str = ""
  data: str = ""
  whole: float | None = None
  """Score of the whole test set."""

  @property
  def unconfirmed(self) -> bool:
    """True if the curve is recalled only."""
    return self.tag == UNCONFIRMED


def files() -> list[str]:
  """Names of the files, without `.yaml`."""
  names = (path.name for path in _folder().iterdir())
  return sorted(n.removesuffix(".yaml") for n in names if n.endswith(".yaml"))


def read(file: str) -> dict[str, Any]:
  """A whole file: `paper`, `metric`, `data`, `tables`, `curves`, `note`.

  Raises:
    ValueError: there is no such file; the message names the nearest ones.
  """
  if file not in files():
    raise ValueError(_unknown("file", file, files(), "published"))
  return _parsed(file)


def load(reference: str) -> Number:
  """The number called `FILE/TABLE/ROW`.

  Raises:
    ValueError: there is none; the message names the nearest ones.
  """
  file, table, row = _parts(reference, "FILE/TABLE/ROW")
  tables = read(file)["tables"]
  if table not in tables:
    raise ValueError(_unknown("table", table, tables, f"{file}.yaml"))
  rows = tables[table]
  if row not in rows:
    where = f"{file}.yaml, table {table!r}"
    raise ValueError(_unknown("row", row, rows, where))
  entry = _with_inherited(file, rows[row])
  known = {field.name for field in dataclasses.fields(Number)} - {"more"}
  more = {name: value for name, value in entry.items() if name not in known}
  return Number(**{k: v for k, v in entry.items() if k in known}, more=more)


def curve(reference: str) -> Curve:
  """The curve called `FILE/curves/NAME`.

  Raises:
    ValueError: there is none; the message names the nearest ones.
  """
  file, table, name = _parts(reference, "FILE/curves/NAME")
  if table != "curves":
    raise ValueError(f"{reference}: a curve is FILE/curves/NAME")
  curves = read(file).get("curves", {})
  if name not in curves:
    raise ValueError(_unknown("curve", name, curves, f"{file}.yaml"))
  entry = _with_inherited(file, curves[name])
  x, y = tuple(entry.pop("x")), tuple(entry.pop("y"))
  return Curve(name=f"{name} ({file})", x=x, y=y, **entry)


def references() -> list[str]:
  """Names of all numbers, as `FILE/TABLE/ROW`."""
  return [
    f"{file}/{table}/{row}"
    for file in files()
    for table, rows in read(file)["tables"].items()
    for row in rows
  ]


def _folder() -> Traversable:
  return importlib.resources.files(__package__).joinpath("published")


@functools.cache
def _parsed(file: str) -> dict[str, Any]:
  text = _folder().joinpath(f"{file}.yaml").read_text(encoding="utf-8")
  return {"tables": {}} | yaml.safe_load(text)


def _parts(reference: str, form: str) -> list[str]:
  parts = reference.split("/", 2)
  if len(parts) != 3 or not all(parts):
    raise ValueError(f"{reference!r}: a published number is named {form}")
  return parts


def _with_inherited(file: str, entry: dict[str, Any]) -> dict[str, Any]:
  """The entry, with what it lacks from the file's head."""
  whole = read(file)
  return {name: whole[name] for name in INHERITED if name in whole} | entry


def _unknown(kind: str, name: str, known: Iterable[str], where: str) -> str:
  names = list(known)
  near = difflib.get_close_matches(name, names, 3, 0.3) or names[:5]
  return (
    f"{where}: no {kind} is called {name!r}; nearest: "
    f"{', '.join(near) or 'none'}"
  )
