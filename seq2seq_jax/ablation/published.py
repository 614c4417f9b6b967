"""Published results, kept as data with their sources.

`published/FILE.yaml` holds the tables of one paper. Every entry has a value, a
tag and a source. The tags: P was read in the primary source, S in a
transcription of it, D digitised from the authors' vector figure, M recalled and
unconfirmed: such a number is printed, and judges nothing.
"""

import difflib
import functools
import importlib.resources
from typing import Any

import yaml

TAGS = {
  "P": "read in the primary source",
  "S": "read in a transcription of the primary source",
  "D": "digitised from the authors' vector figure",
  "M": "recalled, unconfirmed: in italics, bounds nothing",
}
UNCONFIRMED = "M"
INHERITED = ("paper", "metric", "data", "source")


def files() -> list[str]:
  """Names of the files, without their ending."""
  names = (p.name for p in _folder().iterdir())
  return sorted(n.removesuffix(".yaml") for n in names if n.endswith(".yaml"))


def read(file: str) -> dict[str, Any]:
  """A whole file: `paper`, `metric`, `data`, `tables`, `curves`, `note`."""
  if file not in files():
    raise ValueError(_unknown("file", file, files(), "published"))
  return _parsed(file)


def load(reference: str) -> dict[str, Any]:
  """The entry of `FILE/TABLE/ROW`.

  Returns:
    Its `value`, `sd` (None where unknown), `tag`, `source`, `unconfirmed`,
    `paper`, `metric` and `data`, and what else the entry says: `approximate`,
    or of which side it is a `bound` (upper, lower).
  """
  file, table, row = _parts(reference, "FILE/TABLE/ROW")
  tables = read(file)["tables"]
  if table not in tables:
    raise ValueError(_unknown("table", table, tables, f"{file}.yaml"))
  rows = tables[table]
  if row not in rows:
    where = f"{file}.yaml, table {table!r}"
    raise ValueError(_unknown("row", row, rows, where))
  return _entry(file, {"sd": None} | rows[row])


def hedge(entry: dict[str, Any]) -> str:
  """What stands before a value that is not exact: about, below, above."""
  if "bound" in entry:
    return {"upper": "below ", "lower": "above "}[entry["bound"]]
  return "about " if entry.get("approximate") else ""


def curve(reference: str) -> dict[str, Any]:
  """The curve of `FILE/curves/NAME`: `x`, `y`, and what `load` says."""
  file, table, name = _parts(reference, "FILE/curves/NAME")
  if table != "curves":
    raise ValueError(f"{reference}: a curve is FILE/curves/NAME")
  curves = read(file).get("curves", {})
  if name not in curves:
    raise ValueError(_unknown("curve", name, curves, f"{file}.yaml"))
  return _entry(file, curves[name]) | {"name": f"{name} ({file})"}


def references() -> list[str]:
  """Every `FILE/TABLE/ROW` there is."""
  return [
    f"{file}/{table}/{row}"
    for file in files()
    for table, rows in read(file)["tables"].items()
    for row in rows
  ]


def _folder():
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


def _entry(file: str, entry: dict[str, Any]) -> dict[str, Any]:
  whole = read(file)
  above = {k: whole[k] for k in INHERITED if k in whole}
  out = above | entry
  return out | {"unconfirmed": out["tag"] == UNCONFIRMED}


def _unknown(what: str, name: str, there, where: str) -> str:
  there = list(there)
  near = difflib.get_close_matches(name, there, 3, 0.3) or there[:5]
  return (
    f"{where}: no {what} is called {name!r}; nearest: "
    f"{', '.join(near) or 'none'}"
  )
