"""Cases of streams, signals and devices around a command."""

import random
import signal
from collections.abc import Iterator

from tests.monkey import commands
from tests.monkey.case import ACCEPTED, EITHER, REFUSED, Case


def streams(rng: random.Random) -> Iterator[Case]:
  """Standard streams that are closed, full, or read by nobody."""
  for module in commands.COMMANDS:
    for stream in ("stdout", "stderr"):
      for how in ("closed", "full", "broken"):
        codes: tuple[int, ...] = (0, 2, 141)
        if module in ("train", "ablate"):
          codes = (*codes, 1)
        if stream == "stdout" and how == "full" and module != "train":
          codes = (2,) if module != "ablate" else (1, 2)
        yield commands.case(
          module,
          f"with {stream} {how}",
          "streams",
          expect=EITHER,
          codes=codes,
          scratch=("new", "new/*", "table/*"),  # is kept, if not told of
          **{stream: how},
        )
  decode = ("--workdir", "run")
  typed = {
    "closed": "closed",
    "a pipe of bytes": b"hund\n\xff\xfe\n",
    "NULs": b"\0\0\n",
    "nothing": b"",
    "a long line": b"hund " * 3000 + b"\n",
    "typed": "tty:hund sieht\n\x04",
    "typed bytes": "tty:hund \udcff\n\x04",
    "typed Ctrl-C": "tty:hund\x03",
    "typed end": "tty:\x04",
    "typed escape": "tty:\x1b[A\x1b[B\n\x04",
    "typed NUL": "tty:\x00hund\n\x04",
  }
  for how, stdin in typed.items():
    yield Case(
      name=f"decode reads {how}",
      kind="streams",
      module="decode",
      words=decode,
      needs=("run",),
      stdin=stdin,
      expect=EITHER,
      codes=(0, 2, 130) if "Ctrl-C" in how else (),
    )
  del rng


def signals(rng: random.Random) -> Iterator[Case]:
  """Signals at any time."""
  counts = {"train": 16, "decode": 8, "evaluate": 8, "ablate": 6}
  counts |= {"data.scan": 2, "analysis.alignment": 1}
  for module, count in counts.items():
    for i in range(count):
      number = rng.choice((signal.SIGINT, signal.SIGTERM, signal.SIGPIPE))
      delay = round(rng.uniform(0.02, 5), 2)
      words = commands.COMMANDS[module]
      if module == "ablate":
        words = ("table.py", "--workdir", "new", "--seeds", "1")
      if module == "train":
        words += ("--train.steps", "2000", "--train.validate_every", "10")
      fresh = i % 4 == 3
      if number == signal.SIGPIPE:
        delay, words = min(delay, 1), commands.COMMANDS[module]
      yield Case(
        name=f"{module} {number.name} after {delay}" + " anew" * fresh,
        kind="signals",
        module=module,
        words=words,
        needs=commands.NEEDS[module],
        expect=EITHER,
        codes=(0, 1) if number == signal.SIGPIPE else (),
        signal=int(number),
        delay=delay,
        may_change=(*commands.WRITES,),
        scratch=("new", "new/*"),
        fresh=fresh,
      )


def surroundings(rng: random.Random) -> Iterator[Case]:
  """Devices that are not there, full disks, and other locales."""
  for module in ("train", "decode"):
    for platform in ("nothing", "cuda", ""):
      yield commands.case(
        module,
        f"on {platform or 'no platform'}",
        "surroundings",
        environment=(("JAX_PLATFORMS", platform),),
        expect=EITHER if not platform else REFUSED,
        fresh=True,
      )
    yield commands.case(
      module,
      "in C",
      "surroundings",
      environment=(("LC_ALL", "C"), ("PYTHONUTF8", "0")),
      expect=ACCEPTED,
      fresh=True,
    )
  for size in (0, 300, 5000, 100000):
    for module in ("train", "ablate", "evaluate"):
      more = ("--output=o.txt", "--json=o.json") if module == "evaluate" else ()
      yield commands.case(
        module,
        f"on a device with {size} bytes",
        "surroundings",
        *more,
        expect=EITHER,
        codes=(0, 1, 2),
        file_size=size,
        scratch=("new", "new/*", "o.txt", "o.json"),
      )
  del rng


def all_cases(rng: random.Random) -> Iterator[Case]:
  """All of this module."""
  for make in (streams, signals, surroundings):
    yield from make(rng)
