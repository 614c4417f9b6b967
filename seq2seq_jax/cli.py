"""What the commands share: flags, a counter, errors and exit codes.

A command's module imports JAX and the engine inside of `main`, after parsing,
so that `--help` and a wrong flag are answered at once.
"""

import argparse
import contextlib
import dataclasses
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import NoReturn

import seq2seq_jax
from seq2seq_jax import config, types
from seq2seq_jax.config import overrides
from seq2seq_jax.runtime import glibc, jax_setup, log

BAD_USAGE = 2


def positive(text: str) -> int:
  """The number that a text means; argparse refuses one below 1."""
  value = int(text)
  if value < 1:
    raise argparse.ArgumentTypeError(f"{text} is not at least 1")
  return value


def add_model_flags(parser: argparse.ArgumentParser) -> None:
  """Adds the flags of the commands that load a trained model."""
  parser.add_argument(
    "--workdir",
    action="append",
    required=True,
    help="folder of a run, or FOLDER#REPLICA; given several times, an ensemble",
  )
  parser.add_argument(
    "--checkpoint",
    default="best",
    metavar="last|best|average|STEP",
    help="which parameters (default: best)",
  )
  parser.add_argument(
    "--replica",
    type=int,
    metavar="I",
    help="which of a run's train.seeds, from 0",
  )
  parser.add_argument("--beam-size", type=positive, metavar="K")
  parser.add_argument(
    "--batch-size",
    type=positive,
    metavar="N",
    help="sentences read and answered together (default: decode as many as a "
    "search draws from, evaluate all); changes no output",
  )
  add_device_flags(parser)
  parser.epilog = (
    "Fields of the run's config can be given by their dotted names: those "
    "of --decode.*, --data.root and --data.test."
  )


def add_device_flags(parser: argparse.ArgumentParser) -> None:
  """Adds the flags that choose devices, and --version."""
  parser.add_argument(
    "--cpu-devices",
    type=positive,
    metavar="N",
    help="simulate N devices on the CPU",
  )
  parser.add_argument(
    "--version", action="version", version=f"seq2seq_jax {version()}"
  )


def version() -> str:
  """The version of the package."""
  return seq2seq_jax.__version__


def override(
  conf: config.Config, args: argparse.Namespace, rest: list[str], prog: str
) -> config.Config:
  """A trained run's config with other search options, data root or test set.

  Args:
    conf: of the run.
    args: with `beam_size`.
    rest: `--section.field VALUE` words.
    prog: the command's name.

  Raises:
    types.UserError: a field belongs to the trained run.
  """
  if args.beam_size:
    decode = dataclasses.replace(conf.decode, beam_size=args.beam_size)
    conf = dataclasses.replace(conf, decode=decode)
  fields = {"--" + n.replace("-", "_") for n, _, _ in config.leaves(conf)}
  for word in rest:
    name = word.split("=")[0]
    fixed = name.startswith("--") and not (
      name.startswith("--decode.") or name in ("--data.root", "--data.test")
    )
    if fixed and name.replace("-", "_").replace("__", "--", 1) in fields:
      raise types.UserError(
        f"{name}: belongs to the trained run and cannot change here"
      )
  return overrides.apply(conf, rest, f"python -m seq2seq_jax.{prog}")


@contextlib.contextmanager
def counter(shown: bool | None = None) -> Iterator[Callable[..., None] | None]:
  """Counts answered sentences on one line of standard error.

  Args:
    shown: draw the line; by default if standard error is a terminal.

  Yields:
    A function that is called with the number answered so far, and with that of
    all if it is known; None if nothing is shown.
  """
  if not (sys.stderr.isatty() if shown is None else shown):
    yield None
    return
  import rich.console
  import rich.progress

  console = rich.console.Console(file=sys.stderr, highlight=False)
  bar = rich.progress.Progress(
    rich.progress.TextColumn("{task.description}"),
    rich.progress.TimeElapsedColumn(),
    console=console,
  )

  def write_line(text: str, style: str | None) -> None:
    del style
    bar.console.print(text, soft_wrap=True, markup=False)

  with bar, log.above(write_line):
    task = bar.add_task("")

    def show(answered: int, total: int | None = None) -> None:
      of_all = f"/{total:,}" if total else ""
      # The first are answered when their programs are compiled.
      waiting = "" if answered else " (compiling and searching)"
      bar.update(task, description=f"{answered:,}{of_all} sentences{waiting}")

    show(0)
    yield show


def run(main: Callable[[], int]) -> NoReturn:
  """Runs a command and exits; bad input is one line on stderr and code 2.

  Args:
    main: parses `sys.argv` and returns the exit code.
  """
  log.show()
  glibc.tune_malloc()
  devices = _flag_value(sys.argv, "--cpu-devices")
  if devices and devices.isdigit() and int(devices):
    jax_setup.simulate_cpu_devices(int(devices))
  jax_setup.cache_programs()
  try:
    code = main()
    sys.stdout.flush()
  except types.UserError as e:
    print(f"error: {e}", file=sys.stderr)
    code = BAD_USAGE
  except BrokenPipeError:
    # The reader of our output went away; the rest is written to nobody.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    code = 128 + signal.SIGPIPE
  except KeyboardInterrupt:
    code = 128 + signal.SIGINT
  sys.exit(code)


def _flag_value(argv: list[str], flag: str) -> str | None:
  """A flag's value, before the arguments are parsed."""
  for i, word in enumerate(argv):
    if word == flag and i + 1 < len(argv):
      return argv[i + 1]
    if word.startswith(flag + "="):
      return word.split("=", 1)[1]
  return None
