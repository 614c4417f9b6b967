"""From a config's data section to batches: tokenizers, buckets, Grain."""

import collections
import hashlib
import os
import pathlib
import zipfile

import grain
import numpy as np

from seq2seq_jax import config, types
from seq2seq_jax.data import buckets, sources, tokenizers

PREFETCH = 8  # batches that the loader's thread keeps ready
MEMO = 2**28  # bytes of encoded examples that are kept, about


def root(data: config.Data) -> str:
  """The data folder: the config's, else the environment's, else none."""
  return data.root or os.environ.get("SEQ2SEQ_JAX_DATA", "")


class Corpus:
  """The splits of a config's task. A split that is not given is None."""

  def __init__(self, data: config.Data):
    folder = root(data)
    self.train = sources.open_split(data, "train", folder)
    self.valid = self.test = None
    generated = data.task in sources.GENERATED
    if data.valid or generated:
      self.valid = sources.open_split(data, "valid", folder)
    if data.test or generated or data.task == "scan":
      self.test = sources.open_split(data, "test", folder)
    self.indices = sources.trainable(self.train)
    if data.holdout and not (data.valid or generated):
      self._hold_out(data)
    self.limited = data.limit > 0
    if self.limited:
      # Files may be sorted, and fewer are then a part of more.
      drawn = np.random.default_rng((data.seed, 3)).permutation(self.indices)
      self.indices = np.sort(drawn[: data.limit])
    if not len(self.indices):
      raise types.UserError(
        "data.train: no example has text on every side; nothing to train on"
      )

  def _hold_out(self, data):
    """Sets aside examples whose text stands in training just once.

    Where a source's targets are `alternatives`, all of them or none.
    """
    rng = np.random.default_rng((data.seed, 2))
    key = (lambda pair: pair[0]) if data.alternatives else (lambda pair: pair)
    groups = collections.defaultdict(list)
    for i in self.indices:
      groups[key(self.train[int(i)])].append(i)
    fits = lambda group: data.alternatives or len(group) == 1
    held = []
    for i in rng.permutation(self.indices):
      group = groups[key(self.train[int(i)])]
      if fits(group) and group[0] == i:
        held += group
      if len(held) >= data.holdout:
        break
    if len(held) < data.holdout:
      raise types.UserError(
        f"data.holdout: {data.holdout} is more than the {len(held)} different "
        "training examples"
      )
    self.indices = np.setdiff1d(self.indices, held)
    self.valid = sources.Pairs(
      sorted({self.train[int(i)] for i in held}, key=str)
    )

  def checksums(self) -> dict[str, str]:
    """SHA-256 of every split, and of what was drawn from it, for a record."""
    splits = {"train": self.train, "valid": self.valid, "test": self.test}
    sums = {k: v.checksum() for k, v in splits.items() if v is not None}
    if self.limited:
      drawn = sums["train"].encode() + self.indices.tobytes()
      sums["train"] = hashlib.sha256(drawn).hexdigest()
    return sums


class Tokenizers:
  """A run's tokenizers; `source` is None for a language model."""

  def __init__(self, source, target, reverse_source: bool):
    self.source, self.target = source, target
    self.reverse_source = reverse_source

  def encode_source(self, text: str, rng=None) -> np.ndarray:
    """Ids with EOS; words reversed before it where the config says so."""
    ids = _encode(self.source, text, rng)
    if self.reverse_source:
      ids = ids[::-1]
    return np.append(ids, np.int32(types.EOS))

  def encode_target(self, text: str, rng=None) -> np.ndarray:
    """Ids with EOS."""
    return np.append(_encode(self.target, text, rng), np.int32(types.EOS))

  def unknown(self, text: str) -> list[str]:
    """A source's distinct words that the target vocabulary lacks."""
    words = self.source.words(text)
    ids = self.target.encode(" ".join(words))
    return list(dict.fromkeys(w for w, i in zip(words, ids) if i == types.UNK))

  def extended(self, side: str, text: str, unknown: list[str]) -> np.ndarray:
    """Ids of the target vocabulary, the n-th unknown word being V + n.

    Args:
      side: source or target.
      text: of that side.
      unknown: as `unknown` gives them for the source.
    """
    tokenizer = self.source if side == "source" else self.target
    words = tokenizer.words(text)
    place = {w: self.target.vocab_size + n for n, w in enumerate(unknown)}
    ids = self.target.encode(" ".join(words))
    ids = [place.get(w, i) if i == types.UNK else i for w, i in zip(words, ids)]
    if side == "source" and self.reverse_source:
      ids = ids[::-1]
    return np.array([*ids, types.EOS], np.int32)

  def target_text(self, ids, source: str | None = None, attended=None) -> str:
    """Text of output ids.

    Args:
      ids: with ids from V on, where the model copies from `source`.
      source: the source's text.
      attended: for each output, the source position most attended to: unknown
        words are replaced by the source's word there (Luong et al. 2015).
    """
    size = self.target.vocab_size
    if attended is None and not any(i >= size for i in ids):
      return self.target.decode(ids)
    unknown = self.unknown(source) if any(i >= size for i in ids) else []
    words = self.source.words(source) if attended is not None else []
    if self.reverse_source:
      words = words[::-1]
    out = []
    for n, i in enumerate(int(i) for i in ids):
      if i in (types.PAD, types.BOS, types.EOS):
        continue
      word = unknown[i - size] if i >= size else self.target.decode([i])
      if i == types.UNK and attended is not None and attended[n] < len(words):
        word = words[attended[n]]
      out.append(word)
    return " ".join(out)

  def target_tokens(self, ids, source: str) -> list[str]:
    """One string for each output id; copied words as they are."""
    size = self.target.vocab_size
    unknown = self.unknown(source) if any(i >= size for i in ids) else []
    one = lambda i: (
      unknown[i - size] if i >= size else self.target.tokens([i])[0]
    )
    return [one(int(i)) for i in ids]

  def checksum(self) -> str:
    both = [t.checksum() for t in (self.source, self.target) if t]
    return hashlib.sha256(" ".join(both).encode()).hexdigest()

  def save(self, folder: pathlib.Path):
    """Writes `source.json` and `target.json`; one vocabulary is one file."""
    folder.mkdir(parents=True, exist_ok=True)
    if self.source is not None and self.source is not self.target:
      self.source.save(folder / "source.json")
    self.target.save(folder / "target.json")


def _encode(tokenizer, text, rng):
  if rng is not None and tokenizer.sampling:
    return tokenizer.encode_sampled(text, rng)
  return tokenizer.encode(text)


def train_tokenizers(data: config.Data, corpus: Corpus) -> Tokenizers:
  """Makes the vocabularies from the training side."""

  def texts(side):
    return (corpus.train[int(i)][side] for i in corpus.indices)

  def make(text: config.Text, lines):
    return tokenizers.train(
      lines,
      kind=text.tokenizer,
      vocab_size=text.vocab_size,
      min_count=text.min_count,
      lowercase=text.lowercase,
      sampling=text.sampling,
    )

  if data.task == "language_model":
    target = make(data.target, texts(1))
    return Tokenizers(None, target, False)
  if data.joint:
    both = make(data.source, (t for s in (0, 1) for t in texts(s)))
    return Tokenizers(both, both, data.reverse_source)
  source, target = make(data.source, texts(0)), make(data.target, texts(1))
  return Tokenizers(source, target, data.reverse_source)


def first_tokenizers(data: config.Data, corpus: Corpus) -> Tokenizers:
  """Those of a fresh run: another run's, or made from the training side."""
  if not data.vocabulary:
    return train_tokenizers(data, corpus)
  folder = pathlib.Path(data.vocabulary) / "tokenizers"
  lm = data.task == "language_model"
  if not lm and (folder / "source.json").exists() == data.joint:
    raise types.UserError(
      f"data.vocabulary: {folder} has {'two' if data.joint else 'no two'} "
      f"vocabularies, and data.joint is {data.joint}"
    )
  toks = load_tokenizers(data, folder)
  target = data.source if data.joint else data.target
  told = lambda x, kind: (kind, x.lowercase, x.sampling)
  for side, tok, text in (
    ("source", toks.source, data.source),
    ("target", toks.target, target),
  ):
    if tok and told(tok, tok.kind) != told(text, text.tokenizer):
      raise types.UserError(
        "data.vocabulary: tokenizer, lowercase and sampling of "
        f"{folder} are {told(tok, tok.kind)} for the {side}; data.{side} says "
        f"{told(text, text.tokenizer)}"
      )
  return toks


def load_tokenizers(data: config.Data, folder: pathlib.Path) -> Tokenizers:
  """Reads what `Tokenizers.save` wrote."""
  target = tokenizers.load(folder / "target.json")
  if data.task == "language_model":
    return Tokenizers(None, target, False)
  source = target
  if not data.joint:
    source = tokenizers.load(folder / "source.json")
  return Tokenizers(source, target, data.reverse_source)


class TrainData:
  """The batches of training: a function of the step."""

  def __init__(
    self,
    data: config.Data,
    corpus,
    toks,
    seed,
    cache=None,
    copies=False,
  ):
    self.source, self.toks, self.copies = corpus.train, toks, copies
    lengths = _lengths(corpus, toks, cache)
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
    texts = [toks.target] + ([toks.source] if toks.source else [])
    self.sampled = any(t.sampling for t in texts)
    self._memo: dict[int, types.Encoded] = {}
    self._room = MEMO

  def efficiency(self) -> float:
    """Real over padded tokens of the first epoch."""
    return buckets.efficiency(self.buckets, self.plan.epoch(0), self.lengths)

  def bucket(self, step: int) -> int:
    return self.plan.batch(step)[0]

  def load(self, step: int, process=0, processes=1, *, widest=False):
    """This process's rows of a step's batch, as NumPy arrays.

    With `widest` they are padded as the largest bucket's are.
    """
    k, examples = self.plan.batch(step)
    bucket = self.buckets[k]
    share = bucket.rows // processes
    rows = np.arange(process * share, (process + 1) * share, dtype=np.int32)
    pairs = [
      self._example(int(examples[r]), step, bucket)
      if r < len(examples)
      else None
      for r in rows
    ]
    shape = self.buckets[-1] if widest else bucket
    return collate(pairs, rows, shape.source, shape.target, copies=self.copies)

  def load_call(self, call: int, calls: int, process=0, processes=1):
    """The batches of `calls` successive steps, the steps on axis 1."""
    if calls == 1:
      return self.load(call, process, processes)
    steps = range(call * calls, (call + 1) * calls)
    return stack([self.load(s, process, processes, widest=True) for s in steps])

  def _example(self, i, step, bucket):
    index = int(self.indices[i])
    if not self.sampled:
      pair = self._memo.get(i)
      if pair is None:
        pair = encode_pair(self.toks, self.source[index], copies=self.copies)
        if self._room > 0:
          self._memo[i] = pair
          # Beside the ids an example takes some 400 bytes.
          self._room -= 400 + sum(x.nbytes for x in pair if x is not None)
      return pair
    epoch = step // len(self.plan)
    rng = np.random.default_rng((self.seed, 3, epoch, index))
    pair = encode_pair(self.toks, self.source[index], rng)
    long = len(pair[1]) > bucket.target
    if long or (pair[0] is not None and len(pair[0]) > bucket.source):
      return encode_pair(self.toks, self.source[index])
    return pair

  def batches(self, first: int, last: int, process=0, processes=1, calls=1):
    """Iterates over the batches of steps first to last - 1, loaded ahead.

    With `calls` over 1, those of so many steps, which one call of the program
    makes, at once: singly they would cost more than a small model's step.
    """
    data = grain.MapDataset.range(first // calls, last // calls).map(
      lambda call: self.load_call(int(call), calls, process, processes)
    )
    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=PREFETCH)
    data = data.to_iter_dataset(options)
    if self.workers:
      from absl import flags

      if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()  # Grain's workers read absl's flags.
      data = data.mp_prefetch(
        grain.MultiprocessingOptions(num_workers=self.workers)
      )
    return iter(data)


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

  def batches(self, first: int, last: int, process=0, processes=1, calls=1):
    wanted = (first, last, process, processes, calls)
    parts = [d.batches(*wanted) for d in self.replicas]
    axis = 1 if calls == 1 else 2  # behind the rows, and the steps
    return (stack(batches, axis) for batches in zip(*parts, strict=True))


def stack(batches, axis: int = 1) -> types.Batch:
  """[B, ...] of each -> [B, N, ...], or N on another axis."""
  join = lambda *xs: None if xs[0] is None else np.stack(xs, axis=axis)
  return types.Batch(*(join(*xs) for xs in zip(*batches)))


def encode_pair(toks: Tokenizers, pair, rng=None, copies=False):
  """An example as ids; `copies`: in the extended vocabulary too."""
  source = None
  if toks.source is not None:
    source = toks.encode_source(pair[0], rng)
  encoded = types.Encoded(source, toks.encode_target(pair[1], rng))
  if not copies:
    return encoded
  unknown = toks.unknown(pair[0])
  return encoded._replace(
    source_ext=toks.extended("source", pair[0], unknown),
    target_ext=toks.extended("target", pair[1], unknown),
  )


def collate(
  pairs, rows, source: int, target: int, copies: bool = False
) -> types.Batch:
  """Pads encoded pairs to a shape; None is a filler row.

  Args:
    pairs: `types.Encoded` (or as tuples) or None, one a row.
    rows: [B] place in the global batch.
    source: padded source length; 0: a language model.
    target: padded target length.
    copies: add the ids in the extended vocabulary.
  """
  eos, empty = np.array([types.EOS], np.int32), np.zeros(0, np.int32)
  blank = types.Encoded(eos, empty, eos, empty)
  pairs = [types.Encoded(*p) if p else blank for p in pairs]
  shape = lambda size: (len(pairs), size)
  count = lambda ids: np.array([len(i) for i in ids], np.int32)
  tgt = [p.target for p in pairs]
  batch = types.Batch(
    src=None,
    src_len=None,
    tgt=types.pad_to(tgt, shape(target)),
    tgt_len=count(tgt),
    row=np.asarray(rows, np.int32),
  )
  if source:
    src = [p.source for p in pairs]
    src_ids = types.pad_to(src, shape(source))
    batch = batch._replace(src=src_ids, src_len=count(src))
  if copies:
    batch = batch._replace(
      src_ext=types.pad_to([p.source_ext for p in pairs], shape(source)),
      tgt_ext=types.pad_to([p.target_ext for p in pairs], shape(target)),
    )
  return batch


def _lengths(corpus, toks, cache: pathlib.Path | None) -> np.ndarray:
  """[N, 2] tokens with EOS of the trainable examples, kept in `cache`."""
  digest = hashlib.sha256(corpus.indices.tobytes())
  digest.update((corpus.train.checksum() + toks.checksum()).encode())
  key = digest.hexdigest()
  if cache is not None and cache.is_file():
    try:
      with cache.open("rb") as f, np.load(f) as stored:
        if str(stored["key"]) == key:
          return stored["lengths"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
      cache.unlink()  # half written: made again below
  lengths = np.zeros((len(corpus.indices), 2), np.int64)
  for n, i in enumerate(corpus.indices):
    source, target, *_ = encode_pair(toks, corpus.train[int(i)])
    lengths[n] = (0 if source is None else len(source), len(target))
  if cache is not None:
    part = cache.with_suffix(".part.npz")
    np.savez(part, key=key, lengths=lengths)
    os.replace(part, cache)
  return lengths


def eval_batches(pairs, rows: int):
  """Batches of encoded pairs with fixed rows, for losses and scores.

  Args:
    pairs: encoded examples.
    rows: rows of every batch; missing ones are filler.

  Yields:
    (indices of the pairs in the batch, Batch). Lengths are padded to the
    quantum of the pair alone, so a pair always meets the same shape.
  """
  groups: dict[tuple[int, int], list[int]] = {}
  pairs = [types.Encoded(*p) for p in pairs]
  copies = bool(pairs) and pairs[0].source_ext is not None
  for i, (source, target, *_) in enumerate(pairs):
    shape = (0 if source is None else ceil_length(len(source)),)
    groups.setdefault((*shape, ceil_length(len(target))), []).append(i)
  for (source, target), members in sorted(groups.items()):
    for first in range(0, len(members), rows):
      part = members[first : first + rows]
      chosen = [pairs[i] for i in part] + [None] * (rows - len(part))
      yield part, collate(chosen, np.arange(rows), source, target, copies)


def ceil_length(length: int, quantum: int = 8) -> int:
  """A padded length, of few different ones, from the length alone.

  Multiples of `quantum` up to eight of them, then doubling: at most
  8 + log2(length) programs, whatever the data.
  """
  if length <= 8 * quantum:
    return -(-length // quantum) * quantum
  padded = 8 * quantum
  while padded < length:
    padded *= 2
  return padded
