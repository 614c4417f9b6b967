"""Every field of a config matters: code outside of the schema reads it."""

import ast
import dataclasses
import pathlib
import sys

import pytest

import seq2seq_jax
from seq2seq_jax import config
from seq2seq_jax.models import build
from seq2seq_jax.training import loop, optim
from tests.helpers import tiny_runs

PACKAGE = pathlib.Path(seq2seq_jax.__file__).parent
SCHEMA = PACKAGE / "config"
# Read by name, as `getattr(data, split)`, or passed on whole.
BY_NAME = {"data.train", "data.valid", "data.only"}
# The schema's own functions that read every field.
OWN = {"__post_init__", "to_json", "leaves", "differences", "replace"}


def sections(section, prefix=""):
  """(class, dotted name) of every section."""
  for field in dataclasses.fields(section):
    value = getattr(section, field.name)
    if dataclasses.is_dataclass(value):
      yield type(value), prefix + field.name
      yield from sections(value, f"{prefix}{field.name}.")


def read_by_code() -> set[tuple[str, str]]:
  """(last name of the object, attribute) in the text of the package."""
  pairs = set()
  for path in PACKAGE.rglob("*.py"):
    if path.parent == SCHEMA:
      continue
    for node in ast.walk(ast.parse(path.read_text())):
      if isinstance(node, ast.Attribute):
        owner = node.value
        name = getattr(owner, "attr", None) or getattr(owner, "id", None)
        pairs.add((name, node.attr))
  return pairs


def asked_from_outside(frame) -> bool:
  """True if code outside the schema wants the value, not one of its checks."""
  own = (str(SCHEMA), dataclasses.__file__)
  while frame and frame.f_code.co_filename.startswith(own):
    if frame.f_code.co_name in OWN:
      return False
    frame = frame.f_back
  return bool(frame) and str(PACKAGE) in frame.f_code.co_filename


@pytest.fixture
def reads(monkeypatch):
  """(class, field) of what is read from a config while a test runs."""
  seen = set()

  def watch(cls):
    names = {field.name for field in dataclasses.fields(cls)}

    def get(self, name):
      if name in names and asked_from_outside(sys._getframe(1)):
        seen.add((cls, name))
      return object.__getattribute__(self, name)

    monkeypatch.setattr(cls, "__getattribute__", get, raising=False)

  for cls in {cls for cls, _ in sections(config.Config())}:
    watch(cls)
  return seen


def test_every_config_field_is_read(reads, tmp_path):
  loop.fit(tiny_runs.tiny(), tmp_path)
  changed = config.replace(
    config.Config(),
    {
      "model.encoder.kind": "transformer",
      "model.decoder.kind": "transformer",
      "model.attention.score": "none",
      "model.decoder.input_feeding": False,
    },
  )
  build.build(changed.model, 10, 10)
  dropped = config.replace(config.Config(), {"model.dropout.rnn": 0.1})
  build.build(dropped.model, 10, 10)
  halved = {"optim.schedule": "halving", "optim.decay_every": 10}
  optim.schedule(config.replace(config.Config(), halved).optim, 100)(50)
  by_code = read_by_code()
  unread = set()
  for cls, section in sections(config.Config()):
    for field in dataclasses.fields(cls):
      name = f"{section}.{field.name}"
      if (
        (cls, field.name) not in reads
        and (section.rpartition(".")[2], field.name) not in by_code
        and not dataclasses.is_dataclass(field.type)
      ):
        unread.add(name)
  assert unread == BY_NAME
