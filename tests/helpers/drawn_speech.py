"""Drawn models of frames with CTC, and language models of the same words."""

from typing import Any

import jax
import numpy as np

from seq2seq_jax import config
from seq2seq_jax.data import corpus, vocabulary
from seq2seq_jax.inference import loading
from seq2seq_jax.inference import model as model_lib
from seq2seq_jax.models import build
from seq2seq_jax.runtime import parallel
from tests.helpers.numeric import scattered
from tests.helpers.tiny_runs import tiny

FEATURES, WORDS, LONGEST = 3, ("a", "b", "c", "d"), 4
IDS = (4, 5, 6, 7)  # those before: pad (the blank), bos, eos and unknown
_SPEECH = {
  "model.encoder.features": FEATURES,
  "model.dropout.embed": 0.0,
  "optim.objectives": ("likelihood=0.5", "ctc=0.5"),
  "decode.length_rule": "none",
  "decode.alpha": 0.0,
  "decode.max_ratio": 0.0,
  "decode.max_extra": LONGEST,
  "decode.batch_rows": 8,
}
_ALONE = {
  "data.task": "language_model",
  "data.train": ("in memory",),
  "model.attention.score": "none",
  "train.metric": "loss",
}


def sources(count: int, seed: int = 0, longest: int = 6) -> list[np.ndarray]:
  """Frames, three of them at least."""
  rng = np.random.default_rng(seed)
  sizes = rng.integers(3, longest + 1, count)
  return [
    2 * rng.standard_normal((n, FEATURES)).astype(np.float32) for n in sizes
  ]


def speech(
  mapper: parallel.Mapper, seed: int = 0, **changes: Any
) -> loading.Loaded:
  """A model of frames; words go out."""
  conf = config.replace(tiny(), _SPEECH)
  for section, fields in changes.items():
    dotted = {f"{section}.{name}": value for name, value in fields.items()}
    conf = config.replace(conf, dotted)
  return _loaded(conf, sources(1)[0], mapper, seed)


def language_model(mapper: parallel.Mapper, seed: int = 1) -> loading.Loaded:
  """A language model of the same words."""
  return _loaded(config.replace(tiny(), _ALONE), None, mapper, seed)


def with_lm(mapper: parallel.Mapper, **changes: Any) -> model_lib.Model:
  """A model of frames whose `decode.lm` may be `lm`."""
  model = model_lib.Model([speech(mapper, **changes)], mapper, ["speech"])
  lm = language_model(mapper)
  model.translator.add_lm("lm", lm.model, lm.params)
  return model


def _loaded(
  conf: config.Config,
  source: np.ndarray | None,
  mapper: parallel.Mapper,
  seed: int,
) -> loading.Loaded:
  """A drawn model as if it had been read from a workdir."""
  pairs = [(source, " ".join(WORDS))]
  vocabularies = vocabulary.train(conf.data, corpus.Corpus(conf.data, pairs))
  module = build.build(
    conf.model,
    *vocabularies.sizes,
    ctc="ctc" in conf.optim.objective_weights(),
  )
  example = build.example(source is None, frames=FEATURES)
  shapes = jax.eval_shape(
    lambda key: module.init(key, example, method="initialize"),
    jax.random.key(0),
  )
  params = mapper.replicate(scattered(shapes, seed))
  return loading.Loaded(conf, vocabularies, module, params, 1)
