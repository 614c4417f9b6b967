"""`python -m seq2seq_jax.evaluate`: scores of a trained model.

Decodes a split of the run's own data, or any source and reference file, and
prints the field's metrics; --score gives log-probabilities of the references.

In a program, call the module: `seq2seq_jax.evaluate("runs/x")` is the function
`inference.replicas.evaluate`.
"""

import argparse
import json
import sys
import types as python_types
from collections.abc import Sequence
from typing import Any

from seq2seq_jax import cli, types
from seq2seq_jax.runtime import files, processes, signals


class _Callable(python_types.ModuleType):
  """A module that can be called: `evaluate` is a command and a function."""

  def __call__(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
    from seq2seq_jax.inference import replicas

    return replicas.evaluate(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable


def parser() -> argparse.ArgumentParser:
  """The command's flags."""
  p = cli.Parser(
    prog="python -m seq2seq_jax.evaluate",
    description=(__doc__ or "").split("\n\n")[1],
  )
  cli.add_model_flags(p)
  p.add_argument("--split", choices=("train", "valid", "test"), default="test")
  p.add_argument("--source", help="text file or manifest to translate")
  p.add_argument(
    "--reference",
    help="its translation, line by line; not needed by a manifest with texts",
  )
  p.add_argument(
    "--score",
    action="store_true",
    help="print the log-probability of every reference instead",
  )
  p.add_argument("--metric", action="append", help="another metric")
  p.add_argument("--json", help="file for the result")
  p.add_argument("--output", help="file for the outputs, a line a source")
  p.add_argument(
    "--trn",
    metavar="DIR",
    help="folder for hyp.trn and ref.trn, which NIST's sclite reads",
  )
  return p


def run(args: argparse.Namespace, rest: Sequence[str] = ()) -> dict[str, Any]:
  """Scores a trained model; metric name to value."""
  from seq2seq_jax.data import sources
  from seq2seq_jax.inference import model as model_lib
  from seq2seq_jax.inference import replicas, splits

  data: Any = args.split
  if args.source:
    data = splits.Files(args.source, args.reference)
  elif args.reference:
    data = sources.lines(args.reference)

  def configure(conf: Any) -> Any:
    return cli.override(conf, args, list(rest), "evaluate")

  if args.score:
    if args.output or args.trn:
      flag = "--output" if args.output else "--trn"
      raise types.UserError(f"{flag}: --score translates nothing")
    model = model_lib.load(args.workdir, args.checkpoint, args.replica)
    model = model.with_config(configure(model.config))
    scores, log_probs = model.score_split(data)
    if processes.is_first():
      for log_prob in log_probs:
        print(f"{log_prob:.6f}")
    return scores
  with cli.counter(None if processes.is_first() else False) as progress:
    return replicas.evaluate(
      args.workdir,
      data,
      checkpoint=args.checkpoint,
      replica=args.replica,
      metrics=args.metric or (),
      batch_size=args.batch_size,
      progress=progress,
      configure=configure,
      output=args.output,
      trn=args.trn,
    )


def main(argv: Sequence[str] | None = None) -> int:
  """Prints and writes the scores; returns the exit code."""
  args, rest = parser().parse_known_args(argv)
  with signals.answered(files.remove_parts):
    return _run(args, rest)


def _run(args: argparse.Namespace, rest: list[str]) -> int:
  _check_outputs(args, rest)
  result = run(args, rest)
  if not processes.is_first():
    return 0
  if not args.score:
    print_scores(result)
  if args.json:
    with files.output(args.json) as out:
      out.write(json.dumps(result, indent=2) + "\n")
  return 0


def _check_outputs(args: argparse.Namespace, rest: list[str]) -> None:
  """Refuses outputs that would replace what is read."""
  from seq2seq_jax.inference import loading, trn

  def configure(conf: Any) -> Any:
    return cli.override(conf, args, rest, "evaluate")

  data_files, workdirs = loading.files_read(args.workdir, configure)
  outputs = {"--json": args.json, "--output": args.output}
  if args.trn == "":
    raise types.UserError("--trn: is empty; give a folder, or . for this one")
  if args.trn is not None:
    names = ("--trn (outputs)", "--trn (references)")
    outputs |= dict(zip(names, trn.paths(args.trn)))
  files.check_outputs(
    outputs,
    [("--source", args.source), ("--reference", args.reference), *data_files],
    workdirs,
  )


def print_scores(result: dict[str, Any]) -> None:
  """A line for each score; a run with several seeds has one a replica too."""
  for name, value in result.items():
    if name == "replicas":
      for scores in value:
        numbers = {k: v for k, v in scores.items() if isinstance(v, float)}
        line = ", ".join(f"{k} {v:.4f}" for k, v in numbers.items())
        print(f"replica {scores['replica']}: {line}")
    elif isinstance(value, dict):
      for text in dict.fromkeys(value.values()):
        names = ", ".join(k for k, other in value.items() if other == text)
        print(f"{name} {names}: {text}")
    elif isinstance(value, float):
      print(f"{name}: {value:.4f}")
    else:
      print(f"{name}: {value}")


if __name__ == "__main__":
  cli.run(main)
