"""What the command lines share: overrides, devices, errors and exit codes."""

import argparse
import contextlib
import dataclasses
import hashlib
import os
import pathlib
import platform
import signal
import sys
import time
import typing

import jax
import tyro

from seq2seq_jax import config, types
from seq2seq_jax.runtime import glibc, log

BAD_USAGE = 2


def positive(text: str) -> int:
  """A number of at least 1, for argparse."""
  value = int(text)
  if value < 1:
    raise argparse.ArgumentTypeError(f"{text} is not at least 1")
  return value


def add_model_flags(p: argparse.ArgumentParser) -> None:
  """Flags of the programs that load a trained model."""
  p.add_argument(
    "--workdir",
    action="append",
    required=True,
    help="folder of a run, or FOLDER#REPLICA; given several times, an ensemble",
  )
  p.add_argument(
    "--checkpoint",
    default="best",
    metavar="last|best|average|STEP",
    help="which parameters (default: best)",
  )
  p.add_argument(
    "--replica",
    type=int,
    metavar="I",
    help="which of a run's train.seeds, from 0",
  )
  p.add_argument("--beam-size", type=positive, metavar="K")
  p.add_argument(
    "--batch-size",
    type=positive,
    metavar="N",
    help="sentences read and answered together (default: decode as many as a "
    "search draws from, evaluate all); changes no output",
  )
  add_device_flags(p)
  p.epilog = (
    "Fields of the run's config can be given by their dotted names: those "
    "of --decode.*, --data.root and --data.test."
  )


def add_device_flags(p: argparse.ArgumentParser) -> None:
  p.add_argument(
    "--cpu-devices",
    type=positive,
    metavar="N",
    help="simulate N devices on the CPU",
  )


def overrides(default, args: list[str], prog: str, description: str = ""):
  """Typed overrides of a config by dotted names; errors exit with 2."""
  return tyro.cli(
    type(default),
    default=default,
    args=args,
    prog=prog,
    description=description,
    use_underscores=True,
    config=(tyro.conf.FlagConversionOff,),
  )


def override(conf: config.Config, args, rest: list[str], prog: str):
  """A stored config with --beam-size, other search, another place or test."""
  if args.beam_size:
    decode = dataclasses.replace(conf.decode, beam_size=args.beam_size)
    conf = dataclasses.replace(conf, decode=decode)
  for word in rest:
    name = word.split("=")[0]
    fixed = name.startswith("--") and not (
      name.startswith("--decode.") or name in ("--data.root", "--data.test")
    )
    known = {"--" + n.replace("-", "_") for n, _, _ in config.leaves(conf)}
    if fixed and name.replace("-", "_").replace("__", "--", 1) in known:
      raise types.UserError(
        f"{name}: belongs to the trained run and cannot change here"
      )
  return overrides(conf, rest, f"python -m seq2seq_jax.{prog}")


@contextlib.contextmanager
def counter(total: int | None = None, shown: bool | None = None):
  """Counts answered sentences on one line of standard error, at a terminal.

  Yields a function of the number answered so far, or None where nothing is
  `shown`.
  """
  if not (sys.stderr.isatty() if shown is None else shown):
    yield None
    return
  of, start = f"/{total:,}" if total else "", time.monotonic()
  begun = False

  def done(n: int):
    nonlocal begun
    begun = True
    text = f"{n:,}{of} sentences "
    # The first are answered when their programs are compiled.
    seconds = time.monotonic() - start
    text += f"in {seconds:.1f} s" if n else "(compiling and searching)"
    print(f"\r{text:<50}", end="", file=sys.stderr, flush=True)

  try:
    yield done
  finally:
    if begun:
      print(file=sys.stderr, flush=True)


def setup_jax(cpu_devices: int | None) -> None:
  """Before any device is touched: simulated devices, compilation cache."""
  if cpu_devices:
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", cpu_devices)
  if not jax.config.jax_compilation_cache_dir:
    # Programs for one kind of CPU may crash on another one.
    jax.config.update("jax_compilation_cache_dir", str(_cache_folder()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _cache_folder() -> pathlib.Path:
  base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
  features = platform.processor()
  with contextlib.suppress(OSError):
    info = pathlib.Path("/proc/cpuinfo").read_text()
    features = next((l for l in info.splitlines() if l[:5] == "flags"), "")
  key = hashlib.sha256(f"{platform.machine()} {features}".encode())
  name = f"{platform.system()}-{platform.machine()}-{key.hexdigest()[:12]}"
  return pathlib.Path(base) / "seq2seq_jax" / "xla" / name.lower()


def _early(argv: list[str], flag: str) -> str | None:
  """A flag's value before the arguments are parsed."""
  for i, word in enumerate(argv):
    if word == flag and i + 1 < len(argv):
      return argv[i + 1]
    if word.startswith(flag + "="):
      return word.split("=", 1)[1]
  return None


def run(main: typing.Callable[[], int]) -> typing.NoReturn:
  """Runs a program: bad input is one line on stderr and exit code 2."""
  log.show()
  glibc.tune_malloc()
  devices = _early(sys.argv, "--cpu-devices")
  if devices and devices.isdigit():
    setup_jax(int(devices))
  else:
    setup_jax(None)
  try:
    code = main()
    sys.stdout.flush()
  except types.UserError as e:
    print(f"error: {e}", file=sys.stderr)
    code = BAD_USAGE
  except BrokenPipeError:
    # The reader went away; nothing is left to tell it.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    code = 128 + signal.SIGPIPE
  except KeyboardInterrupt:
    code = 128 + signal.SIGINT
  sys.exit(code)
