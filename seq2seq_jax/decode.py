"""`python -m seq2seq_jax.decode`: translate with a trained model.

Text goes in on standard input or from --input, one sentence a line, and comes
out in the same order. At a terminal, sentences can be typed.
"""

import argparse
import codecs
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from seq2seq_jax import cli, types
from seq2seq_jax.runtime import files, processes, signals

log = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
  """The command's flags."""
  p = cli.Parser(
    prog="python -m seq2seq_jax.decode",
    description=(__doc__ or "").split("\n\n")[0],
  )
  cli.add_model_flags(p)
  p.add_argument("--input", help="text file, may be gzipped; else, or -, stdin")
  p.add_argument("--output", help="file to write; else, or -, stdout")
  p.add_argument(
    "--format",
    choices=("text", "jsonl", "nbest"),
    default="text",
    help="nbest: a line `NUMBER ||| TEXT ||| SCORE` for each output, NUMBER "
    "being the sentence's from 0",
  )
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
  with signals.answered(files.remove_parts):
    return _run(args, rest)


def _run(args: argparse.Namespace, rest: list[str]) -> int:
  if args.attention and args.format != "jsonl":
    raise types.UserError("--attention needs --format jsonl")
  if args.input == "":
    raise types.UserError("--input: is empty; give a file, or - for stdin")
  args.input = None if args.input == "-" else args.input
  args.output = None if args.output == "-" else args.output
  from seq2seq_jax.inference import answers as answering
  from seq2seq_jax.inference import loading, prompt
  from seq2seq_jax.inference import model as model_lib

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
  answers = answering.Answers(model, args.format, args.n_best, args.attention)
  if not processes.is_first():
    answers.follow()
    return 0
  if args.input is None and sys.stdin.isatty():
    with files.output(args.output) as out:
      prompt.converse(answers, out)
  else:
    size = args.batch_size or model.pool_size() * processes.count()
    chunks = _chunks(args.input, size)
    _translate_all(answers, chunks, args.input, args.output)
  answers.finish()
  return 0


def _translate_all(
  answers: Any,
  chunks: Iterator[list[str]],
  source: str | None,
  output: str | None,
) -> None:
  """Writes the answers to all lines, a chunk at a time, and counts them.

  Raises:
    types.UserError: a line has no answer; those before it are written.
  """
  start = time.monotonic()
  with files.output(output) as out:
    error = _write(answers, chunks, out, output)
    if error and not answers.count:
      raise _without_answer(error, source, "no line was answered")
  if error:
    raise _without_answer(
      error,
      source,
      f"{output or 'standard output'} holds the answers to the "
      f"{answers.count:,} lines before the first without one",
    )
  answers.tally.tell()
  seconds = time.monotonic() - start
  cut = f", {answers.cut:,} cut at the longest length" if answers.cut else ""
  log.info(f"{answers.count:,} sentences in {seconds:.1f} s{cut}")


def _write(
  answers: Any,
  chunks: Iterator[list[str]],
  out: TextIO,
  output: str | None,
) -> types.Unanswerable | None:
  """Writes what can be answered; returns why the rest cannot."""
  # Answers that are seen to come need no count.
  counted = sys.stderr.isatty() and bool(output or not sys.stdout.isatty())
  with cli.counter(shown=counted) as show:
    for lines in chunks:

      def progress(n: int, before: int = answers.count) -> None:
        if show:
          show(before + n)

      written, error = answers.to(lines, progress)
      out.write("".join(written))
      out.flush()
      if error:
        return error
      if show:
        show(answers.count)
  return None


def _without_answer(
  error: types.Unanswerable, source: str | None, kept: str
) -> types.UserError:
  """The error of a line, with what became of the others."""
  name = source or "standard input"
  line = error.places[0] + 1
  return types.UserError(f"{name}, line {line:,}: {error.reason}; {kept}")


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


if __name__ == "__main__":
  cli.run(main)
