"""Cases of settings that cannot be: in flags, config files and config.json."""

import functools
import json
import pathlib
import random
from collections.abc import Iterator

from seq2seq_jax import config
from tests.monkey import spoil
from tests.monkey.case import EITHER, REFUSED, Case

NEW = ("new", "new/*")

# Words that are no number of a config, for any field.
NO_NUMBERS = (
  "nan",
  "inf",
  "-inf",
  "1e999",
  "",
  " ",
  "x",
  "٣",
  "１０",
  "²",
  "0x10",
  "1e",
  "--",
  "1,5",
  "None",
  "True",
  "[1]",
  "1 2",
  "\udcff",
  "9" * 5000,
)
# Numbers that some fields take.
ABSURD = ("-1", "0", "-0.0", "1e308", "1e-320", "2147483648", "1" + 30 * "0")


def numeric() -> list[str]:
  """Names of all numeric fields of the schema."""
  found = config.leaves(config.Config())
  return [n for n, v, _ in found if type(v) in (int, float)]


def _mention(name: str, word: str = "") -> tuple[str, ...]:
  """A field's name; of a word that is no text not even that is looked at."""
  return (name.rsplit(".", 1)[-1], *(["not UTF-8"] * ("\udcff" in word)))


def numbers(rng: random.Random) -> Iterator[Case]:
  """Numeric fields, each with a word that is none and an absurd number."""
  for name in numeric():
    for expect, word in (
      (REFUSED, rng.choice(NO_NUMBERS)),
      (EITHER, rng.choice(ABSURD)),
    ):
      searching = name.startswith("decode.") and "valid" not in name
      shown = word[:20].encode("unicode_escape").decode()
      flag = (
        (f"--{name}={word}",) if rng.random() < 0.5 else (f"--{name}", word)
      )
      yield Case(
        name=f"{name} {shown}",
        kind="numbers",
        module="decode" if searching else "train",
        words=(
          ("--workdir", "run", "--input", "data/test.de", *flag)
          if searching
          else ("copying.py", "--workdir", "new", *flag)
        ),
        needs=("data", "run") if searching else (),
        expect=expect,
        mentions=_mention(name, word) if expect == REFUSED else (),
        may_change=NEW,
        until="new/metrics.jsonl",
      )


VALUES = (
  "None",
  "'3'",
  "True",
  "float('nan')",
  "10**400",
  "(1,)",
  "object()",
  "[]",
  "b'x'",
  "lambda: 3",
  "3+4j",
  "numpy.float32('inf')",
  "numpy.zeros(3)",
)
CHANGED = """
import numpy
from seq2seq_jax import config

def get_config():
  return config.replace(config.Config(), {{{name!r}: {value}}})
"""


def values(rng: random.Random) -> Iterator[Case]:
  """Python values of another type, in a config file."""
  fields = [(name, v) for name, v, _ in config.leaves(config.Config())]
  for name, old in rng.sample(fields, 45):
    value = rng.choice(VALUES)
    if isinstance(old, bool) and value == "True":
      value = "2"
    if old == () and value == "(1,)":
      value = "(1, 2, 3)"
    text = CHANGED.format(name=name, value=value)
    yield Case(
      name=f"{name} = {value}",
      kind="values",
      module="train",
      words=("spoilt.py", "--workdir", "new"),
      spoil=functools.partial(_write, file="spoilt.py", text=text),
      mentions=_mention(name),
    )


def _write(folder: pathlib.Path, *, file: str, text: str) -> None:
  (folder / file).write_text(text, errors="surrogateescape")


FILES = {
  "syntax error": "def get_config(:\n",
  "no function": "x = 3\n",
  "not a function": "get_config = 3\n",
  "an argument": "def get_config(x):\n  return x\n",
  "another type": "def get_config():\n  return {'train': 3}\n",
  "a class": (
    "from seq2seq_jax import config\nget_config = lambda: config.Config\n"
  ),
  "nothing": "def get_config():\n  pass\n",
  "exit": "import sys\nsys.exit(0)\n",
  "exit inside": "import sys\ndef get_config():\n  sys.exit(0)\n",
  "recursion": "def get_config():\n  return get_config()\n",
  "group": "raise ExceptionGroup('a', [ValueError('b')])\n",
  "message of lines": "raise ValueError('a\\nb\\n\\nc')\n",
  "no message": "raise ValueError\n",
  "missing module": "import not_there_at_all\n",
  "old module": "import seq2seq_jax.not_there\n",
  "assertion": "assert False\n",
  "generator": "def get_config():\n  yield 3\n",
  "coroutine": "async def get_config():\n  return 3\n",
  "empty": "",
  "latin-1": "# caf\udce9\n",
  "NUL": "x = 1\0\n",
  "tabs": "def get_config():\n\tx = 1\n        return x\n",
  "broken repr": (
    "class A:\n  def __repr__(self):\n    raise ValueError('x')\n"
    "def get_config():\n  return A()\n"
  ),
  "broken message": (
    "class E(Exception):\n  def __str__(self):\n    raise ValueError('x')\n"
    "raise E\n"
  ),
}


def files(rng: random.Random) -> Iterator[Case]:
  """Config files that fail in all ways, of `train` and of a table."""
  for how, text in FILES.items():
    module, function = rng.choice(
      (("train", "get_config"), ("ablate", "get_ablation"))
    )
    text = text.replace("get_config", function)
    yield Case(
      name=f"{module} file with {how}",
      kind="files",
      module=module,
      words=("spoilt.py", "--workdir", "new"),
      spoil=functools.partial(_write, file="spoilt.py", text=text),
      mentions=("spoilt.py",),
    )
  for how in spoil.PLACES:
    for module, file in (("train", "copying.py"), ("ablate", "table.py")):
      yield Case(
        name=f"{module} file is {how}",
        kind="files",
        module=module,
        words=(file, "--workdir", "new"),
        spoil=functools.partial(_place, file=file, how=how),
        mentions=(file,),
      )


def _place(folder: pathlib.Path, *, file: str, how: str) -> None:
  spoil.PLACES[how](folder / file)


JSON_VALUES = (
  float("nan"),
  float("inf"),
  -float("inf"),
  None,
  "3",
  True,
  [3],
  {},
  10**400,
  -(10**20),
  1e308,
)


def _in_json(folder: pathlib.Path, *, name: str, value) -> None:
  path = folder / "run" / "config.json"
  tree = json.loads(path.read_text())
  section = tree
  *parents, last = name.split(".")
  for parent in parents:
    section = section[parent]
  section[last] = value
  path.write_text(json.dumps(tree))


def stored(rng: random.Random) -> Iterator[Case]:
  """Fields of a run's config.json with values that no field has."""
  fields = [(name, v) for name, v, _ in config.leaves(config.Config())]
  for name, old in rng.sample(fields, 40):
    value = rng.choice(JSON_VALUES)
    number = type(old) in (int, float) and type(value) in (int, float)
    odd = number and value == value and abs(value) < 1e309
    if isinstance(old, bool) and value is True:
      value = 1
    same = isinstance(old, tuple) and isinstance(value, list)
    yield Case(
      name=f"config.json {name} {str(value)[:12]}",
      kind="stored",
      module=rng.choice(("decode", "evaluate")),
      words=("--workdir", "run"),
      needs=("data", "run"),
      spoil=functools.partial(_in_json, name=name, value=value),
      expect=EITHER if odd or same or isinstance(old, str) else REFUSED,
      mentions=("config.json",),
    )


def all_cases(rng: random.Random) -> Iterator[Case]:
  """All of this module."""
  for make in (numbers, values, files, stored):
    yield from make(rng)
