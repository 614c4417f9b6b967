"""From lengths to batches: a few fixed shapes, and a plan for every epoch.

A plan is a function of (lengths, seeds, epoch) alone, the same in every
process. The sequence of shapes follows from `data.seed` and the epoch; which
examples fill them from `train.seed` and the epoch.
"""

import dataclasses

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
  """The shapes that waste least padding, and every example's shape.

  Examples are put in order of their longer side, the source measured in target
  tokens; the order is then cut where the padded tokens are fewest (exact, by
  dynamic programming over the distinct lengths).

  Args:
    lengths: [N, 2] source and target tokens with EOS; source 0: none.
    count: most shapes.
    batch_size: rows, or tokens of the longer padded side.
    unit: `rows` or `tokens`.
    row_multiple: rows of every batch are a multiple of this.

  Returns:
    The shapes, short ones first, and the index of each example's shape [N].
  """
  source, target = lengths[:, 0], lengths[:, 1]
  ratio = target.sum() / max(1, source.sum())
  key = np.maximum(target, np.ceil(source * ratio).astype(np.int64))
  keys, place = np.unique(key, return_inverse=True)
  longest = np.zeros((len(keys), 2), np.int64)
  np.maximum.at(longest, place, lengths)
  # Every shape holds the shorter ones, so leftovers can move on to it.
  longest = np.maximum.accumulate(longest, axis=0)
  cuts = _cut(np.bincount(place), longest, min(count, len(keys)))
  buckets = []
  for first, last in zip([0, *cuts], [*cuts, len(keys)]):
    s, t = longest[first:last].max(axis=0)
    rows = batch_size
    if unit == "tokens":
      rows = batch_size // max(s, t) // row_multiple * row_multiple
    buckets.append(Bucket(max(int(rows), row_multiple), int(s), int(t)))
  return buckets, np.searchsorted(cuts, place, side="right")


def _cut(counts, longest, parts: int) -> list[int]:
  """Where to cut the ordered lengths into at most `parts` shapes."""
  n = len(counts)
  cost = np.full((n + 1, n + 1), np.inf)
  for i in range(n):
    widths = np.maximum.accumulate(longest[i:], axis=0).sum(axis=1)
    cost[i, i + 1 :] = widths * np.cumsum(counts[i:])
  best = cost[0]
  back = []
  for _ in range(parts - 1):
    through = best[:, None] + cost  # [cut, end]
    back.append(through.argmin(axis=0))
    best = through.min(axis=0)
  end, cuts = n, []
  for choice in reversed(back):
    end = int(choice[end])
    cuts.append(end)
  return sorted({c for c in cuts if 0 < c < n})


class Plan:
  """Which examples make up the batch of each step.

  Every example is used once an epoch: what is left over in a shape moves to the
  next larger one, and what is left in the largest makes the last batch, whose
  missing rows are filler. The number of batches is the same in every epoch.
  With `replacement`, the examples of each batch are drawn with replacement, and
  a shape's share of the batches is rounded up.
  """

  def __init__(self, buckets, member, *, data_seed, seed, replacement=False):
    self.buckets = buckets
    self.data_seed, self.seed = data_seed, seed
    self.replacement = replacement
    self.members = [np.flatnonzero(member == k) for k in range(len(buckets))]
    self.batches, over = [], 0
    for k, bucket in enumerate(buckets):
      n = len(self.members[k]) + over
      last = k == len(buckets) - 1 or replacement
      whole = -(-n // bucket.rows) if last else n // bucket.rows
      self.batches.append(whole)
      over = max(0, n - whole * bucket.rows)
    self._plans: dict[int, list] = {}

  def __len__(self):
    """Batches in an epoch."""
    return sum(self.batches)

  def batch(self, step: int) -> tuple[int, np.ndarray]:
    """Shape and examples of a step; fewer examples than rows: filler."""
    epoch, place = divmod(step, len(self))
    plans = self._plans  # read once: loader threads share this object
    if epoch not in plans:
      # A loader is in the next epoch while the last steps are being made.
      near = {e: plans[e] for e in (epoch - 1, epoch + 1) if e in plans}
      plans = self._plans = near | {epoch: self.epoch(epoch)}
    return plans[epoch][place]

  def epoch(self, epoch: int) -> list[tuple[int, np.ndarray]]:
    """The (shape, examples) of all batches of an epoch."""
    order = np.random.default_rng((self.data_seed, 0, epoch))
    shapes = np.repeat(np.arange(len(self.buckets)), self.batches)
    shapes = order.permutation(shapes)
    rng = np.random.default_rng((self.seed, 1, epoch))
    filled = self._drawn(rng) if self.replacement else self._once(rng)
    return [(int(k), filled[k].pop()) for k in shapes]

  def _once(self, rng):
    filled, over = [], np.zeros(0, np.int64)
    for k, bucket in enumerate(self.buckets):
      pool = rng.permutation(self.members[k])
      # Leftovers go first, or the same ones would climb to the last batch.
      pool = np.concatenate([over, pool])
      used = min(len(pool), self.batches[k] * bucket.rows)
      parts = range(0, used, bucket.rows)
      filled.append([pool[i : i + bucket.rows] for i in parts])
      over = pool[used:]
      rng.shuffle(filled[-1])
    return filled

  def _drawn(self, rng):
    return [
      [
        rng.choice(members, bucket.rows) if len(members) else members
        for _ in range(n)
      ]
      for bucket, members, n in zip(self.buckets, self.members, self.batches)
    ]


def efficiency(buckets, plan, lengths) -> float:
  """Real tokens over padded tokens of an epoch, filler rows included."""
  real, padded = 0, 0
  for k, examples in plan:
    bucket = buckets[k]
    real += int(lengths[examples].sum())
    padded += bucket.rows * (bucket.source + bucket.target)
  return real / max(1, padded)
