"""Which parameters of another run are taken."""

import flax
import jax
import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.models import build, seq2seq
from seq2seq_jax.training import start, warm_start
from tests import test_configs

pytestmark = pytest.mark.quick


def test_rows_of_other_words_are_not_taken(caplog):
  caplog.set_level("INFO", "seq2seq_jax")
  params = {"table": np.zeros((3, 2)), "kernel": np.zeros((2, 2))}
  other = {"table": np.ones((3, 2)), "kernel": np.ones((2, 2))}
  merged = warm_start.merge(params, other, frozenset(["table"]))
  assert merged["kernel"].all() and not merged["table"].any()
  assert "of another vocabulary, left as initialised: table" in caplog.text


def test_what_does_not_fit_is_reported_or_refused(caplog):
  caplog.set_level("INFO", "seq2seq_jax")
  params = {"a": np.zeros(2), "b": np.zeros(2), "c": np.zeros(2)}
  other = {"a": np.ones(2), "b": np.ones(3), "d": np.ones(1)}
  merged = warm_start.merge(params, other)
  assert merged["a"].all() and not merged["b"].any()
  for line in (
    "took 1 of 3: a",
    "other shape, left as initialised: b (3,) -> (2,)",
    "not there, left as initialised: c",
    "there but not used: d",
  ):
    assert f"init_from: {line}" in caplog.text
  with pytest.raises(types.UserError, match="no parameter has the name"):
    warm_start.merge(params, {"x": np.ones(2)}, place="x.npz")
  with pytest.raises(types.UserError, match="a holds int64"):
    warm_start.merge(params, {"a": np.ones(2, np.int64)})


@test_configs.each_file
def test_the_listed_parameters_are_those_of_words(path):
  """Those whose shape changes with the size of a vocabulary."""
  conf = config.load(str(path))
  language_model = conf.data.task == "language_model"
  example = build.example(
    language_model,
    frames=conf.model.encoder.features,
    copies=conf.model.copies(),
  )

  def shapes(source, target):
    if language_model:
      source = None
    model = build.build(conf.model, source, target, ctc=not language_model)
    params = jax.eval_shape(lambda: start.initial_params(model, 0, example))
    flat = flax.traverse_util.flatten_dict(params, sep="/")
    return {name: x.shape for name, x in flat.items()}

  # A table that both sides share counts as the target's in a model, and stands
  # for the words of both: its vocabulary is one.
  first, second = shapes(11, 13), shapes(12, 14)
  changed = {name for name in first if first[name] != second[name]}
  assert changed == first.keys() & seq2seq.VOCABULARY_PARAMS.keys()
  if conf.model.tie != "all" and not language_model:
    only_source = shapes(12, 13)
    of_source = {name for name in first if first[name] != only_source[name]}
    sides = seq2seq.VOCABULARY_PARAMS
    assert of_source == {n for n in changed if sides[n] == "source"}
