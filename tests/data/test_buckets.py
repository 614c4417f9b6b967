"""Shapes of batches with least padding; plans that use every example once."""

import itertools

import numpy as np
import pytest

from seq2seq_jax.data import buckets

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
    assert np.bincount(shapes, minlength=4).tolist() == plan.counts(0)


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


def _with_replacement(sizes, rows, **seeds):
  """A plan of shapes with so many examples and rows each."""
  shapes = [buckets.Bucket(r, k + 1, 1) for k, r in enumerate(rows)]
  member = np.repeat(np.arange(len(sizes)), sizes)
  seeds = {"data_seed": 0, "seed": 0} | seeds
  return buckets.Plan(shapes, member, replacement=True, **seeds), member


def test_replacement():
  plan, member = _with_replacement([1000, 700, 90, 5], [64] * 4)
  assert len(plan) == 29  # 1,795 examples fill 28.05 batches
  seen = []
  for k, examples in plan.epoch(0):
    assert len(examples) == 64
    assert (member[examples] == k).all()
    seen += examples.tolist()
  assert len(set(seen)) < len(seen)


@pytest.mark.parametrize(
  "sizes, rows",
  [
    ([1000, 700, 90, 5], [64] * 4),
    ([3, 40, 11], [24, 16, 8]),
    ([1, 1, 1], [8, 8, 8]),
  ],
)
def test_replacement_gives_every_example_the_same_chance(sizes, rows):
  """Rows that a shape's examples get, over many epochs, by their number."""
  plan, member = _with_replacement(sizes, rows)
  epochs, drawn = 2000, np.zeros(len(sizes))
  for epoch in range(epochs):
    counts = plan.counts(epoch)
    assert sum(counts) == len(plan)
    drawn += np.array(counts) * rows
  # The mean is exact but for the draw between two whole numbers of batches,
  # whose deviation is at most 1/2 an epoch.
  rate = sum(drawn) / sum(sizes)
  error = (drawn / sizes - rate) / (0.5 * np.sqrt(epochs) * np.array(rows))
  assert np.all(np.abs(error * sizes) < 4), drawn / sizes / rate
  # Within a shape by chi-square, of so many degrees of freedom.
  seen = np.zeros(len(member))
  for epoch in range(60):
    for _, examples in plan.epoch(epoch):
      np.add.at(seen, examples, 1)
  for k, n in enumerate(sizes):
    of_shape = seen[member == k]
    mean = of_shape.mean()
    chi_square = np.sum((of_shape - mean) ** 2) / mean
    assert abs(chi_square - (n - 1)) < 5 * np.sqrt(2 * n), (k, chi_square)


def test_replacement_at_one_row_has_as_many_batches_as_examples():
  """Then every share is a whole number and nothing is left to a draw."""
  plan, _ = _with_replacement([7, 5, 2], [1] * 3)
  for epoch in range(5):
    assert plan.counts(epoch) == [7, 5, 2]
  shapes = np.random.default_rng((0, 0, 3)).permutation(
    [0] * 7 + [1] * 5 + [2] * 2
  )
  assert _shapes(plan, 3) == shapes.tolist()


def test_replacement_shares_its_shapes_among_seeds():
  one, _ = _with_replacement([50, 9, 3], [8] * 3, seed=1)
  other, _ = _with_replacement([50, 9, 3], [8] * 3, seed=2)
  for epoch in range(4):
    assert _shapes(one, epoch) == _shapes(other, epoch)
    assert _flat(one, epoch) != _flat(other, epoch)


def test_efficiency():
  shapes = [buckets.Bucket(8, 3, 5)]
  lengths = np.array([[3, 5], [1, 2], [2, 2]])
  plan = [(0, np.array([0, 1, 2]))]
  assert buckets.efficiency(shapes, plan, lengths) == 15 / 64
