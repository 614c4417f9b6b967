"""Bucketing: a few fixed shapes of batch, and the batches of every epoch.

A plan depends only on (lengths, seeds, epoch), so it is the same in every
process. The sequence of shapes follows from `data.seed` and the epoch, the
examples in them from `train.seed` and the epoch.
"""

import dataclasses
import fractions
import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Bucket:
  """One shape of batch."""

  rows: int
  source: int  # padded source length; 0: no source
  target: int  # padded target length


def choose(
  lengths: np.ndarray,
  *,
  count: int,
  batch_size: int,
  unit: str,
  row_multiple: int,
) -> tuple[list[Bucket], np.ndarray]:
  """The shapes with the least padding, and the shape of each example.

  Examples are sorted by their longer side, the source measured in target
  tokens; the order is then cut so that the padded tokens are fewest (exact, by
  dynamic programming over the distinct lengths).

  Args:
    lengths: [N, 2] source and target positions with EOS; 0 without a source.
    count: largest number of shapes.
    batch_size: rows, or tokens of the longer padded side.
    unit: `rows` or `tokens`.
    row_multiple: rows of every batch are a multiple of this.

  Returns:
    The shapes, shortest first, and the index of each example's shape [N].
  """
  source, target = lengths[:, 0], lengths[:, 1]
  ratio = target.sum() / max(1, source.sum())
  sort_key = np.maximum(target, np.ceil(source * ratio).astype(np.int64))
  keys, key_index = np.unique(sort_key, return_inverse=True)
  longest = np.zeros((len(keys), 2), np.int64)
  np.maximum.at(longest, key_index, lengths)
  # Every shape can hold shorter examples, so that leftovers fit the next one.
  longest = np.maximum.accumulate(longest, axis=0)
  cuts = _cut(np.bincount(key_index), longest, min(count, len(keys)))
  buckets = []
  for first, last in zip([0, *cuts], [*cuts, len(keys)]):
    s, t = longest[first:last].max(axis=0)
    rows = batch_size
    if unit == "tokens":
      rows = batch_size // max(s, t) // row_multiple * row_multiple
    buckets.append(Bucket(max(int(rows), row_multiple), int(s), int(t)))
  return buckets, np.searchsorted(cuts, key_index, side="right")


def _cut(counts: np.ndarray, longest: np.ndarray, parts: int) -> list[int]:
  """Cuts the sorted lengths into at most `parts` shapes.

  best[k][j], the fewest padded tokens of the first j lengths in k + 1 shapes,
  is the minimum over i of best[k - 1][i] + cost[i, j].

  Args:
    counts: [L] examples of each distinct length.
    longest: [L, 2] largest source and target length up to each.
    parts: largest number of shapes.

  Returns:
    Index of the first length of each shape after the first, ascending.
  """
  n = len(counts)
  # cost[i, j]: padded tokens of lengths i to j - 1 in one shape.
  cost = np.full((n + 1, n + 1), np.inf)
  for i in range(n):
    widths = np.maximum.accumulate(longest[i:], axis=0).sum(axis=1)
    cost[i, i + 1 :] = widths * np.cumsum(counts[i:])
  best = cost[0]
  last_cuts = []  # [parts - 1][j]: first length of the last shape
  for _ in range(parts - 1):
    through = best[:, None] + cost  # [cut, end]
    last_cuts.append(through.argmin(axis=0))
    best = through.min(axis=0)
  end, cuts = n, []
  for last_cut in reversed(last_cuts):
    end = int(last_cut[end])
    cuts.append(end)
  # A cut at 0 or n makes an empty shape: fewer shapes are as good.
  return sorted({cut for cut in cuts if 0 < cut < n})


class Plan:
  """The shape and the examples of the batch of each step.

  Every example is used once an epoch: leftovers of a shape move to the next
  larger one, and those of the largest make the last batch, whose missing rows
  are filler. Every epoch has the same number of batches of each shape. With
  `replacement` every example has the same chance at each row of training: an
  epoch has the number of batches that all examples fill, rounded up; a shape's
  share of them is in proportion to its examples over its rows, and where that
  is no whole number a draw decides between the two nearest. Examples are then
  drawn with replacement.

  Args:
    buckets: the shapes, shortest first.
    member: [N] index of each example's shape.
    data_seed: seed of the sequence of shapes.
    seed: seed of the examples in them.
    replacement: draw the examples with replacement.

  Attributes:
    members: examples of each shape.
  """

  def __init__(
    self,
    buckets: Sequence[Bucket],
    member: np.ndarray,
    *,
    data_seed: int,
    seed: int,
    replacement: bool = False,
  ):
    self.buckets = buckets
    self.data_seed, self.seed = data_seed, seed
    self.replacement = replacement
    self.members = [np.flatnonzero(member == k) for k in range(len(buckets))]
    self._shares = self._even_shares()
    self._fixed = self._filled_counts()
    self._size = round(sum(self._shares if replacement else self._fixed))
    self._epochs: dict[int, list[tuple[int, np.ndarray]]] = {}

  def __len__(self) -> int:
    """Number of batches in an epoch."""
    return self._size

  def counts(self, epoch: int) -> list[int]:
    """Batches of each shape in an epoch."""
    if not self.replacement:
      return self._fixed
    # Systematic sampling: one uniform number moves all bounds between shapes,
    # so that the means are the shares and the sum is always the same.
    rng = np.random.default_rng((self.data_seed, 4, epoch))
    offset = fractions.Fraction(int(rng.integers(2**53)), 2**53)
    bounds = [fractions.Fraction(0), *itertools.accumulate(self._shares)]
    places = [math.floor(bound + offset) for bound in bounds]
    return [last - first for first, last in itertools.pairwise(places)]

  def _filled_counts(self) -> list[int]:
    """Batches of each shape if every example is used once an epoch."""
    counts: list[int] = []
    left_over = 0
    for k, bucket in enumerate(self.buckets):
      n = len(self.members[k]) + left_over
      is_last = k == len(self.buckets) - 1
      counts.append(-(-n // bucket.rows) if is_last else n // bucket.rows)
      left_over = max(0, n - counts[-1] * bucket.rows)
    return counts

  def _even_shares(self) -> list[fractions.Fraction]:
    """Mean batches of each shape if every example is drawn as often.

    Their sum is a whole number.
    """
    filled = [
      fractions.Fraction(len(members), bucket.rows)
      for members, bucket in zip(self.members, self.buckets)
    ]
    total = sum(filled)
    return [part * math.ceil(total) / total for part in filled]

  def batch(self, step: int) -> tuple[int, np.ndarray]:
    """Index of the shape and indices of the examples of a step's batch.

    If there are fewer examples than rows, the other rows are filler.
    """
    epoch, n = divmod(step, len(self))
    epochs = self._epochs  # read once: loader threads share this object
    if epoch not in epochs:
      # The loader prefetches the next epoch during the last steps of this one,
      # so both plans stay.
      near = {e: epochs[e] for e in (epoch - 1, epoch + 1) if e in epochs}
      epochs = self._epochs = near | {epoch: self.epoch(epoch)}
    return epochs[epoch][n]

  def epoch(self, epoch: int) -> list[tuple[int, np.ndarray]]:
    """The (shape, examples) of all batches of an epoch, in order."""
    counts = self.counts(epoch)
    shape_rng = np.random.default_rng((self.data_seed, 0, epoch))
    shapes = np.repeat(np.arange(len(self.buckets)), counts)
    shapes = shape_rng.permutation(shapes)
    rng = np.random.default_rng((self.seed, 1, epoch))
    filled = (
      self._with_replacement(rng, counts)
      if self.replacement
      else self._without_replacement(rng, counts)
    )
    return [(int(k), filled[k].pop()) for k in shapes]

  def _without_replacement(
    self, rng: np.random.Generator, counts: Sequence[int]
  ) -> list[list[np.ndarray]]:
    """The batches of each shape, with every example once."""
    filled = []
    left_over = np.zeros(0, np.int64)
    for k, bucket in enumerate(self.buckets):
      pool = rng.permutation(self.members[k])
      # Leftovers go first, or the same examples would always end up in the
      # last batch.
      pool = np.concatenate([left_over, pool])
      used = min(len(pool), counts[k] * bucket.rows)
      starts = range(0, used, bucket.rows)
      filled.append([pool[i : i + bucket.rows] for i in starts])
      left_over = pool[used:]
      rng.shuffle(filled[-1])
    return filled

  def _with_replacement(
    self, rng: np.random.Generator, counts: Sequence[int]
  ) -> list[list[np.ndarray]]:
    """The batches of each shape, from independent draws."""
    return [
      [rng.choice(members, bucket.rows) for _ in range(n)]
      for bucket, members, n in zip(self.buckets, self.members, counts)
    ]


def efficiency(
  buckets: Sequence[Bucket],
  plan: Iterable[tuple[int, np.ndarray]],
  lengths: np.ndarray,
) -> float:
  """Real over padded tokens of an epoch; filler rows count as padding.

  Args:
    buckets: the shapes.
    plan: (shape, examples) of all batches.
    lengths: [N, 2] source and target positions of the examples.
  """
  real, padded = 0, 0
  for k, examples in plan:
    bucket = buckets[k]
    real += int(lengths[examples].sum())
    padded += bucket.rows * (bucket.source + bucket.target)
  return real / max(1, padded)
