"""Batches of training and of evaluation, as NumPy arrays of fixed shapes.

A batch of training is a function of (data seed, training seed, step) alone: the
same whatever was asked for before, and in every process.
"""

import hashlib
import io
import pathlib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grain
import numpy as np

from seq2seq_jax import config, types
from seq2seq_jax.data import buckets, vocabulary
from seq2seq_jax.data import corpus as corpus_lib

PREFETCH = 8  # batches that the loader's thread keeps ready
CACHE_BYTES = 2**28  # of encoded examples that stay in memory, about
PAIR_BYTES = 400  # that an encoded pair takes beside its arrays, about

Vocabularies = vocabulary.Vocabularies


class TrainData:
  """The training batches of one seed: a function of the step.

  Args:
    data: how examples are batched.
    corpus: with the training examples.
    vocabularies: encode them.
    seed: decides which examples fill the batches.
    lengths: as `measure` returns them; measured here if None.

  Attributes:
    indices: [N] places in `corpus.train` of the examples that are used.
    lengths: [N, 2] their source and target positions.
    left_out: number of examples that are too long.
    buckets: shapes of batches, short ones first.
    plan: which examples are in which batch.
  """

  def __init__(
    self,
    data: config.Data,
    corpus: corpus_lib.Corpus,
    vocabularies: Vocabularies,
    seed: int,
    lengths: np.ndarray | None = None,
  ):
    self.source, self.vocabularies = corpus.train, vocabularies
    if lengths is None:
      lengths = measure(corpus, vocabularies)
    longest = (data.max_source_length, data.max_target_length)
    fits = (lengths <= longest).all(axis=1)
    self.left_out = int((~fits).sum())
    if not fits.any():
      raise types.UserError(
        f"every training example is longer than data.max_source_length "
        f"{longest[0]} or data.max_target_length {longest[1]}"
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
    self.samples = vocabularies.source.samples or vocabularies.target.samples
    self._cache: dict[int, types.EncodedPair] = {}
    self._cache_room = CACHE_BYTES

  def efficiency(self) -> float:
    """Real over padded tokens of the first epoch."""
    return buckets.efficiency(self.buckets, self.plan.epoch(0), self.lengths)

  def bucket(self, step: int) -> int:
    """Which of `buckets` the batch of a step has the shape of."""
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
      processes: that share the batch's rows evenly.
      widest: pad all rows as the largest bucket's are.
    """
    k, examples = self.plan.batch(step)
    bucket = self.buckets[k]
    share = bucket.rows // processes
    rows = np.arange(process * share, (process + 1) * share, dtype=np.int32)
    pairs = [
      self._encoded(int(examples[row]), step, bucket)
      if row < len(examples)
      else None
      for row in rows
    ]
    shape = self.buckets[-1] if widest else bucket
    return collate(self.vocabularies, pairs, rows, shape.source, shape.target)

  def load_call(
    self, call: int, calls: int, process: int = 0, processes: int = 1
  ) -> types.Batch:
    """The batches of `calls` successive steps, the steps on axis 1."""
    if calls == 1:
      return self.load(call, process, processes)
    steps = range(call * calls, (call + 1) * calls)
    return stack(
      [self.load(step, process, processes, widest=True) for step in steps]
    )

  def _encoded(
    self, i: int, step: int, bucket: buckets.Bucket
  ) -> types.EncodedPair:
    """The i-th example; its segmentation may be drawn anew in every epoch."""
    place = int(self.indices[i])
    if not self.samples:
      return self._cached(i, place)
    epoch = step // len(self.plan)
    rng = np.random.default_rng((self.seed, 3, epoch, place))
    pair = self.vocabularies.encode(self.source[place], rng)
    source, target = self.vocabularies.lengths(pair)
    if source > bucket.source or target > bucket.target:
      # The plan has measured the deterministic segmentation, which fits.
      return self.vocabularies.encode(self.source[place])
    return pair

  def _cached(self, i: int, place: int) -> types.EncodedPair:
    pair = self._cache.get(i)
    if pair is None:
      pair = self.vocabularies.encode(self.source[place])
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
    """Iterates over the batches of steps first to last - 1, loaded ahead.

    With `calls` over 1 each item holds the batches of so many steps, which one
    call of the compiled program makes: singly they would cost more than a small
    model's step.
    """
    batches = grain.MapDataset.range(first // calls, last // calls).map(
      lambda call: self.load_call(int(call), calls, process, processes)
    )
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=PREFETCH)
    batches = batches.to_iter_dataset(options)
    if self.workers:
      from absl import flags

      if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # Grain's workers read absl's flags.
      batches = batches.mp_prefetch(
        grain.MultiprocessingOptions(num_workers=self.workers)
      )
    return iter(batches)


class Replicas:
  """The data of several runs in one program: batches with replicas on axis 1.

  The shapes of batches are those of all; what fills them differs by seed.
  """

  def __init__(self, replicas: list[TrainData]):
    self.replicas = replicas
    first = replicas[0]
    self.buckets, self.plan = first.buckets, first.plan
    self.indices, self.left_out = first.indices, first.left_out
    self.lengths = first.lengths
    self.efficiency, self.bucket = first.efficiency, first.bucket

  def batches(
    self,
    first: int,
    last: int,
    process: int = 0,
    processes: int = 1,
    calls: int = 1,
  ) -> Iterator[types.Batch]:
    """As `TrainData.batches`, with replicas after the rows and the steps."""
    parts = [
      replica.batches(first, last, process, processes, calls)
      for replica in self.replicas
    ]
    axis = 1 if calls == 1 else 2
    return (stack(batches, axis) for batches in zip(*parts, strict=True))


def stack(batches: Sequence[types.Batch], axis: int = 1) -> types.Batch:
  """Joins batches of one shape: [B, ...] -> [B, N, ...], or N on `axis`."""

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
    vocabularies: that the pairs were encoded with.
    pairs: one a row.
    rows: [B] place in the global batch.
    source: padded source length; not read if there is no source.
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
  """A batch of filler rows alone: of the right shapes, for compilation."""
  return collate(vocabularies, [None] * rows, np.arange(rows), source, target)


def measure(
  corpus: corpus_lib.Corpus,
  vocabularies: Vocabularies,
  cache: pathlib.Path | None = None,
  write: Callable[[pathlib.Path, bytes], object] | None = None,
) -> np.ndarray:
  """Source and target positions of the trainable examples. [N, 2] int64.

  Every example is encoded once for it, which takes minutes for a large corpus.

  Args:
    corpus: with the training examples.
    vocabularies: encode them, without sampling.
    cache: file with the lengths of an earlier call; of another corpus or other
      vocabularies, or damaged, it is not believed.
    write: replaces `cache` by new content if it could not be used.
  """
  digest = hashlib.sha256(corpus.indices.tobytes())
  digest.update((corpus.train.checksum() + vocabularies.checksum()).encode())
  key = digest.hexdigest()
  if cache is not None and cache.is_file():
    try:
      with cache.open("rb") as f, np.load(f) as stored:
        if str(stored["key"]) == key:
          return stored["lengths"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
      pass
  lengths = np.zeros((len(corpus.indices), 2), np.int64)
  for n, i in enumerate(corpus.indices):
    lengths[n] = vocabularies.lengths(vocabularies.encode(corpus.train[int(i)]))
  if cache is not None and write is not None:
    content = io.BytesIO()
    np.savez(content, key=key, lengths=lengths)
    write(cache, content.getvalue())
  return lengths


def evaluation(
  vocabularies: Vocabularies, pairs: Sequence[types.EncodedPair], rows: int
) -> Iterator[tuple[list[int], types.Batch]]:
  """Batches of encoded pairs with fixed rows, for losses and scores.

  Args:
    vocabularies: that the pairs were encoded with.
    pairs: encoded examples.
    rows: rows of every batch; missing ones are filler.

  Yields:
    (indices of the pairs in the batch, Batch). Lengths are padded as a function
    of the pair alone, so a pair always meets the same shape.
  """
  groups: dict[tuple[int, int], list[int]] = {}
  for i, pair in enumerate(pairs):
    source, target = (ceil_length(n) for n in vocabularies.lengths(pair))
    groups.setdefault((source, target), []).append(i)
  for (source, target), members in sorted(groups.items()):
    for first in range(0, len(members), rows):
      part = members[first : first + rows]
      chosen = [pairs[i] for i in part] + [None] * (rows - len(part))
      yield (
        part,
        collate(vocabularies, chosen, np.arange(rows), source, target),
      )


def ceil_length(length: int, step: int = 8) -> int:
  """A padded length, of few different ones, from the length alone.

  Multiples of `step` up to eight of them, then doubling: at most
  8 + log2(length) programs, whatever the data.
  """
  if length <= 8 * step:
    return -(-length // step) * step
  padded = 8 * step
  while padded < length:
    padded *= 2
  return padded
