"""Uncertainty of scores and differences, over seeds and test sentences.

A run is an array [N, F] of sufficient statistics of its N test sentences; a
score is a function of their sums, `[..., F] -> [...]`. So BLEU is that of the
corpus in every resample, not a mean over sentences. docs/statistics.md has the
formulas and the reasons.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import scipy.special

Score = Callable[[np.ndarray], np.ndarray]  # sums [..., F] -> scores [...]

RESAMPLES = 1000  # of the bootstrap
TRIALS = 10_000  # of approximate randomisation
SEED = 12345  # SacreBLEU's
ALPHA = 0.05  # level of every test, after correction


class System(NamedTuple):
  """The runs of a row, one for each seed, on one test set."""

  runs: Sequence[np.ndarray]  # [N, F] each
  score: Score
  test: str = ""  # names the test set: systems with the same share resamples
  trained: str = ""  # names the trainings: systems with the same are paired
  seeds: tuple[int, ...] | None = None  # of the runs; default 0, 1, ...


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
  The interval is Student's with Satterthwaite's degrees of freedom, and never
  narrower than that of the seeds alone (Welch's): if a few seeds happen to lie
  close together, the degrees of freedom would be those of the sentences.

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
      seed_parts.append((variance, len(sums) - 1))
    else:
      tested = False
  resampled = _resampled(terms, systems, resamples, seed)
  sentence_variance = float(np.var(resampled, ddof=1))
  size = min(len(systems[term.system].runs[0]) for term in terms)
  all_parts = [*seed_parts, (sentence_variance, max(1, size - 1))]

  def student(distance: float) -> tuple[float, float]:
    """The wider half interval and the larger p of the two sets of parts."""
    both, seeds_only = (
      _student(parts, distance, level) for parts in (all_parts, seed_parts)
    )
    return max(both[0], seeds_only[0]), max(both[1], seeds_only[1])

  half, p = student(value)
  return Estimate(
    value,
    value - half,
    value + half,
    p if tested else None,
    tested,
    sum(variance for variance, _ in seed_parts),
    sentence_variance,
    lambda bound: student(value - bound)[1],
  )


def _student(
  parts: Sequence[tuple[float, int]], value: float, level: float
) -> tuple[float, float]:
  """Half width of the interval, and p of the sum being 0.

  Args:
    parts: (variance, degrees of freedom) of the independent parts of the sum.
    value: of the sum.
    level: of the interval.
  """
  total = sum(v for v, _ in parts)
  if total == 0:
    return 0.0, 1.0 if value == 0 else 0.0
  # Satterthwaite (1946): the degrees of freedom of a sum of variances.
  freedom = total**2 / sum(v**2 / df for v, df in parts if v)
  error = math.sqrt(total)
  half = float(scipy.special.stdtrit(freedom, 0.5 + level / 2)) * error
  return half, float(2 * scipy.special.stdtr(freedom, -abs(value) / error))


def _resampled(
  terms: Sequence[Term],
  systems: dict[str, System],
  resamples: int,
  seed: int,
) -> np.ndarray:
  """The sum of the mean runs in each resample of the sentences [resamples]."""
  counts: dict[tuple[str, int], np.ndarray] = {}
  total = np.zeros(resamples)
  for term in terms:
    system = systems[term.system]
    size = len(system.runs[0])
    key = (system.test, size)
    if key not in counts:
      counts[key] = draws(size, resamples, (seed, len(counts)))
    scores = [
      system.score(counts[key] @ _masked(run, term.mask)) for run in system.runs
    ]
    total += term.weight * np.mean(scores, axis=0)
  return total


def _masked(run: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
  return run if mask is None else run * mask[:, None]


@functools.lru_cache(maxsize=2)  # all contrasts of a table share them
def draws(
  size: int, resamples: int, seed: int | tuple[int, ...] = SEED
) -> np.ndarray:
  """How often each sentence is in each resample [resamples, size]."""
  rng = np.random.default_rng(seed)
  chosen = rng.choice(size, size=(resamples, size), replace=True)
  # One count over all resamples, each with a range of numbers of its own.
  flat = chosen + np.arange(resamples)[:, None] * size
  counts = np.bincount(flat.ravel(), minlength=resamples * size)
  return counts.reshape(resamples, size).astype(np.float64)


def paired_bootstrap(
  one: System, other: System, resamples: int = RESAMPLES, seed: int = SEED
) -> float:
  """p of Koehn's (2004) test over sentences, on the means over seeds.

  With one run each it is SacreBLEU's `--paired-bs`, draw for draw.
  """
  counts = draws(len(one.runs[0]), resamples, seed)

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
  for each pair of runs on its own (Clark et al. 2011). With one run each it is
  SacreBLEU's `--paired-ar`, draw for draw. None if no seed has both runs.
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
  """Share of the drawn differences above the observed one, both plus one."""
  # A rounding error must not make equal differences unequal.
  above = np.sum(differences > observed + 1e-9 * max(1.0, abs(observed)))
  return float((above + 1) / (len(differences) + 1))


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

  With one seed of a system nothing is known of the variance between seeds:
  INCONCLUSIVE.
  """
  if not estimate.tested:
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
  if not estimate.tested or estimate.p_at is None:
    return None
  if low <= estimate.value <= high:
    bounds = [bound for bound in (low, high) if math.isfinite(bound)]
    return max(map(estimate.p_at, bounds))
  return estimate.p_at(low if estimate.value < low else high)
