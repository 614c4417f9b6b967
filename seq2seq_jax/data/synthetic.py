"""The small generated tasks: copy, reverse, sort and addition."""

import zlib

import numpy as np

TASKS = ("copy", "reverse", "sort", "addition")


def pairs(
  task: str,
  split: str,
  size: int,
  min_length: int,
  max_length: int,
  symbols: int,
  seed: int,
) -> list[tuple[str, str]]:
  """`size` (source, target) texts, symbols separated by blanks.

  Lengths are uniform. A hash of its text assigns each source to one split, so
  splits are disjoint; within a split sources may repeat. If there are so few
  possible sources that a split has hardly any, it takes all of them, and then
  splits overlap.

  Args:
    task: one of `TASKS`. The source of addition is two numbers, written as
      separate characters.
    split: train, valid or test.
    size: number of examples.
    min_length: shortest source in symbols; for addition, digits of a number.
    max_length: longest source, in the same unit.
    symbols: number of different symbols; addition has ten digits.
    seed: seed of the random examples.
  """
  rng = np.random.default_rng((seed, zlib.crc32(f"{task} {split}".encode())))
  examples: list[tuple[str, str]] = []
  misses = 0
  while len(examples) < size:
    source, target = _example(task, rng, min_length, max_length, symbols)
    misses = 0 if _split_of(source) == split else misses + 1
    # A split with a tenth of the sources is missed 1000 times in a row with
    # probability 10^-46: after so many misses it has none.
    if misses == 0 or misses > 1000:
      examples.append((source, target))
  return examples


def _split_of(source: str) -> str:
  """The split of a source: valid and test have a tenth each."""
  tenth = zlib.crc32(source.encode()) % 10
  return {0: "valid", 1: "test"}.get(tenth, "train")


def _example(
  task: str,
  rng: np.random.Generator,
  min_length: int,
  max_length: int,
  symbols: int,
) -> tuple[str, str]:
  """A random source and its target."""
  if task == "addition":
    a, b = (_number(rng, min_length, max_length) for _ in range(2))
    return " ".join(f"{a}+{b}"), " ".join(str(a + b))
  length = rng.integers(min_length, max_length + 1)
  xs = rng.integers(symbols, size=length)
  ys = {"copy": xs, "reverse": xs[::-1], "sort": np.sort(xs)}[task]
  return " ".join(map(str, xs)), " ".join(map(str, ys))


def _number(rng: np.random.Generator, min_length: int, max_length: int) -> int:
  """A random number with a uniform count of digits."""
  length = int(rng.integers(min_length, max_length + 1))
  digits = rng.integers(10, size=length)
  if length > 1:
    digits[0] = rng.integers(1, 10)  # no leading zero
  return int("".join(map(str, digits)))
