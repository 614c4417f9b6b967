"""What a model is scored on: a split of its run's data, or given pairs."""

import logging
import pathlib
from collections.abc import Iterable
from typing import Any

from seq2seq_jax import config, contracts, types
from seq2seq_jax.data import corpus, sources
from seq2seq_jax.inference import loading

log = logging.getLogger(__name__)

Pair = tuple[Any, str]  # source (None of a language model) and reference
# The name of a split, or pairs.
Data = str | Iterable[Pair] | sources.Source


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
  examples = sources.as_source(pairs)
  if side.present and any(examples[i][0] is None for i in range(len(examples))):
    raise types.UserError(
      "every reference needs a source (--source and --reference of `evaluate` "
      "are given together)"
    )
  return examples
