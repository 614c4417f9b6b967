"""Cases of outputs and workdirs in places that hold something else."""

import functools
import os
import pathlib
import random
from collections.abc import Iterator

from tests.monkey import commands
from tests.monkey.case import EITHER, REFUSED, Case


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
    words = commands.COMMANDS[module]
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
      needs=commands.NEEDS[module],
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
      codes=(0, 1, 2) if module == "ablate" and (new or "#" in name) else (),
      mentions=(name[:30], "workdir", "replica"),
      may_change=(f"{shown}*", "?", "?/*") if new or "#" in name else (),
    )


def all_cases(rng: random.Random) -> Iterator[Case]:
  """All of this module."""
  for make in (outputs, workdirs):
    yield from make(rng)
