"""`python -m seq2seq_jax.decode`: translate with a trained model.

Text goes in on standard input or from --input, one sentence a line, and comes
out in the same order. At a terminal, sentences can be typed.
"""

import argparse
import codecs
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TextIO

from seq2seq_jax import cli, types
from seq2seq_jax.runtime import files

log = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
  """The command's flags."""
  p = cli.Parser(
    prog="python -m seq2seq_jax.decode",
    description=(__doc__ or "").split("\n\n")[0],
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
    help="outputs a sentence; N lines of text, blank if there are fewer",
  )
  p.add_argument(
    "--attention", action="store_true", help="attention weights in the JSONL"
  )
  return p


def main(argv: Sequence[str] | None = None) -> int:
  """Translates lines of text; returns the exit code."""
  args, rest = parser().parse_known_args(argv)
  if args.attention and args.format != "jsonl":
    raise types.UserError("--attention needs --format jsonl")
  from seq2seq_jax.inference import loading
  from seq2seq_jax.inference import model as model_lib
  from seq2seq_jax.inference import text as inference_text

  data_files, workdirs = loading.files_read(args.workdir)
  given = ("standard input", "/dev/stdin") if args.input is None else None
  files.check_outputs(
    {"--output": args.output},
    [given or ("--input", args.input), *data_files],
    workdirs,
  )
  model = model_lib.load(args.workdir, args.checkpoint, args.replica)
  model = model.with_config(cli.override(model.config, args, rest, "decode"))
  model.check_search(args.n_best, args.attention)

  text_translator = model.text_translator()

  def answers(lines: list[str], progress: Callable[[int], None] | None) -> str:
    """The answers to lines; a blank line has a blank answer."""
    jsonl, n = args.format == "jsonl", args.n_best
    blank = text_translator.blank_json_line if jsonl else lambda _: "\n" * n
    answered = [blank(line) for line in lines]
    hypotheses_of = model.search(lines, n_best=n, attention=args.attention)
    for count, (i, hypotheses) in enumerate(hypotheses_of, 1):
      if jsonl:
        answered[i] = text_translator.json_line(
          lines[i], hypotheses, args.attention
        )
      else:
        texts = text_translator.texts(lines[i], hypotheses)
        answered[i] = inference_text.lines(texts, n)
      if progress:
        progress(count)
    return "".join(answered)

  with files.output(args.output) as out:
    if args.input is None and sys.stdin.isatty():
      _converse(answers, out)
      return 0
    size = args.batch_size or model.pool_size()
    _translate_all(answers, _chunks(args.input, size), out, args.output)
  return 0


def _translate_all(
  answers: Callable[..., str],
  chunks: Iterator[list[str]],
  out: TextIO,
  output: str | None,
) -> None:
  """Writes the answers to all lines, a chunk at a time, and counts them."""
  start, count = time.monotonic(), 0
  # Answers that are seen to come need no count.
  counted = sys.stderr.isatty() and bool(output or not sys.stdout.isatty())
  with cli.counter(shown=counted) as show:
    for lines in chunks:

      def progress(n: int, before: int = count) -> None:
        if show:
          show(before + n)

      out.write(answers(lines, progress))
      out.flush()
      count += len(lines)
      if show:
        show(count)
  if not counted:
    log.info(f"{count} sentences in {time.monotonic() - start:.1f} s")


def _chunks(path: str | None, size: int) -> Iterator[list[str]]:
  """Lists of at most `size` lines of a file or of standard input."""
  from seq2seq_jax.data import text_files

  chunk: list[str] = []
  for line in text_files.read(path) if path else _stdin():
    chunk.append(line)
    if len(chunk) == size:
      yield chunk
      chunk = []
  if chunk:
    yield chunk


def _stdin() -> Iterator[str]:
  for n, line in enumerate(sys.stdin.buffer, 1):
    line = line.removeprefix(codecs.BOM_UTF8) if n == 1 else line
    try:
      yield line.decode("utf-8").rstrip("\n").removesuffix("\r")
    except UnicodeDecodeError as e:
      raise types.UserError(f"standard input, line {n}: not UTF-8") from e


def _converse(answers: Callable[..., str], out: TextIO) -> None:
  print("Type a sentence; Ctrl-D ends.", file=sys.stderr)
  while True:
    try:
      # `input` would write the prompt where the answers go.
      print("> ", end="", file=sys.stderr, flush=True)
      line = input()
    except (EOFError, KeyboardInterrupt):
      print(file=sys.stderr)
      return
    out.write(answers([line], None))
    out.flush()


if __name__ == "__main__":
  cli.run(main)
