"""Batches: least padding, every example once, the same on any processes."""

import dataclasses
import itertools

import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.data import buckets, pipeline

pytestmark = pytest.mark.quick


def _lengths(seed, n=300, longest=30):
  """Targets and sources that are long together, but not always."""
  rng = np.random.default_rng(seed)
  target = np.minimum(rng.geometric(0.12, size=n) + 1, longest)
  source = np.maximum(target + rng.integers(-3, 4, size=n), 2)
  return np.stack([source, target], axis=1)


def _choose(lengths, count=4, size=8, unit="rows", multiple=8):
  return buckets.choose(
    lengths, count=count, batch_size=size, unit=unit, row_multiple=multiple
  )


def _plan(lengths, data_seed=0, seed=0, **kw):
  shapes, member = _choose(lengths, **kw)
  return buckets.Plan(shapes, member, data_seed=data_seed, seed=seed)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("count", [1, 2, 3, 4, 20])
@pytest.mark.parametrize("sides", ["target", "both"])
def test_cut_wastes_least(seed, count, sides):
  rng = np.random.default_rng(seed)
  target = rng.integers(1, 9, size=25) ** 2
  source = np.zeros_like(target) if sides == "target" else 2 * target
  lengths = np.stack([source, target], axis=1)
  shapes, member = _choose(lengths, count=count)
  assert 1 <= len(shapes) <= count
  padded = sum(shapes[k].source + shapes[k].target for k in member)

  distinct = np.unique(lengths, axis=0)
  least = np.inf
  for parts in range(1, min(count, len(distinct)) + 1):
    for ends in itertools.combinations(range(len(distinct) - 1), parts - 1):
      widths = distinct[[*ends, len(distinct) - 1]]
      fits = (lengths[:, None] <= widths).all(axis=2).argmax(axis=1)
      least = min(least, widths[fits].sum())
  assert padded == least


@pytest.mark.parametrize("seed", range(5))
def test_examples_fit_their_shape(seed):
  lengths = _lengths(seed)
  shapes, member = _choose(lengths, count=5)
  for (source, target), k in zip(lengths, member):
    assert source <= shapes[k].source
    assert target <= shapes[k].target


@pytest.mark.parametrize("seed", range(5))
def test_batches_fit_their_shape(seed):
  """Also examples that moved on to the next larger shape."""
  lengths = _lengths(seed)
  plan = _plan(lengths, count=8)
  for epoch in range(10):
    for k, examples in plan.epoch(epoch):
      shape = plan.buckets[k]
      longest = lengths[examples].max(axis=0)
      assert longest[0] <= shape.source, (k, plan.buckets)
      assert longest[1] <= shape.target, (k, plan.buckets)


def test_long_source_moves_on_to_shape_of_long_targets():
  """Nine sources of 10 in batches of 8: the ninth moves on."""
  lengths = np.array([[10, 2]] * 9 + [[3, 30]] * 8)
  plan = _plan(lengths, count=2)
  for k, examples in plan.epoch(0):
    longest = lengths[examples].max(axis=0)
    shape = plan.buckets[k]
    assert longest[0] <= shape.source and longest[1] <= shape.target


def test_rows_of_shapes():
  lengths = _lengths(0)
  shapes, _ = _choose(lengths, size=24)
  assert {s.rows for s in shapes} == {24}
  shapes, _ = _choose(lengths, size=400, unit="tokens")
  for s in shapes:
    longer = max(s.source, s.target)
    assert s.rows % 8 == 0
    assert s.rows * longer <= 400 < (s.rows + 8) * longer
  # No batch is empty, however few tokens are asked for.
  shapes, _ = _choose(lengths, size=4, unit="tokens")
  assert {s.rows for s in shapes} == {8}


@pytest.mark.parametrize("n", [1, 7, 8, 9, 100, 300])
def test_every_example_once_an_epoch(n):
  plan = _plan(_lengths(0, n))
  step = 0
  for epoch in range(3):
    seen = []
    for _ in range(len(plan)):
      k, examples = plan.batch(step)
      assert 0 < len(examples) <= plan.buckets[k].rows
      seen += examples.tolist()
      step += 1
    assert sorted(seen) == list(range(n)), epoch


def test_filler_stands_in_one_batch_at_most():
  for n in range(90, 110):
    plan = _plan(_lengths(0, n))
    short = [len(e) < plan.buckets[k].rows for k, e in plan.epoch(3)]
    assert sum(short) <= 1
    assert len(plan) == -(-n // 8)


def test_same_number_of_each_shape_in_every_epoch():
  plan = _plan(_lengths(0))
  for epoch in range(4):
    shapes = [k for k, _ in plan.epoch(epoch)]
    assert len(shapes) == len(plan)
    assert np.bincount(shapes, minlength=4).tolist() == plan.batches


def _flat(plan, epoch):
  return [e.tolist() for _, e in plan.epoch(epoch)]


def _shapes(plan, epoch):
  return [k for k, _ in plan.epoch(epoch)]


def test_what_the_seeds_decide():
  lengths = _lengths(0)
  one, same = _plan(lengths, seed=1), _plan(lengths, seed=1)
  other, order = _plan(lengths, seed=2), _plan(lengths, seed=1, data_seed=9)
  for epoch in range(3):
    assert _flat(one, epoch) == _flat(same, epoch)
    assert _shapes(one, epoch) == _shapes(other, epoch)
    assert _flat(one, epoch) != _flat(other, epoch)
    assert _shapes(one, epoch) != _shapes(order, epoch)
  assert _shapes(one, 0) != _shapes(one, 1)
  assert _flat(one, 0) != _flat(one, 1)


def test_batch_does_not_depend_on_what_was_asked_before():
  one, other = _plan(_lengths(0)), _plan(_lengths(0))
  steps = list(range(3 * len(one)))
  forward = [one.batch(s)[1].tolist() for s in steps]
  backward = [other.batch(s)[1].tolist() for s in reversed(steps)]
  assert forward == backward[::-1]


def test_replacement():
  lengths = _lengths(0)
  shapes, member = _choose(lengths)
  plan = buckets.Plan(shapes, member, data_seed=0, seed=0, replacement=True)
  # A shape's share of the batches is rounded up, so that none is left out.
  once = len(_plan(lengths))
  assert once <= len(plan) <= once + len(shapes)
  seen = []
  for k, examples in plan.epoch(0):
    assert len(examples) == shapes[k].rows
    assert (member[examples] == k).all()
    seen += examples.tolist()
  assert len(set(seen)) < len(seen)


def test_replacement_draws_from_small_shapes_too():
  """A shape with fewer examples than rows; all are drawn in the long run."""
  lengths = np.array([[2, 2]] * 5 + [[40, 40]] * 40)
  shapes, member = _choose(lengths, count=2)
  plan = buckets.Plan(shapes, member, data_seed=0, seed=0, replacement=True)
  seen = {i for e in range(40) for _, ex in plan.epoch(e) for i in ex.tolist()}
  assert seen == set(range(45))


def test_efficiency():
  shapes = [buckets.Bucket(8, 3, 5)]
  lengths = np.array([[3, 5], [1, 2], [2, 2]])
  plan = [(0, np.array([0, 1, 2]))]
  assert buckets.efficiency(shapes, plan, lengths) == 15 / 64


def _data(min_length=1, **kw):
  size = config.Synthetic(
    train=150, valid=10, test=10, min_length=min_length, max_length=12
  )
  kw = {"task": "reverse", "batch_size": 16, "buckets": 3, **kw}
  return config.Data(synthetic=size, **kw)


def _train(train_seed=0, cache=None, **kw):
  data = _data(**kw)
  corpus = pipeline.Corpus(data)
  toks = pipeline.train_tokenizers(data, corpus)
  return pipeline.TrainData(data, corpus, toks, train_seed, cache)


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
        train.toks.source.decode(src[: n - 1].tolist()),
        train.toks.target.decode(tgt[: m - 1].tolist()),
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


def test_holdout_shares_nothing_with_training():
  corpus = pipeline.Corpus(config.Data(task="scan", holdout=50))
  held = set(corpus.valid.pairs)
  assert len(held) == 50
  assert not held & {corpus.train[int(i)] for i in corpus.indices}
  assert len(corpus.indices) == 16728 - 50


def test_holdout_leaves_the_repeated_primitive_in_training():
  data = config.Data(task="scan", name="addprim_jump", holdout=256)
  corpus = pipeline.Corpus(data)
  assert any(corpus.train[int(i)][0] == "jump" for i in corpus.indices)


def _words(tmp_path, lines, **changes):
  (tmp_path / "train.tsv").write_text("".join(f"{line}\n" for line in lines))
  data = config.Data(task="tsv", root=str(tmp_path), train=("train.tsv",))
  return pipeline.Corpus(dataclasses.replace(data, **changes))


@pytest.mark.quick
def test_a_limit_is_drawn_from_the_whole_file(tmp_path):
  """Files may be sorted. Fewer examples are a part of more."""
  lines = [f"{i:03}\tx" for i in range(300)]
  drawn = {
    n: _words(tmp_path, lines, limit=n).indices.tolist() for n in (10, 100, 999)
  }
  assert len(drawn[10]) == 10 and drawn[999] == list(range(300))
  assert set(drawn[10]) < set(drawn[100])
  assert drawn[100] == sorted(drawn[100]) and max(drawn[100]) > 200
  sums = [
    _words(tmp_path, lines, limit=10, seed=seed).checksums()["train"]
    for seed in (0, 0, 1)
  ]
  assert sums[0] == sums[1] != sums[2]  # a run goes on with its own alone
  assert sums[0] != _words(tmp_path, lines).checksums()["train"]


@pytest.mark.quick
def test_alternatives_are_held_out_together(tmp_path):
  lines = [f"w{i}\t{p}" for i in range(40) for p in range(1 + i % 3)]
  corpus = _words(tmp_path, lines, holdout=20, alternatives=True)
  held = {source for source, _ in corpus.valid.pairs}
  left = {corpus.train[int(i)][0] for i in corpus.indices}
  assert not held & left and len(held | left) == 40
  assert 20 <= len(corpus.valid) <= 22
  assert len(corpus.valid) + len(corpus.indices) == len(lines)
  # Without it a word's pronunciations stand on both sides.
  corpus = _words(tmp_path, lines, holdout=20)
  held = {source for source, _ in corpus.valid.pairs}
  assert held & {corpus.train[int(i)][0] for i in corpus.indices}


@pytest.mark.quick
def test_vocabularies_of_another_run(tmp_path):
  old = _words(tmp_path, ["a\tb", "c\td"])
  toks = pipeline.train_tokenizers(config.Data(), old)
  toks.save(tmp_path / "run" / "tokenizers")
  data = config.Data(vocabulary=str(tmp_path / "run"))
  new = _words(tmp_path, ["e\tf"])
  assert pipeline.first_tokenizers(data, new).checksum() == toks.checksum()
  fresh = pipeline.first_tokenizers(config.Data(), new)
  assert fresh.checksum() != toks.checksum()
  other = dataclasses.replace(data, target=config.Text(lowercase=True))
  with pytest.raises(types.UserError, match="for the target; data"):
    pipeline.first_tokenizers(other, new)
  joint = dataclasses.replace(data, joint=True)
  with pytest.raises(types.UserError, match="has two vocabularies"):
    pipeline.first_tokenizers(joint, new)
