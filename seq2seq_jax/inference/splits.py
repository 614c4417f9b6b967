"""What a model is scored on: a split of its run's data, or given pairs."""

import logging
import pathlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from seq2seq_jax import config, contracts, types
from seq2seq_jax.data import corpus, sources
from seq2seq_jax.inference import loading

log = logging.getLogger(__name__)

Pair = tuple[Any, str]  # source (None of a language model) and reference


class Files(NamedTuple):
  """Files of sources and of references, one for one."""

  source: str
  reference: str | None
  """None: the sources come with them, as those of a manifest do."""


# The name of a split, pairs, or files of them.
Data = str | Iterable[Pair] | sources.Source | Files


def examples(
  data: Data, split: Callable[[str], sources.Source], side: contracts.Side
) -> sources.Source:
  """What a model is scored on, as examples.

  Args:
    data: names it, or is it.
    split: opens a split of the run's own data.
    side: of the sources.

  Raises:
    types.UserError: there is no such split or file, or a pair lacks its source.
  """
  if isinstance(data, str):
    return split(data)
  if isinstance(data, Files):
    return of_files(data, side)
  return of_pairs(data, side)


def open_split(
  data: config.Data, name: str, trained: config.Data, workdir: pathlib.Path
) -> sources.Source:
  """The examples of a run's `train`, `valid` or `test` split.

  Warns if they are not those that the run had when it was last trained.

  Args:
    data: of the config to use.
    name: of the split.
    trained: of the config that the run was trained with.
    workdir: of the run.

  Raises:
    types.UserError: the config names no such split.
  """
  split = corpus.open_for_scoring(data, name)
  if split is None:
    raise types.UserError(
      f"the run's config names no {name} split; give pairs of source and "
      "reference (--source and --reference of `evaluate`)"
    )
  # Another test set may have been asked for; of the training set only what was
  # trained on is scored.
  comparable = name == "valid" or (name == "test" and data.test == trained.test)
  recorded = loading.recorded_checksum(workdir, name) if comparable else None
  if recorded and recorded != split.checksum():
    log.warning(
      f"the {name} data is not what this run had: scores are of other sentences"
    )
  return split


def of_files(given: Files, side: contracts.Side) -> sources.Source:
  """The sources of a file with their references.

  Raises:
    types.UserError: a file cannot be read, or a source has no reference.
  """
  if not side.present:
    raise types.UserError(
      "--source: a language model has no sources; give --reference alone"
    )
  values = [line.value for line in side.inputs(given.source)]
  if given.reference is not None:
    return sources.paired(values, given.source, given.reference)
  pairs = []
  for number, value in enumerate(values, 1):
    reference = side.reference(value)
    if reference is None:
      raise types.UserError(
        "--source and --reference are given together; only a manifest with a "
        f"'text' in every line needs no other file, and {side.item} {number:,} "
        f"of {given.source} has none"
      )
    pairs.append((value, reference))
  return sources.as_source(pairs, given.source)


def of_pairs(
  pairs: Iterable[Pair] | sources.Source, side: contracts.Side
) -> sources.Source:
  """Pairs in memory as examples.

  Args:
    pairs: of source and reference.
    side: of the sources.

  Raises:
    types.UserError: a pair lacks its source.
  """
  if not hasattr(pairs, "checksum"):  # a source of examples is left as it is
    pairs = [_accepted(pair, side) for pair in pairs]
  examples = sources.as_source(pairs)
  if side.present and any(examples[i][0] is None for i in range(len(examples))):
    raise types.UserError(
      "every reference needs a source (--source and --reference of `evaluate` "
      "are given together)"
    )
  return examples


def _accepted(pair: Any, side: contracts.Side) -> Any:
  """A pair with its source as a raw value; what is no pair as it is."""
  if not isinstance(pair, tuple | list) or len(pair) != 2 or pair[0] is None:
    return pair
  return side.accept(pair[0]), pair[1]
