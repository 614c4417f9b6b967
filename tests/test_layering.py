"""Imports follow the arrows of docs/architecture.md, the top level too."""

import ast
import pathlib
from collections.abc import Iterator

import pytest

import seq2seq_jax

pytestmark = pytest.mark.quick

PACKAGE = pathlib.Path(seq2seq_jax.__file__).parent

# A part is a folder or a file of the package. Each may import itself, what is
# named here, and nothing else of ours.
LEAVES = {"types", "contracts", "records", "exits", "archives"}
LIBRARIES = LEAVES | {"metrics", "data", "models", "decoding", "config"}
SERVICES = LIBRARIES | {"runtime", "checkpoints"}
ARROWS = {
  "types": set(),
  "contracts": {"types"},
  "records": {"types"},
  "exits": {"types"},
  "archives": {"types"},
  "metrics": LEAVES,
  "data": LEAVES,
  "models": LEAVES,
  "decoding": LEAVES,
  "config": {"types", "records", "metrics"},
  "analysis": LEAVES | {"runtime"},
  "runtime": LEAVES,
  "checkpoints": SERVICES,
  "inference": SERVICES,
  "training": SERVICES | {"inference"},
  "ablation": SERVICES | {"inference", "training", "analysis"},
  "interchange": SERVICES | {"inference", "training"},
  "cli": {"types", "exits", "config", "runtime"},
  "__main__": {"cli"},
}
ENGINE = SERVICES | {"inference", "training", "ablation", "analysis"}
ENGINE |= {"interchange"}
COMMANDS = ("train", "evaluate", "decode", "rescore", "ablate")
COMMANDS += ("convert", "export")
ARROWS |= {name: ENGINE | {"cli"} for name in COMMANDS}
ARROWS["__init__"] = ENGINE  # the public names

# Files of a lower layer that build something from a config.
READ_CONFIG = {
  "data/corpus.py",
  "data/frames_side.py",
  "data/sides.py",
  "data/audio_side.py",
  "data/batches.py",
  "data/vocabulary.py",
  "models/build.py",
}
# Files whose part would allow a config, but that take plain values.
TAKE_PLAIN_VALUES = {
  "ablation/statistics.py",
  "ablation/verdicts.py",
  "ablation/published.py",
  "ablation/report/",
}
NO_JAX = (
  "types",
  "exits",
  "archives",
  "metrics",
  "config",
  "data",
  "cli",
  "__main__",
)


def imports(path: pathlib.Path) -> Iterator[tuple[str, str | None]]:
  """(module, name) of every import, in functions too; plain ones: no name."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      yield from ((alias.name, None) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert not node.level, f"{path}: imports are absolute"
      yield from ((node.module or "", alias.name) for alias in node.names)


def parts_imported(path: pathlib.Path) -> set[str]:
  """Parts of the package that a file imports."""
  parts = set()
  for module, name in imports(path):
    words = [*module.split("."), name]
    if words[0] == "seq2seq_jax" and words[1:] != [None]:
      parts.add(words[1])
  return parts - {"__version__"}


def part_of(path: pathlib.Path, package: pathlib.Path) -> str:
  """The folder of a file, or the file itself at the top."""
  return path.relative_to(package).parts[0].removesuffix(".py")


def violations(package: pathlib.Path) -> list[str]:
  """One line for each import against the arrows."""
  lines = []
  for path in sorted(package.rglob("*.py")):
    name, part = str(path.relative_to(package)), part_of(path, package)
    if part not in ARROWS:
      lines.append(f"{name}: {part} has no arrows; list it in this test")
      continue
    allowed = ARROWS[part] | {part}
    if name in READ_CONFIG:
      allowed = allowed | {"config"}
    if name.startswith(tuple(TAKE_PLAIN_VALUES)):
      allowed = allowed - {"config"}
    lines += [
      f"{name} imports {other}"
      for other in sorted(parts_imported(path) - allowed)
    ]
  return lines


def test_imports_follow_the_arrows():
  assert violations(PACKAGE) == []


@pytest.mark.parametrize(
  ("file", "line", "message"),
  [
    ("cli.py", "from seq2seq_jax import train", "cli.py imports train"),
    (
      "metrics/texts.py",
      "from seq2seq_jax.training import run",
      "metrics/texts.py imports training",
    ),
    (
      "train.py",
      "import seq2seq_jax.evaluate",
      "train.py imports evaluate",
    ),
    (
      "models/attention.py",
      "from seq2seq_jax.config import model",
      "models/attention.py imports config",
    ),
    (
      "models/cells.py",
      "def f():\n  from seq2seq_jax import inference",
      "models/cells.py imports inference",
    ),
    (
      "ablation/statistics.py",
      "from seq2seq_jax import config",
      "ablation/statistics.py imports config",
    ),
    ("new/thing.py", "", "new/thing.py: new has no arrows; list it in this"),
    ("utils.py", "", "utils.py: utils has no arrows; list it in this test"),
  ],
)
def test_a_wrong_import_is_seen(file, line, message, tmp_path):
  path = tmp_path / file
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(line)
  (only,) = violations(tmp_path)
  assert only.startswith(message)


def test_arrows_name_what_is_there():
  parts = {part_of(path, PACKAGE) for path in PACKAGE.rglob("*.py")}
  assert parts == set(ARROWS)
  files = {str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py")}
  assert files >= READ_CONFIG
  for name in TAKE_PLAIN_VALUES:
    assert any(file.startswith(name) for file in files), name


def test_arrows_have_no_circle():
  done: set[str] = set()
  while len(done) < len(ARROWS):
    free = {p for p in set(ARROWS) - done if ARROWS[p] - {p} <= done}
    assert free, sorted(set(ARROWS) - done)
    done |= free


def test_no_jax_where_worker_processes_and_help_import():
  for path in sorted(PACKAGE.rglob("*.py")):
    if part_of(path, PACKAGE) in NO_JAX:
      modules = {module.split(".")[0] for module, _ in imports(path)}
      assert not modules & {"jax", "flax", "optax", "tensorflow"}, path
