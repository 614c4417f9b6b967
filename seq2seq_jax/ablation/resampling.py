"""Variance of a sum of scores that is due to its test sentences.

The sentences of a test set fall into strata by the masks that they are in: for
a claim about long and short sources into long ones, short ones and the rest.
Each stratum is resampled by itself, so its variance has its own degrees of
freedom, and a subset is never empty in a resample.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

Score = Callable[[np.ndarray], np.ndarray]  # sums [..., F] -> scores [...]


class Weighted(NamedTuple):
  """A weight times the mean score of some runs on some sentences."""

  weight: float
  runs: Sequence[np.ndarray]  # [N, F] each
  score: Score
  mask: np.ndarray | None  # [N]; None stands for all
  test: str  # names the test set


class Stratum(NamedTuple):
  """Sentences that are resampled together, and the terms that read them."""

  inside: np.ndarray  # [N]
  terms: tuple[Weighted, ...]

  @property
  def size(self) -> int:
    """Number of its sentences."""
    return int(self.inside.sum())


def strata(terms: Sequence[Weighted]) -> list[Stratum]:
  """All strata of all test sets that are read by some term."""
  tests: dict[tuple[str, int], list[Weighted]] = {}
  for term in terms:
    tests.setdefault((term.test, len(term.runs[0])), []).append(term)
  found = []
  for (_, size), group in tests.items():
    masks = np.array([_mask(term, size) for term in group])  # [terms, N]
    for kind in np.unique(masks.T, axis=0)[::-1]:
      if kind.any():
        inside = np.all(kind == masks.T, axis=1)
        readers = tuple(t for t, reads in zip(group, kind) if reads)
        found.append(Stratum(inside, readers))
  return found


def _mask(term: Weighted, size: int) -> np.ndarray:
  if term.mask is None:
    return np.ones(size, bool)
  return np.asarray(term.mask, bool)


def variance(
  stratum: Stratum, resamples: int, seed: tuple[int, ...]
) -> tuple[float, float]:
  """Variance of the sum over resamples of a stratum; degrees of freedom.

  It is that of two more sentences than have been seen. Where few differ, the
  variance of the few is too small for Student's interval as often as it is too
  large; with two more it is right (Agresti & Min 2005 and Bonett & Price 2012,
  for shares).
  """
  size = stratum.size
  if size < 2:
    return 0.0, 1.0
  counts = draws(size, resamples, seed)
  drawn = np.zeros(resamples)
  # The sum without each sentence, by the runs of one seed, then of the next.
  without = np.zeros((max(len(term.runs) for term in stratum.terms), size))
  for term in stratum.terms:
    left_out = []
    for run in term.runs:
      mine = run[stratum.inside]
      total = run[_mask(term, len(run))].sum(axis=0)
      score = term.score(counts @ mine + (total - mine.sum(axis=0)))
      drawn += term.weight / len(term.runs) * score
      left_out.append(term.weight * term.score(total - mine))
    for i, row in enumerate(without):
      row += left_out[i % len(left_out)]
  seen = float(np.var(drawn, ddof=1)) * size / (size - 1)
  return seen + 2 * max(map(_square_of_one, without)), size - 1.0


def _square_of_one(without: np.ndarray) -> float:
  """Square of what a sentence that differs changes; 0 if none does.

  The mean of the squares, weighted by themselves: if most sentences change
  nothing, that of the others.

  Args:
    without: the sum without each of the sentences.
  """
  squares = (without - without.mean()) ** 2
  total = float(squares.sum())
  return float((squares**2).sum()) / total if total else 0.0


@functools.lru_cache(maxsize=4)  # all contrasts of a table share them
def draws(size: int, resamples: int, seed: int | tuple[int, ...]) -> np.ndarray:
  """How often each sentence is in each resample [resamples, size]."""
  rng = np.random.default_rng(seed)
  chosen = rng.choice(size, size=(resamples, size), replace=True)
  # One count over all resamples, each with a range of numbers of its own.
  flat = chosen + np.arange(resamples)[:, None] * size
  counts = np.bincount(flat.ravel(), minlength=resamples * size)
  return counts.reshape(resamples, size).astype(np.float64)
