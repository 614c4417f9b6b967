"""`python -m seq2seq_jax.ablate`: a paper's ablation table, made again.

Trains every row and seed of a file of `configs/ablations/`, scores them, and
writes table.md, .tex, .csv, .json and report.html into the workdir. The same
command resumes where it was stopped; finished cells are not done again.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence

from seq2seq_jax import cli

TOGETHER = {"auto": None, "yes": True, "no": False}


MOST_SEEDS = 10_000


def parser() -> argparse.ArgumentParser:
  """Returns the parser of the command's own flags."""
  p = cli.Parser(
    prog="python -m seq2seq_jax.ablate",
    description=(__doc__ or "").split("\n\n", 1)[1],
    epilog="Fields of the config, by their dotted names, hold for all rows.",
  )
  p.add_argument("config", metavar="CONFIG")
  p.add_argument("--workdir", required=True, metavar="DIR")
  p.add_argument(
    "--seeds", type=cli.whole(1, MOST_SEEDS), default=3, metavar="N"
  )
  p.add_argument("--scale", metavar="NAME", help="smoke, cpu, gpu or pod")
  p.add_argument(
    "--row",
    action="append",
    default=[],
    metavar="NAME",
    help="make this row only; may be given several times",
  )
  p.add_argument(
    "--jobs",
    type=cli.positive,
    metavar="N",
    help="processes at a time (default: one a CPU core, or one)",
  )
  p.add_argument(
    "--together",
    choices=tuple(TOGETHER),
    default="auto",
    help="all seeds of a row in one program (auto: not on a CPU)",
  )
  p.add_argument("--retry", action="store_true", help="do failed cells again")
  p.add_argument(
    "--table-only", action="store_true", help="write the table, train nothing"
  )
  p.add_argument(
    "--omit-sentences",
    action="store_true",
    help="leave the text of the data out of the report",
  )
  cli.add_device_flags(p)
  return p


def main(argv: Sequence[str] | None = None) -> int:
  """Makes a table; returns 0 if all of its cells are done."""
  argv = sys.argv[1:] if argv is None else argv
  args, overrides = parser().parse_known_args(argv)
  from seq2seq_jax.ablation import run

  outcome = run.execute(
    run.Request(
      suite=args.config,
      workdir=args.workdir,
      seeds=args.seeds,
      scale=args.scale,
      rows=tuple(args.row),
      overrides=overrides,
      jobs=args.jobs,
      together=TOGETHER[args.together],
      retry=args.retry,
      table_only=args.table_only,
      omit_sentences=args.omit_sentences,
      cpu_devices=args.cpu_devices,
      live=None,
      command="python -m seq2seq_jax.ablate " + shlex.join(argv),
    )
  )
  for path in outcome.paths:
    print(path)
  return outcome.exit_code


if __name__ == "__main__":
  cli.run(main, joins=False)
