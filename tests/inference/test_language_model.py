"""A language model in a program's hands: it scores texts and joins a search."""

import json
import math

import numpy as np
import pytest

import seq2seq_jax
from seq2seq_jax import config, decode, types
from seq2seq_jax.data import sides, tokenizers, vocabulary
from seq2seq_jax.inference import model as model_lib
from tests.helpers.tiny_runs import small

TEXTS = ["1 2 3", "0 1", "2 3 4 0"]


@pytest.fixture(scope="module")
def run(tmp_path_factory, whole):
  """A run of pairs in memory, without sources, with the words of `whole`."""
  workdir = tmp_path_factory.mktemp("language_model")
  changes = {
    "data.task": "language_model",
    "data.train": ("in memory",),
    "data.vocabulary": str(whole),
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


def test_it_joins_the_search_of_a_model(run, whole, model, tmp_path):
  """In the program and in the command, with what each of them gave."""
  lm = seq2seq_jax.load(run)
  sources = ["1 2 3", "4 0"]
  fused = {"lm": str(run), "lm_weight": 0.5, "length_rule": "none"}
  found = model.translate(sources, 6, 6, scores=True, **fused)
  for source, translations in zip(sources, found):
    ends = [t for t in translations if t.finished]
    assert len(ends) > 1
    texts = [t.text for t in ends]
    own = model.score([source] * len(texts), texts)
    theirs = lm.score(targets=texts)
    for t, attention, of_lm in zip(ends, own, theirs):
      assert t.parts == pytest.approx(
        {"attention": attention, "lm": of_lm}, abs=1e-4
      )
      assert t.log_prob == pytest.approx(attention + 0.5 * of_lm, abs=1e-4)
  (tmp_path / "in").write_text("".join(f"{source}\n" for source in sources))
  out = tmp_path / "out"
  command = ["--workdir", str(whole), "--input", str(tmp_path / "in")]
  command += ["--output", str(out), "--format", "jsonl", "--n-best", "6"]
  command += ["--beam-size", "6"]
  for name, value in fused.items():
    command += [f"--decode.{name}", str(value)]
  assert decode.main(command) == 0
  lines = [json.loads(line) for line in out.read_text().splitlines()]
  assert [line["hypotheses"] for line in lines] == [
    [t.to_json() for t in translations] for translations in found
  ]
  scores = model.with_search(6, **fused).evaluate([("1 2 3", "1 2 3")])
  assert scores["exact_match"] == 100.0 * (found[0][0].text == "1 2 3")


def test_what_cannot_join_a_search_is_refused(run, whole, model):
  with pytest.raises(types.UserError, match=r"no language model: .* is copy"):
    model.translate(["1"], lm=str(whole), lm_weight=0.1)
  other = tokenizers.train(["5 6"], kind="word", vocab_size=20)
  (member,) = model.members
  source = member.vocabularies.source
  member = member._replace(
    vocabularies=vocabulary.Vocabularies(source, sides.TargetText(other))
  )
  stranger = model_lib.Model([member], model.mapper, ["stranger"])
  match = r"not the target's of stranger; train it with --data.vocabulary"
  with pytest.raises(types.UserError, match=match):
    stranger.translate(["1"], lm=str(run), lm_weight=0.1)
