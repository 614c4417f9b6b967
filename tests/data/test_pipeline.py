"""Batches of training as a function of the step."""

import jax
import numpy as np
import pytest

from seq2seq_jax import config
from seq2seq_jax.data import pipeline

pytestmark = pytest.mark.quick


def batches(steps):
  conf = config.Data(
    task="copy",
    synthetic=config.Synthetic(train=60, valid=5, test=5, symbols=5),
    batch_size=16,
    buckets=2,
  )
  corpus = pipeline.Corpus(conf)
  toks = pipeline.train_tokenizers(conf, corpus)
  made = pipeline.TrainData(conf, corpus, toks, seed=0)
  return made, [made.load(step) for step in range(steps)]


def test_examples_beyond_the_room_are_encoded_anew(monkeypatch):
  kept, wanted = batches(12)
  monkeypatch.setattr(pipeline, "MEMO", 3000)
  few, found = batches(12)
  assert len(kept._memo) == 60 and 0 < len(few._memo) < 10
  jax.tree.map(np.testing.assert_array_equal, wanted, found)
