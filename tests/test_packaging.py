"""What is installed: data files, declared dependencies, pinned versions."""

import ast
import fnmatch
import pathlib
import re
import sys
import tomllib

import pytest

pytestmark = pytest.mark.quick

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "seq2seq_jax"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# Name of a distribution, where it is not that of the module.
DISTRIBUTIONS = {
  "yaml": "pyyaml",
  "orbax": "orbax-checkpoint",
  "rouge_score": "rouge-score",
  "tensorflow_datasets": "tensorflow-datasets",
  "absl": "absl-py",
  "jaxlib": "jax",
}


def names(requirements):
  return {re.split(r"[\s\[<>=;!~]", r)[0].lower() for r in requirements}


def declared():
  extras = PROJECT["project"]["optional-dependencies"].values()
  return names(PROJECT["project"]["dependencies"]).union(*map(names, extras))


def test_every_data_file_of_the_package_is_installed():
  patterns = PROJECT["tool"]["setuptools"]["package-data"]["seq2seq_jax"]
  missing = []
  for path in PACKAGE.rglob("*"):
    name = str(path.relative_to(PACKAGE))
    if path.is_dir() or path.suffix in (".py", ".pyc", ".md"):
      continue
    if not any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
      missing.append(name)
  assert missing == []


def test_every_imported_library_is_declared():
  known, undeclared = declared(), set()
  for path in PACKAGE.rglob("*.py"):
    for node in ast.walk(ast.parse(path.read_text())):
      modules = []
      if isinstance(node, ast.Import):
        modules = [alias.name for alias in node.names]
      elif isinstance(node, ast.ImportFrom):
        modules = [node.module or ""]
      for module in {m.partition(".")[0] for m in modules}:
        if module in sys.stdlib_module_names or module == "seq2seq_jax":
          continue
        name = DISTRIBUTIONS.get(module, module)
        if name.lower() not in known:
          undeclared.add(module)
  assert undeclared == set()


def test_every_tested_dependency_has_a_pinned_version():
  lines = (ROOT / "constraints.txt").read_text().splitlines()
  pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
  extras = PROJECT["project"]["optional-dependencies"]
  tested = names(PROJECT["project"]["dependencies"] + extras["test"])
  tested |= names(extras["peers"])
  assert {n.replace("_", "-") for n in tested} <= pinned
