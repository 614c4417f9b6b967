"""`python -m seq2seq_jax.export`: a trained model as a folder to hand on.

Writes the parameters as safetensors, the config, the tokenizers, and a model
card (README.md) that says what the model was trained on, how it scored, by
which command, and under which licence. `python -m seq2seq_jax.convert
seq2seq_jax DIR --workdir NEW` reads it back with the same bits.
"""

import argparse
import pathlib
from collections.abc import Sequence

from seq2seq_jax import cli
from seq2seq_jax.runtime import files, signals


def parser() -> argparse.ArgumentParser:
  """The command's flags."""
  p = cli.Parser(
    prog="python -m seq2seq_jax.export",
    description=(__doc__ or "").split("\n\n", 1)[1],
  )
  p.add_argument(
    "--workdir", required=True, metavar="DIR", help="of a run, or DIR#REPLICA"
  )
  p.add_argument(
    "--out",
    required=True,
    type=pathlib.Path,
    metavar="DIR",
    help="a new or empty folder",
  )
  p.add_argument(
    "--checkpoint",
    default="best",
    metavar="last|best|average|STEP",
    help="which parameters (default: best)",
  )
  p.add_argument(
    "--replica",
    type=cli.whole(),
    metavar="I",
    help="which of a run's train.seeds, from 0",
  )
  p.add_argument(
    "--scores",
    action="append",
    type=pathlib.Path,
    default=[],
    metavar="FILE",
    help="what `evaluate --json` wrote, for the card; several are possible",
  )
  p.add_argument(
    "--license",
    default="unknown",
    metavar="NAME",
    help="of the model, for the card: apache-2.0, cc-by-4.0 (default: unknown)",
  )
  cli.add_version_flag(p)
  return p


def main(argv: Sequence[str] | None = None) -> int:
  """Writes the folder, and prints what lies in it; returns the exit code."""
  args = parser().parse_args(argv)
  with signals.answered(files.remove_parts):
    from seq2seq_jax.interchange import exported

    names = exported.write(
      args.workdir,
      args.out,
      checkpoint=args.checkpoint,
      replica=args.replica,
      scores=args.scores,
      license_name=args.license,
    )
  print(f"wrote {args.out}: {', '.join(names)}")
  return 0


if __name__ == "__main__":
  cli.run(main, joins=False)
