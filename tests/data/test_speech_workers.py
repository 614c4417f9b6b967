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


def _training(folder, workers=0, batch_size=None, **audio):
  data = speech.data(folder, **AUDIO, **audio)
  data = dataclasses.replace(data, workers=workers, buckets=2)
  if batch_size is not None:
    data = dataclasses.replace(data, batch_size=batch_size)
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


def test_masks_follow_from_the_epoch_and_the_example(folder):
  """Of whatever batch size; each epoch has others."""

  def epoch(training, number):
    found, length = {}, len(training.plan)
    for step in range(number * length, (number + 1) * length):
      batch = training.load(step)
      for row, example in enumerate(training.plan.batch(step)[1]):
        found[int(example)] = batch.src[row, : batch.src_len[row]]
    return found

  one, other = _training(folder), _training(folder, batch_size=16)
  assert len(one.plan) != len(other.plan)
  for number in (0, 1):
    a, b = epoch(one, number), epoch(other, number)
    assert a.keys() == b.keys()
    assert all(np.array_equal(a[i], b[i]) for i in a)
  first, second = epoch(one, 0), epoch(one, 1)
  assert any(not np.array_equal(first[i], second[i]) for i in first)


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
