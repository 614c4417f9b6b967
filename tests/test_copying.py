"""Words outside the vocabulary: copied by a head, or put in by attention."""

import dataclasses
import pathlib

import numpy as np
import pytest

from seq2seq_jax import config, train, types
from seq2seq_jax.data import pipeline, tokenizers
from seq2seq_jax.inference import evaluator, translator
from seq2seq_jax.inference import text as inference_text

TINY = pathlib.Path(__file__).parent / "configs" / "tiny.py"


def toks(reverse=False):
  make = lambda text: tokenizers.train([text], kind="word", vocab_size=20)
  return pipeline.Tokenizers(make("a b"), make("b c"), reverse)


@pytest.mark.quick
@pytest.mark.parametrize("reverse", [False, True])
def test_extended_ids_and_back(reverse):
  t = toks(reverse)
  source, size = "x b y x a", t.target.vocab_size
  assert t.unknown(source) == ["x", "y", "a"]
  pair = pipeline.encode_pair(t, (source, "y b z c"), copies=True)
  b, c = (int(t.target.encode(w)[0]) for w in "bc")
  ids = [size, b, size + 1, size, size + 2]
  want = [*(ids[::-1] if reverse else ids), types.EOS]
  assert pair.source_ext.tolist() == want
  target = [size + 1, b, types.UNK, c, types.EOS]
  assert pair.target_ext.tolist() == target
  assert t.target_text(target, source) == "y b <unk> c"
  assert t.target_tokens(target, source) == ["y", "b", "<unk>", "c", "</s>"]


@pytest.mark.quick
def test_unknown_words_are_replaced_by_the_source_attended_to():
  ids = np.array([types.UNK, 4, types.UNK, types.EOS])
  attended = [2, 0, 9, 3]  # beyond the sentence: nothing to put there
  assert toks().target_text(ids, "x y z", attended) == "z b <unk>"
  assert toks(True).target_text(ids, "x y z", attended) == "x b <unk>"


@pytest.mark.parametrize(
  "head", ["copynet", pytest.param("pointer", marks=pytest.mark.slow)]
)
def test_model_that_copies_learns_words_it_does_not_know(head, tmp_path):
  base = config.load(str(TINY))
  change = dataclasses.replace
  text = config.Text(vocab_size=8)  # four words of forty
  conf = change(
    base,
    data=change(
      base.data,
      buckets=1,
      synthetic=change(base.data.synthetic, train=1000, symbols=40),
      source=text,
      target=text,
    ),
    model=change(
      base.model, head=head, embed_dim=32, encoder_dim=32, decoder_dim=64
    ),
    optim=change(base.optim, schedule="constant", ema_decay=0.0),
    train=change(base.train, steps=300, validate_every=150, average=0),
  )
  run = train.train(conf, tmp_path, live=False)
  options = translator.Options(2, 1, "none", 0.0, False)
  found, texts = run.evaluator.translate((run.params(),), options)
  known = set(run.toks.target.pieces)
  copied = [w for t in texts for w in t.split() if w not in known]
  wanted = [w for r in run.evaluator.references for w in r[0].split()]
  assert len(copied) > 0.5 * sum(w not in known for w in wanted)
  score = run.evaluator.score_texts(texts, ["exact_match"])["exact_match"]
  assert score > 30  # a model without copying stands below 1
  line = inference_text.describe(
    run.evaluator.sources[0], found[0], run.evaluator.reader, False
  )
  assert line["hypotheses"][0]["text"] == texts[0]
  assert evaluator.wanted(conf) == ["exact_match"]
