"""Utterances at several speeds: lengths, pitch, and where they are examples."""

import dataclasses
import fractions
import math

import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.data import corpus, signals, vocabulary
from seq2seq_jax.data import lengths as lengths_lib
from tests.helpers import speech

pytestmark = pytest.mark.quick
pytest.importorskip("soundfile")
SPEEDS = ("0.9", "1.0", "1.1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  return speech.write_splits(tmp_path_factory.mktemp("speech"))


def _data(folder, **audio):
  return speech.data(folder, speeds=SPEEDS, **audio)


@pytest.mark.parametrize("speed", ["0.3", "0.9", "1.0", "1.1", "0.973", "3"])
def test_the_length_at_a_speed_is_known(speed):
  exact = fractions.Fraction(speed)
  rng = np.random.default_rng(0)
  for n in (1, 9, 10, 11, 99, 1000, 1001):
    samples = rng.standard_normal(n).astype(np.float32)
    heard = signals.heard(samples, float(speed))
    assert heard.dtype == np.float32
    assert len(heard) == signals.length(n, float(speed)) == math.ceil(n / exact)


@pytest.mark.parametrize("speed", [0.8, 1.25])
def test_a_tone_is_heard_higher_by_the_speed(speed):
  time = np.arange(8000) / 8000
  tone = np.sin(2 * np.pi * 300 * time).astype(np.float32)
  heard = signals.heard(tone, speed)
  want = np.sin(2 * np.pi * 300 * speed * np.arange(len(heard)) / 8000)
  middle = slice(200, -200)
  np.testing.assert_allclose(heard[middle], want[middle], atol=5e-3)


def test_training_hears_each_utterance_at_each_speed(folder):
  data = _data(folder)
  plain = corpus.Corpus(speech.data(folder))
  split = corpus.Corpus(data)
  assert len(split.train) == 3 * len(plain.train)
  assert len(split.indices) == 3 * len(plain.indices) == 18
  assert np.array_equal(split.once, plain.indices)
  heard = [split.train[int(i)] for i in split.indices]
  for k, speed in enumerate((0.9, 1.0, 1.1)):
    part = heard[6 * k : 6 * (k + 1)]
    assert {u.speed for u, _ in part} == {speed}
    assert [u.id for u, _ in part] == [f"u{n}" for n in range(6)]
  assert split.train.place(7).endswith("utterance u0 at speed 1")
  # Lengths are those of what is encoded, and no validation example has a speed.
  vocabularies = vocabulary.train(data, split)
  lengths = lengths_lib.measure(split, vocabularies)
  for (source, _), length in zip(heard, lengths[:, 0], strict=True):
    assert len(vocabularies.source.encode(source).values) == length
  assert split.valid[0][0].speed == 1.0
  scored = corpus.open_for_scoring(data, "train")
  assert [pair[0].speed for pair in scored.pairs] == [1.0] * 6


def test_statistics_and_checksums_know_the_speeds(folder):
  split, plain = (
    corpus.Corpus(data) for data in (_data(folder), speech.data(folder))
  )
  side = vocabulary.train(_data(folder), split).source
  frames = np.concatenate(
    [side.encode(split.train[int(i)][0]).values for i in split.indices]
  )
  np.testing.assert_allclose(frames.mean(axis=0), 0.0, atol=1e-4)
  np.testing.assert_allclose(frames.std(axis=0), 1.0, atol=1e-4)
  sums = [c.checksums() for c in (split, plain)]
  assert sums[0]["train"] != sums[1]["train"]
  assert sums[0]["valid"] == sums[1]["valid"]
  # A word is not more frequent for being heard three times.
  target = config.Text(min_count=4)
  for corpora in (split, plain):
    texts = vocabulary.train(
      dataclasses.replace(_data(folder), target=target), corpora
    )
    assert texts.sizes[1] == 4 + 1, "'one' is said six times, 'two' three times"


def test_an_utterance_that_is_held_out_is_held_out_at_all_speeds(folder):
  data = dataclasses.replace(_data(folder), valid=(), holdout=2, limit=3)
  split = corpus.Corpus(data)
  heldout = {pair[0].id for pair in split.valid.pairs}
  trained = [split.train[int(i)][0] for i in split.indices]
  assert len(heldout) == 2 and not heldout & {u.id for u in trained}
  assert len(trained) == 9 and len({u.id for u in trained}) == 3
  assert {pair[0].speed for pair in split.valid.pairs} == {1.0}


def test_text_has_no_speed():
  size = config.Synthetic(train=9, valid=9, test=9)
  plain = config.Data(task="copy", synthetic=size)
  data = dataclasses.replace(plain, audio=config.Audio(speeds=SPEEDS))
  split = corpus.Corpus(data)
  assert split.checksums() == corpus.Corpus(plain).checksums()
  assert len(split.indices) == 9


@pytest.mark.parametrize(
  "given, message",
  [
    ((), "names no speed"),
    (("1.0", "1"), "or one twice: 1.0 1"),
    (("0.2",), "'0.2' is not a speed from 0.3 to 3.0"),
    (("3.01",), "is not a speed"),
    (("0.33333",), "at most three decimals"),
    (("fast",), "'fast' is not a speed"),
    ((0.9,), "not a tuple of strings"),
  ],
)
def test_what_is_no_speed_is_refused(given, message):
  with pytest.raises(types.UserError, match=r"audio\.speeds") as e:
    config.Audio(speeds=given)
  assert message in str(e.value)
