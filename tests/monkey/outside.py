"""Cases of what surrounds a command: paths, streams, signals, arguments."""

import functools
import os
import pathlib
import random
import signal
from collections.abc import Iterator

from tests.monkey.case import ACCEPTED, EITHER, REFUSED, Case

COMMANDS = {
  "train": ("copying.py", "--workdir", "new"),
  "decode": ("--workdir", "run", "--input", "data/test.de"),
  "evaluate": ("--workdir", "run"),
  "ablate": ("table.py", "--workdir", "table", "--seeds", "1", "--table-only"),
  "data.scan": ("simple", "test"),
  "data.copynet_rules": ("all", "train"),
  "analysis.alignment": ("aligned/out.jsonl", "--order", "copy"),
}
NEEDS = {
  "train": (),
  "decode": ("data", "run"),
  "evaluate": ("data", "run"),
  "ablate": ("table",),
  "data.scan": (),
  "data.copynet_rules": (),
  "analysis.alignment": ("aligned",),
}
WRITES = ("new", "new/*", "table/*")


def _case(module: str, name: str, kind: str, *words: str, **more) -> Case:
  return Case(
    name=f"{module} {name}",
    kind=kind,
    module=module,
    words=(*COMMANDS[module], *words),
    needs=NEEDS[module],
    may_change=WRITES,
    **more,
  )


def _link(folder: pathlib.Path, *, path: str, to: str) -> None:
  (folder / path).symlink_to(to)


def _hard(folder: pathlib.Path, *, path: str, to: str) -> None:
  os.link(folder / to, folder / path)


GIVEN = (
  "data/test.de",
  "./data/../data/test.de",
  "data/test.en",
  "run/config.json",
  "run/tokenizers/source.json",
  "run/checkpoints/4/host/metadata",
  "run/metrics.jsonl",
  "run/new.txt",
  "data/train.de",
  "data",
  "run",
  "link",
  "link to a run's",
  "hard link",
  "dangling",
  "loop",
  "not/there/x",
  "data/test.de/x",
  "",
  "/",
  "/dev/full",
  "/dev/null",
  "x" * 300,
  "a/" * 2500 + "x",
  "a\nb",
  "\udcff.txt",
  "é.txt",
  "-x",
)
LINKS = {
  "link": functools.partial(_link, path="link", to="data/test.de"),
  "link to a run's": functools.partial(
    _link, path="link to a run's", to="run/config.json"
  ),
  "hard link": functools.partial(_hard, path="hard link", to="data/test.de"),
  "dangling": functools.partial(_link, path="dangling", to="elsewhere.txt"),
  "loop": functools.partial(_link, path="loop", to="loop"),
}
GOOD = ("/dev/null", "a\nb", "\udcff.txt", "é.txt", "dangling", "-x")


def outputs(rng: random.Random) -> Iterator[Case]:
  """Places for outputs that hold something else, or cannot be."""
  for place in GIVEN:
    module = rng.choice(("decode", "evaluate", "evaluate json"))
    flag = "--json" if "json" in module else "--output"
    module = module.split()[0]
    words = COMMANDS[module]
    if module == "evaluate" and rng.random() < 0.7:
      words += ("--source", "data/test.de", "--reference", "data/test.en")
    expect = EITHER if place in GOOD else REFUSED
    if place == "data/train.de" or place == "run/new.txt":
      expect = EITHER
    yield Case(
      name=f"{module} {flag} {place[:40]!a}",
      kind="outputs",
      module=module,
      words=(*words, f"{flag}={place}"),
      needs=NEEDS[module],
      spoil=LINKS.get(place),
      expect=expect,
      mentions=(flag, place[:20] or "--"),
      may_change=(
        place,
        "elsewhere.txt",
        place.encode(errors="surrogateescape").decode(errors="replace"),
      ),
    )


def _make_file(folder: pathlib.Path, *, path: str) -> None:
  (folder / path).write_text("not of this program\n")


def _make_pipe(folder: pathlib.Path, *, path: str) -> None:
  os.mkfifo(folder / path)


def _make_folder(folder: pathlib.Path, *, path: str) -> None:
  (folder / path).mkdir()
  (folder / path / "mine.txt").write_text("not of this program\n")


WORKDIRS = {
  "a file": functools.partial(_make_file, path="w"),
  "a pipe": functools.partial(_make_pipe, path="w"),
  "a folder of others": functools.partial(_make_folder, path="w"),
  "a dangling link": functools.partial(_link, path="w", to="not/there"),
  "a loop": functools.partial(_link, path="w", to="w"),
  "a device": functools.partial(_link, path="w", to="/dev/null"),
  "nothing": None,
}
NAMES = (
  "",
  "/",
  "/proc/nothing",
  "/dev/null",
  "/dev/null/x",
  "table.py",
  "x" * 300,
  "a/" * 2500,
  "a\nb",
  "\udcff",
  "#1",
  "run#0",
  "run#7",
  "run#x",
  "gs://bucket/x",
  "s3://bucket/x",
  "~nobody/x",
  "-x",
  "data",
  "aligned/out.jsonl",
)


def workdirs(rng: random.Random) -> Iterator[Case]:
  """Workdirs that are something else."""
  started = ("train", "copying.py"), ("ablate", "table.py")
  for how, make in WORKDIRS.items():
    module, file = rng.choice((*started, ("decode", ""), ("evaluate", "")))
    may = how in ("a folder of others", "nothing", "a dangling link")
    yield Case(
      name=f"{module} into {how}",
      kind="paths",
      module=module,
      words=tuple(filter(None, (file, "--workdir", "w")))
      + (("--table-only",) if module == "ablate" else ()),
      spoil=make,
      expect=EITHER if may and file else REFUSED,
      codes=(1, 2) if may and module == "ablate" else (),
      mentions=("w",),
      may_change=("w", "w/*", "not", "not/*"),
    )
  for name in NAMES:
    module, file = rng.choice((*started, ("decode", ""), ("evaluate", "")))
    new = name in ("a\nb", "\udcff", "run#7", "#1", "run#x", "-x", "~nobody/x")
    shown = name.split("/")[0]
    yield Case(
      name=f"{module} into {name[:30]!a}",
      kind="paths",
      module=module,
      words=tuple(filter(None, (file, f"--workdir={name}")))
      + (("--table-only",) if module == "ablate" else ()),
      needs=("data", "run", "aligned"),
      expect=EITHER if (new or name in ("data", "run#0")) else REFUSED,
      codes=(0, 1, 2) if new and module == "ablate" else (),
      mentions=(name[:30], "workdir"),
      may_change=(f"{shown}*", "?", "?/*", "data/*") if new else ("data/*",),
    )


def streams(rng: random.Random) -> Iterator[Case]:
  """Standard streams that are closed, full, or read by nobody."""
  for module in COMMANDS:
    for stream in ("stdout", "stderr"):
      for how in ("closed", "full", "broken"):
        codes = (0, 2, 141) if stream == "stderr" else (0, 2, 141)
        if module in ("train", "ablate"):
          codes = (*codes, 1)
        if stream == "stdout" and how == "full" and module != "train":
          codes = (2,) if module != "ablate" else (1, 2)
        yield _case(
          module,
          f"with {stream} {how}",
          "streams",
          expect=EITHER,
          codes=codes,
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
      words = COMMANDS[module]
      if module == "ablate":
        words = ("table.py", "--workdir", "new", "--seeds", "1")
      if module == "train":
        words += ("--train.steps", "2000", "--train.validate_every", "10")
      fresh = i % 4 == 3
      if number == signal.SIGPIPE:
        delay, words = min(delay, 1), COMMANDS[module]
      yield Case(
        name=f"{module} {number.name} after {delay}" + " anew" * fresh,
        kind="signals",
        module=module,
        words=words,
        needs=NEEDS[module],
        expect=EITHER,
        codes=(0, 1) if number == signal.SIGPIPE else (),
        signal=int(number),
        delay=delay,
        may_change=(*WRITES,),
        scratch=("new", "new/*"),
        fresh=fresh,
      )


ARGUMENTS = {
  "train": (
    "--nothing",
    "--train.stepz 3",
    "--train.steps",
    "--train.steps 3 4",
    "--cpu-devices 0",
    "--cpu-devices -1",
    "--cpu-devices 1e9",
    "--cpu-devices 1000000000",
    "--processes 2",
    "--processes 2 --process-id 0 --coordinator nowhere",
    "--processes 2 --process-id 5 --coordinator localhost:99999",
    "--processes -3 --process-id 0 --coordinator localhost:x",
    "--process-id 0",
    "--coordinator :",
    "--model.attention dto",
    "--model.attention.score dto",
    "--data.task nothing",
    "--data.task x.py:f",
    "--data.task ../../x.py:",
    "--train.metric blue",
    "--train.metrics a b",
    "--train.init_from not_there",
    "--data.vocabulary not_there",
    "--data.vocabulary table.py",
    "--data.root not_there --data.task tsv --data.train x",
    "--optim.schedule cosine --optim.warmup 100000",
    "--workdir",
    "extra",
    "--workdir other",
    "-x",
    "--",
  ),
  "decode": (
    "--n-best 0",
    "--n-best -1",
    "--n-best 1.5",
    "--n-best 999",
    "--n-best ٣",
    "--beam-size 0",
    "--beam-size 100000000",
    "--batch-size 0",
    "--batch-size 999999999999999999999",
    "--checkpoint 7",
    "--checkpoint -1",
    "--checkpoint ../4",
    "--checkpoint 4.0",
    "--checkpoint ٤",
    "--checkpoint average",
    "--replica 1",
    "--replica -1",
    "--replica x",
    "--format xml",
    "--attention",
    "--train.steps 3",
    "--decode.beam 3",
    "--decode.alpha nan",
    "--workdir not_there",
    "--workdir run --workdir run",
    "--input not_there",
    "--input=",
    "--input .",
    "--cpu-devices 0",
    "extra",
  ),
  "evaluate": (
    "--split dev",
    "--metric blue",
    "--metric bleu",
    "--metric x.py:f",
    "--metric ",
    "--source data/test.de",
    "--reference data/test.en",
    "--reference data/train.en",
    "--score --output x",
    "--score --metric bleu",
    "--json not/there",
    "--workdir data",
    "--checkpoint best#1",
    "--data.test test.de",
    "--data.test test.de not_there",
    "--data.root nowhere",
    "--batch-size -3",
    "extra",
  ),
  "ablate": (
    "--seeds 0",
    "--seeds 1000000000",
    "--seeds x",
    "--row nothing",
    "--row ..",
    "--scale nothing",
    "--jobs 0",
    "--jobs 100000000",
    "--together maybe",
    "--train.steps x",
    "--train.steps nan",
    "--not.a.field 3",
    "--workdir data",
    "--cpu-devices 10000000",
    "extra",
  ),
  "data.scan": ("extra", "--nothing"),
  "analysis.alignment": ("--order sort", "--links", "extra", "--links x"),
}
WHOLE = {
  "data.scan": (
    "",
    "simple",
    "nothing test",
    "simple valid",
    "simple_p3 train",
  ),
  "data.copynet_rules": ("", "x train", "all dev", "1 2 3", "\udcff train"),
  "data.prepare": ("", "../x", "nothing_at_all", "\udcff", "mnist/x/y:9.9.9"),
  "analysis.alignment": ("", "not_there --order copy", ". --order copy"),
  "train": ("", "not_there.py --workdir w", "copying.py", ". --workdir w"),
  "ablate": ("", "not_there.py --workdir w", "table.py", ". --workdir w"),
  "decode": ("", "--workdir"),
  "evaluate": ("", "--workdir"),
}
FINE = (
  "--workdir other",
  "--checkpoint average",
  "--workdir run --workdir run",
  "--metric bleu",
  "--score --metric bleu",
  "--together maybe",
  "--beam-size 100000000",
  "--batch-size 999999999999999999999",
  "--jobs 100000000",
  "--seeds 1000000000",
  "--n-best 999",
  "--checkpoint ٤",
  "--workdir data",
  "--optim.schedule cosine --optim.warmup 100000",
  "--processes 2",
  "--process-id 0",
  "--",
  "--metric ",
)


def arguments(rng: random.Random) -> Iterator[Case]:
  """Flags that are unknown, or whose values cannot be."""
  for module, lines in ARGUMENTS.items():
    for line in lines:
      may = line in FINE
      yield _case(
        module,
        line,
        "arguments",
        *line.split(" "),
        expect=EITHER if may else REFUSED,
        codes=(0, 1, 2) if may else (),
      )
  for module, lines in WHOLE.items():
    for line in lines:
      yield Case(
        name=f"{module} alone: {line!a}",
        kind="arguments",
        module=module,
        words=tuple(line.split()),
        codes=(1, 2) if module == "data.prepare" else (),
      )
  del rng


def surroundings(rng: random.Random) -> Iterator[Case]:
  """Devices that are not there, full disks, and other locales."""
  for module in ("train", "decode"):
    for platform in ("nothing", "cuda", ""):
      yield _case(
        module,
        f"on {platform or 'no platform'}",
        "surroundings",
        environment=(("JAX_PLATFORMS", platform),),
        expect=EITHER if not platform else REFUSED,
        fresh=True,
      )
    yield _case(
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
      yield _case(
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
  for make in (outputs, workdirs, streams, signals, arguments, surroundings):
    yield from make(rng)
