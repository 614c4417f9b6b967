"""Fields given as words: what they mean, and what is said of wrong ones."""

import dataclasses

import pytest

from seq2seq_jax import config, types
from seq2seq_jax.config import overrides

pytestmark = pytest.mark.quick


def applied(words: str) -> config.Config:
  return overrides.apply(config.Config(), words.split(), "x")


def test_every_kind_of_field_is_read():
  conf = applied(
    "--train.steps 7 --optim.learning_rate=1e-2 --decode.alpha -1 "
    "--data.joint True --model.encoder.cell gru --model.tie all "
    "--train.metrics bleu chrf --train.log-every 3 --data.root a=b"
  )
  assert (conf.train.steps, conf.optim.learning_rate) == (7, 0.01)
  assert (conf.decode.alpha, conf.data.joint) == (-1.0, True)
  assert (conf.model.encoder.cell, conf.model.tie) == ("gru", "all")
  assert conf.train.metrics == ("bleu", "chrf")
  assert (conf.train.log_every, conf.data.root) == (3, "a=b")
  assert isinstance(conf.decode.alpha, float)


def test_the_last_of_two_counts_and_a_list_may_be_empty():
  conf = applied("--train.steps 7 --train.metrics bleu --train.steps 8")
  assert conf.train.steps == 8 and conf.train.metrics == ("bleu",)
  words = ["--train.metrics", "bleu", "--train.metrics"]
  assert overrides.apply(config.Config(), words, "x").train.metrics == ()


def test_all_fields_can_be_given_as_words():
  """What each has, as words, gives the same config."""
  conf = dataclasses.replace(config.Config(), train=config.Train(steps=123))
  words = []
  for name, value, _ in config.leaves(conf):
    texts = value if isinstance(value, tuple) else (value,)
    words += [f"--{name}", *map(str, texts)]
  assert overrides.apply(config.Config(), words, "x") == conf


@pytest.mark.parametrize(
  ("words", "message"),
  [
    (
      "--model.attention dto",
      "--model.attention: is a section, not a field; nearest: "
      "--model.attention.score, ",
    ),
    (
      "--model.dropout 0.1",
      "a section, not a field; nearest: --model.dropout.",
    ),
    ("--data", "--data: is a section, not a field; nearest: --data.task, "),
    ("--train.stepz 3", "no such field; nearest: --train.steps, "),
    ("--modle.encoder.dim 3", "no such field; nearest: --model.encoder.dim"),
    ("--score dot", "--score: no such field; nearest: --model.attention.score"),
    ("--train.steps", "--train.steps: needs a value"),
    ("--train.steps --train.seed 3", "--train.steps: needs a value"),
    ("--train.steps 3 4", "'4': belongs to no flag"),
    ("3", "'3': belongs to no flag"),
    ("--data.joint yes", "--data.joint: must be True or False, not 'yes'"),
    ("--model.tie al", "model.tie: 'al' is not a choice; nearest: all"),
    ("--" + "x" * 5000, "no such field"),
    ("--model.encoder.cell " + "x" * 5000, "is not a choice; nearest: lstm"),
  ],
)
def test_what_is_wrong_is_one_short_line(words, message):
  with pytest.raises(types.UserError) as caught:
    applied(words)
  told = str(caught.value)
  assert message in told
  assert "\n" not in told and len(told) < 300


def test_help_is_no_field_of_a_table_s_row():
  for word in ("--help", "-h"):
    with pytest.raises(types.UserError, match=f"row 'a': {word}: is no field"):
      overrides.checked(config.Config(), [word], "row 'a'")


def test_a_constructor_names_the_nearest_fields():
  with pytest.raises(
    types.UserError, match=r"Model: .*'embedding_dim'; .*embed"
  ):
    config.Model(embedding_dim=3)
  with pytest.raises(types.UserError, match=r"Train: has no .*nearest: steps"):
    dataclasses.replace(config.Train(), step=3)
  for cls in (config.Config, *_sections()):
    with pytest.raises(types.UserError, match=f"^{cls.__name__}: has no field"):
      cls(no_such_field=1)


def _sections() -> set[type]:
  found = set()
  left = [config.Config()]
  while left:
    section = left.pop()
    found.add(type(section))
    left += [
      value
      for field in dataclasses.fields(section)
      if dataclasses.is_dataclass(value := getattr(section, field.name))
    ]
  return found
