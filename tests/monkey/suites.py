"""Cases of tables whose definition is wrong in a field."""

import dataclasses
import functools
import pathlib
import random
from collections.abc import Iterator

from seq2seq_jax.ablation import orderings, suite
from tests.monkey import base
from tests.monkey.case import EITHER, Case

VALUES = (
  "None",
  "3",
  "-1",
  "1.5",
  "float('nan')",
  "float('inf')",
  "'x'",
  "'..'",
  "'a/b'",
  "''",
  "'\\n'",
  "'\\0'",
  "'\\ud800'",
  "'é' * 400",
  "()",
  "(3,)",
  "(None,)",
  "('x', 'x')",
  "{'a': 1}",
  "{3: 4}",
  "{'small': 3}",
  "{'small': None}",
  "{'small': ('--help',)}",
  "{'small': ('--train.steps',)}",
  "object()",
  "b'x'",
  "True",
  "10**400",
  "range(10**9)",
)
TABLE = (
  base.TABLE
  + """

_made = get_ablation

def get_ablation():
  import dataclasses
  table = _made()
  row, claim = table.rows[0], table.orderings[0]
  term = claim.terms[0]
  return {change}
"""
)
CHANGES = {
  suite.Ablation: "dataclasses.replace(table, {field}={value})",
  suite.Row: (
    "dataclasses.replace(table, rows=(dataclasses.replace(row, "
    "{field}={value}), *table.rows[1:]))"
  ),
  orderings.Ordering: (
    "dataclasses.replace(table, orderings=(dataclasses.replace(claim, "
    "{field}={value}),))"
  ),
  orderings.Term: (
    "dataclasses.replace(table, orderings=(dataclasses.replace(claim, terms="
    "(term._replace({field}={value}), *claim.terms[1:])),))"
  ),
  orderings.Subset: (
    "dataclasses.replace(table, orderings=(dataclasses.replace(claim, terms="
    "(term._replace(subset=orderings.Subset({field}={value})), "
    "*claim.terms[1:])),))"
  ),
}


def _fields(kind) -> list[str]:
  if dataclasses.is_dataclass(kind):
    return [field.name for field in dataclasses.fields(kind)]
  return list(kind._fields)


def _write(folder: pathlib.Path, *, text: str) -> None:
  (folder / "spoilt.py").write_text(text)


def fields(rng: random.Random) -> Iterator[Case]:
  """Every field of a table's parts, with values that it hardly takes."""
  for kind, change in CHANGES.items():
    for field in _fields(kind):
      for value in rng.sample(VALUES, 3):
        change_made = change.format(field=field, value=value)
        text = TABLE.replace("{change}", change_made)
        yield Case(
          name=f"{kind.__name__}.{field} = {value}",
          kind="suites",
          module="ablate",
          words=("spoilt.py", "--workdir", "new", "--table-only"),
          spoil=functools.partial(_write, text=text),
          expect=EITHER,
          codes=(0, 1, 2),
          mentions=("spoilt.py", "Small", field, "config ", "row '"),
          may_change=("new", "new/*"),
        )


def all_cases(rng: random.Random) -> Iterator[Case]:
  """All of this module."""
  yield from fields(rng)
