"""Every field of the schema is read by something, of its own section.

Expressions get the section that they hold from annotations (`optim:
config.Optim`), from assignments (`t = conf.train`) and, if neither says it,
from names that the package keeps for a section (`conf`, `self.decode`). Reading
`x.steps` then counts for `train.steps` if x is the section `train`, and for no
other field of that name.
"""

import ast
import dataclasses
import functools
import pathlib
import typing
from collections.abc import Iterator

import pytest

import seq2seq_jax
from seq2seq_jax import config

pytestmark = pytest.mark.quick

PACKAGE = pathlib.Path(seq2seq_jax.__file__).parent
# Names that hold a section wherever they stand.
NAMES = {
  "conf": config.Config,
  "config": config.Config,
  "data": config.Data,
  "optim": config.Optim,
  "train": config.Train,
  "decode": config.Decode,
}


@functools.cache
def sections() -> set[type]:
  """All classes of the schema."""
  found, left = set(), [config.Config]
  while left:
    cls = left.pop()
    found.add(cls)
    left += [t for t in fields_of(cls).values() if dataclasses.is_dataclass(t)]
  return found


@functools.cache
def fields_of(cls: type) -> dict[str, typing.Any]:
  return typing.get_type_hints(cls)


class Reads(ast.NodeVisitor):
  """Collects (section, field) of everything that a file reads."""

  def __init__(self) -> None:
    self.scopes: list[dict[str, type]] = [{}]
    self.reads: set[tuple[type, str]] = set()
    # `getattr(data, split)` reads fields whose names the file has as texts.
    self.by_text: set[type] = set()
    self.texts: set[str] = set()

  def annotated(self, node: ast.expr | None) -> type | None:
    """The section that an annotation names: `config.Optim`, also `| None`."""
    if isinstance(node, ast.BinOp):
      return self.annotated(node.left)
    text = ast.unparse(node).strip("'\"") if node else ""
    name = text.rpartition(".")[2]
    return {cls.__name__: cls for cls in sections()}.get(name)

  def held(self, node: ast.expr) -> type | None:
    """The section that an expression holds, or None."""
    if isinstance(node, ast.Name):
      for scope in reversed(self.scopes):
        if node.id in scope:
          return scope[node.id]
      return NAMES.get(node.id)
    if isinstance(node, ast.Attribute):
      outer = self.held(node.value)
      if outer in sections():
        return fields_of(outer).get(node.attr)
      return NAMES.get(node.attr)
    return None

  def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
    self.scopes.append({})
    args = node.args
    for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs):
      if section := self.annotated(arg.annotation):
        self.scopes[-1][arg.arg] = section
    self.generic_visit(node)
    self.scopes.pop()

  def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
    section = self.annotated(node.annotation)
    if section and isinstance(node.target, ast.Name):
      self.scopes[-1][node.target.id] = section
    self.generic_visit(node)

  def visit_Assign(self, node: ast.Assign) -> None:
    self.generic_visit(node)
    for target in node.targets:
      pairs = [(target, node.value)]
      if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
        pairs = list(zip(target.elts, node.value.elts))
      for name, value in pairs:
        section = self.held(value)
        if isinstance(name, ast.Name) and section in sections():
          self.scopes[-1][name.id] = section

  def visit_Call(self, node: ast.Call) -> None:
    name = ast.unparse(node.func)
    if name in ("dataclasses.asdict", "getattr"):
      section = self.held(node.args[0])
      if section in sections() and name == "getattr":
        self.by_text.add(section)
      elif section in sections():
        self.reads |= {(section, field) for field in fields_of(section)}
    self.generic_visit(node)

  def visit_Constant(self, node: ast.Constant) -> None:
    if isinstance(node.value, str):
      self.texts.add(node.value)

  def visit_Attribute(self, node: ast.Attribute) -> None:
    section = self.held(node.value)
    if section in sections() and node.attr in fields_of(section):
      self.reads.add((section, node.attr))
    self.generic_visit(node)


@functools.cache
def reads(text: str) -> set[tuple[type, str]]:
  visitor = Reads()
  visitor.visit(ast.parse(text))
  return visitor.reads | {
    (section, name)
    for section in visitor.by_text
    for name in visitor.texts & set(fields_of(section))
  }


def methods() -> Iterator[str]:
  """Source of what a section is asked for, its checks aside."""
  for path in sorted((PACKAGE / "config").glob("*.py")):
    for cls in ast.walk(ast.parse(path.read_text())):
      if isinstance(cls, ast.ClassDef):
        for node in cls.body:
          public = isinstance(node, ast.FunctionDef) and node.name[0] != "_"
          if public and not node.name.startswith("check"):
            node.args.args[0].annotation = ast.Name(cls.name)
            yield ast.unparse(node)


def leaves(cls: type, prefix: str = "") -> Iterator[tuple[str, type, str]]:
  for name, kind in fields_of(cls).items():
    if dataclasses.is_dataclass(kind):
      yield from leaves(kind, f"{prefix}{name}.")
    else:
      yield prefix + name, cls, name


def unread(texts: list[str]) -> list[str]:
  """Dotted names of the fields that no text reads."""
  found = set().union(*map(reads, texts))
  return [
    path
    for path, cls, name in leaves(config.Config)
    if (cls, name) not in found
  ]


def sources() -> list[str]:
  return [
    path.read_text()
    for path in PACKAGE.rglob("*.py")
    if path.parent != PACKAGE / "config"
  ]


def test_every_field_is_read():
  assert unread([*sources(), *methods()]) == []


@pytest.mark.parametrize(
  ("line", "instead", "field"),
  [
    ("encoder.front_end_channels", "encoder.features", "encoder.front_end_cha"),
    ("section.context_at", "section.context", "model.decoder.context_at"),
    ("optim.ema_decay", "optim.b1", "optim.ema_decay"),
    (".validate_every", ".steps", "train.validate_every"),
  ],
)
def test_a_field_that_nothing_reads_is_seen(line, instead, field):
  texts = [text.replace(line, instead) for text in sources()]
  (only,) = unread([*texts, *methods()])
  assert field in only


def test_a_field_of_the_same_name_elsewhere_does_not_count():
  text = "def f(train: config.Train, x):\n  return train.seed, x.limit"
  assert reads(text) == {(config.Train, "seed")}
