"""A language model in a program's hands: it scores texts and writes none."""

import math

import numpy as np
import pytest

import seq2seq_jax
from seq2seq_jax import config, types
from tests.helpers.tiny_runs import small

TEXTS = ["1 2 3", "0 1", "2 3 4 0"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  """A run of pairs in memory, without sources."""
  workdir = tmp_path_factory.mktemp("language_model")
  changes = {
    "data.task": "language_model",
    "data.train": ("in memory",),
    "model.attention.score": "none",
    "train.validate_every": 3,
    "train.steps": 6,
  }
  conf = config.replace(small({}), changes)
  pairs = [(None, text) for text in TEXTS * 20]
  seq2seq_jax.fit(conf, workdir, train=pairs, valid=pairs[:3])
  return workdir


def test_texts_are_scored_without_sources(run):
  model = seq2seq_jax.load(run)
  tokens = model.score(targets=TEXTS, tokens=True)
  assert [len(t) for t in tokens] == [4, 3, 5]
  scores = model.score(None, TEXTS)
  np.testing.assert_allclose(scores, [t.sum() for t in tokens], rtol=1e-6)
  result = model.evaluate([(None, text) for text in TEXTS])
  assert result["loss"] == pytest.approx(-sum(scores) / 12)
  assert result["perplexity"] == pytest.approx(math.exp(result["loss"]))
  assert result["sentences"] == 3 and "bleu" not in result


def test_what_a_language_model_cannot_do_is_refused(run, tmp_path):
  model = seq2seq_jax.load(run)
  with pytest.raises(types.UserError, match="no source to decode from"):
    model.translate(["1 2"])
  with pytest.raises(types.UserError, match="has no sources"):
    model.score(TEXTS, TEXTS)
  pairs = [(None, text) for text in TEXTS]
  with pytest.raises(types.UserError, match="bleu: a language model has no"):
    model.evaluate(pairs, metrics=["bleu"])
  with pytest.raises(types.UserError, match="translates nothing"):
    seq2seq_jax.evaluate(run, pairs, output=tmp_path / "out")
  with pytest.raises(types.UserError, match="names no test split"):
    model.evaluate()
