"""How sure a difference is: over test sentences, and over seeds.

A run is an array [N, F] of sufficient statistics of its N test sentences; a
score is a function of their sums, `[..., F] -> [...]`. So BLEU is that of the
corpus in every resample, not a mean over sentences.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import scipy.special

RESAMPLES = 1000
TRIALS = 10_000
SEED = 12345  # SacreBLEU's
ALPHA = 0.05  # of every test, after correction


class System(NamedTuple):
  """The runs of a row, one a seed, on one test set."""

  runs: Sequence[np.ndarray]  # [N, F] each
  score: Callable  # sums [..., F] -> [...]
  test: str = ""  # names the test set: rows of the same one share resamples
  trained: str = ""  # rows of the same trainings are paired seed by seed
  seeds: tuple[int, ...] | None = None  # of the runs, by default 0, 1, ...


class Term(NamedTuple):
  """A weighted score, of all sentences or of those where `mask` holds."""

  weight: float
  system: str
  mask: np.ndarray | None = None  # [N]


class Estimate(NamedTuple):
  """A sum of weighted scores, with its uncertainty."""

  value: float
  low: float  # of the interval; over sentences alone where not `tested`
  high: float
  p: float | None  # two-sided, that the true sum is 0
  tested: bool  # every system has two seeds or more
  seed_variance: float
  sentence_variance: float
  # A value -> two-sided p, that the true sum is this.
  p_at: Callable | None = None


def values(system: System, mask=None) -> np.ndarray:
  """The score of every run. [S]."""
  return np.array([float(system.score(_sum(run, mask))) for run in system.runs])


def _by_seed(system: System) -> dict[int, np.ndarray]:
  seeds = range(len(system.runs)) if system.seeds is None else system.seeds
  return dict(zip(seeds, system.runs, strict=True))


def _sum(run, mask):
  return run.sum(axis=0) if mask is None else run[mask].sum(axis=0)


def mean_sd(scores: Sequence[float]) -> tuple[float, float | None]:
  """Mean, and the deviation of the sample where there are two or more."""
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
  """A contrast of rows, with seeds and sentences both drawn at random.

  The variance is that of the mean over seeds, each row's own, plus that of the
  mean run over resampled sentences, which rows of one test set share. The
  interval is Student's, with Satterthwaite's degrees of freedom, and never
  narrower than that of the seeds alone (Welch's): where a few seeds happen to
  lie close together the degrees of freedom would be those of the sentences.

  Args:
    terms: what is summed.
    systems: by the names in `terms`.
    level: of the interval.
    resamples: of the sentences.
    seed: of the resamples.
  """
  value, parts, tested = 0.0, [], True
  groups: dict[tuple, np.ndarray] = {}
  for t in terms:
    system = systems[t.system]
    key = (system.trained or t.system, len(system.runs))
    groups[key] = groups.get(key, 0.0) + t.weight * values(system, t.mask)
  for own in groups.values():
    value += float(np.mean(own))
    if len(own) > 1:
      variance = float(np.var(own, ddof=1)) / len(own)
      parts.append((variance, len(own) - 1))
    else:
      tested = False
  drawn = _resampled(terms, systems, resamples, seed)
  sentences = float(np.var(drawn, ddof=1))
  size = min(len(systems[t.system].runs[0]) for t in terms)
  seeds = sum(v for v, _ in parts)
  every = [*parts, (sentences, max(1, size - 1))]

  def student(away: float) -> tuple[float, float]:
    return tuple(map(max, *(_student(p, away, level) for p in (every, parts))))

  half, p = student(value)
  return Estimate(
    value,
    value - half,
    value + half,
    p if tested else None,
    tested,
    seeds,
    sentences,
    lambda bound: student(value - bound)[1],
  )


def _student(parts, value, level) -> tuple[float, float]:
  """Half width of the interval and p of a sum with these (variance, df)."""
  total = sum(v for v, _ in parts)
  if total == 0:
    return 0.0, 1.0 if value == 0 else 0.0
  freedom = total**2 / sum(v**2 / df for v, df in parts if v)
  error = math.sqrt(total)
  half = float(scipy.special.stdtrit(freedom, 0.5 + level / 2)) * error
  return half, float(2 * scipy.special.stdtr(freedom, -abs(value) / error))


def _resampled(terms, systems, resamples, seed) -> np.ndarray:
  """The contrast of the mean runs in every resample. [resamples]."""
  counts: dict[tuple[str, int], np.ndarray] = {}
  total = np.zeros(resamples)
  for term in terms:
    system = systems[term.system]
    size = len(system.runs[0])
    key = (system.test, size)
    if key not in counts:
      counts[key] = draws(size, resamples, (seed, len(counts)))
    every = [
      system.score(counts[key] @ _masked(run, term.mask)) for run in system.runs
    ]
    total += term.weight * np.mean(every, axis=0)
  return total


def _masked(run, mask):
  return run if mask is None else run * mask[:, None]


@functools.lru_cache(maxsize=2)  # all contrasts of a table share them
def draws(size: int, resamples: int, seed=SEED) -> np.ndarray:
  """How often each sentence is in each resample. [resamples, size]."""
  rng = np.random.default_rng(seed)
  chosen = rng.choice(size, size=(resamples, size), replace=True)
  flat = chosen + np.arange(resamples)[:, None] * size
  counts = np.bincount(flat.ravel(), minlength=resamples * size)
  return counts.reshape(resamples, size).astype(np.float64)


def paired_bootstrap(
  one: System, other: System, resamples: int = RESAMPLES, seed: int = SEED
) -> float:
  """p of Koehn's (2004) test on sentences, of the means over seeds.

  With one run each it is SacreBLEU's `--paired-bs`, draw for draw.
  """
  counts = draws(len(one.runs[0]), resamples, seed)
  mean = lambda s: np.mean([s.score(counts @ run) for run in s.runs], axis=0)
  drawn = np.abs(mean(one) - mean(other))
  observed = abs(np.mean(values(one)) - np.mean(values(other)))
  return _p_value(drawn - drawn.mean(), observed)


def approximate_randomisation(
  one: System, other: System, trials: int = TRIALS, seed: int = SEED
) -> float | None:
  """p of Riezler & Maxwell's (2005) test on sentences, of means over seeds.

  Outputs are exchanged between runs of the same seed, sentence by sentence,
  for every pair on its own (Clark et al. 2011). With one run each it is
  SacreBLEU's `--paired-ar`, draw for draw. None where no seed has both runs.
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
      part = keep[first : first + 1000].astype(np.float64)
      mixed = part @ a + (1 - part) @ b, (1 - part) @ a + part @ b
      difference = one.score(mixed[0]) - one.score(mixed[1])
      differences[first : first + 1000] += difference / len(pairs)
  observed = np.mean(
    [one.score(a.sum(0)) - one.score(b.sum(0)) for a, b in pairs]
  )
  return _p_value(np.abs(differences), abs(observed))


def _p_value(drawn, observed) -> float:
  # A rounding error must not make equal differences unequal.
  above = np.sum(drawn > observed + 1e-9 * max(1.0, abs(observed)))
  return float((above + 1) / (len(drawn) + 1))


def holm(ps: Sequence[float | None]) -> list[float | None]:
  """Holm's (1979) step-down correction; None is no test and stays."""
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
  between rows beyond what seeds explain. None where no row has two runs, or
  there is one row, or nothing varies.
  """
  groups = [np.asarray(g, float) for g in groups if len(g)]
  n = sum(map(len, groups))
  rows = len(groups)
  if rows < 2 or n <= rows:
    return None
  within = sum(float(((g - g.mean()) ** 2).sum()) for g in groups) / (n - rows)
  overall = sum(float(g.sum()) for g in groups) / n
  among = sum(len(g) * (float(g.mean()) - overall) ** 2 for g in groups)
  size = (n - sum(len(g) ** 2 for g in groups) / n) / (rows - 1)
  between = max(0.0, (among / (rows - 1) - within) / size)
  total = within + between
  return within / total if total else None


def verdict(found: Estimate, low: float, high: float) -> str:
  """PASS, FAIL or INCONCLUSIVE, of a claim that the sum lies in [low, high].

  One seed a row shows nothing of the noise of seeds: INCONCLUSIVE.
  """
  if not found.tested:
    return "INCONCLUSIVE"
  if low <= found.low and found.high <= high:
    return "PASS"
  if found.high < low or found.low > high:
    return "FAIL"
  return "INCONCLUSIVE"


def p_of_verdict(found: Estimate, low: float, high: float) -> float | None:
  """How sure a verdict is: below 0.05 where the claim is decided by itself.

  To pass, a sum must clear both bounds; to fail, the one that it misses. For
  Holm's correction over a table's claims. None is no test.
  """
  if not found.tested:
    return None
  if low <= found.value <= high:
    return max(found.p_at(b) for b in (low, high) if math.isfinite(b))
  return found.p_at(low if found.value < low else high)
