"""What is said before the first step."""

import types as builtin_types

import numpy as np
import pytest

from seq2seq_jax import config
from seq2seq_jax.data import corpus as corpus_lib
from seq2seq_jax.data import vocabulary
from seq2seq_jax.training import summary

pytestmark = pytest.mark.quick

TRAIN = [("a b", "x"), ("b c", "y"), ("c", "z")]


def doubts(valid, test=None, train=TRAIN):
  """Those of a run with these examples."""
  data = config.Data(task="pairs")
  corpus = corpus_lib.Corpus(data, train, valid, test)
  vocabularies = vocabulary.train(data, corpus)
  evaluator = valid and builtin_types.SimpleNamespace(
    encoded=[vocabularies.encode(pair) for pair in valid]
  )
  return summary.doubts(
    builtin_types.SimpleNamespace(
      corpus=corpus, vocabularies=vocabularies, evaluator=evaluator
    )
  )


def test_usual_data_raise_no_doubt():
  assert doubts([("a c", "y"), ("b b q", "x")], [("a", "x")]) == []
  assert doubts(None) == []
  frames = [(np.zeros((3, 2), np.float32), "a"), (np.ones((2, 2)), "b")]
  assert doubts(frames[:1], train=frames) == []


def test_a_split_that_is_the_training_set_is_named():
  (doubt,) = doubts(list(TRAIN), [("a", "x")])
  assert doubt.startswith("data.valid has the same examples as data.train")
  assert len(doubts(list(TRAIN), list(TRAIN))) == 2


def test_sides_that_are_swapped_are_suspected():
  source, target = doubts([(b, a) for a, b in TRAIN])
  assert source.startswith(
    "100 % of the validation set's source tokens are unk"
  )
  assert target.startswith("100 % of the validation set's target tokens")
