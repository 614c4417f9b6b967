"""The command line of a generated data set, which prints a part as TSV."""

import sys
from collections.abc import Callable, Iterable, Sequence

from seq2seq_jax import __version__, exits


def main(
  module: str,
  name: str,
  names: Iterable[str],
  parts: Sequence[str],
  make: Callable[[str, str], Iterable[tuple[str, str]]],
) -> int:
  """Prints the pairs named in `sys.argv`; returns the exit code.

  Args:
    module: name of the module in `seq2seq_jax.data` that runs.
    name: placeholder of the first argument in the usage line.
    names: its possible values.
    parts: possible values of the second argument.
    make: (first, second argument) -> (source, target) texts.
  """
  arguments = sys.argv[1:]
  if arguments == ["--version"]:
    print(f"seq2seq_jax {__version__}")
    return 0
  wants_help = bool({"-h", "--help"} & set(arguments))
  if len(arguments) != 2 and not wants_help:
    print(
      f"error: {len(arguments)} words were given; give {name} and one of "
      f"{'|'.join(parts)}",
      file=sys.stderr,
    )
  if len(arguments) != 2 or wants_help:
    print(
      f"usage: python -m seq2seq_jax.data.{module} {name} {'|'.join(parts)}\n"
      f"{name}: {', '.join(names)}",
      file=sys.stdout if wants_help else sys.stderr,
    )
    return 0 if wants_help else exits.BAD_USAGE
  for source, target in make(*arguments):
    print(f"{source}\t{target}")
  return 0
