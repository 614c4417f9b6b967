"""Searches of a trained model: bits, bounds, scores, order, constraints."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.inference import details
from seq2seq_jax.inference import translator as translation

ROOT = pathlib.Path(__file__).parents[2]
TEXTS = ("1 2 3", "4 0", "2 2 2 2")


def decode_of(model, beam_size=3, **changes) -> config.Decode:
  plain = {"beam_size": beam_size, "length_rule": "none", "alpha": 0.0}
  return dataclasses.replace(model.config.decode, **plain | changes)


def search(model, texts, decode, params=None, **options):
  """The hypotheses of all texts, in their order."""
  encoded = [model.vocabularies.source.encode(text) for text in texts]
  params = params or model.params
  answers = model.translator.search(params, encoded, decode, **options)
  hypotheses = dict(answers)
  return [hypotheses[i] for i in range(len(texts))]


@pytest.mark.parametrize(
  "more",
  [(), pytest.param(("more",), marks=pytest.mark.slow)],
  ids=["default", "more"],
)
def test_same_bits_for_any_batch_size_order_and_devices(whole, more):
  env = dict(os.environ)
  del env["JAX_DISABLE_MOST_OPTIMIZATIONS"]
  flags = env.get("XLA_FLAGS", "").split()
  env["XLA_FLAGS"] = " ".join(f for f in flags if "xla_cpu" not in f)
  done = subprocess.run(
    [sys.executable, "-m", "tests.helpers.same_bits", str(whole), *more],
    cwd=ROOT,
    env=env,
    capture_output=True,
    text=True,
    timeout=600,
  )
  assert "the same bits for 70 sentences" in done.stdout, done.stderr


@pytest.mark.quick
def test_pools_of_long_sources_take_no_more_memory():
  decode = config.Decode(pool_batches=16)
  parts = {
    n: translation.pool_batches(decode, n) for n in (24, 64, 192, 10_000)
  }
  assert parts == {24: 16, 64: 16, 192: 5, 10_000: 1}
  assert translation.pool_batches(decode, 24, attention=True) == 1


def test_scores_of_search_equal_scores_of_given_targets(model):
  found = search(model, TEXTS, decode_of(model), n_best=2)
  for text, h in zip(TEXTS, found):
    for n in range(2):
      length = int(h.length[n])
      if not h.finished[n]:
        continue
      target = types.EncodedSide(h.tokens[n, :length])
      source = model.vocabularies.source.encode(text)
      pair = types.EncodedPair(source, target)
      scores = model.scorer.score(model.params, [pair], 16)[0]
      np.testing.assert_allclose(
        scores[0], h.token_log_probs[n, :length], rtol=1e-4, atol=1e-5
      )


def test_coverage_penalty_of_a_model(model):
  """The score is log P plus the penalty of the attention that is returned."""
  decode = decode_of(model, coverage=0.5)
  found = search(model, TEXTS, decode, n_best=2, attention=True)
  penalties = []
  for text, h in zip(TEXTS, found):
    size = len(text.split()) + 1
    for n in range(2):
      received = h.attention[n, : h.length[n], :size].sum(axis=0)
      penalty = 0.5 * np.sum(np.log(np.clip(received, 1e-10, 1.0)))
      penalties.append(penalty)
      np.testing.assert_allclose(h.score[n], h.log_prob[n] + penalty, rtol=1e-5)
  assert min(penalties) < -0.01


def test_exact_search_of_a_model(model):
  first = search(model, TEXTS, decode_of(model))
  best = search(model, TEXTS, decode_of(model, exact=3000))
  assert all(b.proven for b in best)
  for a, b in zip(first, best):
    # Two programs, whose last bits may differ.
    assert b.score[0] >= a.score[0] - 1e-5 * abs(a.score[0])
    assert bool(b.improved) == (b.tokens.tolist() != a.tokens.tolist())
  diagnostics = details.search_diagnostics(best)
  assert diagnostics["proven"] == 100.0
  assert 0 <= diagnostics["search_errors"] <= 100
  assert list(details.search_diagnostics(first)) == ["cut"]


def test_hypotheses_come_while_the_search_goes_on(model):
  """Each source once, the first before the last pool has been dispatched."""
  words = model.vocabularies.source
  decode = decode_of(model, beam_size=1, batch_rows=8, pool_batches=1)
  devices = len(model.mapper.devices)
  texts = ["1 2 3"] * (8 * (devices + 3)) + ["2", "3 " * 10]
  pools = []
  encode = model.translator._encode

  class Spy(translation.Translator):
    def __init__(self):
      self.__dict__.update(model.translator.__dict__)
      self._encode = lambda *args: pools.append(args[-1]) or encode(*args)

  answers = Spy().search(
    model.params, [words.encode(text) for text in texts], decode
  )
  assert not pools, "a generator starts when it is first asked"
  order = [next(answers)[0]]
  dispatched = len(set(pools))
  order += [i for i, _ in answers]
  assert sorted(order) == list(range(len(texts)))
  assert dispatched < len(set(pools)), "all were dispatched before the first"


def test_the_unknown_word_can_be_forbidden(model):
  size = model.vocabularies.target.vocab_size

  def favoured(path, leaf):
    """The softmax's bias for the unknown word raised above all others."""
    if leaf.shape[-1:] != (size,) or "bias" not in str(path[-1]):
      return leaf
    return leaf.at[..., types.UNK].add(30.0)

  params = jax.tree_util.tree_map_with_path(favoured, model.params)

  def unknown(forbid):
    decode = decode_of(model, beam_size=2, forbid_unknown=forbid)
    found = search(model, TEXTS[:2], decode, params)
    return [types.UNK in h.tokens[0, : h.length[0]] for h in found]

  assert all(unknown(False))
  assert not any(unknown(True))


def test_outputs_of_a_given_length(model):
  """As in search without it, if they have it anyway; but without an end."""
  decode = decode_of(model, beam_size=1)
  free = search(model, TEXTS, decode)
  lengths = [int(h.length[0]) - 1 for h in free]
  forced = search(model, TEXTS, decode, lengths=lengths)
  for a, b in zip(free, forced):
    assert a.finished[0] and not b.finished[0]
    assert a.tokens[0, : b.length[0]].tolist() == (
      b.tokens[0, : b.length[0]].tolist()
    )
