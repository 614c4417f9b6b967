"""`python -m seq2seq_jax.decode`: translate with a trained model.

Text goes in on standard input or from --input, one sentence a line, and comes
out in the same order. At a terminal, sentences can be typed. A model of speech
reads audio files, and manifests of them as JSON lines.
"""

import argparse
import itertools
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
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
  p.add_argument(
    "--input",
    nargs="+",
    metavar="FILE",
    help="text files, may be gzipped; of speech, audio files and manifests; "
    "else, or -, stdin",
  )
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
  p.add_argument(
    "--plots",
    metavar="DIR",
    help="folder for the attention of each best output, over the source's "
    "tokens or its spectrogram, as PNG and PDF",
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
  paths = _input_paths(args.input)
  args.output = None if args.output == "-" else args.output
  from seq2seq_jax.inference import answers as answering
  from seq2seq_jax.inference import loading, prompt
  from seq2seq_jax.inference import model as model_lib

  data_files, workdirs = loading.files_read(args.workdir)
  given = [
    ("standard input", "/dev/stdin") if path is None else ("--input", path)
    for path in paths
  ]
  files.check_outputs(
    {"--output": args.output}, [*given, *data_files], workdirs
  )
  model = model_lib.load(args.workdir, args.checkpoint, args.replica)
  model = model.with_config(cli.override(model.config, args, rest, "decode"))
  attention = args.attention or args.plots is not None
  model.check_search(args.n_best, attention)
  answers = answering.Answers(
    model,
    args.format,
    args.n_best,
    args.attention,
    _plotter(args.plots) if args.plots is not None else None,
  )
  if not processes.is_first():
    answers.follow()
    return 0
  if paths == [None] and sys.stdin.isatty():
    with files.output(args.output) as out:
      prompt.converse(answers, out)
  else:
    size = args.batch_size or model.pool_size() * processes.count()
    # Each is opened now: before any work is done.
    inputs = [model.vocabularies.source.inputs(path) for path in paths]
    chunks = _chunks(itertools.chain(*inputs), size)
    _translate_all(answers, chunks, args.output)
  answers.finish()
  return 0


def _plotter(
  folder: str,
) -> Callable[[Any, int, types.AttentionMap], None]:
  """Draws the attention of a source into a folder, which is made.

  Raises:
    types.UserError: it cannot be made, or is a run's.
  """
  from seq2seq_jax.analysis import attention_map, figure_style

  if not folder:
    raise types.UserError("--plots: is empty; give a folder, or . for this one")
  with figure_style.settings():
    pass  # Matplotlib is there
  path = files.make_folder("--plots", folder)

  def draw(source: Any, number: int, shown: types.AttentionMap) -> None:
    name = attention_map.file_name(getattr(source, "id", ""), number + 1)
    figure = attention_map.of(shown, getattr(source, "id", ""))
    figure_style.save(figure, path / name)

  return draw


def _input_paths(given: list[str] | None) -> list[str | None]:
  """Files to read; None stands for standard input."""
  for path in given or ():
    if not path:
      raise types.UserError("--input: is empty; give a file, or - for stdin")
  paths = [None if path == "-" else path for path in given or ["-"]]
  if paths.count(None) > 1:
    raise types.UserError("--input: standard input (-) is given twice")
  return paths


def _translate_all(
  answers: Any, chunks: Iterator[list[types.Input]], output: str | None
) -> None:
  """Writes the answers to all lines, a chunk at a time, and counts them.

  Raises:
    types.UserError: a line has no answer; those before it are written. Or audio
      cannot be used; the answers to all others are written.
  """
  start = time.monotonic()
  item, name = answers.item, output or "standard output"
  with files.output(output) as out:
    error = _write(answers, chunks, out, output)
    if error and not answers.count:
      raise types.UserError(f"{error}; no {item} was answered")
  if error:
    raise types.UserError(
      f"{error}; {name} holds the answers to the {answers.count:,} {item}s "
      "before the first without one"
    )
  answers.tally.tell()
  seconds = time.monotonic() - start
  cut = f", {answers.cut:,} cut at the longest length" if answers.cut else ""
  log.info(f"{answers.count:,} {item}s in {seconds:.1f} s{cut}")
  if bad := answers.unreadable:
    raise types.UserError(
      f"{len(bad):,} of {answers.count:,} {item}s cannot be used, the first: "
      f"{bad[0]}; {name} holds the answers to the others"
    )


def _write(
  answers: Any,
  chunks: Iterator[list[types.Input]],
  out: TextIO,
  output: str | None,
) -> str | None:
  """Writes what can be answered; returns where and why the rest cannot."""
  # Answers that are seen to come need no count.
  counted = sys.stderr.isatty() and bool(output or not sys.stdout.isatty())
  with cli.counter(counted, f"{answers.item}s") as show:
    for chunk in chunks:
      before = answers.count

      def progress(n: int, before: int = before) -> None:
        if show:
          show(before + n)

      written, error = answers.to([line.value for line in chunk], progress)
      out.write("".join(written))
      out.flush()
      if error:
        return f"{chunk[error.places[0] - before].place}: {error.reason}"
      if show:
        show(answers.count)
  return None


def _chunks(
  inputs: Iterator[types.Input], size: int
) -> Iterator[list[types.Input]]:
  """Lists of at most `size` of the inputs."""
  while chunk := list(itertools.islice(inputs, size)):
    yield chunk


if __name__ == "__main__":
  cli.run(main)
