"""The examples of a split as the search and the scorer read them."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from seq2seq_jax import config, types
from seq2seq_jax.data import skipped, vocabulary
from seq2seq_jax.inference import long_sources

log = logging.getLogger(__name__)


def encode(
  conf: config.Config,
  vocabularies: vocabulary.Vocabularies,
  pairs: Sequence[tuple[Any, str]],
) -> tuple[list[types.EncodedPair], set[int]]:
  """The examples, long sources cut, and the places of those to be skipped.

  These are too long, or cannot be used, and are told.

  Args:
    conf: of the run, with the search to use.
    vocabularies: of the run.
    pairs: raw values of source and target.

  Raises:
    types.Unreadable: a source cannot be used, and the config says to fail.
    types.UserError: none can be used.
  """
  decode, side = conf.decode, vocabularies.source
  tally, unusable = long_sources.Tally(side, decode), skipped.Skipped()
  encoded, places = [], set()
  for i, raw in enumerate(pairs):
    try:
      pair = vocabularies.encode(raw)
    except types.Unreadable as e:
      if conf.data.audio.on_error == "fail":
        raise
      unusable.add(e)
      tally.add(None)
      places.add(i)
      encoded.append(_without_source(vocabularies, raw))
      continue
    tally.add(side.length(pair.source))
    source = long_sources.limited(side, pair.source, decode, i)
    if source is None:
      places.add(i)
    encoded.append(pair._replace(source=source or pair.source))
  tally.tell()
  _tell(len(unusable.reasons), len(pairs))
  return encoded, places


def _tell(unusable: int, total: int) -> None:
  """Tells how many sources cannot be used."""
  if unusable and unusable == total:
    raise types.UserError(f"none of {total:,} sources can be used")
  if unusable:
    log.warning(
      f"{unusable:,} of {total:,} sources cannot be used; their outputs are "
      "blank, which counts as wrong (data.audio.on_error skip)"
    )


def _without_source(
  vocabularies: vocabulary.Vocabularies, pair: tuple[Any, str]
) -> types.EncodedPair:
  """An example whose source cannot be used."""
  nothing = np.zeros((0, vocabularies.source.features), np.float32)
  target = vocabularies.target.encode(pair[1])
  return types.EncodedPair(types.EncodedSide(nothing), target)
