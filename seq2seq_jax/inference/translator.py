"""Search of many sources: one program a bucket, always the same rows."""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from seq2seq_jax import config, contracts, types
from seq2seq_jax.decoding import stepfn
from seq2seq_jax.inference import programs, sizing
from seq2seq_jax.runtime import parallel

# Longest source for which a pool holds `decode.pool_batches` batches; longer
# ones get fewer, so that memory stays constant.
FULL_POOL_LENGTH = 64
# What can be lowered where memory is not enough.
FIELDS = (
  "decode.max_source_length (decode.long_source says what becomes of longer "
  "sources), decode.beam_size or decode.batch_rows"
)


def longest_output(decode: config.Decode, length: Any) -> np.ndarray:
  """Longest outputs of sources of `length` tokens, EOS counted in both."""
  longest = np.floor(decode.max_ratio * np.asarray(length)) + decode.max_extra
  return np.maximum(decode.min_length + 1, longest).astype(np.int64)


def output_limits(decode: config.Decode, length: int) -> tuple[int, int]:
  """Shortest and longest output of a source of `length` tokens with EOS."""
  longest = int(longest_output(decode, length))
  shortest = max(decode.min_length + 1, math.ceil(decode.min_ratio * length))
  return min(longest, shortest), longest


def pool_batches(
  decode: config.Decode, padded: int, attention: bool = False
) -> int:
  """Encoded batches of a pool of sources of `padded` positions."""
  # Attention of all sources and steps would need much memory, and so do the
  # untried continuations of an exact search.
  if attention or decode.exact:
    return 1
  return max(1, decode.pool_batches * min(FULL_POOL_LENGTH, padded) // padded)


class Translator:
  """Searches with given parameters; a program is compiled once a bucket.

  Every program has a fixed number of rows on each device, whatever is asked
  for: `decode.batch_rows`, fewer for long sources (`sizing.fitting`). Its shape
  follows from the source alone, so a source gets the same bits in any batch,
  order and number of devices. A search program draws its sources from a pool of
  `decode.pool_batches` encoded batches.

  Args:
    models: modules, one a member of an ensemble.
    mapper: over the devices.
    side: of the sources.
  """

  def __init__(
    self,
    models: Sequence[Any],
    mapper: parallel.Mapper,
    side: contracts.Side,
  ):
    self.models, self.mapper, self.side = tuple(models), mapper, side
    self._lms: dict[str, tuple[Any, Any]] = {}
    self._encode = mapper.round_robin(programs.make_encode(self.models))
    self._programs: dict[tuple, parallel.RoundRobin] = {}
    self._sizes: dict[tuple, sizing.Size] = {}

  def add_lm(self, name: str, module: Any, params: Any) -> None:
    """Makes a language model known to searches whose `decode.lm` it is.

    Args:
      name: `decode.lm`.
      module: of a language model with the target's vocabulary.
      params: on the mapper's devices.
    """
    self._lms[name] = module, params

  def knows_lm(self, name: str) -> bool:
    """True if `add_lm` was called with the name."""
    return name in self._lms

  def pool_size(self, decode: config.Decode) -> int:
    """Sources that fill a pool on each device.

    With fewer at a time, rows are idle at the end of every time.
    """
    return decode.pool_batches * decode.batch_rows * len(self.mapper.devices)

  def search(
    self,
    params: tuple[Any, ...],
    sources: Sequence[types.EncodedSide],
    decode: config.Decode,
    *,
    n_best: int = 1,
    attention: bool = False,
    lengths: Sequence[int] | None = None,
  ) -> Iterator[tuple[int, types.Hypotheses]]:
    """Each source's index and hypotheses, as they come.

    Whoever iterates works on them while the devices search for the next ones.

    Args:
      params: tuple of parameter trees on the mapper's devices.
      sources: as the source side encodes them.
      decode: the search.
      n_best: hypotheses of each source.
      attention: with attention weights.
      lengths: required number of tokens of each output, EOS not counted and
        forbidden; None: the search decides.

    Yields:
      (index, hypotheses of this one source: leaves without the axis B).
    """
    sizes = [self.side.length(source) for source in sources]
    limits = [output_limits(decode, size) for size in sizes]
    if lengths is not None:
      # At least one token more than the output may have: EOS is never allowed.
      limits = [
        (longest + 1, min(length, longest))
        for length, (_, longest) in zip(lengths, limits, strict=True)
      ]
    every = params
    if decode.lm_weight:
      every = (*params, self._lms[decode.lm][1])
    size_of = functools.partial(
      self._size, params, every, decode, n_best=n_best, attention=attention
    )
    devices = self.mapper.devices
    pending: list[tuple[list[int], types.Hypotheses]] = []
    rungs = [self.side.padded(size, decode.length_step) for size in sizes]
    pools = _pools(sizes, rungs, decode, len(devices), attention, size_of)
    for turn, (padded, pool) in enumerate(pools):
      named = sizing.named(pool, sizes[pool[0]], FIELDS)
      try:
        with named:
          size = size_of(padded)
          sizing.check_fits(size.need, devices[0])
          parts = self._encode_pool(
            params,
            [(sources[i], limits[i]) for i in pool],
            padded,
            size.rows,
            turn,
          )
          # Their number never changes: copies fill up, and are not searched.
          missing = pool_batches(decode, padded, attention) - len(parts)
          parts += parts[:1] * missing
          program = self._program(
            decode, padded, size.rows, n_best=n_best, attention=attention
          )
          hypotheses = program(every, (tuple(parts), np.int32(len(pool))), turn)
      except types.Unanswerable:
        # What is under way is answered all the same.
        for batch in pending:
          yield from _rows_on_host(*batch, sizes)
        raise
      pending.append((pool, hypotheses))
      if len(pending) > len(devices):  # every device has its next pool
        yield from _rows_on_host(*pending.pop(0), sizes)
    for batch in pending:
      yield from _rows_on_host(*batch, sizes)

  def _program(
    self,
    decode: config.Decode,
    padded: int,
    rows: int,
    *,
    n_best: int,
    attention: bool,
  ) -> parallel.RoundRobin:
    """The search program of a bucket, compiled at its first call."""
    key = (padded, rows, decode, n_best, attention)
    if key not in self._programs:
      search = programs.make_search(
        self.models,
        decode,
        int(longest_output(decode, padded)),
        rows=rows,
        n_best=n_best,
        attention=attention,
        lm=self._lms[decode.lm][0] if decode.lm_weight else None,
      )
      self._programs[key] = self.mapper.round_robin(
        lambda params, pool: search(params, *pool)
      )
    return self._programs[key]

  def _size(
    self,
    params: tuple[Any, ...],
    every: tuple[Any, ...],
    decode: config.Decode,
    padded: int,
    *,
    n_best: int,
    attention: bool,
  ) -> sizing.Size:
    """Rows and memory of a bucket's programs, the same in any search."""

    def need(rows: int) -> int | None:
      source_rows = self._source_rows([(None, (0, 0))] * rows, padded)
      part = jax.eval_shape(self._encode.fn, params, source_rows)
      pool = (part,) * pool_batches(decode, padded, attention)
      program = self._program(
        decode, padded, rows, n_best=n_best, attention=attention
      )
      needs = (
        self._encode.bytes_needed(params, source_rows),
        program.bytes_needed(every, (pool, np.int32(0))),
      )
      return max((n for n in needs if n is not None), default=None)

    key = (padded, decode, n_best, attention)
    if key not in self._sizes:
      self._sizes[key] = sizing.fitting(
        decode.batch_rows, padded, self.mapper.devices[0], need
      )
    return self._sizes[key]

  def _encode_pool(
    self,
    params: tuple[Any, ...],
    pool: Sequence[tuple[types.EncodedSide, tuple[int, int]]],
    padded: int,
    rows: int,
    turn: int,
  ) -> list[stepfn.Sources]:
    """Dispatches the encoder on a pool of sources with their output limits."""
    parts = []
    for first in range(0, len(pool), rows):
      batch: list[Any] = list(pool[first : first + rows])
      batch += [(None, (0, 0))] * (rows - len(batch))
      parts.append(self._encode(params, self._source_rows(batch, padded), turn))
    return parts

  def _source_rows(
    self,
    batch: Sequence[tuple[types.EncodedSide | None, tuple[int, int]]],
    padded: int,
  ) -> programs.SourceRows:
    """Sources with their output limits, or None, as rows of a program."""
    rows, limits = zip(*batch)
    src = self.side.pad(rows, padded)
    min_len, max_len = np.array(limits, np.int32).T
    return programs.SourceRows(
      src.values, src.length, min_len, max_len, src.extended
    )


def _pools(
  sizes: Sequence[int],
  rungs: Sequence[int],
  decode: config.Decode,
  devices: int,
  attention: bool,
  size_of: Callable[[int], sizing.Size],
) -> Iterator[tuple[int, list[int]]]:
  """Padded length and sources of each pool, short buckets first."""
  buckets: dict[int, list[int]] = {}
  for i, padded in enumerate(rungs):
    buckets.setdefault(padded, []).append(i)
  for padded, members in sorted(buckets.items()):
    # Long ones first: at the end of a pool only short ones are left.
    members = sorted(members, key=lambda i: -sizes[i])
    # No more batches in a pool than leave work for all devices.
    with sizing.named(members, sizes[members[0]], FIELDS):
      rows = size_of(padded).rows
    share = -(-len(members) // (rows * devices))
    size = rows * min(share, pool_batches(decode, padded, attention))
    for first in range(0, len(members), size):
      yield padded, members[first : first + size]


def _rows_on_host(
  pool: list[int], hypotheses: types.Hypotheses, sizes: Sequence[int]
) -> Iterator[tuple[int, types.Hypotheses]]:
  """Waits for a pool's hypotheses; yields each source's index and own ones."""
  with sizing.named(pool, sizes[pool[0]], FIELDS):
    host = jax.device_get(hypotheses)
  for row, i in enumerate(pool):
    yield i, jax.tree.map(lambda x, row=row: x[row], host)
