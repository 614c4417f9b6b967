"""Uncertainty of scores and differences, over seeds and test sentences.

A run is an array [N, F] of sufficient statistics of its N test sentences; a
score is a function of their sums, `[..., F] -> [...]`. So BLEU is that of the
corpus in every resample, not a mean over sentences. docs/statistics.md has the
formulas and the reasons.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from seq2seq_jax.ablation import intervals, resampling

RESAMPLES = 1000  # of the bootstrap
TRIALS = 10_000  # of approximate randomisation
SEED = 12345  # SacreBLEU's
ALPHA = 0.05  # level of every test, after correction
FEWEST_SENTENCES = 5  # with fewer nothing is decided
ONE_SEED = "not tested: a row has one seed"


class System(NamedTuple):
  """The runs of a row, one for each seed, on one test set."""

  runs: Sequence[np.ndarray]  # [N, F] each
  score: resampling.Score
  test: str = ""  # names the test set: systems with the same share resamples
  trained: str = ""  # names the trainings: systems with the same are paired
  seeds: tuple[int, ...] | None = None  # of the runs; default 0, 1, ...
  bounds: intervals.Bounds | None = None  # of the score; None: see `bounds_of`
  whole: bool = False  # a run is one value, of no known sentences: [1, F]


class Term(NamedTuple):
  """A weight times a score, on all sentences or on those of a mask."""

  weight: float
  system: str
  mask: np.ndarray | None = None  # [N]


class Estimate(NamedTuple):
  """A sum of weighted scores, with its uncertainty."""

  value: float
  low: float  # of the interval; over sentences only if not `tested`
  high: float
  p: float | None  # two-sided, of the true sum being 0; None if not `tested`
  tested: bool  # every system has at least two seeds
  seed_variance: float
  sentence_variance: float
  p_at: Callable[[float], float] | None = None
  # The two-sided p of the true sum being another value.
  limit: str = ""  # why nothing can be decided, such as too few sentences


def values(system: System, mask: np.ndarray | None = None) -> np.ndarray:
  """The score of each run [S], on the sentences of a mask [N] or on all."""
  return np.array([float(system.score(_sum(run, mask))) for run in system.runs])


def _by_seed(system: System) -> dict[int, np.ndarray]:
  seeds = range(len(system.runs)) if system.seeds is None else system.seeds
  return dict(zip(seeds, system.runs, strict=True))


def _sum(run: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
  return run.sum(axis=0) if mask is None else run[mask].sum(axis=0)


def mean_sd(
  scores: Sequence[float] | np.ndarray,
) -> tuple[float, float | None]:
  """Mean and sample standard deviation; the latter None for a single score."""
  sd = float(np.std(scores, ddof=1)) if len(scores) > 1 else None
  return float(np.mean(scores)), sd


def bounds_of(system: System) -> intervals.Bounds:
  """What the score can be; where nothing is said, a share is in [0, 100]."""
  if system.bounds is not None:
    return system.bounds
  for run in system.runs:
    if run.shape[-1] != 2 or not np.all(
      (run >= 0) & (run[:, :1] <= run[:, 1:])
    ):
      return intervals.ANY
    part, whole = sums = run.sum(axis=0)
    if not whole or not np.isclose(system.score(sums), 100 * part / whole):
      return intervals.ANY
  return 0.0, 100.0


def estimate(
  terms: Sequence[Term],
  systems: dict[str, System],
  *,
  level: float = 0.95,
  resamples: int = RESAMPLES,
  seed: int = SEED,
) -> Estimate:
  """A sum of weighted scores, with seeds and sentences both drawn at random.

  The variance is that of the mean over seeds, each system's own, plus that of
  the mean run over resampled sentences, which systems of one test set share.
  Its degrees of freedom are Satterthwaite's. The interval is never narrower
  than that of the seeds alone (Welch's): if a few seeds happen to lie close
  together, the degrees of freedom would be those of the sentences.

  Args:
    terms: what is summed.
    systems: by the names in `terms`.
    level: of the interval.
    resamples: of the sentences.
    seed: of the resamples.
  """
  value, seed_parts, tested = 0.0, [], True
  # Systems with the same trainings vary together, seed by seed: their terms
  # are added up before the variance over seeds is taken.
  groups: dict[tuple[str, int], np.ndarray] = {}
  for term in terms:
    system = systems[term.system]
    key = (system.trained or term.system, len(system.runs))
    weighted = term.weight * values(system, term.mask)
    groups[key] = groups.get(key, 0.0) + weighted
  for sums in groups.values():
    value += float(np.mean(sums))
    if len(sums) > 1:
      variance = float(np.var(sums, ddof=1)) / len(sums)
      seed_parts.append((variance, len(sums) - 1.0))
    else:
      tested = False
  strata = resampling.strata(_of_known_sentences(terms, systems))
  parts = [
    resampling.variance(stratum, resamples, (seed, i))
    for i, stratum in enumerate(strata)
  ]
  bounds, single = _bounds_of_sum(terms, systems), len(terms) == 1
  spreads = [
    intervals.Spread(value, *_total(some), bounds, single)
    for some in ([*seed_parts, *parts], seed_parts)
  ]
  spreads[0], limit = _limited(
    spreads[0], [s.size for s in strata], terms, systems
  )
  ends = [intervals.interval(spread, level) for spread in spreads]

  def p_at(bound: float) -> float:
    """The larger p of the two."""
    return max(intervals.p_value(spread, bound) for spread in spreads)

  return Estimate(
    value,
    min(low for low, _ in ends),
    max(high for _, high in ends),
    p_at(0.0) if tested else None,
    tested,
    sum(variance for variance, _ in seed_parts),
    sum(variance for variance, _ in parts),
    p_at,
    limit if tested else ONE_SEED,
  )


def _of_known_sentences(
  terms: Sequence[Term], systems: dict[str, System]
) -> list[resampling.Weighted]:
  return [
    resampling.Weighted(
      term.weight, system.runs, system.score, term.mask, system.test
    )
    for term in terms
    if not (system := systems[term.system]).whole
  ]


def _limited(
  spread: intervals.Spread,
  sizes: Sequence[int],
  terms: Sequence[Term],
  systems: dict[str, System],
) -> tuple[intervals.Spread, str]:
  """The spread, where nothing varies that of what was not seen; its limit.

  The limit says why nothing can be decided: that there are too few sentences
  or, for values that are not of sentences, that all are equal.

  Args:
    spread: over seeds and sentences.
    sizes: numbers of sentences that are read.
    terms: of the sum.
    systems: by name.
  """
  limit = ""
  if fewest := min((n for n in sizes if n < FEWEST_SENTENCES), default=0):
    limit = (
      f"not tested: too few test sentences, {fewest} where {FEWEST_SENTENCES} "
      "are needed"
    )
  if min(sizes, default=2) < 2:
    return spread._replace(variance=math.inf), limit
  tiny = 1e-9 * max(1.0, abs(spread.value))
  if spread.variance > tiny**2:
    return spread, limit
  if not sizes:
    limit = "not tested: all seeds have the same value, so nothing varies"
    return spread._replace(variance=math.inf), limit
  variance = _unseen(spread, min(sizes), terms, systems)
  return spread._replace(variance=variance, freedom=min(sizes) - 1.0), limit


def _unseen(
  spread: intervals.Spread,
  size: int,
  terms: Sequence[Term],
  systems: dict[str, System],
) -> float:
  """Variance of a sum that came out alike for all sentences and seeds.

  That is no certainty: among the next `size` sentences a few may differ. Of a
  sum, two are taken to do so, by the whole width of the score; of a single
  score between bounds the variance is that of a share of `size` sentences.
  """
  width = 0.0
  for term in terms:
    low, high = bounds_of(systems[term.system])
    mean = float(np.mean(values(systems[term.system], term.mask)))
    span = high - low
    if math.isinf(span):
      ends = [abs(mean - end) for end in (low, high) if math.isfinite(end)]
      span = min(ends, default=abs(mean)) or 100.0
    width = max(width, abs(term.weight) * span)
  if not spread.single:
    return 2 * (width / size) ** 2
  low, high = spread.bounds
  if math.isfinite(low) and math.isfinite(high):
    inner = (spread.value - low) * (high - spread.value)
    return max(inner / size, 0.0) or (width / size) ** 2
  return (width / size) ** 2


def _bounds_of_sum(
  terms: Sequence[Term], systems: dict[str, System]
) -> intervals.Bounds:
  """The least and the largest that a weighted sum of scores can be."""
  ends = []
  for term in terms:
    weighted = (term.weight * end for end in bounds_of(systems[term.system]))
    ends.append(sorted(weighted))
  return sum(low for low, _ in ends), sum(high for _, high in ends)


def _total(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
  """The sum of independent variances, with Satterthwaite's (1946) degrees of
  freedom.

  Args:
    parts: variance and degrees of freedom of each.
  """
  total = sum(v for v, _ in parts)
  if total == 0:
    return 0.0, 1.0
  return total, total**2 / sum(v**2 / df for v, df in parts if v)


def paired_bootstrap(
  one: System, other: System, resamples: int = RESAMPLES, seed: int = SEED
) -> float:
  """p of Koehn's (2004) test over sentences, on the means over seeds.

  With one run each its draws are those of SacreBLEU's `--paired-bs`, whose p
  leaves out resamples that are equal to the observed difference.
  """
  counts = resampling.draws(len(one.runs[0]), resamples, seed)

  def mean(system: System) -> np.ndarray:
    scores = [system.score(counts @ run) for run in system.runs]
    return np.mean(scores, axis=0)

  differences = np.abs(mean(one) - mean(other))
  observed = abs(np.mean(values(one)) - np.mean(values(other)))
  # Centred, they show how far differences stray if the true one is 0.
  return _p_value(differences - differences.mean(), float(observed))


def approximate_randomisation(
  one: System, other: System, trials: int = TRIALS, seed: int = SEED
) -> float | None:
  """p of Riezler & Maxwell's (2005) test over sentences, on means over seeds.

  Outputs are exchanged between runs of the same seed, sentence by sentence,
  for each pair of runs on its own (Clark et al. 2011). With one run each the
  draws are those of SacreBLEU's `--paired-ar`, whose p leaves out trials that
  are equal to the observed difference. None if no seed has both runs.
  """
  mine, theirs = _by_seed(one), _by_seed(other)
  pairs = [(run, theirs[s]) for s, run in mine.items() if s in theirs]
  if not pairs:
    return None
  rng = np.random.default_rng(seed)
  differences = np.zeros(trials)
  for a, b in pairs:
    keep = rng.integers(2, size=(trials, len(a)), dtype=bool)
    for first in range(0, trials, 1000):
      # A thousand trials at a time: [1000, N] of doubles is enough memory.
      part = keep[first : first + 1000].astype(np.float64)
      mixed = part @ a + (1 - part) @ b, (1 - part) @ a + part @ b
      difference = one.score(mixed[0]) - one.score(mixed[1])
      differences[first : first + 1000] += difference / len(pairs)
  observed = np.mean(
    [one.score(a.sum(0)) - one.score(b.sum(0)) for a, b in pairs]
  )
  return _p_value(np.abs(differences), float(abs(observed)))


def _p_value(differences: np.ndarray, observed: float) -> float:
  """Share of the drawn differences that reach the observed one, both plus one.

  Equal ones count, so that p is never below its true value (Riezler & Maxwell
  2005, figure 1; North et al. 2002 for the ones).
  """
  # A rounding error must not make equal differences unequal.
  reached = np.sum(differences >= observed - 1e-9 * max(1.0, abs(observed)))
  return float((reached + 1) / (len(differences) + 1))


def holm(ps: Sequence[float | None]) -> list[float | None]:
  """p values after Holm's (1979) step-down correction.

  None stands for no test: it does not count and stays None.
  """
  order = sorted((p, i) for i, p in enumerate(ps) if p is not None)
  out: list[float | None] = [None] * len(ps)
  highest = 0.0
  for rank, (p, i) in enumerate(order):
    highest = max(highest, min(1.0, (len(order) - rank) * p))
    out[i] = highest
  return out


def seed_share(groups: Sequence[Sequence[float]]) -> float | None:
  """Share of the variance of single runs that is due to seeds.

  Variance components of a one-way random-effects analysis: within rows, and
  between rows beyond what seeds explain. None if no row has two runs, there is
  a single row, or nothing varies.

  Args:
    groups: scores of the seeds of each row.
  """
  scores = [np.asarray(group, float) for group in groups if len(group)]
  n = sum(map(len, scores))
  rows = len(scores)
  if rows < 2 or n <= rows:
    return None
  within = sum(float(((g - g.mean()) ** 2).sum()) for g in scores) / (n - rows)
  overall = sum(float(g.sum()) for g in scores) / n
  among = sum(len(g) * (float(g.mean()) - overall) ** 2 for g in scores)
  # Seeds of a row on average, if rows have different numbers of them.
  size = (n - sum(len(g) ** 2 for g in scores) / n) / (rows - 1)
  between = max(0.0, (among / (rows - 1) - within) / size)
  total = within + between
  return within / total if total else None


def verdict(
  estimate: Estimate, low: float, high: float
) -> Literal["PASS", "FAIL", "INCONCLUSIVE"]:
  """The verdict on a claim that the sum lies in [low, high].

  INCONCLUSIVE where the estimate has a limit, such as one seed of a system, or
  too few sentences.
  """
  if not estimate.tested or estimate.limit:
    return "INCONCLUSIVE"
  if low <= estimate.low and estimate.high <= high:
    return "PASS"
  if estimate.high < low or estimate.low > high:
    return "FAIL"
  return "INCONCLUSIVE"


def p_of_verdict(estimate: Estimate, low: float, high: float) -> float | None:
  """p of a verdict, for Holm's correction; None if nothing was tested.

  It is below 0.05 exactly if the claim passes or fails by itself. To pass, a
  sum must clear both bounds; to fail, the one that it misses.
  """
  if not estimate.tested or estimate.limit or estimate.p_at is None:
    return None
  if low <= estimate.value <= high:
    bounds = [bound for bound in (low, high) if math.isfinite(bound)]
    return max(map(estimate.p_at, bounds))
  return estimate.p_at(low if estimate.value < low else high)
