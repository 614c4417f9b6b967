"""Tables of which the truth is known, and how often theirs is another.

`python -m tests.ablation.simulated_tables` prints the figures that
docs/statistics.md quotes; it takes half an hour.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import scipy.stats

from seq2seq_jax import metrics
from seq2seq_jax.ablation import statistics

RIGHT = (0.98, 0.998, 0.002, 0.5)  # shares of sentences that are right
FEW = (3, 5, 10, 30)  # sentences of a subset, of 300
# Sentences, standard deviation over seeds, and over seeds and sentences, in
# points of one sentence's score.
NOISE = (
  *((n, s, 30) for n in (100, 400) for s in (0, 1, 3, 10)),
  *((n, 10, 1) for n in (100, 400)),
)


def most(rate: float, tables: int) -> int:
  """More wrong ones than this are seen in 1 % of the cases at this rate."""
  return int(scipy.stats.binom.ppf(0.99, tables, rate))


def system(scores: np.ndarray) -> statistics.System:
  """A row of scores [S, N] in [0, 1], or of hits."""
  runs = [np.stack([run, np.ones_like(run)], axis=1) for run in scores]
  return statistics.System(runs, metrics.ratio, "test")


def difference(
  one: statistics.System, other: statistics.System, mask=None
) -> statistics.Estimate:
  """The first row minus the second one."""
  terms = [statistics.Term(1, "one", mask), statistics.Term(-1, "other", mask)]
  return statistics.estimate(terms, {"one": one, "other": other})


def null_tables(
  tables: int, size: int, seed_sd: float, noise: float, rows: int = 6
) -> float:
  """Share of tables of identical rows in which some row is called different.

  Args:
    tables: how many.
    size: number of sentences.
    seed_sd: standard deviation of a seed's mean, in points.
    noise: of a seed on a sentence.
    rows: beside the one that they are compared with, one less.
  """
  rng, wrong = np.random.default_rng((1, size, int(seed_sd), int(noise))), 0
  for _ in range(tables):
    hard = rng.normal(60, 30, size)
    table = [
      system(
        (
          hard
          + rng.normal(0, seed_sd, (3, 1))
          + rng.normal(0, noise, (3, size))
        )
        / 100
      )
      for _ in range(rows)
    ]
    ps = [difference(row, table[0]).p for row in table[1:]]
    wrong += min(p for p in statistics.holm(ps) if p is not None) < 0.05
  return wrong / tables


def null_tables_of_hits(
  tables: int, right: float, size: int = 300, rows: int = 6
) -> float:
  """The same for exact match, where sentences are of different difficulty."""
  rng, wrong = np.random.default_rng((2, int(1000 * right))), 0
  for _ in range(tables):
    # One deviation of seeds, sentences and both in the logit's normal scale.
    hard = rng.normal(0, 0.9, size)
    level = scipy.stats.norm.ppf(right) * np.hypot(0.5, np.hypot(0.9, 0.2))
    table = []
    for _ in range(rows):
      noise = rng.normal(0, 0.2, (3, 1)) + rng.normal(0, 0.5, (3, size))
      table.append(system((level + hard + noise > 0).astype(float)))
    ps = [difference(row, table[0]).p for row in table[1:]]
    wrong += min(p for p in statistics.holm(ps) if p is not None) < 0.05
  return wrong / tables


def coverage_of_subsets(
  tables: int, few: int, seed_sd: float = 0.0, gap: bool = False
) -> float:
  """Coverage of a difference of 2 points on a few of 300 sentences."""
  rng, hits = np.random.default_rng((3, few, int(seed_sd), gap)), 0
  mask = np.arange(300) < few
  for _ in range(tables):
    hard = rng.normal(60, 30, 300)
    rows = {
      name: system(
        (
          truth
          + hard
          + rng.normal(0, seed_sd, (3, 1))
          + rng.normal(0, 30, 300)
          + rng.normal(0, 2, (3, 300))
        )
        / 100
      )
      for name, truth in (("one", 2.0), ("other", 0.0))
    }
    terms = [
      statistics.Term(1, "one", mask),
      statistics.Term(-1, "other", mask),
    ]
    truth = 2.0
    if gap:
      terms += [
        statistics.Term(-1, "one", ~mask),
        statistics.Term(1, "other", ~mask),
      ]
      truth = 0.0
    estimate = statistics.estimate(terms, rows)
    hits += estimate.low <= truth <= estimate.high
  return hits / tables


def _hits(
  rng: np.random.Generator, right: float, seeds: int, size: int, shared: float
) -> np.ndarray:
  """Hits [S, N]; on a share of the sentences all seeds agree."""
  common = rng.random(size) < right
  own = rng.random((seeds, size)) < right
  return np.where(rng.random((seeds, size)) < shared, common, own).astype(float)


def coverage_near_bounds(
  tables: int, right: float, seeds: int, size: int = 500, shared: float = 0.0
) -> tuple[float, float, float, float]:
  """Coverage of exact match and of a difference of two; extreme ends.

  Returns:
    Coverage of the score, of the difference (0), and the least and largest end
    of an interval of the score.
  """
  rng = np.random.default_rng((4, int(1000 * right), seeds, int(10 * shared)))
  one = other = 0
  least, largest = 50.0, 50.0
  for _ in range(tables):
    rows = [system(_hits(rng, right, seeds, size, shared)) for _ in range(2)]
    score = statistics.estimate([statistics.Term(1, "a")], {"a": rows[0]})
    one += score.low <= 100 * right <= score.high
    least, largest = min(least, score.low), max(largest, score.high)
    gap = difference(*rows)
    other += gap.low <= 0 <= gap.high and gap.low >= -100 and gap.high <= 100
  return one / tables, other / tables, least, largest


def coverage_of_few_hits(
  tables: int, few: int, right: float
) -> tuple[float, float]:
  """Coverage of exact match on a few of 300 sentences, and of a difference.

  Three seeds, which agree on four sentences of five.
  """
  rng, one, other = np.random.default_rng((5, few, int(1000 * right))), 0, 0
  mask = np.arange(300) < few
  for _ in range(tables):
    rows = [system(_hits(rng, right, 3, 300, 0.8)) for _ in range(2)]
    term = statistics.Term(1, "a", mask)
    score = statistics.estimate([term], {"a": rows[0]})
    one += score.low <= 100 * right <= score.high
    gap = difference(*rows, mask)
    other += gap.low <= 0 <= gap.high
  return one / tables, other / tables


def sign_tests(size: int = 100) -> Iterator[tuple[int, float, float]]:
  """(k, p of the exact sign test, of randomisation), k sentences differing."""
  other = np.zeros((1, size))
  for k in range(9):
    one = other.copy()
    one[:, :k] = 1
    exact = scipy.stats.binomtest(k, k).pvalue if k else 1.0
    p = statistics.approximate_randomisation(system(one), system(other))
    yield k, float(exact), float(p if p is not None else np.nan)


def _print(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
  print("|", " | ".join(head), "|")
  print("|", " | ".join("---:" for _ in head), "|")
  for row in rows:
    shown = (f"{x:.3f}" if isinstance(x, float) else str(x) for x in row)
    print("|", " | ".join(shown), "|", flush=True)
  print()


def main(tables: int = 300) -> None:
  """Prints all figures."""
  _print(
    ("N", "seed sd", "seed x sentence sd", "any row different"),
    [(*noise, null_tables(tables, *noise)) for noise in NOISE],
  )
  _print(
    ("right", "any row different"),
    [(f"{100 * r:g} %", null_tables_of_hits(tables, r)) for r in RIGHT],
  )
  _print(
    ("of 300", "difference", "with seed sd 5", "gap to the others"),
    [
      (
        k,
        coverage_of_subsets(2 * tables, k),
        coverage_of_subsets(2 * tables, k, 5.0),
        coverage_of_subsets(2 * tables, k, gap=True),
      )
      for k in FEW
    ],
  )
  _print(
    ("of 300", "right", "score", "difference"),
    [
      (k, f"{100 * r:g} %", *coverage_of_few_hits(2 * tables, k, r))
      for k in FEW
      for r in RIGHT
    ],
  )
  for shared in (0.0, 0.8, 1.0):
    print(f"Share of sentences on which all seeds agree: {shared:g}")
    _print(
      ("right", "seeds", "score", "difference", "least end", "largest end"),
      [
        (
          f"{100 * r:g} %",
          seeds,
          *coverage_near_bounds(2 * tables, r, seeds, shared=shared),
        )
        for r in RIGHT
        for seeds in (2, 3, 5)
      ],
    )
  _print(("k", "sign test", "randomisation"), list(sign_tests()))


if __name__ == "__main__":
  main()
