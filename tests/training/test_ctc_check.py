"""Examples without an alignment are counted before the first step."""

import types as builtin_types

import numpy as np
import pytest

from seq2seq_jax import config
from seq2seq_jax.data import corpus as corpus_lib
from seq2seq_jax.data import lengths as lengths_lib
from seq2seq_jax.data import vocabulary
from seq2seq_jax.training import ctc_check, start, summary
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


def a_model(reductions):
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
  return conf, corpus, vocabularies, model


@pytest.mark.parametrize("reductions,found", [(0, [6]), (1, [1, 2, 4, 5, 6])])
def test_labels_and_blanks_are_counted_against_positions(reductions, found):
  _, corpus, vocabularies, model = a_model(reductions)
  lengths = lengths_lib.measure(corpus, vocabularies)
  positions = ctc_check.memory_positions(
    model, vocabularies, np.array([6, 2, 5, 1, 6])
  )
  halved = [3, 1, 3, 1, 3] if reductions else [6, 2, 5, 1, 6]
  assert positions.tolist() == halved
  assert found == ctc_check.unaligned(
    model, corpus, vocabularies, corpus.indices, lengths
  )


@pytest.mark.parametrize(
  "most,places,end", [(2, (1, 2), "; and 3 more)"), (5, (1, 2, 4, 5, 6), ")")]
)
def test_the_examples_are_named(monkeypatch, most, places, end):
  monkeypatch.setattr(summary, "MOST_NAMED", most)
  conf, corpus, vocabularies, model = a_model(reductions=1)
  lengths = lengths_lib.measure(corpus, vocabularies)
  run = builtin_types.SimpleNamespace(
    config=conf,
    model=model,
    corpus=corpus,
    vocabularies=vocabularies,
    data=builtin_types.SimpleNamespace(indices=corpus.indices, lengths=lengths),
  )
  (message,) = summary.unaligned(run)
  assert message.startswith("ctc: 5 of 7 examples have more labels than")
  named = "; ".join(f"train: example {i}, counted from 0" for i in places)
  assert message.endswith(f"({named}{end}")
  run.config = tiny_runs.tiny()
  assert summary.unaligned(run) == []
