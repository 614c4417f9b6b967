"""`python -m seq2seq_jax.decode`: translate with a trained model.

Text goes in on standard input or from --input, one sentence a line, and comes
out in the same order. At a terminal, sentences can be typed.
"""

import argparse
import codecs
import json
import logging
import sys
import time

from seq2seq_jax import cli, types
from seq2seq_jax.data import sources
from seq2seq_jax.inference import loading
from seq2seq_jax.inference import text as inference_text
from seq2seq_jax.inference import translator as translation
from seq2seq_jax.runtime import files, parallel

log = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
  p = argparse.ArgumentParser(
    prog="python -m seq2seq_jax.decode", description=__doc__.split("\n\n")[0]
  )
  cli.add_model_flags(p)
  p.add_argument("--input", help="text file, may be gzipped; else stdin")
  p.add_argument("--output", help="file to write; else stdout")
  p.add_argument("--format", choices=("text", "jsonl"), default="text")
  p.add_argument(
    "--n-best",
    type=cli.positive,
    default=1,
    metavar="N",
    help="outputs a sentence; N lines of text, blank where there are fewer",
  )
  p.add_argument(
    "--attention", action="store_true", help="attention weights in the JSONL"
  )
  return p


def main(argv=None) -> int:
  args, rest = parser().parse_known_args(argv)
  mapper = parallel.Mapper("pmap", local=True)
  members = loading.load_all(
    args.workdir, args.checkpoint, mapper, args.replica
  )
  first = members[0]
  conf = cli.override(first.config, args, rest, "decode")
  side = first.vocabularies.source
  if not side.present:
    raise types.UserError(
      f"{args.workdir[0]}: a language model has nothing to decode from; "
      "evaluate scores text with it"
    )
  if args.attention and args.format != "jsonl":
    raise types.UserError("--attention needs --format jsonl")
  if args.attention and not first.config.model.attends():
    raise types.UserError(f"--attention: {args.workdir[0]} has no attention")
  if conf.decode.oracle_length:
    raise types.UserError(
      "decode.oracle_length: there are no references; give "
      "--decode.oracle_length False"
    )
  n_best = args.n_best
  if n_best > conf.decode.beam_size:
    raise types.UserError(
      f"--n-best {n_best} is more than the beam size {conf.decode.beam_size}"
    )
  if conf.decode.exact and (n_best > 1 or args.attention):
    raise types.UserError(
      "--decode.exact finds one output, without attention: leave --n-best and "
      "--attention out"
    )
  translator = translation.Translator(
    [m.model for m in members], conf.decode, mapper, side
  )
  params = tuple(m.params for m in members)
  options = translation.options_of(conf.decode, n_best, args.attention)

  reader = inference_text.Reader(translator, first.vocabularies, conf)

  def written(line: str, hypothesis) -> str:
    if args.format == "jsonl":
      told = inference_text.describe(line, hypothesis, reader, args.attention)
      return json.dumps(told, ensure_ascii=False) + "\n"
    found = [n for n in range(n_best) if hypothesis.length[n]]
    texts = [reader.text(line, hypothesis, n) for n in found]
    return inference_text.lines(texts, n_best)

  def answer(lines: list[str], done=None) -> str:
    """Of a blank line there is nothing to translate, and a blank answer."""
    real = [line for line in lines if not side.is_blank(line)]
    found = iter(reader.search(params, real, options, done, written))
    blank = lambda line: inference_text.blank(line, args.format, n_best)
    return "".join(
      blank(line) if side.is_blank(line) else next(found) for line in lines
    )

  if args.output:
    files.check_writable("--output", args.output)
  with files.output(args.output) as out:
    if args.input is None and sys.stdin.isatty():
      _converse(answer, out)
      return 0
    together = args.batch_size or translator.drawn_from()
    start, count = time.monotonic(), 0
    # Answers that are seen to come need no count.
    shown = sys.stderr.isatty() and (args.output or not sys.stdout.isatty())
    with cli.counter(shown=bool(shown)) as done:
      for lines in _chunks(args.input, together):
        so_far = done and (lambda n, before=count: done(before + n))
        out.write(answer(lines, so_far))
        out.flush()
        count += len(lines)
        if done:
          done(count)
  if not shown:
    log.info(f"{count} sentences in {time.monotonic() - start:.1f} s")
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
    line = line.removeprefix(codecs.BOM_UTF8) if n == 1 else line
    try:
      yield line.decode("utf-8").rstrip("\n").removesuffix("\r")
    except UnicodeDecodeError as e:
      raise types.UserError(f"standard input, line {n}: not UTF-8") from e


def _converse(answer, out) -> None:
  print("Type a sentence; Ctrl-D ends.", file=sys.stderr)
  while True:
    try:
      # `input` would write the prompt where the answers go.
      print("> ", end="", file=sys.stderr, flush=True)
      line = input()
    except (EOFError, KeyboardInterrupt):
      print(file=sys.stderr)
      return
    out.write(answer([line]))
    out.flush()


if __name__ == "__main__":
  cli.run(main)
