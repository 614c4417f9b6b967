"""Batches of speech are a function of the step, whoever loads them."""

import contextlib
import dataclasses
import multiprocessing
import sys

import numpy as np
import pytest

from seq2seq_jax.data import batches, corpus, vocabulary
from tests.helpers import speech

pytestmark = pytest.mark.quick
pytest.importorskip("soundfile")
AUDIO = {
  "speeds": ("0.9", "1.0", "1.1"),
  "frequency_masks": 1,
  "frequency_width": 4,
  "time_masks": 2,
  "time_share": 0.4,
}


class Watched:
  """Examples that fail where JAX has opened a device in a worker process."""

  def __init__(self, source):
    self.source = source

  def __len__(self):
    return len(self.source)

  def __getitem__(self, i):
    bridge = sys.modules.get("jax._src.xla_bridge")
    if multiprocessing.parent_process() is not None and bridge is not None:
      assert not bridge.backends_are_initialized()
    return self.source[i]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  return speech.write_splits(tmp_path_factory.mktemp("speech"))


def _training(folder, workers=0, **audio):
  data = speech.data(folder, **AUDIO, **audio)
  data = dataclasses.replace(data, workers=workers, buckets=2)
  split = corpus.Corpus(data)
  return batches.TrainData(data, split, vocabulary.train(data, split), seed=0)


def _same(a, b):
  for x, y in zip(a, b, strict=True):
    assert (x is None) == (y is None)
    if x is not None:
      np.testing.assert_array_equal(x, y)


def test_worker_processes_resume_speech_in_mid_epoch(folder, tmp_path):
  """Masks, speeds and the cache's frames are those of one process."""
  cached = _training(folder, workers=2, cache=str(tmp_path))
  alone = _training(folder, cache=str(tmp_path))
  epoch = len(alone.plan)
  assert epoch > 2
  whole = list(alone.batches(0, 2 * epoch))
  cached.source = Watched(cached.source)
  first = epoch - 1
  with contextlib.closing(cached.batches(first, first + 3)) as loaded:
    for step, batch in enumerate(loaded, first):
      _same(batch, whole[step])


def test_two_processes_share_each_batch_of_speech(folder):
  training = _training(folder)
  for step in range(2 * len(training.plan)):
    whole = training.load(step)
    halves = [training.load(step, process, 2) for process in (0, 1)]
    assert np.array_equal(np.concatenate([h.src for h in halves]), whole.src)
    lengths = np.concatenate([h.src_len for h in halves])
    assert np.array_equal(lengths, whole.src_len)


def test_padding_is_never_masked_nor_filled(folder):
  """Masks are drawn over the frames of each example, and change no others."""
  masked, plain = _training(folder), _training(folder)
  plain.samples = False
  changed = 0
  for step in range(4 * len(masked.plan)):
    batch, whole = masked.load(step), plain.load(step)
    assert np.array_equal(batch.src_len, whole.src_len)
    real = np.arange(batch.src.shape[1]) < batch.src_len[:, None]
    assert not batch.src[~real].any() and not whole.src[~real].any()
    differs = batch.src != whole.src
    assert np.all(batch.src[differs] == 0.0)
    changed += differs.any()
  assert changed > 0
