"""From hypotheses to texts: unknown words, repeated texts, blank lines."""

import dataclasses
import json

import numpy as np
import pytest

from seq2seq_jax import types
from seq2seq_jax.data import sides, vocabulary
from seq2seq_jax.inference import text as inference_text
from seq2seq_jax.models import attention_scores, build

SOURCE = "1 2 3"


def translator_of(model, score="general", **decode):
  conf = dataclasses.replace(
    model.config,
    decode=dataclasses.replace(model.config.decode, **decode),
    model=dataclasses.replace(
      model.config.model,
      attention=dataclasses.replace(model.config.model.attention, score=score),
    ),
  )
  return inference_text.TextTranslator(
    model.translator, model.vocabularies, conf
  )


def hypotheses_of(tokens, weights=None):
  """Hypotheses [N, T] of one source, best first."""
  tokens = np.array(tokens, np.int32)
  n, length = tokens.shape
  return types.Hypotheses(
    tokens=tokens,
    length=np.full(n, length),
    score=-np.arange(n, dtype=np.float32),
    log_prob=-np.arange(n, dtype=np.float32),
    token_log_probs=np.zeros((n, length), np.float32),
    finished=np.ones(n, bool),
    attention=None if weights is None else np.array(weights, np.float32),
  )


@pytest.mark.parametrize(
  ("score", "step", "want"),
  [
    ("general", "own", "1 3"),
    ("general", "next", "2 3"),
    ("location", "next", "1 3"),  # looks at places alone
  ],
)
def test_the_attention_that_replaces_unknown_words(model, score, step, want):
  """Never the source's end, though it has most of the weight."""
  found = hypotheses_of(
    [[types.UNK, types.UNK, types.EOS]],
    [[[0.5, 0.3, 0.1, 0.1], [0, 0.1, 0.05, 0.85], [0, 0.1, 0.2, 0.7]]],
  )
  if step == "own" or score == "location":
    found.attention[0, 1] = [0, 0.1, 0.2, 0.7]
  translator = translator_of(
    model, score, replace_unknown=True, unknown_attention=step
  )
  assert translator.text(SOURCE, found) == want


@pytest.mark.parametrize(
  ("ends", "weights", "want"),
  [
    ("none", [0.1, 0.2, 0.7], "3"),
    ("bos_eos", [0.4, 0.0, 0.2, 0.1, 0.3], "2"),
  ],
)
def test_marks_replace_no_unknown_word(model, ends, weights, want):
  translator = translator_of(model, replace_unknown=True)
  tokenizer = model.vocabularies.source.tokenizer
  translator.vocabularies = vocabulary.Vocabularies(
    sides.SourceText(tokenizer, ends=ends), model.vocabularies.target
  )
  found = hypotheses_of([[types.UNK]], [[weights]])
  assert translator.text(SOURCE, found) == want


def test_what_a_score_looks_at_is_a_fact_of_it():
  assert not build.is_content_based("location")
  others = set(attention_scores.SCORES) - {"location"}
  assert all(build.is_content_based(name) for name in others)


def test_a_text_comes_once_in_a_list_of_the_best(model):
  a, b = model.vocabularies.target.tokenizer.encode("1 2").tolist()
  # PAD is silent: two sequences of ids with one text.
  found = hypotheses_of([[a, b, types.EOS], [a, b, types.PAD], [b, b, 2]])
  distinct = translator_of(model)
  assert distinct.texts(SOURCE, found) == ["1 2", "2 2"]
  assert [t.score for t in distinct.translations(SOURCE, found)] == [0, -2]
  repeated = translator_of(model, distinct=False)
  assert repeated.texts(SOURCE, found) == ["1 2", "1 2", "2 2"]


def test_a_blank_line_has_the_keys_of_others(model):
  found = hypotheses_of([[4, types.EOS]], [[[1, 0, 0, 0]] * 2])
  translator = translator_of(model)
  for attention in (False, True):
    line = json.loads(translator.json_line(SOURCE, found, attention))
    blank = json.loads(translator.blank_json_line(" ", attention))
    assert list(line) == list(blank)


def test_more_outputs_are_asked_for_than_there_are(model):
  """The limit of one token leaves as many outputs as there are tokens."""
  size = model.vocabularies.target.vocab_size
  search = model.with_search(2 * size, max_ratio=0.0, max_extra=1)
  [(_, found)] = search.search(["1"], n_best=2 * size)
  texts = search.text_translator().texts("1", found)
  assert len(texts) == len(set(texts)) < size


def test_shortest_outputs_in_tokens(model):
  for beam_size in (1, 3):
    search = model.with_search(beam_size, min_length=9)
    outputs = search.translate(["1 2", "3"])
    assert all(len(output.split()) >= 9 for output in outputs)
