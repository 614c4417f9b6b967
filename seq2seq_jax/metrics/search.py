"""Diagnostics of a search, in percent of the sources."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from seq2seq_jax import types
from seq2seq_jax.metrics import record


def _share(flags: Sequence[Any]) -> float:
  return 100.0 * float(np.mean(flags))


def _cut(hypotheses: Sequence[types.Hypotheses]) -> float | None:
  """Best outputs that reached the longest length without an end."""
  if not hypotheses:
    return None
  return _share([not h.finished[0] for h in hypotheses])


def _search_errors(hypotheses: Sequence[types.Hypotheses]) -> float | None:
  """Sources for which exact search found a better output than the beam.

  A lower bound: what is not proven may have been missed by both.
  """
  if not hypotheses or hypotheses[0].proven is None:
    return None
  return _share([h.improved for h in hypotheses])


def _proven(hypotheses: Sequence[types.Hypotheses]) -> float | None:
  """Sources whose output exact search has shown to be the best of all."""
  if not hypotheses or hypotheses[0].proven is None:
    return None
  return _share([h.proven for h in hypotheses])


RECORDS = tuple(
  record.Metric(
    name, function, needs="search", diagnostic=True, bounds=record.PERCENT
  )
  for name, function in (
    ("cut", _cut),
    ("search_errors", _search_errors),
    ("proven", _proven),
  )
)
