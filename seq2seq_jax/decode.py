"""`python -m seq2seq_jax.decode`: translate with a trained model.

Text goes in on standard input or from --input, one sentence a line, and comes
out in the same order. At a terminal, sentences can be typed.
"""

import argparse
import json
import math
import pathlib
import sys
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax import cli, config, types
from seq2seq_jax.data import pipeline, sources
from seq2seq_jax.decoding import beam, step
from seq2seq_jax.models import build
from seq2seq_jax.training import parallel, pretrained


class Options(NamedTuple):
  """What a compiled search program depends on, beside its shapes."""

  beam_size: int
  n_best: int
  rule: str
  alpha: float
  attention: bool


class Queries(NamedTuple):
  """Rows of a search program."""

  src: np.ndarray  # [B, S]
  src_len: np.ndarray  # [B]
  min_len: np.ndarray  # [B]
  max_len: np.ndarray  # [B]
  src_ext: np.ndarray | None = None  # [B, S] where the model copies


def make_encode(models):
  """Builds `encode(params, queries) -> step.Sentences`.

  Args:
    models: modules, one a member of an ensemble; `params` is a tuple of as
      many trees.
  """

  def encode(params, queries: Queries) -> step.Sentences:
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
    return step.Sentences(memories, (), queries.min_len, queries.max_len)

  return encode


def make_search(models, options: Options, max_steps: int, rows: int):
  """Builds `search(params, parts, total) -> Hypotheses` for one bucket.

  `parts` is a tuple of `step.Sentences`, `total` the number of sentences in
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

    def step_fn(memories, carry, tokens):
      outs = [
        model.apply(p, memory, c, tokens, w, method="step")
        for model, p, memory, c, w in zip(
          models, params, memories, carry, words
        )
      ]
      carry = tuple(o[0] for o in outs)
      log_probs = outs[0][1]
      if len(outs) > 1:
        every = jnp.stack([o[1] for o in outs])
        log_probs = jax.nn.logsumexp(every, axis=0) - math.log(len(outs))
      return carry, log_probs, outs[0][2]

    return beam.search(
      step_fn,
      sentences._replace(carry=carries),
      eos=types.EOS,
      bos=types.BOS,
      beam_size=options.beam_size,
      n_best=options.n_best,
      max_steps=max_steps,
      rule=options.rule,
      alpha=options.alpha,
      with_attention=options.attention,
      rows=rows,
      total=total,
    )

  return search


def _words(model, params, used: int):
  """All words' input products, where fewer than the search would make."""
  table = jax.eval_shape(
    lambda p: model.apply(p, method="gates_of_words"), params
  )
  if table is None or table.shape[0] > used:
    return None
  return model.apply(params, method="gates_of_words")


class Translator:
  """Searches with given parameters; programs are compiled once a bucket.

  Every program has `decode.rows` rows on each device, whatever is asked for,
  and its shape follows from the sentence alone, so a sentence gets the same
  bits in any batch, order and number of devices. A search program draws its
  sentences from `decode.pool` encoded batches of `rows`.
  """

  def __init__(self, models, decode: config.Decode, mapper: parallel.Mapper):
    self.models, self.decode, self.mapper = tuple(models), decode, mapper
    self.rows = decode.rows
    self._encode = mapper.rows(make_encode(self.models))
    self._programs = {}

  def limits(self, length: int) -> tuple[int, int]:
    """Shortest and longest output of a source of `length` tokens with EOS."""
    d = self.decode
    longest = max(1, math.floor(d.max_ratio * length) + d.max_extra)
    return min(longest, math.ceil(d.min_ratio * length)), longest

  def search(
    self, params, sources_, options: Options, done=None, extended=None
  ):
    """Hypotheses of every source, in order, each of one row.

    Args:
      params: tuple of parameter trees on the mapper's devices.
      sources_: encoded sources with EOS.
      options: of the search.
      done: called with the number of sentences answered so far.
      extended: the sources in the extended vocabulary, where the model copies.
    """
    out, answered = [None] * len(sources_), 0
    groups: dict[int, list[int]] = {}
    for i, ids in enumerate(sources_):
      padded = pipeline.ceil_length(len(ids), self.decode.quantum)
      groups.setdefault(padded, []).append(i)
    pending = []  # the host works while the devices do
    ahead = len(self.mapper.devices)
    turn = 0
    for padded, members in sorted(groups.items()):
      # Long ones first: at the end of a pool only short ones are left.
      members = sorted(members, key=lambda i: -len(sources_[i]))
      # No more in a pool than leaves work for all devices.
      each = -(-len(members) // (self.rows * ahead))
      size = self.rows * min(each, self._parts(options))
      for first in range(0, len(members), size):
        pool = members[first : first + size]
        found = self._search(
          params, sources_, extended, pool, padded, options, turn
        )
        pending.append((pool, found))
        turn += 1
        if len(pending) > ahead:
          answered += self._collect(out, *pending.pop(0))
          if done:
            done(answered)
    for batch in pending:
      answered += self._collect(out, *batch)
    if done:
      done(answered)
    return out

  def _parts(self, options: Options) -> int:
    # Attention of all sentences and steps would need much room.
    return 1 if options.attention else self.decode.pool

  def _search(self, params, sources_, extended, pool, padded, options, turn):
    """Dispatches the search of a pool of sentences of one bucket."""
    parts = []
    for first in range(0, len(pool), self.rows):
      part = pool[first : first + self.rows]
      queries = self._queries([sources_[i] for i in part], padded)
      if extended is not None:
        ids = [extended[i] for i in part]
        ids += [np.array([types.EOS], np.int32)] * (self.rows - len(ids))
        src_ext = types.pad_to(ids, (self.rows, padded))
        queries = queries._replace(src_ext=src_ext)
      parts.append(self._encode(params, queries, turn))
    # The number of parts never changes; what stands in those behind is unused.
    parts += parts[:1] * (self._parts(options) - len(parts))
    search = self._program(padded, options)
    return search(params, (tuple(parts), np.int32(len(pool))), turn)

  def _program(self, padded: int, options: Options):
    key = (padded, options)
    if key not in self._programs:
      steps = self.limits(padded)[1]
      search = make_search(self.models, options, steps, self.rows)
      self._programs[key] = self.mapper.rows(
        lambda params, pool: search(params, *pool)
      )
    return self._programs[key]

  def _queries(self, ids, padded: int) -> Queries:
    fill = self.rows - len(ids)
    ids = [*ids, *[np.array([types.EOS], np.int32)] * fill]
    limits = [self.limits(len(i)) for i in ids]
    limits[len(ids) - fill :] = [(0, 0)] * fill
    limits = np.array(limits, np.int32)
    return Queries(
      types.pad_to(ids, (self.rows, padded)),
      np.array([len(i) for i in ids], np.int32),
      limits[:, 0],
      limits[:, 1],
    )

  def _collect(self, out, part, hypotheses) -> int:
    host = jax.device_get(hypotheses)
    for row, i in enumerate(part):
      out[i] = jax.tree.map(lambda x, row=row: x[row], host)
    return len(part)


class Loaded(NamedTuple):
  """A workdir's model, ready for search."""

  config: config.Config
  toks: pipeline.Tokenizers
  model: object
  params: object
  step: int


def load(workdir: pathlib.Path, which: str, mapper, say, lane=None) -> Loaded:
  """Reads config, vocabularies and parameters of a workdir."""
  path = workdir / "config.json"
  if not path.is_file():
    raise types.UserError(
      f"{workdir}: holds no run (no config.json); train one with "
      f"python -m seq2seq_jax.train CONFIG --workdir {workdir}"
    )
  conf = config.from_json(path.read_text(), str(path))
  toks = pipeline.load_tokenizers(conf.data, workdir / "tokenizers")
  source_size = toks.source.vocab_size if toks.source else None
  model = build.build(
    conf.model,
    source_size,
    toks.target.vocab_size,
    ctc=conf.optim.ctc_weight > 0,
  )
  params, step = pretrained.load(workdir, which, say, lane)
  return Loaded(conf, toks, model, mapper.replicate(params), step)


def load_all(workdirs, which: str, mapper, say, lane=None) -> list[Loaded]:
  """Reads the members of an ensemble, which must share vocabularies."""
  members = [load(pathlib.Path(w), which, mapper, say, lane) for w in workdirs]
  for w, m in zip(workdirs, members):
    if m.toks.checksum() != members[0].toks.checksum():
      raise types.UserError(
        f"{w}: other vocabularies than {workdirs[0]}; an ensemble needs the "
        "same ones"
      )
  return members


def text_of(hypothesis, toks, n: int = 0, source=None, replace=False) -> str:
  """The n-th best output as text.

  Args:
    hypothesis: of one source.
    toks: the run's tokenizers.
    n: which of the hypotheses.
    source: the source's text, where the model copies or words are replaced.
    replace: put the source word most attended to for unknown words.
  """
  length = int(hypothesis.length[n])
  attended = None
  if replace and hypothesis.attention is not None:
    attended = np.argmax(hypothesis.attention[n, :length], axis=-1)
  return toks.target_text(hypothesis.tokens[n, :length], source, attended)


class Reader:
  """From source texts to searches' answers and their texts."""

  def __init__(self, translator, toks, conf: config.Config):
    self.translator, self.toks = translator, toks
    self.copies = conf.model.copies()
    self.replace = conf.decode.replace_unknown

  def search(self, params, texts: list[str], options: Options, done=None):
    """Hypotheses of source texts, in order."""
    ids = [self.toks.encode_source(text) for text in texts]
    extended = None
    if self.copies:
      extended = [
        self.toks.extended("source", text, self.toks.unknown(text))
        for text in texts
      ]
    if self.replace:
      options = options._replace(attention=True)
    return self.translator.search(params, ids, options, done, extended)

  def text(self, source: str, hypothesis, n: int = 0) -> str:
    return text_of(hypothesis, self.toks, n, source, self.replace)


def describe(source: str, hypothesis, reader: Reader, attention: bool) -> dict:
  """A line of JSONL output."""
  entries, toks = [], reader.toks
  for n in range(len(hypothesis.score)):
    length = int(hypothesis.length[n])
    if not length:
      continue
    ids = hypothesis.tokens[n, :length]
    entry = {
      "text": reader.text(source, hypothesis, n),
      "tokens": toks.target_tokens(ids, source),
      "score": float(hypothesis.score[n]),
      "log_prob": float(hypothesis.log_prob[n]),
      "token_log_probs": [
        float(p) for p in hypothesis.token_log_probs[n, :length]
      ],
      "finished": bool(hypothesis.finished[n]),
    }
    if attention and hypothesis.attention is not None:
      size = len(toks.encode_source(source))
      weights = hypothesis.attention[n, :length, :size]
      entry["attention"] = [[float(w) for w in row] for row in weights]
    entries.append(entry)
  return {"source": source, "hypotheses": entries}


def parser() -> argparse.ArgumentParser:
  p = argparse.ArgumentParser(
    prog="python -m seq2seq_jax.decode", description=__doc__.split("\n\n")[0]
  )
  cli.add_model_flags(p)
  p.add_argument("--input", help="text file, may be gzipped; else stdin")
  p.add_argument("--output", help="file to write; else stdout")
  p.add_argument("--format", choices=("text", "jsonl"), default="text")
  p.add_argument("--n-best", type=cli.positive, default=1, metavar="N")
  p.add_argument(
    "--attention", action="store_true", help="attention weights in the JSONL"
  )
  return p


def main(argv=None) -> int:
  args, rest = parser().parse_known_args(argv)
  mapper = parallel.Mapper("pmap", local=True)
  say = lambda text: print(text, file=sys.stderr)
  members = load_all(args.workdir, args.checkpoint, mapper, say, args.lane)
  first = members[0]
  conf = cli.override(first.config, args, rest, "decode")
  if first.toks.source is None:
    raise types.UserError(
      f"{args.workdir[0]}: a language model has nothing to decode from; "
      "evaluate scores text with it"
    )
  if args.attention and args.format != "jsonl":
    raise types.UserError("--attention needs --format jsonl")
  n_best = args.n_best
  if n_best > conf.decode.beam_size:
    raise types.UserError(
      f"--n-best {n_best} is more than the beam size {conf.decode.beam_size}"
    )
  translator = Translator([m.model for m in members], conf.decode, mapper)
  params = tuple(m.params for m in members)
  options = cli.search_options(conf.decode, n_best, args.attention)

  reader = Reader(translator, first.toks, conf)

  def answer(lines: list[str]) -> list[str]:
    found = reader.search(params, lines, options)
    if args.format == "jsonl":
      return [
        json.dumps(
          describe(line, h, reader, args.attention), ensure_ascii=False
        )
        for line, h in zip(lines, found)
      ]
    return [
      reader.text(line, h, n)
      for line, h in zip(lines, found)
      for n in range(n_best)
      if n == 0 or h.length[n]
    ]

  if args.input is None and sys.stdin.isatty():
    return _converse(answer)
  start, count = time.monotonic(), 0
  with cli.output(args.output) as out:
    for lines in _chunks(args.input, args.batch_size):
      out.write("".join(line + "\n" for line in answer(lines)))
      out.flush()
      count += len(lines)
  say(f"{count} sentences in {time.monotonic() - start:.1f} s")
  return 0


def _chunks(path: str | None, size: int):
  """Lists of at most `size` lines."""
  lines = sources.text_lines(path) if path else _stdin()
  chunk = []
  for line in lines:
    chunk.append(line)
    if len(chunk) == size:
      yield chunk
      chunk = []
  if chunk:
    yield chunk


def _stdin():
  for n, line in enumerate(sys.stdin.buffer, 1):
    try:
      yield line.decode("utf-8").rstrip("\n").removesuffix("\r")
    except UnicodeDecodeError as e:
      raise types.UserError(f"standard input, line {n}: not UTF-8") from e


def _converse(answer) -> int:
  print("Type a sentence; Ctrl-D ends.", file=sys.stderr)
  while True:
    try:
      line = input("> ")
    except (EOFError, KeyboardInterrupt):
      print(file=sys.stderr)
      return 0
    for text in answer([line]):
      print(text)


if __name__ == "__main__":
  cli.run(main)
