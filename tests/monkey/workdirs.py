"""Cases of workdirs and tables whose files are gone, broken or exchanged."""

import functools
import pathlib
import random
import shutil
from collections.abc import Iterator

from tests.monkey import base, spoil
from tests.monkey.case import EITHER, REFUSED, Case

# What `decode` and `evaluate` cannot do without.
NEEDED = ("config.json", "tokenizers/*")
FILES = {
  "config.json": 14,
  "run.json": 10,
  "lengths.npz": 8,
  "metrics.jsonl": 10,
  "tokenizers/*": 18,
  "checkpoints/4/state/*": 10,
  "checkpoints/4/host/*": 10,
  "checkpoints/4/*": 8,
  "checkpoints/2": 5,
  "checkpoints/4": 5,
  "checkpoints": 7,
  "tensorboard": 4,
  "tensorboard/*": 3,
  "tokenizers": 4,
  "lock": 5,
  "mine.txt": 2,
}
JSON = ("config.json", "run.json", "tokenizers/*", "metrics.jsonl")
# Ways that leave other content that may be right.
MAYBE = ("a bit", "a wrong value", "another wrong value", "a new key", "half")
RESUMED = (
  "config.json",  # train.steps may change
  "metrics.jsonl",
  "run.json",
  "lengths.npz",
  "tensorboard",
  "tensorboard/*",
  "checkpoints/*",
  "checkpoints-damaged*",
  "lock",
)


def _spoil(
  folder: pathlib.Path, *, run: str, file: str, how: str, seed: str
) -> None:
  rng = random.Random(seed)
  workdir = folder / run
  if file == "lock":
    (workdir / "lock").write_text("{}")
  if file.startswith("tokenizers/") and how in spoil.SHAPES:
    file = "tokenizers/*.json"
  spoil.apply(how, base.find(workdir, file, rng), rng)


def runs(rng: random.Random) -> Iterator[Case]:
  """Files of a run, under `decode`, `evaluate` and a resumed `train`."""
  for file, count in FILES.items():
    ways = [*spoil.PLACES] if "*" not in file else [*spoil.ALL]
    if file in JSON:
      ways += [*spoil.SHAPES, *spoil.BREAKS]
    elif "." in file or file == "lock":
      ways += [*spoil.BREAKS]
    for how in rng.sample(sorted(set(ways)), min(count, len(set(ways)))):
      yield _of_run(rng, file, how)


def _of_run(rng: random.Random, file: str, how: str) -> Case:
  module = rng.choice(("decode", "evaluate", "train"))
  run = rng.choice(("run", "bpe"))
  config = {"run": "words.py", "bpe": "bpe.py"}[run]
  words: tuple[str, ...] = ("--workdir", run)
  if module == "train":
    words = (config, *words, "--train.steps", "6")
  elif module == "decode":
    words += ("--input", "data/test.de")
  needed = file in NEEDED and module != "train" and how not in MAYBE
  if how in ("doubled", "zipped", "a lost key", "gone", "an empty object"):
    needed = needed and file == "config.json" and how != "a lost key"
  name = f"{run}/{file} {how}"
  same = f"{module} {run}" if module != "train" else ""
  if file == "checkpoints/4" and how == "gone":
    same = ""  # it looks like a run of two steps
  return Case(
    name=f"{module} {name}",
    kind="workdirs",
    module=module,
    words=words,
    needs=("data", run),
    spoil=functools.partial(_spoil, run=run, file=file, how=how, seed=name),
    expect=REFUSED if needed else EITHER,
    mentions=(file.partition("*")[0], "checkpoint"),
    may_change=tuple(f"{run}/{name}" for name in RESUMED),
    same_output="" if file == "config.json" else same,
  )


def _swap(folder: pathlib.Path, *, one: str, other: str) -> None:
  a, b = folder / one, folder / other
  aside = folder / "aside"
  a.rename(aside)
  b.rename(a)
  aside.rename(b)


def _copy_over(folder: pathlib.Path, *, one: str, other: str) -> None:
  target = folder / other
  if target.is_dir():
    shutil.rmtree(target)
    shutil.copytree(folder / one, target)
  else:
    shutil.copy(folder / one, target)


EXCHANGES = (
  (_swap, "run/tokenizers/source.json", "run/tokenizers/target.json"),
  (_copy_over, "bpe/tokenizers/target.json", "run/tokenizers/target.json"),
  (_copy_over, "run/tokenizers/source.json", "run/tokenizers/target.json"),
  (_copy_over, "bpe/config.json", "run/config.json"),
  (_copy_over, "bpe/checkpoints/4", "run/checkpoints/4"),
  (_copy_over, "bpe/checkpoints", "run/checkpoints"),
  (_copy_over, "run/tokenizers/source.json", "run/config.json"),
  (_copy_over, "run/run.json", "run/config.json"),
  (_copy_over, "run/lengths.npz", "run/tokenizers/source.json"),
  (_copy_over, "bpe/tokenizers", "run/tokenizers"),
)


def exchanged(rng: random.Random) -> Iterator[Case]:
  """Files that are right, in the place of others."""
  for exchange, one, other in EXCHANGES:
    for module in rng.sample(("decode", "evaluate", "train"), 2):
      words: tuple[str, ...] = ("--workdir", "run")
      if module == "train":
        words = ("words.py", *words, "--train.steps", "6")
      elif module == "decode":
        words += ("--input", "data/test.de")
      yield Case(
        name=f"{module} {exchange.__name__[1:]} {one} {other}",
        kind="exchanged",
        module=module,
        words=words,
        needs=("data", "run", "bpe"),
        spoil=functools.partial(exchange, one=one, other=other),
        expect=REFUSED,
        mentions=("run/", "run holds"),
      )


TABLE_FILES = {
  "cells/*/seed_0/result.json": 12,
  "cells/*/seed_0/config.json": 3,
  "cells/*/seed_0/sentences*": 9,
  "cells/*/seed_0.spec.json": 6,
  "cells": 5,
  "cells/*": 2,
  "cells/*/seed_0": 3,
  "locks": 5,
  "table.json": 7,
  "table.md": 4,
  "table.csv": 2,
  "report.html": 3,
  "figures": 4,
  "ablation.json": 9,
  "mine.txt": 2,
}
WRITTEN = ("table.*", "report.html", "figures", "figures/*", "ablation.json")


def _spoil_table(
  folder: pathlib.Path, *, file: str, how: str, seed: str
) -> None:
  rng = random.Random(seed)
  spoil.apply(how, base.find(folder / "table", file, rng), rng)


def tables(rng: random.Random) -> Iterator[Case]:
  """Files of a finished table, which is written again."""
  for file, count in TABLE_FILES.items():
    ways = [*spoil.PLACES]
    if "." in file or "*" in file:
      ways += [*spoil.BREAKS]
    if file.endswith(".json"):
      ways += [*spoil.SHAPES]
    for how in rng.sample(ways, count):
      name = f"table/{file} {how}"
      yield Case(
        name=name,
        kind="tables",
        module="ablate",
        words=(
          "table.py",
          "--workdir",
          "table",
          "--seeds",
          "1",
          "--table-only",
        ),
        needs=("table",),
        spoil=functools.partial(_spoil_table, file=file, how=how, seed=name),
        expect=EITHER,
        codes=(0, 1, 2),
        mentions=(file.split("/")[-1].strip("*"), "holds the table"),
        may_change=tuple(f"table/{name}" for name in (*WRITTEN, "locks*")),
        scratch=("table/locks",),
      )


def all_cases(rng: random.Random) -> Iterator[Case]:
  """All of this module."""
  for make in (runs, exchanged, tables):
    yield from make(rng)
