"""What the commands share: flags, a counter, errors and exit codes.

A command's module imports JAX and the engine inside of `main`, after parsing,
so that `--help` and a wrong flag are answered at once.
"""

import argparse
import contextlib
import dataclasses
import difflib
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import seq2seq_jax
from seq2seq_jax import config, exits, types
from seq2seq_jax.config import extensions, overrides
from seq2seq_jax.runtime import (
  ending,
  glibc,
  jax_setup,
  joining,
  log,
  processes,
  rendezvous,
)

BAD_USAGE = exits.BAD_USAGE
MOST = 10**9  # of what is counted by a flag
MOST_DEVICES = 1024  # simulated ones
MOST_PROCESSES = 100_000


def whole(lowest: int = 0, highest: int | None = None) -> Callable[[str], int]:
  """A parser of whole numbers in a range, for a flag's `type`.

  Args:
    lowest: of the range.
    highest: of the range; by default `MOST`.
  """
  top = MOST if highest is None else highest

  def parse(text: str) -> int:
    shown = repr(text if len(text) <= 40 else text[:39] + "…")
    # int() takes digits of all scripts, blanks and underscores too.
    if not re.fullmatch(r"-?[0-9]+", text):
      raise argparse.ArgumentTypeError(f"{shown} is not a whole number")
    if len(text) > 20 or not lowest <= int(text) <= top:
      raise argparse.ArgumentTypeError(
        f"{shown} is not from {lowest} to {top:,}"
      )
    return int(text)

  return parse


positive = whole(1)


def numbers(
  lowest: float, highest: float
) -> Callable[[str], tuple[float, ...]]:
  """A parser of numbers in a range, with commas between them."""

  def parse(text: str) -> tuple[float, ...]:
    found = []
    for word in text.split(","):
      shown = repr(word if len(word) <= 40 else word[:39] + "…")
      if not re.fullmatch(
        r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", word, re.IGNORECASE
      ):
        raise argparse.ArgumentTypeError(
          f"{shown} is no number; give some with commas between, as 0,.1,.3"
        )
      if not lowest <= float(word) <= highest:
        raise argparse.ArgumentTypeError(
          f"{shown} is not from {lowest:g} to {highest:g}"
        )
      found.append(float(word))
    return tuple(dict.fromkeys(found))

  return parse


def cpu_devices(text: str) -> int:
  """The value of --cpu-devices.

  Raises:
    types.UserError: it is none.
  """
  try:
    return whole(1, MOST_DEVICES)(text)
  except argparse.ArgumentTypeError as e:
    raise types.UserError(f"argument --cpu-devices: {e}") from e


class Parser(argparse.ArgumentParser):
  """Flags of a command; unknown ones are refused with the nearest.

  Names with a dot are left over: they are fields of the config. Flags are not
  abbreviated, and an error is a `types.UserError`.
  """

  def __init__(self, **kwargs: Any) -> None:
    super().__init__(**kwargs, allow_abbrev=False)

  def parse_known_args(  # type: ignore[override]
    self, args: Any = None, namespace: Any = None
  ) -> tuple[argparse.Namespace, list[str]]:
    """The flags' values and the words that are left over."""
    words = list(sys.argv[1:] if args is None else args)
    for word in words:
      self._check_name(word.split("=")[0])
    return super().parse_known_args(words, namespace)

  def _check_name(self, name: str) -> None:
    known = self._option_string_actions
    if not name.startswith("--") or "." in name or name in {*known, "--"}:
      return
    shown = name if len(name) <= 80 else name[:79] + "…"
    nearest = difflib.get_close_matches(name, known, 2)
    self.error(
      f"{shown}: no such flag"
      + (f"; nearest: {', '.join(nearest)}" if nearest else "")
    )

  def error(self, message: str) -> NoReturn:
    """Raises what a wrong command line is.

    Raises:
      types.UserError: always.
    """
    raise types.UserError(f"{message}; {self.prog} --help lists all flags")


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
    type=whole(),
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
  add_process_flags(parser)
  add_device_flags(parser)
  parser.epilog = (
    "Fields of the run's config can be given by their dotted names: those "
    "of --decode.*, --data.root and --data.test."
  )


def add_process_flags(parser: argparse.ArgumentParser) -> None:
  """Adds the flags that name the processes which work together."""
  parser.add_argument(
    "--coordinator",
    metavar="HOST:PORT|auto",
    help=f"where process 0 of several listens (default: {joining.COORDINATOR})",
  )
  parser.add_argument(
    "--processes",
    type=whole(1, MOST_PROCESSES),
    metavar="N",
    help=f"how many there are (default: {joining.COUNT})",
  )
  parser.add_argument(
    "--process-id",
    type=whole(0, MOST_PROCESSES),
    metavar="I",
    help=f"this one's number, from 0 (default: {joining.INDEX})",
  )


def add_device_flags(parser: argparse.ArgumentParser) -> None:
  """Adds the flags that choose devices, and --version."""
  add_version_flag(parser)
  parser.add_argument(
    "--cpu-devices",
    type=whole(1, MOST_DEVICES),
    metavar="N",
    help="simulate N devices on the CPU",
  )


def add_version_flag(parser: argparse.ArgumentParser) -> None:
  """Adds --version."""
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
      name.startswith("--decode.")
      or name in ("--data.root", "--data.test")
      or (name == "--data.audio.on_error" and prog == "evaluate")
    )
    if fixed and name.replace("-", "_").replace("__", "--", 1) in fields:
      raise types.UserError(
        f"{name}: belongs to the trained run and cannot change here"
      )
  return overrides.apply(conf, rest, f"python -m seq2seq_jax.{prog}")


@contextlib.contextmanager
def counter(
  shown: bool | None = None, items: str = "sentences"
) -> Iterator[Callable[..., None] | None]:
  """Counts what is answered on one line of standard error.

  Args:
    shown: draw the line; by default if standard error is a terminal.
    items: what is counted.

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
      bar.update(task, description=f"{answered:,}{of_all} {items}{waiting}")

    show(0)
    yield show


def run(main: Callable[[], int], *, joins: bool = True) -> NoReturn:
  """Runs a command and exits; bad input is one line on stderr and code 2.

  Args:
    main: parses `sys.argv` and returns the exit code.
    joins: several processes do the command's work together, if flags or the
      environment name them.
  """
  exits.prepare()
  log.show()
  glibc.tune_malloc()

  def prepared() -> int:
    devices = _flag_value(sys.argv, "--cpu-devices")
    if devices is not None:
      jax_setup.simulate_cpu_devices(cpu_devices(devices))
    jax_setup.cache_programs()
    if joins:
      _join_processes()
    try:
      return main()
    except types.UserError:
      raise
    except Exception as e:
      # An error in a file of the user's own is bad input too.
      if (told := extensions.blamed(e)) is not None:
        raise told from e
      if exits.error_line(e) is None:
        ending.end_if_another_did()
      raise

  code = exits.code_of(prepared, ending.tell)
  ending.leave(code)
  exits.end(code)


def _join_processes() -> None:
  """Joins the other processes first, so that an error in one ends them all."""
  if {"-h", "--help", "--version"} & set(sys.argv):
    return
  numbers = []
  for flag in ("--processes", "--process-id"):
    text = _flag_value(sys.argv, flag)
    numbers.append(None if text is None else _process_number(flag, text))
  try:
    joining.join(_flag_value(sys.argv, "--coordinator"), *numbers)
  except rendezvous.Told as e:
    raise SystemExit(BAD_USAGE) from e
  if not processes.is_first():
    log.silence()  # the first process speaks for all


def _process_number(flag: str, text: str) -> int:
  try:
    return whole(0, MOST_PROCESSES)(text)
  except argparse.ArgumentTypeError as e:
    raise types.UserError(f"{flag}: {e}") from e


def _flag_value(argv: list[str], flag: str) -> str | None:
  """A flag's value, before the arguments are parsed."""
  for i, word in enumerate(argv):
    if word == flag and i + 1 < len(argv):
      return argv[i + 1]
    if word.startswith(flag + "="):
      return word.split("=", 1)[1]
  return None
