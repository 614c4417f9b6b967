"""Scores of given targets under a model."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from seq2seq_jax import types
from seq2seq_jax.data import batches, vocabulary
from seq2seq_jax.inference import sizing
from seq2seq_jax.runtime import parallel

# What can be lowered where memory is not enough.
FIELDS = (
  "decode.max_source_length (decode.long_source says what becomes of longer "
  "sources) or decode.batch_rows"
)


def make_scoring(models: Sequence[Any]) -> Callable[..., tuple[jax.Array, ...]]:
  """Builds `score(params, batch) -> [B, T] nll, [B, T] correct`.

  Several models are an ensemble: the mean of their probabilities. Which token
  it ranks first is not known from each member's own, so there `correct` is left
  out.
  """

  def score(
    params: tuple[Any, ...], batch: types.Batch
  ) -> tuple[jax.Array, ...]:
    terms = [m.apply(p, batch, method="losses") for m, p in zip(models, params)]
    if len(terms) == 1:
      return terms[0]["nll"], terms[0]["correct"]
    log_probs = jnp.stack([-t["nll"] for t in terms])
    return (math.log(len(terms)) - jax.nn.logsumexp(log_probs, axis=0),)

  return score


class Scorer:
  """Scores given targets; fixed rows, so batches never change a bit.

  Args:
    models: modules, one a member of an ensemble.
    vocabularies: of the run.
    mapper: over the devices.
  """

  def __init__(
    self,
    models: Sequence[Any],
    vocabularies: vocabulary.Vocabularies,
    mapper: parallel.Mapper,
  ):
    self.vocabularies = vocabularies
    self.program = mapper.round_robin(make_scoring(models))
    self._sizes: dict[tuple[int, int, int], sizing.Size] = {}

  def score(
    self,
    params: tuple[Any, ...],
    pairs: Sequence[types.EncodedPair],
    rows: int,
  ) -> list[Float[np.ndarray, "_ T"]]:
    """Log-probability of every target token, and whether it ranked first.

    Args:
      params: tuple of parameter trees on the mapper's devices.
      pairs: encoded examples.
      rows: of the program, on each device.

    Returns:
      A [2, T] array for each pair; [1, T] of an ensemble.
    """
    scores: list[Any] = [None] * len(pairs)

    def rows_of(source: int, target: int, members: Sequence[int]) -> int:
      longest = max(sum(self.vocabularies.lengths(pairs[i])) for i in members)
      with sizing.named(members, longest, FIELDS):
        size = self._size(params, rows, source, target)
        sizing.check_fits(size.need, self.program.devices[0])
      return size.rows

    planned = batches.evaluation(self.vocabularies, pairs, rows, rows_of)
    for turn, (members, batch) in enumerate(planned):
      longest = max(sum(self.vocabularies.lengths(pairs[i])) for i in members)
      with sizing.named(members, longest, FIELDS):
        nll, *correct = jax.device_get(self.program(params, batch, turn))
      for row, i in enumerate(members):
        length = self.vocabularies.target.length(pairs[i].target)
        scores[i] = np.stack([x[row, :length] for x in (-nll, *correct)])
    return scores

  def _size(
    self, params: tuple[Any, ...], rows: int, source: int, target: int
  ) -> sizing.Size:
    """Rows and memory of the program for padded lengths."""

    def need(rows: int) -> int | None:
      batch = batches.filler(self.vocabularies, rows, source, target)
      return self.program.bytes_needed(params, batch)

    key = (rows, source, target)
    if key not in self._sizes:
      self._sizes[key] = sizing.fitting(
        rows, max(source, target), self.program.devices[0], need
      )
    return self._sizes[key]
