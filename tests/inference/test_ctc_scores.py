"""Scores of what the encoder's CTC head alone gives."""

import itertools

import jax
import numpy as np
import pytest

from seq2seq_jax import config, metrics, types
from seq2seq_jax.data import corpus as corpus_lib
from seq2seq_jax.data import sources, vocabulary
from seq2seq_jax.inference import loading
from seq2seq_jax.inference import model as model_lib
from seq2seq_jax.models import build
from seq2seq_jax.runtime import parallel
from tests.helpers.numeric import scattered
from tests.helpers.tiny_runs import tiny

FEATURES, LONGEST = 3, 24
CTC = {"optim.objectives": ("likelihood=0.5", "ctc=0.5")}
# What a search may be told, and what greedy CTC does not ask for.
FIELDS = {
  "model.encoder.features": FEATURES,
  "model.encoder.layers": 2,
  "model.encoder.reductions": 1,
  "data.target.tokenizer": "char",
  "decode.beam_size": 3,
  "decode.min_length": 4,
  "decode.min_ratio": 0.5,
  "decode.coverage": 0.1,
  "decode.batch_rows": 4,
}


def one_device():
  """Maps over the first device alone."""
  mapper = parallel.Mapper("pmap", local=True)
  mapper.devices, mapper.count, mapper.local_count = mapper.devices[:1], 1, 1
  mesh = jax.sharding.Mesh(np.array(mapper.devices), ("data",))
  spec = jax.sharding.PartitionSpec()
  mapper.replicated = jax.sharding.NamedSharding(mesh, spec)
  return mapper


def utterances(count):
  """Frames of several lengths, one of none, and what was said."""
  rng = np.random.default_rng(0)
  pairs = []
  for n in (0, *rng.integers(3, LONGEST + 1, count - 1)):
    frames = 2 * rng.standard_normal((n, FEATURES)).astype(np.float32)
    text = "".join(rng.choice(list("ab "), size=n // 6 + 1))
    pairs.append((frames, f"a{text}b"))
  return pairs


PAIRS = utterances(11)


def drawn(mapper, changes=CTC, members=1):
  """A model with drawn parameters, as if it had been read from a workdir."""
  conf = config.replace(config.replace(tiny(), FIELDS), changes)
  examples = corpus_lib.Corpus(conf.data, PAIRS)
  vocabularies = vocabulary.train(conf.data, examples)
  ctc = "ctc" in conf.optim.objective_weights()
  module = build.build(conf.model, *vocabularies.sizes, ctc=ctc)
  example = build.example(False, frames=FEATURES)

  def init(key):
    return module.init(key, example, method="initialize")

  params = mapper.replicate(scattered(jax.eval_shape(init, jax.random.key(0))))
  member = loading.Loaded(conf, vocabularies, module, params, 1)
  return model_lib.Model([member] * members, mapper, ["drawn"] * members)


@pytest.fixture(scope="module")
def evaluator():
  model = drawn(parallel.Mapper("pmap", local=True))
  return model, model.evaluator(sources.Pairs(PAIRS))


def best_paths(model, utterances):
  """The most probable label of each position, without runs and blanks."""
  padded = model.vocabularies.source.pad(
    [types.EncodedSide(frames) for frames in utterances], LONGEST
  )

  @jax.jit
  def logits(params):
    def run(module):
      memory = module.encode(padded.values, padded.length)
      return module.ctc_logits(memory), memory.mask

    return model.members[0].model.apply(params, method=run)

  texts = []
  for scores, real in zip(*map(np.array, logits(model.params[0]))):
    scores[:, [types.BOS, types.EOS]] = -np.inf
    labels = itertools.groupby(np.argmax(scores[real], axis=-1))
    ids = [int(i) for i, _ in labels if i]
    texts.append(model.vocabularies.target.tokenizer.decode(ids))
  return texts


def test_texts_are_those_of_the_best_path(evaluator):
  model, scored = evaluator
  texts = scored.ctc_texts(model.params)
  assert texts[0] == ""  # of an utterance without frames
  assert texts[1:] == best_paths(model, [frames for frames, _ in PAIRS[1:]])
  assert len(set(texts)) > 5


def test_ctc_cer_is_the_error_rate_of_those_texts_on_any_devices(evaluator):
  model, scored = evaluator
  assert len(model.mapper.devices) > 1
  scores = scored.model_scores(model.params)
  references = scored.closest_references(scored.ctc_texts(model.params))
  texts = scored.ctc_texts(model.params)
  assert scores["ctc_cer"] == metrics.score(["cer"], texts, references)["cer"]
  assert scores["ctc_cer"] > 0
  one = drawn(one_device(), CTC | {"decode.batch_rows": 3})
  alone = one.evaluator(sources.Pairs(PAIRS))
  assert alone.ctc_texts(one.params) == texts
  found = alone.ctc_metrics(texts)
  assert found == {"ctc_cer": scores["ctc_cer"]}


def test_without_ctc_nothing_is_scored():
  mapper = one_device()
  model = drawn(mapper, {"optim.objectives": ("likelihood",)})
  scored = model.evaluator(sources.Pairs(PAIRS))
  assert not scored.has_ctc and scored.ctc_texts(model.params) == []
  assert scored.ctc_metrics([]) == {}
  with pytest.raises(types.UserError, match="ctc_cer: needs a run that was"):
    model.evaluation(PAIRS, metrics=["ctc_cer"])
  assert not drawn(mapper, members=2).evaluator(sources.Pairs(PAIRS)).has_ctc
  with pytest.raises(types.UserError, match=r"train\.metric.*objective ctc"):
    config.replace(tiny(), {"train.metric": "ctc_cer"})
