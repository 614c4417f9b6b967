"""Batches of training: a function of the step, on any number of processes."""

import contextlib

import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.data import batches, vocabulary
from seq2seq_jax.data import corpus as corpus_lib
from seq2seq_jax.data import lengths as lengths_lib

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
  lengths = lengths_lib.measure(
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


def test_worker_processes_give_the_same_batches_and_leave_no_shared_memory():
  train, alone = _train(workers=1), _train()
  with contextlib.closing(train.batches(3, 7)) as loaded:
    for step, batch in enumerate(loaded, 3):
      _same(batch, alone.load(step))
      # Not one of Grain's arrays in shared memory, which outlive the process.
      assert {type(x) for x in batch if x is not None} == {np.ndarray}


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
  assert train.left_out["source too long"].examples == sum(n > 6 for n in words)
  assert sum(n > 6 for n in words) > 0
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


def _of_frames(n=20, features=3, **changes):
  """Training data of float frames with texts, and the raw pairs."""
  rng = np.random.default_rng(0)
  pairs = [
    (
      rng.normal(size=(int(rng.integers(1, 30)), features)).astype(np.float32),
      " ".join(rng.choice([*"abc"], rng.integers(1, 6))),
    )
    for _ in range(n)
  ]
  data = config.Data(task="pairs", batch_size=8, buckets=2, **changes)
  corpus = corpus_lib.Corpus(data, train=pairs)
  vocabularies = vocabulary.train(data, corpus)
  return batches.TrainData(data, corpus, vocabularies, seed=0), pairs


def test_batches_of_frames_hold_the_frames():
  train, pairs = _of_frames()
  loaded, fillers = {}, 0
  for step in range(len(train.plan)):
    batch = train.load(step)
    shape = train.buckets[train.bucket(step)]
    assert batch.src.shape == (shape.rows, shape.source, 3)
    assert batch.src.dtype == np.float32 and batch.src_ext is None
    for row in range(shape.rows):
      n, m = batch.src_len[row], batch.tgt_len[row]
      assert not batch.src[row, n:].any()
      if m == 0:
        fillers += 1
        assert n == 1 and not batch.src[row].any()
        continue
      text = train.vocabularies.target_text(batch.tgt[row, :m])
      loaded[batch.src[row, :n].tobytes()] = text
  assert loaded == {frames.tobytes(): text for frames, text in pairs}
  assert fillers == len(train.plan) * 8 - len(pairs)
  for batch, step in zip(train.batches(1, 3), (1, 2), strict=True):
    _same(batch, train.load(step))


def test_frames_that_are_too_long_are_left_out():
  train, pairs = _of_frames(max_source_length=10)
  long = sum(len(frames) > 10 for frames, _ in pairs)
  assert train.left_out["source too long"].examples == long > 0
  assert max(bucket.source for bucket in train.buckets) <= 10


def test_batches_of_a_language_model_have_no_source():
  data = config.Data(task="language_model", train=("x",), batch_size=8)
  corpus = corpus_lib.Corpus(data, train=[(None, "a b"), (None, "c")])
  vocabularies = vocabulary.train(data, corpus)
  train = batches.TrainData(data, corpus, vocabularies, seed=0)
  batch = train.load(0)
  assert batch.src is None and batch.src_len is None
  assert sorted(batch.tgt_len.tolist()) == [0] * 6 + [2, 3]
  assert train.lengths.tolist() == [[0, 3], [0, 2]]


def test_a_batch_of_filler_has_the_shape_of_a_bucket():
  train, _ = _of_frames()
  batch = batches.filler(train.vocabularies, rows=4, source=9, target=5)
  assert batch.src.shape == (4, 9, 3) and batch.tgt.shape == (4, 5)
  assert batch.src_len.tolist() == [1] * 4
  assert batch.tgt_len.tolist() == [0] * 4
  assert batch.row.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("frames", [False, True])
def test_a_pair_meets_the_same_evaluation_shape_in_any_company(frames):
  train = _of_frames()[0] if frames else _train()
  vocabularies = train.vocabularies
  pairs = [vocabularies.encode(train.source[i]) for i in range(20)]

  def shapes(order):
    by_pair = {}
    part_of = [pairs[i] for i in order]
    for part, batch in batches.evaluation(vocabularies, part_of, rows=6):
      assert len(batch.row) == 6 and 0 < len(part) <= 6
      assert batch.tgt_len[len(part) :].tolist() == [0] * (6 - len(part))
      for row, i in enumerate(part):
        source, target = vocabularies.lengths(part_of[i])
        assert batch.src_len[row] == source and batch.tgt_len[row] == target
        by_pair[order[i]] = (batch.src.shape, batch.tgt.shape)
    return by_pair

  whole = shapes(list(range(20)))
  assert len(whole) == 20
  some = shapes([7, 3, 11])
  assert some == {i: whole[i] for i in (7, 3, 11)}


def test_several_steps_are_stacked_in_the_widest_shape():
  train = _train()
  together = train.load_call(1, 3)
  widest = train.buckets[-1]
  assert together.src.shape == (16, 3, widest.source)
  for n, step in enumerate((3, 4, 5)):
    single = train.load(step)
    width = single.src.shape[1]
    np.testing.assert_array_equal(together.src[:, n, :width], single.src)
    assert not together.src[:, n, width:].any()


def test_replicas_share_shapes_but_not_examples():
  one, two = _train(0), _train(1)
  both = batches.Replicas([one, two])
  for step, batch in enumerate(both.batches(0, 5)):
    assert batch.src.shape[1] == 2
    np.testing.assert_array_equal(batch.src[:, 0], one.load(step).src)
    np.testing.assert_array_equal(batch.src[:, 1], two.load(step).src)
  assert not np.array_equal(one.load(0).src, two.load(0).src)


def test_sampled_segmentations_change_by_epoch_and_fit_their_bucket():
  text = config.Text(tokenizer="bpe", vocab_size=24, sampling=0.5)
  words = ["lower", "newest", "wider", "low"]
  rng = np.random.default_rng(1)
  pairs = [
    (" ".join(rng.choice(words, 3)), " ".join(rng.choice(words, 2)))
    for _ in range(24)
  ]
  data = config.Data(task="pairs", batch_size=8, source=text, target=text)
  corpus = corpus_lib.Corpus(data, train=pairs)
  train = batches.TrainData(
    data, corpus, vocabulary.train(data, corpus), seed=0
  )
  assert train.samples
  epoch = len(train.plan)

  def source(step):
    return {
      train.vocabularies.source.tokenizer.decode(row): row.tolist()
      for row in train.load(step).src
    }

  first = {k: v for s in range(epoch) for k, v in source(s).items()}
  second = {k: v for s in range(epoch, 2 * epoch) for k, v in source(s).items()}
  assert set(first) - {""} == {pair[0] for pair in pairs}
  shared = [k for k in first if k and len(first[k]) == len(second[k])]
  assert any(first[k] != second[k] for k in shared)
  _same(train.load(1), train.load(1))
