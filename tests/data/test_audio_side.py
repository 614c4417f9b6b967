"""Utterances as a source: what is normalised by what, and kept in a file."""

import dataclasses
import json

import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.data import audio, audio_side, features, stored

pytestmark = pytest.mark.quick
soundfile = pytest.importorskip("soundfile")
MEL = features.LogMel(rate=8000, bins=10)


@pytest.fixture(scope="module")
def utterances(tmp_path_factory):
  """Two speakers, one ten times as loud as the other."""
  folder = tmp_path_factory.mktemp("audio")
  rng = np.random.default_rng(0)
  out = []
  for n, (speaker, scale) in enumerate((("a", 0.01), ("a", 0.01), ("b", 0.1))):
    path = folder / f"{n}.wav"
    samples = scale * rng.standard_normal(1600 + 400 * n)
    soundfile.write(path, samples, MEL.rate, subtype="FLOAT")
    out.append(audio.Utterance(str(n), str(path), "x", speaker=speaker))
  return out


def _side(utterances, **changes):
  settings = dataclasses.replace(audio_side.Settings(MEL), **changes)
  return audio_side.SourceAudio.learn(utterances, settings)


def _frames(side, utterances):
  return np.concatenate([side.encode(u).values for u in utterances])


@pytest.mark.parametrize(
  "normalize, groups",
  [
    ("global", [[0, 1, 2]]),
    ("speaker", [[0, 1], [2]]),
    ("utterance", [[0], [1], [2]]),
  ],
)
def test_frames_are_normalised_over_their_group(utterances, normalize, groups):
  side = _side(utterances, normalize=normalize)
  for group in groups:
    frames = _frames(side, [utterances[i] for i in group])
    assert frames.dtype == np.float32
    np.testing.assert_allclose(frames.mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(frames.std(axis=0), 1.0, atol=1e-4)
  if normalize == "global":
    means = [_frames(side, [u]).mean() for u in utterances]
    assert means[2] - means[0] > 1.0, "the loud speaker is not above the other"


def test_a_speaker_that_was_not_heard_is_normalised_by_the_utterance(
  utterances,
):
  side = _side(utterances[:2], normalize="speaker")
  frames = side.encode(utterances[2]).values
  np.testing.assert_allclose(frames.mean(axis=0), 0.0, atol=1e-4)


def test_a_stored_side_is_the_same_and_a_change_is_seen(utterances, tmp_path):
  side = _side(utterances, stack=3, stack_step=2)
  path = tmp_path / "source.json"
  path.write_bytes(side.dump())
  again = audio_side.SourceAudio.restore(stored.load(path), config.Data())
  assert again.settings == side.settings and again.features == 30
  assert again.checksum() == side.checksum()
  frames = side.encode(utterances[1]).values
  assert np.array_equal(again.encode(utterances[1]).values, frames)
  assert side.length(side.encode(utterances[1])) == len(frames)
  other = _side(utterances[:2], stack=3, stack_step=2)
  assert other.checksum() != side.checksum()
  tree = json.loads(side.dump())
  tree["settings"]["mel"]["bins"] = "ten"
  with pytest.raises(types.UserError, match=r"settings\.mel\.bins must be"):
    audio_side.SourceAudio.restore(
      {k: v for k, v in tree.items() if k in ("kind", "settings", "moments")},
      config.Data(),
    )


def test_masks_are_drawn_in_training_alone(utterances):
  settings = audio_side.Settings(MEL)
  augment = features.SpecAugment(1, 5, 1, 10)
  side = audio_side.SourceAudio.learn(utterances, settings, augment)
  assert side.samples and not _side(utterances).samples

  def encode(*seed):
    rng = np.random.default_rng(*seed) if seed else None
    return side.encode(utterances[1], rng).values

  plain, drawn = encode(), encode(1)
  assert np.array_equal(drawn, encode(1)) and not np.array_equal(drawn, plain)
  changed = drawn != plain
  assert np.all(drawn[changed] == 0.0) and 0 < changed.mean() < 1
  assert np.array_equal(_side(utterances).encode(utterances[1]).values, plain)


def test_an_utterance_shorter_than_a_frame_is_named(utterances, tmp_path):
  path = tmp_path / "s.wav"
  soundfile.write(path, np.zeros(150), MEL.rate)
  side = _side(utterances)
  with pytest.raises(types.UserError, match="has 150 samples, fewer than a"):
    side.encode(audio.Utterance("short", str(path)))
  padded = side.pad([None, side.encode(utterances[0])], 40)
  assert padded.values.shape == (2, 40, 10)
  assert padded.length.tolist() == [1, MEL.frames(1600)]
