"""`python -m seq2seq_jax.train`: train a model, or resume its run.

A workdir that holds a run of the same config is resumed exactly.
"""

import argparse

from seq2seq_jax import cli, config, types
from seq2seq_jax.config import overrides


def parser() -> argparse.ArgumentParser:
  """The command's own flags; all others are fields of the config."""
  p = cli.Parser(prog="python -m seq2seq_jax.train", add_help=False)
  p.add_argument("config", nargs="?", metavar="CONFIG")
  p.add_argument("--workdir", metavar="DIR")
  p.add_argument(
    "--restart",
    action="store_true",
    help="begin anew; the run that the workdir holds is moved into a folder "
    "in it",
  )
  cli.add_process_flags(p)
  cli.add_device_flags(p)
  p.add_argument("-h", "--help", action="store_true")
  return p


def main(argv: list[str] | None = None) -> int:
  """Runs the command; returns its exit code."""
  p = parser()
  args, rest = p.parse_known_args(argv)
  if args.help:
    p.print_help()
    print("\nEvery field of the config, by its dotted name:\n")
    base = config.load(args.config) if args.config else config.Config()
    overrides.apply(base, ["--help"], p.prog)
  if not args.config or not args.workdir:
    raise types.UserError(
      "usage: python -m seq2seq_jax.train CONFIG --workdir DIR "
      "[--dotted.override VALUE ...]; --help lists all"
    )
  conf = overrides.apply(config.load(args.config), rest, p.prog)
  from seq2seq_jax.training import loop, summary

  run = loop.fit(conf, args.workdir, restart=args.restart, show_progress=True)
  if run.primary and run.complete:
    print("\n".join(summary.lines(run)))
  # What follows a signal has not begun, so a script must not go on after it.
  return 128 + run.interrupted if run.interrupted else 0


if __name__ == "__main__":
  cli.run(main)
