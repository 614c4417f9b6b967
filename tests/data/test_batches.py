"""Batches of training: a function of the step, on any number of processes."""

import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.data import batches, vocabulary
from seq2seq_jax.data import corpus as corpus_lib

pytestmark = pytest.mark.quick


def _data(min_length=1, **kw):
  size = config.Synthetic(
    train=150, valid=10, test=10, min_length=min_length, max_length=12
  )
  kw = {"task": "reverse", "batch_size": 16, "buckets": 3, **kw}
  return config.Data(synthetic=size, **kw)


def _train(train_seed=0, cache=None, **kw):
  data = _data(**kw)
  corpus = corpus_lib.Corpus(data)
  vocabularies = vocabulary.train(data, corpus)
  lengths = batches.measure(
    corpus, vocabularies, cache, lambda path, content: path.write_bytes(content)
  )
  return batches.TrainData(data, corpus, vocabularies, train_seed, lengths)


def _same(a, b):
  for x, y in zip(a, b, strict=True):
    assert (x is None) == (y is None)
    if x is not None:
      np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_a_batch(processes):
  train = _train()
  for step in range(2 * len(train.plan)):
    whole = train.load(step)
    parts = [train.load(step, p, processes) for p in range(processes)]
    for name in ("src", "src_len", "tgt", "tgt_len", "row"):
      joined = np.concatenate([getattr(p, name) for p in parts])
      np.testing.assert_array_equal(joined, getattr(whole, name))
    assert whole.row.tolist() == list(range(len(whole.row)))


def test_loaded_batches_hold_the_examples():
  train = _train()
  shapes, texts, fillers = set(), [], 0
  for step in range(len(train.plan)):
    b = train.load(step)
    shape = train.buckets[train.bucket(step)]
    assert b.src.shape == (shape.rows, shape.source)
    assert b.tgt.shape == (shape.rows, shape.target)
    assert b.src.dtype == b.tgt.dtype == np.int32
    shapes.add((b.src.shape, b.tgt.shape))
    for src, n, tgt, m in zip(b.src, b.src_len, b.tgt, b.tgt_len):
      assert (src[n:] == types.PAD).all() and (tgt[m:] == types.PAD).all()
      assert src[n - 1] == types.EOS
      if m == 0:
        fillers += 1
        assert n == 1
        continue
      assert tgt[m - 1] == types.EOS
      pair = (
        train.vocabularies.source.tokenizer.decode(src[: n - 1].tolist()),
        train.vocabularies.target.tokenizer.decode(tgt[: m - 1].tolist()),
      )
      assert pair[1].split() == pair[0].split()[::-1]
      texts.append(pair)
  assert sorted(texts) == sorted(train.source.pairs)
  assert len(shapes) <= 3
  assert fillers == len(train.plan) * 16 - 150 > 0


@pytest.mark.parametrize("first", [1, 7, 25])
def test_batches_can_start_anywhere(first):
  train = _train()
  last = 28  # into the third epoch
  assert 2 * len(train.plan) < last
  whole = list(_train().batches(0, last))
  rest = list(train.batches(first, last))
  assert len(whole) == last and len(rest) == last - first
  for a, b in zip(whole[first:], rest):
    _same(a, b)
  for step, b in enumerate(rest, first):
    _same(train.load(step), b)


def test_length_cache(tmp_path):
  cache = tmp_path / "lengths.npz"
  first = _train(cache=cache)
  stored = cache.read_bytes()
  _same(first.load(3), _train(cache=cache).load(3))
  assert cache.read_bytes() == stored
  # Of another corpus it must not be believed; nor half written.
  other = _train(seed=1)
  assert not np.array_equal(other.lengths, first.lengths)
  _same(_train(cache=cache, seed=1).load(3), other.load(3))
  _same(_train(cache=cache).load(3), first.load(3))
  cache.write_bytes(stored[:50])
  _same(_train(cache=cache).load(3), first.load(3))


def test_longer_examples_are_left_out():
  train = _train(max_source_length=6)
  words = [len(s.split()) + 1 for s, _ in train.source.pairs]
  assert train.left_out == sum(n > 6 for n in words) > 0
  assert max(b.source for b in train.buckets) == 6
  with pytest.raises(types.UserError, match=r"data\.max_source_length 3"):
    _train(max_source_length=3, min_length=5)


def _of_copy_task(steps):
  conf = config.Data(
    task="copy",
    synthetic=config.Synthetic(train=60, valid=5, test=5, symbols=5),
    batch_size=16,
    buckets=2,
  )
  corpus = corpus_lib.Corpus(conf)
  vocabularies = vocabulary.train(conf, corpus)
  train = batches.TrainData(conf, corpus, vocabularies, seed=0)
  return train, [train.load(step) for step in range(steps)]


def test_examples_beyond_the_room_are_encoded_anew(monkeypatch):
  large, expected = _of_copy_task(12)
  monkeypatch.setattr(batches, "CACHE_BYTES", 3000)
  small, loaded = _of_copy_task(12)
  assert len(large._cache) == 60 and 0 < len(small._cache) < 10
  for a, b in zip(expected, loaded, strict=True):
    _same(a, b)
