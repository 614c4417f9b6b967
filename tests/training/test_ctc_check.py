"""Examples without an alignment are counted before the first step."""

import numpy as np
import pytest

from seq2seq_jax import config
from seq2seq_jax.data import batches, vocabulary
from seq2seq_jax.data import corpus as corpus_lib
from seq2seq_jax.training import ctc_check, start
from tests.helpers import tiny_runs

pytestmark = pytest.mark.quick

# Sources of 6 positions with EOS: 3 of the memory, if pairs are read as one.
PAIRS = [
  ("a b c d e", "x y z"),  # 3 labels
  ("a b c d e", "x y z x"),  # 4: too many
  ("a b c d e", "x x y"),  # 3 and a blank: too many
  ("a b c d e", "x x"),  # 2 and a blank
  ("a b c d e", "x x x"),  # too many
  ("a", "x y"),  # 2 positions make 1: too many
  ("a", "x x"),  # too many for 2 positions too
]


@pytest.mark.parametrize("reductions,count,first", [(0, 1, 6), (1, 5, 1)])
def test_labels_and_blanks_are_counted_against_positions(
  reductions, count, first
):
  conf = tiny_runs.tiny(
    model={
      "encoder.layers": 2,
      "encoder.reductions": reductions,
      "decoder.layers": 2,
    },
    optim={"objectives": ("likelihood", "ctc")},
  )
  data = config.Data(task="pairs")
  corpus = corpus_lib.Corpus(data, train=PAIRS)
  vocabularies = vocabulary.train(data, corpus)
  model = start.build_model(conf, vocabularies)
  lengths = batches.measure(corpus, vocabularies)
  positions = ctc_check.memory_positions(
    model, vocabularies, np.array([6, 2, 5, 1, 6])
  )
  halved = [3, 1, 3, 1, 3] if reductions else [6, 2, 5, 1, 6]
  assert positions.tolist() == halved
  reason = ctc_check.unaligned(
    model, corpus, vocabularies, corpus.indices, lengths
  )
  assert reason.examples == count
  assert reason.first == f"train: example {first}, counted from 0"
