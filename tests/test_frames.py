"""Frames in memory, from `fit` to scores: no code asks what a source is."""

import json

import numpy as np
import pytest

import seq2seq_jax as s2s
from seq2seq_jax import config, types
from seq2seq_jax.inference import details
from seq2seq_jax.training import loop
from tests.helpers.tiny_runs import small

FEATURES, SYMBOLS = 6, 4


def _pairs(n, seed):
  """Sequences of symbols, each shown as two or three noisy frames."""
  rng = np.random.default_rng(seed)
  pairs = []
  for _ in range(n):
    symbols = rng.integers(SYMBOLS, size=int(rng.integers(1, 5)))
    frames = np.repeat(symbols, rng.integers(2, 4, size=len(symbols)))
    values = np.eye(FEATURES, dtype=np.float32)[frames]
    values += 0.1 * rng.normal(size=values.shape).astype(np.float32)
    pairs.append((values, " ".join(map(str, symbols))))
  return pairs


def _config(features=FEATURES, steps=60):
  base = small(train={"steps": steps, "validate_every": steps})
  return config.replace(
    base,
    {
      "model.encoder.features": features,
      "optim.objectives": ("likelihood", "ctc=0.3"),
      "train.metric": "ctc_cer",
    },
  )


def test_frames_are_trained_on_translated_and_scored(tmp_path):
  valid = _pairs(40, 1)
  # Validation searches by CTC alone, and without the language model, which
  # need not be there yet.
  joint = {
    "train.metrics": ("exact_match",),
    "decode.ctc_weight": 1.0,
    "decode.lm": "not_there",
    "decode.lm_weight": 0.5,
  }
  conf = config.replace(_config(), joint)
  run = loop.fit(conf, tmp_path, train=_pairs(300, 0), valid=valid)
  assert run.config.data.task == "pairs"
  scores = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
  assert scores["split"] == "valid"
  assert scores["loss"] < 0.8 * np.log(SYMBOLS)
  assert run.selection[0].best_score == scores["ctc_cer"] < 100
  detail = details.score_with_details(
    run.evaluator, (run.params(),), ["exact_match"], "ctc_cer"
  )
  assert detail.scores["ctc_cer"] == scores["ctc_cer"]
  sums = detail.sentences.rows.sum(axis=0)
  assert detail.sentences.score(sums) == scores["ctc_cer"]
  assert len(detail.outputs) == len(valid)
  assert detail.outputs[0]["source"] == f"{len(valid[0][0])} frames"
  assert detail.outputs[0]["length"] == len(valid[0][0])
  assert 0 <= detail.scores["exact_match"] <= 100
  model = s2s.load(tmp_path, "last").with_search(lm_weight=0.0)
  best_path = model.with_search(1).evaluate(valid)
  assert scores["exact_match"] == best_path["exact_match"] > 0
  model = model.with_search(ctc_weight=0.3)
  frames = [source for source, _ in valid]
  records = model.translate(frames, attention=True)
  assert len(records) == len(valid)
  assert len({record.text for record in records}) > 3
  assert len(records[0].source_tokens) == len(frames[0])
  scores = model.score(frames, [target for _, target in valid])
  right = np.mean(scores)
  wrong = np.mean(model.score(frames[::-1], [target for _, target in valid]))
  assert right > wrong
  with pytest.raises(types.UserError, match="array of frames"):
    model.translate(["a text"])


def test_frames_of_another_size_are_refused(tmp_path):
  match = r"model\.encoder\.features is 7, .* 6 features"
  with pytest.raises(types.UserError, match=match):
    loop.fit(
      _config(features=7), tmp_path, train=_pairs(30, 0), valid=_pairs(9, 1)
    )
