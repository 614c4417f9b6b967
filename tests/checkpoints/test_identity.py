"""What a checkpoint belongs to, and how it is told that it does not."""

import dataclasses
import pathlib

import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.checkpoints import identity
from seq2seq_jax.data import sides, tokenizers, vocabulary
from tests.helpers import tiny_runs

pytestmark = pytest.mark.quick
STEP = pathlib.Path("runs/x/checkpoints/7")


def words(source, target):
  made = [
    tokenizers.train([text], kind="word", vocab_size=20)
    for text in (source, target)
  ]
  return vocabulary.Vocabularies(
    sides.SourceText(made[0]), sides.TargetText(made[1])
  )


def of(conf=None, source="a b", target="c d", rows=6):
  params = {"params": {"table": np.zeros((rows, 2)), "bias": np.zeros(3)}}
  return identity.of(conf or tiny_runs.tiny(), words(source, target), params)


@pytest.mark.parametrize(
  ("here", "told"),
  [
    (of(source="a e"), "runs/x/tokenizers/source.json: is not the tokenizer"),
    (of(target="c d e"), "runs/x/tokenizers/target.json: is not the tokenizer"),
    (of(source="c d", target="a b"), "source.json and target.json are swapped"),
    (of(tiny_runs.tiny(train={"seed": 9})), "runs/x/config.json: is not the"),
    (
      of(tiny_runs.tiny(model={"embed_dim": 7})),
      r"runs/x/config.json: is not .*: model.embed_dim was \d+ and is 7",
    ),
    (of(rows=7), r"shape of params/table is \[6, 2\], but .* it \[7, 2\]"),
  ],
)
def test_what_does_not_belong_together_is_named(here, told):
  identity.check(of(), of(), STEP)
  with pytest.raises(types.UserError, match=told):
    identity.check(of(), here, STEP)


def test_a_parameter_that_is_absent():
  fewer = dataclasses.replace(of(), shapes={"params/bias": [3]})
  with pytest.raises(types.UserError, match="table is absent, but"):
    identity.check(fewer, of(), STEP)
  identity.check(fewer, dataclasses.replace(of(), shapes=None), STEP)


def test_what_may_change_is_no_part_of_it():
  changed = tiny_runs.tiny(train={"log_every": 7, "steps": 99})
  changed = config.replace(changed, {"decode.beam_size": 3, "data.root": "/x"})
  assert of(changed) == of()


def test_fields_and_defaults_of_another_version_do_not_matter():
  """What a version lacks is not compared; what it stores it stores whole."""
  assert of().config["data.vocabulary"] == ""  # at its default
  older = {k: v for k, v in of().config.items() if k != "model.embed_dim"}
  for stored in (older, of().config | {"model.new_field": 3}):
    identity.check(dataclasses.replace(of(), config=stored), of(), STEP)
