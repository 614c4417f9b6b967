"""Imports follow the arrows of the design."""

import ast
import inspect
import pathlib

import pytest

import seq2seq_jax

PACKAGE = pathlib.Path(seq2seq_jax.__file__).parent
# folder -> what its modules may import of ours
ALLOWED = {
  "models": {"types", "models"},
  "decoding": {"types", "contracts", "decoding"},
  "data": {"types", "contracts", "data"},
  "analysis": {"types", "models", "analysis"},
  "config": {"types", "config", "metrics"},
}
# the modules that read a config
CONFIG = {
  "models/build.py",
  "data/corpus.py",
  "data/vocabulary.py",
  "data/batches.py",
}
NO_JAX = ("data", "config", "types.py", "metrics")


def _imports(path: pathlib.Path):
  """(module, name) of every import; name is None for plain ones."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      yield from ((alias.name, None) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      yield from ((node.module, alias.name) for alias in node.names)


@pytest.mark.quick
def test_arrows():
  for folder, allowed in ALLOWED.items():
    for path in sorted((PACKAGE / folder).glob("*.py")):
      name = f"{folder}/{path.name}"
      for module, imported in _imports(path):
        if not module.startswith("seq2seq_jax"):
          continue
        part = [*module.split("."), imported][1]
        extra = {"config"} if name in CONFIG else set()
        assert part in allowed | extra, f"{name} imports {part}"


@pytest.mark.quick
def test_no_jax_where_worker_processes_import():
  for name in NO_JAX:
    path = PACKAGE / name
    for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
      modules = {module.split(".")[0] for module, _ in _imports(file)}
      assert not modules & {"jax", "flax", "optax", "tensorflow"}, file


@pytest.mark.quick
def test_every_config_field_is_read():
  from seq2seq_jax import config

  text = "".join(
    p.read_text()
    for p in PACKAGE.rglob("*.py")
    if p.parent != PACKAGE / "config"
  )
  # What others ask a section, its checks aside.
  asked = [
    name
    for name, value in vars(config.Model).items()
    if callable(value) and name[0] != "_" and f".{name}(" in text
  ]
  text += "".join(
    inspect.getsource(getattr(config.Model, name)) for name in asked
  )
  unread = [
    name
    for name, _, _ in config.leaves(config.Config())
    if f".{name.split('.')[-1]}" not in text
    and f'"{name.split(".")[-1]}"' not in text
  ]
  # Read by `getattr(data, split)`.
  assert set(unread) <= {"data.train"}, unread
