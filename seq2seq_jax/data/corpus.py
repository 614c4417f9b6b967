"""The examples of a config's task: splits, held-out examples, checksums."""

import collections
import dataclasses
import hashlib
import logging
import os
import pathlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from seq2seq_jax import config, types
from seq2seq_jax.config import extensions
from seq2seq_jax.data import (
  copynet_rules,
  left_out,
  scan,
  sides,
  sources,
  speeds,
  synthetic,
  text_files,
  tones,
  utterances,
)

log = logging.getLogger(__name__)

SPLITS = ("train", "valid", "test")
WHERE = (
  "; set the folder of the data by --data.root or the environment's "
  "SEQ2SEQ_JAX_DATA"
)


def root(data: config.Data) -> str:
  """Folder of the data sets: `data.root`, else SEQ2SEQ_JAX_DATA, else empty."""
  folder = data.root or os.environ.get("SEQ2SEQ_JAX_DATA", "")
  types.check_local("data.root", folder)
  return folder


def in_memory(data: config.Data) -> config.Data:
  """The data section of a run with examples in memory.

  It names no files, so that no later command scores other examples than the
  run's. A language model keeps its task, which implies that it has no source.
  """
  if not data.has_source():
    return data
  return dataclasses.replace(
    data, task="pairs", train=(), valid=(), test=(), only=""
  )


def open_split(data: config.Data, split: str) -> sources.Source | None:
  """The examples of a split, or None if the config names no such split.

  A task of the user's own, `FILE.py:NAME`, is called as `NAME(data, split)`. It
  returns None if there is no such split, else pairs of a source (text, frames
  [L, F]) and a target text: a list, an iterator, or an object with `__len__`
  and `__getitem__`, which is read when needed. An object that also has a method
  `checksum` is used as it is, without reading all its pairs to check them.

  Args:
    data: names the task and its files.
    split: train, valid or test.

  Raises:
    types.UserError: a file is missing or cannot be read as the task says.
  """
  task = TASKS.get(data.task)
  if task is not None:
    return task(data, split)
  examples = extensions.resolve(data.task)(data, split)
  return None if examples is None else sources.as_source(examples, split)


def open_for_scoring(data: config.Data, split: str) -> sources.Source | None:
  """The examples of a split to score a trained model on; None without them.

  The training split excludes blank and held-out examples, and has utterances
  as they were recorded; the validation split is the held-out examples if the
  config names none.
  """
  if split != "train":
    examples = open_split(data, split)
    if examples is not None or split == "test":
      return examples
    return Corpus(data).valid
  recorded = dataclasses.replace(data.audio, speeds=("1.0",))
  corpus = Corpus(dataclasses.replace(data, audio=recorded))
  return sources.Pairs(corpus.train[int(i)] for i in corpus.indices)


class Corpus:
  """The splits of a config's task; None if there is no such split.

  Args:
    data: names the task and its files.
    train: training examples in memory, pairs of source and target, instead of
      the task's files. A source is a text, an array of frames [L, F], or None
      for a language model; a target is a text.
    valid: validation examples in memory.
    test: test examples in memory.

  Attributes:
    train, valid, test: random-access sources of pairs.
    indices: [N] indices in `train` of the examples to train on, ascending.
    once: [M] of these, every utterance at one of its speeds (`speeds.py`); all
      where examples have none.
    blank: count and place of those that are left out for a blank side.

  Raises:
    types.UserError: there are no examples to train on, or fewer than
      `data.holdout`.
  """

  def __init__(
    self,
    data: config.Data,
    train: Iterable[tuple[Any, str]] | None = None,
    valid: Iterable[tuple[Any, str]] | None = None,
    test: Iterable[tuple[Any, str]] | None = None,
  ):
    if train is None:
      splits = [open_split(data, split) for split in SPLITS]
    else:
      splits = [
        None if pairs is None else sources.as_source(pairs, name)
        for name, pairs in zip(SPLITS, (train, valid, test))
      ]
    training, self.valid, self.test = splits
    if training is None:
      raise types.UserError(
        "data.task pairs: there are no examples; pass train=... to `fit`"
        if data.task == "pairs"
        else f"data.train is empty; name the training files of task {data.task}"
      )
    self.train: sources.Source = training
    _check_presence(data, self.train)
    self.indices, self.blank = left_out.without_blanks(self.train)
    self.limited = data.limit > 0
    self._sums: dict[str, str] | None = None
    if data.holdout and self.valid is None:
      self._hold_out(data)
    if self.limited:
      # Files may be sorted, so examples are drawn from all of them. A smaller
      # limit draws a subset of a larger one's.
      rng = np.random.default_rng((data.seed, 3))
      self.indices = np.sort(rng.permutation(self.indices)[: data.limit])
    if not len(self.indices):
      raise types.UserError(
        f"data.train: nothing to train on; of {len(self.train):,} examples are "
        f"left out: {left_out.describe(self.blank) or 'none'}"
      )
    self.once = self.indices
    self.train, self.indices = speeds.repeated(
      self.train, self.once, data.audio.factors()
    )

  def _hold_out(self, data: config.Data) -> None:
    """Moves random examples that occur once in training to validation.

    If targets are `alternatives`, all examples of a source move together.
    """
    rng = np.random.default_rng((data.seed, 2))
    groups: dict[Any, list[int]] = collections.defaultdict(list)

    def group_of(i: int) -> list[int]:
      pair = self.train[int(i)]
      sides_compared = pair[:1] if data.alternatives else pair
      return groups[sources.content(sides_compared)]

    for i in self.indices:
      group_of(i).append(i)
    held_out: list[int] = []
    for i in rng.permutation(self.indices):
      group = group_of(i)
      movable = data.alternatives or len(group) == 1
      if movable and group[0] == i:
        held_out += group
      if len(held_out) >= data.holdout:
        break
    if len(held_out) < data.holdout:
      raise types.UserError(
        f"data.holdout: {data.holdout} is more than the {len(held_out)} "
        "different training examples; lower it"
      )
    self.indices = np.setdiff1d(self.indices, held_out)
    pairs = [self.train[int(i)] for i in held_out]
    distinct = {sources.content(pair): pair for pair in pairs}
    self.valid = sources.Pairs(sorted(distinct.values(), key=str))

  def checksums(self) -> dict[str, str]:
    """SHA-256 of every split; with `data.limit`, of the chosen examples too."""
    if self._sums is None:
      self._sums = self._new_checksums()
    return dict(self._sums)

  def _new_checksums(self) -> dict[str, str]:
    splits = {"train": self.train, "valid": self.valid, "test": self.test}
    sums = {k: v.checksum() for k, v in splits.items() if v is not None}
    if self.limited:
      content = sums["train"].encode() + self.indices.tobytes()
      sums["train"] = hashlib.sha256(content).hexdigest()
    return sums


def _check_presence(data: config.Data, train: sources.Source) -> None:
  """Raises an error for a language model with sources, or others without."""
  if not len(train):
    return  # the caller raises the error
  present = sides.kind_of(train[0][0]).present
  if present != data.has_source():
    reason = "has a source" if present else "has no source (None)"
    raise types.UserError(
      f"data.task {data.task}: the first training example {reason}; the "
      "examples of a language model, and no others, are pairs (None, text)"
    )


def _in_memory(data: config.Data, split: str) -> None:
  """None: the examples are arguments of `Corpus`."""


def _scan(data: config.Data, split: str) -> sources.Source | None:
  if split == "valid":
    return None
  pairs = scan.pairs(data.name, split)
  if split == "train" and (note := scan.note(data.name)):
    log.info(note)
  return sources.Pairs(pairs)


def _copynet_rules(data: config.Data, split: str) -> sources.Source:
  kind = data.name
  if split == "test" and data.test:
    (kind,) = data.test
  rules = data.synthetic.rules
  return sources.Pairs(copynet_rules.pairs(kind, split, data.seed, rules))


def _synthetic(data: config.Data, split: str) -> sources.Source:
  s = data.synthetic
  return sources.Pairs(
    synthetic.pairs(
      data.task,
      split,
      size=getattr(s, split),
      min_length=s.min_length,
      max_length=s.max_length,
      symbols=s.symbols,
      seed=data.seed,
    )
  )


def _tones(data: config.Data, split: str) -> sources.Source:
  s = data.synthetic
  trained = s.min_length, s.max_length
  shortest, longest = data.test_lengths() if split == "test" else trained
  return sources.Pairs(
    tones.pairs(
      split,
      size=getattr(s, split),
      min_length=shortest,
      max_length=longest,
      symbols=s.symbols,
      seed=data.seed,
      rate=data.audio.rate,
    )
  )


def _tfds(data: config.Data, split: str) -> sources.Source | None:
  names = getattr(data, split)
  if not names:
    return None
  return sources.Tfds(
    data.name, names[0], data.source_field, data.target_field, root(data)
  )


def _from_files(
  read: Callable[..., sources.Source], *fields: str
) -> Callable[[config.Data, str], sources.Source | None]:
  """A task that calls `read` with a split's paths and values of `fields`."""

  def task(data: config.Data, split: str) -> sources.Source | None:
    names = getattr(data, split)
    if not names:
      return None
    for name in names:
      types.check_local(f"data.{split}", name)
    paths = [pathlib.Path(root(data)) / name for name in names]
    for path in paths:
      if reason := text_files.problem(path):
        raise types.UserError(
          f"data.{split}: {text_files.full(path)}: {reason}"
          + (WHERE if reason == text_files.MISSING else "")
        )
    return read(*paths, *(getattr(data, field) for field in fields))

  return task


# From each task to the function (data, split) that opens one of its splits, or
# returns None if there is no such split.
TASKS: dict[str, Callable[[config.Data, str], sources.Source | None]] = {
  "scan": _scan,
  **dict.fromkeys(synthetic.TASKS, _synthetic),
  "copy_rules": _copynet_rules,
  "parallel": _from_files(sources.parallel),
  "tsv": _from_files(sources.tsv, "source_field", "target_field", "only"),
  "jsonl": _from_files(sources.jsonl, "source_field", "target_field"),
  "tfds": _tfds,
  "audio": _from_files(utterances.Manifests),
  "tones": _tones,
  "language_model": _from_files(sources.lines),
  "pairs": _in_memory,
}
