"""Words outside the vocabulary, copied by a head."""

import dataclasses
import pathlib

import pytest

from seq2seq_jax import config
from seq2seq_jax.inference import evaluator
from seq2seq_jax.training import loop

TINY = pathlib.Path(__file__).parent / "configs" / "tiny.py"


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
    model=config.replace(
      base.model,
      {"head": head, "embed_dim": 32, "encoder.dim": 32, "decoder.dim": 64},
    ),
    optim=change(base.optim, schedule="constant", ema_decay=0.0),
    train=change(base.train, steps=300, validate_every=150, average=0),
  )
  run = loop.fit(conf, tmp_path)
  decode = change(conf.decode, beam_size=2, length_rule="none", alpha=0.0)
  hypotheses, texts = run.evaluator.translate((run.params(),), decode)
  known = set(run.vocabularies.target.tokenizer.pieces)
  copied = [w for t in texts for w in t.split() if w not in known]
  wanted = [w for r in run.evaluator.references for w in r[0].split()]
  assert len(copied) > 0.5 * sum(w not in known for w in wanted)
  chosen = evaluator.metrics_of(conf)
  score = run.evaluator.text_scores(texts, chosen)["exact_match"]
  assert score > 30  # a model without copying stands below 1
  [translation] = run.evaluator.text_translator(decode).translations(
    run.evaluator.sources[0], hypotheses[0]
  )
  assert translation.text == texts[0]
  assert [metric.name for metric in chosen] == ["exact_match"]
