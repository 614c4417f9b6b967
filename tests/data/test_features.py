"""Log-mel features against Kaldi's own code, statistics and masks by hand."""

import dataclasses

import numpy as np
import pytest

from seq2seq_jax.data import features

pytestmark = pytest.mark.quick

SETTINGS = {
  "16 kHz": features.LogMel(),
  "8 kHz": features.LogMel(rate=8000, bins=40),
  "a band": features.LogMel(bins=23, low=64.0, high=7000.0),
  "Hamming": features.LogMel(window="hamming", window_ms=20, shift_ms=12.5),
  "Hann": features.LogMel(window="hann"),
}


def _online(settings):
  """Kaldi's extractor, which takes samples piece by piece."""
  fbank = pytest.importorskip("kaldi_native_fbank")
  options = fbank.FbankOptions()
  frame, mel = options.frame_opts, options.mel_opts
  frame.samp_freq, frame.dither = settings.rate, 0.0
  frame.frame_length_ms = settings.window_ms
  frame.frame_shift_ms = settings.shift_ms
  frame.window_type = settings.window.replace("hann", "hanning")
  mel.num_bins = settings.bins
  mel.low_freq, mel.high_freq = settings.low, settings.high
  return fbank.OnlineFbank(options)


def _kaldi(samples, settings):
  online = _online(settings)
  scaled = np.asarray(samples, np.float32) * 32768.0
  online.accept_waveform(settings.rate, scaled.tolist())
  online.input_finished()
  frames = [online.get_frame(i) for i in range(online.num_frames_ready)]
  return np.array(frames).reshape(len(frames), settings.bins)


def _signals(rate):
  rng = np.random.default_rng(0)
  time = np.arange(2 * rate) / rate
  noise = 0.1 * rng.standard_normal(2 * rate)
  return {
    "noise": noise,
    "tone": 0.3 * np.sin(2 * np.pi * 440.0 * time) + 1e-3 * noise,
    "clipped": np.clip(20.0 * noise, -1.0, 1.0),
    "silence": np.zeros(2 * rate),
  }


@pytest.mark.parametrize("name", SETTINGS)
def test_features_are_kaldis(name):
  settings = SETTINGS[name]
  for signal, samples in _signals(settings.rate).items():
    got = features.log_mel(samples, settings)
    want = _kaldi(samples, settings)
    assert got.dtype == np.float32 and got.shape == want.shape, signal
    error = np.abs(got - want)
    # Far from a loud tone both are what rounding leaves of it.
    mean = 1e-4 if signal == "tone" else 2e-5
    assert error.max() <= 2e-3 and error.mean() <= mean, signal


@pytest.mark.parametrize("name", ["16 kHz", "8 kHz"])
def test_numbers_of_frames_are_kaldis(name):
  settings, online = SETTINGS[name], _online(SETTINGS[name])
  samples = np.random.default_rng(1).standard_normal(2000).astype(np.float32)
  for n in range(2001):
    assert settings.frames(n) == online.num_frames_ready, n
    if n % 97 == 0:
      shape = features.log_mel(samples[:n], settings).shape
      assert shape == (settings.frames(n), settings.bins)
    online.accept_waveform(settings.rate, samples[n : n + 1].tolist())


def test_statistics_are_those_of_all_frames():
  rng = np.random.default_rng(2)
  parts = [rng.normal(5.0, 3.0, (n, 4)).astype(np.float32) for n in (3, 50, 1)]
  statistics = features.Statistics(4)
  for part in parts:
    statistics.add(part)
  frames = np.concatenate(parts).astype(np.float64)
  np.testing.assert_allclose(statistics.mean(), frames.mean(axis=0))
  np.testing.assert_allclose(statistics.deviation(), frames.std(axis=0))


def test_a_feature_that_never_changes_stays_finite():
  statistics = features.Statistics(2)
  statistics.add(np.full((5, 2), 3.0, np.float32))
  assert np.all(statistics.deviation() > 0.0)


def test_stacked_frames_hold_those_behind_them():
  frames = np.arange(10.0).reshape(5, 2)
  stacked = features.stack(frames, 3, 2)
  assert stacked.tolist() == [
    [0, 1, 2, 3, 4, 5],
    [4, 5, 6, 7, 8, 9],
    [8, 9, 8, 9, 8, 9],
  ]
  assert features.stack(frames, 1, 1) is frames
  assert features.stack(frames[:0], 3, 3).shape == (0, 2)


def test_masks_cover_the_share_that_is_expected():
  """E[width] of one mask each; masks never reach beyond the utterance."""
  augment = features.SpecAugment(1, 8, 1, 30, 0.2)
  frames = np.ones((100, 20), np.float32)
  rng = np.random.default_rng(3)
  masked_columns = masked_rows = 0
  draws = 2000
  for _ in range(draws):
    out = augment(frames, rng)
    masked_columns += np.sum(np.all(out == 0.0, axis=0))
    masked_rows += np.sum(np.all(out == 0.0, axis=1))
  assert np.all(frames == 1.0)
  assert masked_columns / draws == pytest.approx(4.0, rel=0.05)
  # At most a fifth of 100 frames, although up to 30 are asked for.
  assert masked_rows / draws == pytest.approx(10.0, rel=0.05)


def test_masks_follow_their_generator():
  frames = np.ones((50, 8), np.float32)
  augment = features.SpecAugment(2, 3, 2, 10)
  a, b, other = (
    augment(frames, np.random.default_rng(seed)) for seed in (1, 1, 2)
  )
  assert np.array_equal(a, b) and not np.array_equal(a, other)
  none = dataclasses.replace(augment, frequency_masks=0, time_masks=0)
  assert np.array_equal(none(frames, np.random.default_rng(1)), frames)
