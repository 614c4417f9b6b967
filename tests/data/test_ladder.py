"""Padded lengths are few, never too short, and waste little on speech."""

import itertools

import numpy as np
import pytest

from seq2seq_jax import types
from seq2seq_jax.data import (
  batches,
  buckets,
  frames_side,
  ladder,
  sides,
  tokenizers,
  vocabulary,
)

pytestmark = pytest.mark.quick


@pytest.fixture(scope="module")
def speech():
  """Frames of 20,000 utterances as long as LibriSpeech's: 12.3 s on average.

  Most of them were cut to between 12 and 16 s, the longest have 24.5 s. [N]
  """
  rng = np.random.default_rng(0)
  kind = rng.choice(3, 20_000, p=[0.3, 0.63, 0.07])
  kinds = (
    rng.uniform(1.4, 12, kind.shape),
    np.clip(rng.normal(14.2, 1.4, kind.shape), 12, 16),
    rng.uniform(16, 24.5, kind.shape),
  )
  frames = (100 * np.choose(kind, kinds)).astype(np.int64)
  assert 1200 < frames.mean() < 1260
  assert np.mean((frames >= 1200) & (frames <= 1600)) > 0.5
  return frames


def padded_by(rule, longest=2000, step=8):
  padded = [rule(n, step) for n in range(longest)]
  assert all(p >= n for n, p in enumerate(padded))
  # The least that fits: a length of the ladder is its own.
  assert all(rule(p, step) == p for p in set(padded))
  return sorted(set(padded))


def test_lengths_of_text_are_multiples_and_then_doubled():
  lengths = padded_by(ladder.doubling)
  assert lengths == [*range(0, 65, 8), 128, 256, 512, 1024, 2048]
  assert padded_by(ladder.doubling, 300, 24) == [*range(0, 193, 24), 384]


@pytest.mark.parametrize("step", [1, 5, 8, 24, 128])
def test_lengths_of_frames_grow_by_a_fifth_or_a_step(step):
  lengths = padded_by(ladder.growing, 4000, step)
  assert lengths[:6] == [i * step for i in range(6)]
  for a, b in itertools.pairwise(lengths):
    assert b <= max(a + step, 1.2 * a) and b - a >= step
  if step == 8:  # from 64 on always by a fifth at most, in multiples of 8
    assert lengths[8:16] == [64, 72, 80, 96, 112, 128, 152, 176]
    assert len(padded_by(ladder.growing, 65_536)) < 50
  assert padded_by(ladder.growing, 2000, 24)[-2:] == [1696, 2032]


def side_of_frames():
  return frames_side.SourceFrames(3)


def letters():
  return tokenizers.train(["ab"], kind="char", vocab_size=10)


def test_a_side_chooses_its_ladder():
  for side in (sides.SourceText(letters()), sides.TargetText(letters())):
    assert side.padded(65, 8) == 128
  assert sides.NoSource().padded(0, 8) == 0
  assert side_of_frames().padded(65, 8) == 72


@pytest.mark.parametrize("step,shapes", [(8, 20), (24, 20), (128, 13)])
def test_at_most_a_tenth_of_padded_speech_is_padding(speech, step, shapes):
  lengths, count = np.unique(speech, return_counts=True)
  padded = np.array([side_of_frames().padded(int(n), step) for n in lengths])
  assert np.sum(lengths * count) >= 0.9 * np.sum(padded * count)
  assert len(np.unique(padded)) <= shapes


def test_training_on_speech_wastes_at_most_a_tenth(speech):
  """With 16 shapes; `batch_unit tokens` counts padded frames."""
  rng = np.random.default_rng(1)
  spoken = rng.normal(0.147, 0.02, speech.shape)  # letters a frame
  letters = np.maximum(2, (speech * spoken).astype(np.int64))
  lengths = np.stack([speech, letters], axis=1)
  shapes, member = buckets.choose(
    lengths, count=16, batch_size=32_000, unit="tokens", row_multiple=8
  )
  assert len(shapes) == 16
  for shape in shapes:
    assert 32_000 - 8 * shape.source < shape.rows * shape.source <= 32_000
  plan = buckets.Plan(shapes, member, data_seed=0, seed=0).epoch(0)
  assert buckets.efficiency(shapes, plan, lengths) > 0.9


def test_scoring_speech_needs_few_programs(speech):
  """Targets of many lengths beside sources of one share a program."""
  rng = np.random.default_rng(2)
  side = side_of_frames()
  both = vocabulary.Vocabularies(side, sides.TargetText(letters()))
  empty = np.zeros((3000, 3), np.float32)
  pairs = [
    types.EncodedPair(
      types.EncodedSide(empty[:n]),
      types.EncodedSide(np.full(max(2, int(n * share)), 5, np.int32)),
    )
    for n, share in zip(speech[:500], rng.normal(0.147, 0.02, 500))
  ]
  shapes = {}
  for part, batch in batches.evaluation(both, pairs, rows=2):
    shapes.setdefault(batch.src.shape[1], set()).add(batch.tgt.shape[1])
    for i in part:
      source, target = both.lengths(pairs[i])
      assert batch.src.shape[1] == side.padded(source, 8)
      assert target <= batch.tgt.shape[1]
  assert sum(map(len, shapes.values())) <= 2 * len(shapes)
