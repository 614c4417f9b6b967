"""Search by attention, CTC and a language model, against all outputs there are.

The models are drawn, not trained: frames go in, four words come out.
"""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.decoding import ctc
from seq2seq_jax.inference import model as model_lib
from seq2seq_jax.runtime import parallel
from tests.helpers import drawn_speech
from tests.helpers.tiny_runs import tiny


@pytest.fixture(scope="module")
def mapper():
  return parallel.Mapper("pmap", local=True)


@pytest.fixture(scope="module")
def speech(mapper):
  return drawn_speech.with_lm(mapper)


def _outputs():
  """All outputs with an end, as ids without it."""
  return [
    labels
    for n in range(drawn_speech.LONGEST)
    for labels in itertools.product(drawn_speech.IDS, repeat=n)
  ]


def _logits(model, source):
  """CTC's logits of each position of a source, of one member. [S, V]"""
  (member,) = model.members
  length = np.array([len(source)], np.int32)

  def logits(params, source):
    module = member.model
    memory = module.apply(params, source, length, method="encode")
    return module.apply(params, memory, method="ctc_logits")

  return np.asarray(jax.jit(logits)(member.params, source[None]))[0]


def _labellings(model, source):
  """{labels: log P} of one member, over all alignments, in float64."""
  x = _logits(model, source).astype(np.float64)
  x[:, [types.BOS, types.EOS]] = -np.inf
  p = np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
  used = (types.PAD, *range(types.UNK, x.shape[1]))
  sums: dict[tuple[int, ...], float] = {}
  for path in itertools.product(used, repeat=len(source)):
    runs = [label for label, _ in itertools.groupby(path)]
    labels = tuple(label for label in runs if label != types.PAD)
    value = math.prod(p[t, label] for t, label in enumerate(path))
    sums[labels] = sums.get(labels, 0.0) + value
  return {labels: math.log(value) for labels, value in sums.items() if value}


@pytest.fixture(scope="module")
def known(speech, mapper):
  """A source with what each part gives each output that has an end."""
  source = drawn_speech.sources(1, seed=5, longest=5)[0][:4]
  lm = model_lib.Model([drawn_speech.language_model(mapper)], mapper, ["lm"])
  words = speech.vocabularies.target.tokenizer
  texts = [words.decode(labels) for labels in _outputs()]
  labellings = _labellings(speech, source)
  parts = {
    labels: {"attention": attention, "ctc": labellings.get(labels), "lm": of_lm}
    for labels, attention, of_lm in zip(
      _outputs(),
      speech.score([source] * len(texts), texts),
      lm.score(targets=texts),
    )
  }
  return source, parts


WEIGHTS = [(0.4, 0.0), (1.0, 0.0), (0.0, 0.6), (0.5, 0.6), (1.0, 0.6)]


@pytest.mark.parametrize(("ctc_weight", "lm_weight"), WEIGHTS)
def test_a_wide_beam_finds_the_best_of_all_outputs(
  speech, known, ctc_weight, lm_weight
):
  """By the weighted sum of what is computed for each part apart."""
  source, parts = known
  decode = {"ctc_weight": ctc_weight, "lm": "lm", "lm_weight": lm_weight}
  found = speech.translate(
    [source], 120, 8, scores=True, forbid_unknown=True, **decode
  )[0]
  weights = {"attention": 1 - ctc_weight, "ctc": ctc_weight, "lm": lm_weight}
  weights = {name: weight for name, weight in weights.items() if weight}
  totals = {
    labels: sum(weight * gave[name] for name, weight in weights.items())
    for labels, gave in parts.items()
    if ctc_weight == 0 or gave["ctc"] is not None
  }
  best = sorted(totals, key=totals.get, reverse=True)
  ends = [t for t in found if t.finished]
  assert len(ends) >= 3 and found[0].log_prob == found[0].score
  words = speech.vocabularies.target.tokenizer
  for labels, translation in zip(best, ends):
    assert translation.text == words.decode(labels)
    assert translation.log_prob == pytest.approx(totals[labels], abs=1e-4)
    if len(weights) == 1:
      assert translation.parts is None
      assert "parts" not in translation.to_json()
      continue
    assert list(translation.parts) == list(weights)
    for name, value in translation.to_json()["parts"].items():
      assert value == pytest.approx(parts[labels][name], abs=1e-4)


def test_ctc_alone_runs_no_decoder(speech):
  """Its parameters may be anything."""

  def spoil(path, leaf):
    return leaf * np.nan if "decoder" in jax.tree_util.keystr(path) else leaf

  sources = drawn_speech.sources(5)
  encoded = speech.text_translator().encode(sources)

  def search(params, beam_size):
    decode = dataclasses.replace(
      speech.config.decode, ctc_weight=1.0, beam_size=beam_size
    )
    found = dict(speech.translator.search((params,), encoded, decode))
    return [found[i] for i in range(len(sources))]

  (params,) = speech.params
  spoiled = jax.tree_util.tree_map_with_path(spoil, params)
  for beam_size in (1, 3):
    for a, b in zip(search(params, beam_size), search(spoiled, beam_size)):
      assert np.isfinite(a.score[0])
      jax.tree.map(np.testing.assert_array_equal, a, b)


def test_a_beam_of_one_of_ctc_alone_is_the_best_path(speech, known):
  """With the probability of all alignments of its labels."""
  source, parts = known
  decode = {"ctc_weight": 1.0, "forbid_unknown": True, "scores": True}
  (found,) = speech.translate([source], 1, max_extra=9, **decode)
  ids = drawn_speech.IDS
  labels = np.argmax(_logits(speech, source)[:, [0, *ids]], axis=-1)
  runs = [ids[i - 1] for i, _ in itertools.groupby(labels) if i]
  assert found.text == speech.vocabularies.target.tokenizer.decode(runs)
  assert found.log_prob == pytest.approx(parts[tuple(runs)]["ctc"], abs=1e-4)
  # A shortest length has a say: the prefix search of one hypothesis.
  (longer,) = speech.translate([source], 1, min_length=3, **decode)
  assert len(longer.text.split()) == 3 > len(runs)


def test_a_weight_of_nothing_is_the_search_without_it(speech):
  """To the last bit, and the language model need not be there."""
  sources = drawn_speech.sources(3)
  plain, zero = (
    speech.translate(sources, 3, 3, scores=True, **decode)
    for decode in (
      {},
      {"ctc_weight": 0.0, "lm": "not_there", "lm_weight": 0.0},
    )
  )
  assert plain == zero


def test_an_ensemble_is_the_mean_of_probabilities_in_each_part(speech, mapper):
  """Of the members' CTC: of what may follow a prefix."""
  members = [*speech.members, drawn_speech.speech(mapper, seed=2)]
  both = model_lib.Model(members, mapper, ["speech", "other"])
  source = drawn_speech.sources(1, seed=7)[0]
  (found,) = both.translate(
    [source], 1, scores=True, ctc_weight=0.5, max_extra=12
  )
  assert found.finished
  (attention,) = both.score([source], [found.text])
  ids = both.vocabularies.target.tokenizer.encode(found.text)
  terms = []
  for member in members:
    model = model_lib.Model([member], mapper, ["one"])
    logits = jnp.asarray(_logits(model, source)[None])
    memory = ctc.prepare(logits, jnp.ones(logits.shape[:2], bool))
    prefixes = ctc.prefixes(memory, jnp.asarray([ids], jnp.int32))
    log_probs = np.append(prefixes.starts[0], prefixes.ends[0, -1])
    terms.append(np.diff(log_probs))
  of_ctc = np.log(np.mean(np.exp(terms), axis=0)).sum()
  assert found.parts == pytest.approx(
    {"attention": attention, "ctc": of_ctc}, abs=1e-4
  )


@pytest.mark.parametrize(
  ("fields", "message"),
  [
    ({"exact": 9, "ctc_weight": 0.5}, "decode.exact: .* neither ctc_weight"),
    ({"ctc_weight": 1.0, "coverage": 0.1}, "at 1 gives no attention"),
    ({"ctc_weight": 1.0, "attention": True}, "attention: a search by CTC"),
    ({"ctc_weight": 1.5}, "ctc_weight"),
    ({"lm_weight": 0.5}, "lm_weight: needs a language model: .* decode.lm"),
    ({"lm": "not_there", "lm_weight": 0.5}, "decode.lm: not_there: holds no"),
  ],
)
def test_what_cannot_be_searched_is_refused(speech, fields, message):
  with pytest.raises(types.UserError, match=message):
    speech.translate(drawn_speech.sources(1), **fields)


def test_a_model_without_ctc_cannot_search_with_it(speech, mapper):
  optim = {"objectives": ("likelihood",)}
  member = drawn_speech.speech(mapper, optim=optim)
  model = model_lib.Model([member], mapper, ["plain"])
  with pytest.raises(types.UserError, match="ctc_weight: needs a run that was"):
    model.translate(drawn_speech.sources(1), ctc_weight=0.3)
  two = model_lib.Model([*speech.members, member], mapper, ["speech", "plain"])
  with pytest.raises(types.UserError, match="plain was trained without CTC"):
    two.translate(drawn_speech.sources(1), ctc_weight=0.3)


def test_a_head_that_copies_is_refused():
  words = {"data.source.tokenizer": "word", "data.target.tokenizer": "word"}
  copying = words | {"model.head": "pointer"}
  config.replace(tiny(), copying)
  with pytest.raises(types.UserError, match="that are copied"):
    config.replace(
      tiny(), copying | {"decode.lm": "lm", "decode.lm_weight": 0.1}
    )
