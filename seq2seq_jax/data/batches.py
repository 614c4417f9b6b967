"""Batches of training and of evaluation, as NumPy arrays of fixed shapes.

A training batch depends only on (data seed, training seed, step), not on the
batches loaded before it, and is the same in every process.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grain
import numpy as np

from seq2seq_jax import config, types
from seq2seq_jax.data import buckets, left_out, skipped, sources, vocabulary
from seq2seq_jax.data import corpus as corpus_lib
from seq2seq_jax.data import lengths as lengths_lib

PREFETCH = 8  # batches that the loader's thread keeps ready
CACHE_BYTES = 2**28  # approximate size of the cache of encoded examples
EVALUATION_STEP = 8  # short lengths are padded to a multiple of this
PAIR_BYTES = 400  # approximate size of an encoded pair without its arrays

Vocabularies = vocabulary.Vocabularies


class TrainData:
  """The training batches of one seed, by step.

  Args:
    data: settings of batching.
    corpus: holds the training examples.
    vocabularies: encode the examples.
    seed: seed of the order of examples.
    lengths: result of `lengths.measure`; None: measured here.
    parts: devices, or parts of their batches, that share the rows evenly;
      filler rows make up what is missing.

  Attributes:
    indices: [N] indices in `corpus.train` of the examples to train on.
    lengths: [N, 2] their source and target positions.
    left_out: count and place of the examples with a blank or a long side.
    buckets: shapes of batches, shortest first.
    plan: the examples of each batch.
    skipped: rows of the batches so far whose sources could not be used.

  Raises:
    types.UserError: every example is too long.
  """

  def __init__(
    self,
    data: config.Data,
    corpus: corpus_lib.Corpus,
    vocabularies: Vocabularies,
    seed: int,
    lengths: np.ndarray | None = None,
    parts: int = 1,
  ):
    self.source, self.vocabularies = corpus.train, vocabularies
    self.parts = parts
    if lengths is None:
      lengths = lengths_lib.measure(corpus, vocabularies)
    longest = (data.max_source_length, data.max_target_length)
    fits = (lengths <= longest).all(axis=1)
    self.left_out = corpus.blank | left_out.too_long(
      corpus.train, corpus.indices, lengths, longest
    )
    if not fits.any():
      raise types.UserError(
        f"every training example is longer than data.max_source_length "
        f"{longest[0]} or data.max_target_length {longest[1]}; raise them "
        f"({left_out.describe(self.left_out)})"
      )
    self.indices, self.lengths = corpus.indices[fits], lengths[fits]
    self.buckets, member = buckets.choose(
      self.lengths,
      count=data.buckets,
      batch_size=data.batch_size,
      unit=data.batch_unit,
      row_multiple=data.row_multiple,
    )
    self.plan = buckets.Plan(
      self.buckets,
      member,
      data_seed=data.seed,
      seed=seed,
      replacement=data.order == "replacement",
    )
    self.seed, self.workers = seed, data.workers
    self.skips, self.skipped = data.audio.on_error == "skip", 0
    self._unusable = skipped.Skipped()
    self.samples = vocabularies.source.samples or vocabularies.target.samples
    self._cache: dict[int, types.EncodedPair] = {}
    self._cache_room = CACHE_BYTES

  def efficiency(self) -> float:
    """Real over padded tokens of the first epoch."""
    return buckets.efficiency(self.buckets, self.plan.epoch(0), self.lengths)

  def rows(self, bucket: buckets.Bucket) -> int:
    """Rows of a batch of this shape, with those that fill it up."""
    return -(-bucket.rows // self.parts) * self.parts

  def bucket(self, step: int) -> int:
    """Index in `buckets` of the shape of a step's batch."""
    return self.plan.batch(step)[0]

  def load(
    self,
    step: int,
    process: int = 0,
    processes: int = 1,
    *,
    widest: bool = False,
  ) -> types.Batch:
    """This process's rows of a step's batch.

    Args:
      step: counted from 0.
      process: index of this process.
      processes: number of processes, which share the rows evenly.
      widest: pad to the lengths of the largest bucket.
    """
    k, examples = self.plan.batch(step)
    bucket = self.buckets[k]
    share = self.rows(bucket) // processes
    rows = np.arange(process * share, (process + 1) * share, dtype=np.int32)
    pairs = [
      self._usable(int(examples[row]), step, bucket)
      if row < len(examples)
      else None
      for row in rows
    ]
    shape = self.buckets[-1] if widest else bucket
    return collate(self.vocabularies, pairs, rows, shape.source, shape.target)

  def load_call(
    self, call: int, calls: int, process: int = 0, processes: int = 1
  ) -> types.Batch:
    """The batches of `calls` successive steps, stacked on axis 1."""
    if calls == 1:
      return self.load(call, process, processes)
    steps = range(call * calls, (call + 1) * calls)
    return stack(
      [self.load(step, process, processes, widest=True) for step in steps]
    )

  def _usable(
    self, i: int, step: int, bucket: buckets.Bucket
  ) -> types.EncodedPair | None:
    """The i-th example; None, a filler row, if its source is skipped."""
    try:
      pair = self._encoded(i, step, bucket)
    except types.Unreadable as e:
      if not self.skips:
        raise
      self._unusable.add(e)
      return None
    source, target = self.vocabularies.lengths(pair)
    if source > bucket.source or target > bucket.target:
      place = sources.place(self.source, int(self.indices[i]))
      raise types.UserError(
        f"{place}: has {source:,} source positions, more than before this run; "
        "restore it, or begin anew"
      )
    return pair

  def _encoded(
    self, i: int, step: int, bucket: buckets.Bucket
  ) -> types.EncodedPair:
    """The i-th example, with subword sampling segmented anew every epoch."""
    index = int(self.indices[i])
    if not self.samples:
      return self._cached(i, index)
    epoch = step // len(self.plan)
    rng = np.random.default_rng((self.seed, 3, epoch, index))
    pair = self.vocabularies.encode(self.source[index], rng)
    source, target = self.vocabularies.lengths(pair)
    if source > bucket.source or target > bucket.target:
      # Buckets were chosen by the deterministic segmentation, so it fits.
      return self.vocabularies.encode(self.source[index])
    return pair

  def _cached(self, i: int, index: int) -> types.EncodedPair:
    """The i-th example, at `index` of the source, encoded once at most."""
    pair = self._cache.get(i)
    if pair is None:
      pair = self.vocabularies.encode(self.source[index])
      if self._cache_room > 0:
        self._cache[i] = pair
        arrays = [x for side in pair for x in side if x is not None]
        self._cache_room -= PAIR_BYTES + sum(x.nbytes for x in arrays)
    return pair

  def batches(
    self,
    first: int,
    last: int,
    process: int = 0,
    processes: int = 1,
    calls: int = 1,
  ) -> Iterator[types.Batch]:
    """Iterates over the batches of steps first to last - 1, prefetched.

    With `calls` above 1 each item stacks the batches of so many steps, which
    one call of the compiled program makes: for small models a call costs more
    than a step.
    """
    batches = grain.MapDataset.range(first // calls, last // calls).map(
      lambda call: self.load_call(int(call), calls, process, processes)
    )
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=PREFETCH)
    batches = batches.to_iter_dataset(options)
    if self.workers:
      from absl import flags

      if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # Grain's workers read absl's flags
      # Through pipes: what lies in shared memory when a run ends or is killed
      # would stay there, and a container's is smaller than a batch of frames.
      piped = grain.experimental.DatasetOptions(min_shm_size=sys.maxsize)
      batches = grain.experimental.WithOptionsIterDataset(batches, piped)
      batches = batches.mp_prefetch(
        grain.MultiprocessingOptions(num_workers=self.workers)
      )
    loaded = iter(batches)
    if not self.skips:
      return loaded
    return self._counted(loaded, first, process, processes, calls)

  def _counted(
    self,
    batches: Iterator[types.Batch],
    first: int,
    process: int,
    processes: int,
    calls: int,
  ) -> Iterator[types.Batch]:
    """The same batches; counts the examples of which they have filler rows."""
    usable = False
    for call, batch in enumerate(batches, first // calls):
      steps = range(call * calls, (call + 1) * calls)
      planned = sum(self._planned(s, process, processes) for s in steps)
      found = int(np.sum(batch.tgt_len > 0))
      self.skipped += planned - found
      usable = usable or found > 0
      if not usable and self.skipped:
        raise types.UserError(
          "data.train: none of the first batch's examples can be used"
        )
      yield batch

  def _planned(self, step: int, process: int, processes: int) -> int:
    """Number of a step's examples that are this process's."""
    k, examples = self.plan.batch(step)
    share = self.rows(self.buckets[k]) // processes
    return min(max(len(examples) - process * share, 0), share)


class Replicas:
  """Batches of several runs in one program, with replicas on axis 1.

  Replicas share the shape of every step's batch; the examples differ by seed.
  """

  def __init__(self, replicas: list[TrainData]):
    self.replicas = replicas
    first = replicas[0]
    self.buckets, self.plan = first.buckets, first.plan
    self.indices, self.left_out = first.indices, first.left_out
    self.lengths = first.lengths
    self.efficiency, self.bucket = first.efficiency, first.bucket
    self.rows = first.rows

  @property
  def skipped(self) -> int:
    """Rows of all replicas' batches whose sources could not be used."""
    return sum(replica.skipped for replica in self.replicas)

  def batches(
    self,
    first: int,
    last: int,
    process: int = 0,
    processes: int = 1,
    calls: int = 1,
  ) -> Iterator[types.Batch]:
    """As `TrainData.batches`, with an axis of replicas after rows and steps."""
    parts = [
      replica.batches(first, last, process, processes, calls)
      for replica in self.replicas
    ]
    axis = 1 if calls == 1 else 2
    return (stack(batches, axis) for batches in zip(*parts, strict=True))


def stack(batches: Sequence[types.Batch], axis: int = 1) -> types.Batch:
  """Stacks N batches of one shape: [B, ...] -> [B, N, ...] if `axis` is 1."""

  def join(*arrays: Any) -> Any:
    return None if arrays[0] is None else np.stack(arrays, axis=axis)

  return types.Batch(*(join(*arrays) for arrays in zip(*batches)))


def collate(
  vocabularies: Vocabularies,
  pairs: Sequence[types.EncodedPair | None],
  rows: Any,
  source: int,
  target: int,
) -> types.Batch:
  """Pads encoded pairs to a shape; None is a filler row.

  Args:
    vocabularies: vocabularies of the encoded pairs.
    pairs: the pair of each row.
    rows: [B] index of each row in the global batch.
    source: padded source length; ignored if there is no source.
    target: padded target length.
  """
  src = vocabularies.source.pad(
    [None if p is None else p.source for p in pairs], source
  )
  tgt = vocabularies.target.pad(
    [None if p is None else p.target for p in pairs], target
  )
  return types.Batch(
    src=src.values,
    src_len=src.length,
    tgt=tgt.values,
    tgt_len=tgt.length,
    row=np.asarray(rows, np.int32),
    src_ext=src.extended,
    tgt_ext=tgt.extended,
  )


def filler(
  vocabularies: Vocabularies, rows: int, source: int, target: int
) -> types.Batch:
  """A batch of only filler rows, to compile for a shape."""
  return collate(vocabularies, [None] * rows, np.arange(rows), source, target)


def evaluation(
  vocabularies: Vocabularies,
  pairs: Sequence[types.EncodedPair],
  rows: int,
  rows_of: Callable[[int, int, Sequence[int]], int] | None = None,
) -> Iterator[tuple[list[int], types.Batch]]:
  """Batches of encoded pairs with fixed rows, for losses and scores.

  Args:
    vocabularies: vocabularies of the encoded pairs.
    pairs: encoded examples.
    rows: rows of every batch; missing ones are filler.
    rows_of: called with padded source and target length and the pairs of that
      shape, gives other rows for it.

  Yields:
    (indices of the pairs in the batch, Batch). A pair's padded lengths depend
    on the pair alone, so that its scores do not depend on other pairs.
  """
  groups: dict[tuple[int, int], list[int]] = {}
  for i, pair in enumerate(pairs):
    groups.setdefault(_evaluation_shape(vocabularies, pair), []).append(i)
  for (source, target), members in sorted(groups.items()):
    n = rows_of(source, target, members) if rows_of else rows
    for first in range(0, len(members), n):
      part = members[first : first + n]
      chosen = [pairs[i] for i in part] + [None] * (n - len(part))
      yield part, collate(vocabularies, chosen, np.arange(n), source, target)


def _evaluation_shape(
  vocabularies: Vocabularies, pair: types.EncodedPair
) -> tuple[int, int]:
  """Padded source and target length of an encoded pair."""
  source, target = vocabularies.lengths(pair)
  source = vocabularies.source.padded(source, EVALUATION_STEP)
  step = EVALUATION_STEP
  if vocabularies.source.features:
    # A target costs little beside so many frames, and a program much.
    step = max(step, source // 64 * 8)
  return source, vocabularies.target.padded(target, step)
