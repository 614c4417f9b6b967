"""Published results, kept as data with their sources.

`published/FILE.yaml` holds the tables of one paper. Each entry has a value, a
tag and a source; the tag says how the number is known (`TAGS`). Recalled
numbers are printed in italics, and no claim is judged by them.
"""

import dataclasses
import difflib
import fnmatch
import functools
import importlib.resources
from collections.abc import Iterable, Mapping
from importlib.resources.abc import Traversable
from typing import Any

import yaml

from seq2seq_jax import records, types

TAGS = {
  "P": "read in the primary source",
  "S": "read in a transcription of the primary source",
  "I": "read in an issue or pull-request thread",
  "D": "digitised from the authors' vector figure",
  "M": "recalled, unconfirmed: in italics, bounds nothing",
}
UNCONFIRMED = "M"
# From the file, if missing.
INHERITED = ("paper", "metric", "data", "source", "same_data", "variant")
# Where a file does not say which variant of a metric it has.
VARIANTS = {
  "rouge": (
    "of a variant of ROUGE that is not stated; ours is rouge-score's F1 "
    "without stemming, ROUGE-L over each text as one sentence"
  )
}


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
  same_data: str = ""
  """Pattern of the test sets, as `test_set` names them, that it is of; empty:
  of none that a config of ours has."""
  variant: str = ""
  """What is otherwise in the metric than in ours of that name."""
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

  def differs(self, test_set: str, metric: str) -> tuple[str, ...]:
    """What it has otherwise than a score of ours, in words.

    Args:
      test_set: that of the score, by `test_set`.
      metric: name of the score's metric.
    """
    return _differences(self, test_set, metric)


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
  same_data: str = ""
  variant: str = ""
  whole: float | None = None
  """Score of the whole test set."""

  def differs(self, test_set: str, metric: str) -> tuple[str, ...]:
    """What it has otherwise than a curve of ours, in words."""
    return _differences(self, test_set, metric)

  @property
  def unconfirmed(self) -> bool:
    """True if the curve is recalled only."""
    return self.tag == UNCONFIRMED


def test_set(data: Mapping[str, Any]) -> str:
  """A name of a config's test set, for `same_data`.

  `scan simple`, `tfds wmt14_translate/fr-en en-fr test`,
  `tsv g2p_sigmorphon2020/test.tsv.gz`.

  Args:
    data: the section of a config, as a nested dict.
  """
  task, name = data.get("task", ""), data.get("name", "")
  fields = [data.get("source_field"), data.get("target_field")]
  tests = data.get("test") or ()
  if task == "tfds":
    return " ".join((task, name, "-".join(map(str, fields)), *tests))
  return " ".join((task, *tests)) if tests else f"{task} {name}"


def _differences(
  number: "Number | Curve", test_set: str, metric: str
) -> tuple[str, ...]:
  found = []
  if not fnmatch.fnmatchcase(test_set, number.same_data):
    found.append(f"of other data: {number.data or 'not known which'}")
  # Such as `exact_match in per cent`.
  if number.metric and number.metric.split()[0].lower() != metric.lower():
    found.append(f"of another metric: {number.metric}")
  if number.variant:
    found.append(f"of another variant of the metric: {number.variant}")
  return tuple(found)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _File:
  """A whole file."""

  paper: str
  metric: str
  data: str
  source: str = ""
  same_data: str = ""
  variant: str = ""
  note: str = ""
  tables: dict[str, dict[str, dict[str, Any]]] = dataclasses.field(
    default_factory=dict
  )
  curves: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)


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
  place = f"{file}.yaml, table {table!r}, row {row!r}"
  fields = {k: v for k, v in entry.items() if k in known} | {"more": more}
  number: Number = records.decode(Number, fields, place)
  if number.tag not in TAGS:
    raise types.UserError(f"{place}: tag must be one of {', '.join(TAGS)}")
  return number


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
  fields = entry | {"name": f"{name} ({file})"}
  place = f"{file}.yaml, curve {name!r}"
  found: Curve = records.decode(Curve, fields, place)
  if len(found.x) != len(found.y):
    raise types.UserError(f"{place}: x and y must have as many values")
  return found


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
  place = f"{file}.yaml"
  try:
    text = _folder().joinpath(place).read_text(encoding="utf-8")
    content = yaml.safe_load(text)
  except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
    reason = " ".join(str(e).split())
    raise types.UserError(f"{place}: cannot be read: {reason}") from e
  head: _File = records.decode(_File, content, place)
  return {k: v for k, v in vars(head).items() if v} | {"tables": head.tables}


def _parts(reference: str, form: str) -> list[str]:
  parts = reference.split("/", 2)
  if len(parts) != 3 or not all(parts):
    raise ValueError(f"{reference!r}: a published number is named {form}")
  return parts


def _with_inherited(file: str, entry: dict[str, Any]) -> dict[str, Any]:
  """The entry, with what it lacks from the file's head."""
  whole = read(file)
  inherited = {name: whole[name] for name in INHERITED if name in whole}
  if "data" in entry:
    inherited.pop("same_data", None)  # it was of the file's data
  entry = inherited | entry
  for start, variant in VARIANTS.items():
    if str(entry.get("metric")).startswith(start):
      entry = {"variant": variant} | entry
  return entry


def _unknown(kind: str, name: str, known: Iterable[str], where: str) -> str:
  names = list(known)
  near = difflib.get_close_matches(name, names, 3, 0.3) or names[:5]
  return (
    f"{where}: no {kind} is called {name!r}; nearest: "
    f"{', '.join(near) or 'none'}"
  )
