"""Search of many sentences: a program a bucket, always the same rows."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax import config, contracts, types
from seq2seq_jax.data import batches
from seq2seq_jax.decoding import beam, combine, exact, stepfn
from seq2seq_jax.runtime import parallel

# Source length up to which a pool is whole; beyond it, it takes as much memory.
ROOM = 64


class Options(NamedTuple):
  """What a compiled search program depends on, beside its shapes."""

  beam_size: int
  n_best: int
  rule: str
  alpha: float
  attention: bool
  coverage: float = 0.0
  exact: int = 0  # steps of exact search behind the beam's
  patience: float = 0.0
  forbid_unknown: bool = False


def options_of(decode: config.Decode, n_best=1, attention=False) -> Options:
  """The options of a search from a config's decode section."""
  return Options(
    decode.beam_size,
    n_best,
    decode.length_rule,
    decode.alpha,
    attention,
    decode.coverage,
    decode.exact,
    decode.patience,
    decode.forbid_unknown,
  )


class Queries(NamedTuple):
  """Rows of a search program."""

  src: np.ndarray  # [B, S] or [B, S, F]
  src_len: np.ndarray  # [B]
  min_len: np.ndarray  # [B]
  max_len: np.ndarray  # [B]
  src_ext: np.ndarray | None = None  # [B, S] where the model copies


def make_encode(models):
  """Builds `encode(params, queries) -> stepfn.Sources`.

  Args:
    models: modules, one a member of an ensemble; `params` is a tuple of as
      many trees.
  """

  def encode(params, queries: Queries) -> stepfn.Sources:
    memories = tuple(
      model.apply(
        p,
        queries.src,
        queries.src_len,
        source=queries.src_ext,
        method="encode",
      )
      for model, p in zip(models, params)
    )
    # An ensemble attends as its first member does.
    real = memories[0].mask
    return stepfn.Sources(memories, (), queries.min_len, queries.max_len, real)

  return encode


def make_search(models, options: Options, max_steps: int, rows: int):
  """Builds `search(params, parts, total) -> Hypotheses` for one bucket.

  `parts` is a tuple of `stepfn.Sources`, `total` the number of sentences in
  them; several models are an ensemble: the mean of their probabilities.

  Args:
    models: modules, one a member; `params` is a tuple of as many trees.
    options: of the search.
    max_steps: longest output of the bucket.
    rows: rows computed at a time.
  """

  def search(params, parts, total):
    join = lambda *xs: jnp.concatenate(xs)
    sentences = jax.tree.map(join, *parts) if len(parts) > 1 else parts[0]
    carries = tuple(
      model.apply(p, memory, max_steps, method="start")
      for model, p, memory in zip(models, params, sentences.memory)
    )

    used = rows * options.beam_size * max_steps
    words = tuple(_words(model, p, used) for model, p in zip(models, params))

    step_fn = combine.ensemble(
      [
        functools.partial(_member_step, model, p, w)
        for model, p, w in zip(models, params, words)
      ]
    )
    if options.forbid_unknown:
      step_fn = combine.forbid(step_fn, types.UNK)

    sentences = sentences._replace(carry=carries)
    found = beam.search(
      step_fn,
      sentences,
      eos=types.EOS,
      bos=types.BOS,
      beam_size=options.beam_size,
      n_best=options.n_best,
      max_steps=max_steps,
      rule=options.rule,
      alpha=options.alpha,
      coverage=options.coverage,
      patience=options.patience,
      with_attention=options.attention,
      rows=rows,
      total=total,
    )
    if not options.exact:
      return found
    return exact.improve(
      step_fn,
      sentences,
      found,
      eos=types.EOS,
      bos=types.BOS,
      max_steps=max_steps,
      rule=options.rule,
      alpha=options.alpha,
      limit=options.exact,
    )

  return search


def _member_step(model, params, words, memory, carry, tokens):
  """One member's step: a `contracts.StepFn` once the first three are given."""
  return model.apply(params, memory, carry, tokens, words, method="step")


def _words(model, params, used: int):
  """All words' input products, where fewer than the search would make."""
  table = jax.eval_shape(lambda p: model.apply(p, method="input_table"), params)
  if table is None or table.shape[0] > used:
    return None
  return model.apply(params, method="input_table")


def longest(decode: config.Decode, length):
  """Longest outputs of sources of `length` tokens, EOS counted in both."""
  most = np.floor(decode.max_ratio * np.asarray(length)) + decode.max_extra
  return np.maximum(1, most).astype(np.int64)


class Translator:
  """Searches with given parameters; programs are compiled once a bucket.

  Every program has `decode.batch_rows` rows on each device, whatever is asked,
  and its shape follows from the sentence alone, so a sentence gets the same
  bits in any batch, order and number of devices. A search program draws its
  sentences from `decode.pool_batches` encoded batches of `rows`.
  """

  def __init__(
    self,
    models,
    decode: config.Decode,
    mapper: parallel.Mapper,
    side: contracts.Side,
  ):
    self.models, self.decode, self.mapper = tuple(models), decode, mapper
    self.side = side
    self.rows = decode.batch_rows
    self._encode = mapper.round_robin(make_encode(self.models))
    self._programs = {}

  def drawn_from(self) -> int:
    """Sentences that fill a pool on each device.

    Of fewer at a time, rows are idle at the end of every time.
    """
    return self.decode.pool_batches * self.rows * len(self.mapper.devices)

  def limits(self, length: int) -> tuple[int, int]:
    """Shortest and longest output of a source of `length` tokens with EOS."""
    most = int(longest(self.decode, length))
    return min(most, math.ceil(self.decode.min_ratio * length)), most

  def search(
    self,
    params,
    sources_,
    options: Options,
    done=None,
    made=lambda i, hypothesis: hypothesis,
    lengths=None,
  ):
    """Hypotheses of every source, in order, each of one row.

    Args:
      params: tuple of parameter trees on the mapper's devices.
      sources_: as the source side encodes them.
      options: of the search.
      done: called with the number of sentences answered so far.
      made: what is made of the i-th source's hypotheses, while the devices
        search for the next ones; it is returned in their place.
      lengths: tokens that each output shall have, without EOS, which then never
        ends it; None where the search decides.
    """
    sizes = [self.side.length(source) for source in sources_]
    limits = [self.limits(size) for size in sizes]
    if lengths is not None:
      # One more at least than there may be: so EOS is never allowed.
      both = zip(lengths, limits, strict=True)
      limits = [(most + 1, min(n, most)) for n, (_, most) in both]
    out, answered = [None] * len(sources_), 0
    if done:
      done(0)
    groups: dict[int, list[int]] = {}
    for i, size in enumerate(sizes):
      padded = batches.ceil_length(size, self.decode.length_step)
      groups.setdefault(padded, []).append(i)
    pending = []  # the host works while the devices do
    ahead = len(self.mapper.devices)
    turn = 0
    for padded, members in sorted(groups.items()):
      # Long ones first: at the end of a pool only short ones are left.
      members = sorted(members, key=lambda i: -sizes[i])
      # No more in a pool than leaves work for all devices.
      each = -(-len(members) // (self.rows * ahead))
      size = self.rows * min(each, self._parts(options, padded))
      for first in range(0, len(members), size):
        pool = members[first : first + size]
        some = [(sources_[i], limits[i]) for i in pool]
        found = self._search(params, some, padded, options, turn)
        pending.append((pool, found))
        turn += 1
        if len(pending) > ahead:
          answered += self._collect(out, *pending.pop(0), made)
          if done:
            done(answered)
    for batch in pending:
      answered += self._collect(out, *batch, made)
      if done:
        done(answered)
    return out

  def _parts(self, options: Options, padded: int) -> int:
    """Encoded batches of a pool, fewer of long sentences."""
    # Attention of all sentences and steps would need much room, and so do the
    # open continuations of an exact search.
    if options.attention or options.exact:
      return 1
    return max(1, self.decode.pool_batches * min(ROOM, padded) // padded)

  def _search(self, params, pool, padded, options, turn):
    """Dispatches the search of a pool of sentences of one bucket."""
    parts = []
    for first in range(0, len(pool), self.rows):
      queries = self._queries(pool[first : first + self.rows], padded)
      parts.append(self._encode(params, queries, turn))
    # The number of parts never changes; what stands in those behind is unused.
    parts += parts[:1] * (self._parts(options, padded) - len(parts))
    search = self._program(padded, options)
    return search(params, (tuple(parts), np.int32(len(pool))), turn)

  def _program(self, padded: int, options: Options):
    key = (padded, options)
    if key not in self._programs:
      steps = self.limits(padded)[1]
      search = make_search(self.models, options, steps, self.rows)
      self._programs[key] = self.mapper.round_robin(
        lambda params, pool: search(params, *pool)
      )
    return self._programs[key]

  def _queries(self, pool, padded: int) -> Queries:
    filler = (None, (0, 0))
    sources, limits = zip(*pool, *[filler] * (self.rows - len(pool)))
    src = self.side.pad(sources, padded)
    limits = np.array(limits, np.int32)
    return Queries(
      src.values, src.length, limits[:, 0], limits[:, 1], src.extended
    )

  def _collect(self, out, part, hypotheses, made) -> int:
    host = jax.device_get(hypotheses)
    for row, i in enumerate(part):
      out[i] = made(i, jax.tree.map(lambda x, row=row: x[row], host))
    return len(part)
