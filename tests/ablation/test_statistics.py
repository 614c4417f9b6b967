"""Against SacreBLEU, SciPy and small cases by hand; and what is claimed of
tables in which nothing differs."""

import itertools

import numpy as np
import pytest
import sacrebleu
import scipy.stats
from sacrebleu import significance

from seq2seq_jax import metrics
from seq2seq_jax.ablation import statistics


def _texts(seed, n=60):
  """References, and two translations that differ a little in quality."""
  rng = np.random.default_rng(seed)
  words = np.array(list("abcdefghijkl"))
  references = [
    " ".join(rng.choice(words, size=rng.integers(5, 14))) for _ in range(n)
  ]

  def noisy(rate):
    out = []
    for text in references:
      kept = [
        rng.choice(words) if rng.random() < rate else w for w in text.split()
      ]
      out.append(" ".join(kept))
    return out

  return references, noisy(0.25), noisy(0.3)


def _system(name, hypotheses, references):
  sentences = metrics.sentences(
    name, hypotheses, references, metrics.Comparison(tokenize="none")
  )
  return statistics.System([sentences.rows], sentences.score)


METRICS = {
  "bleu": lambda: sacrebleu.BLEU(tokenize="none", force=True),
  "chrf": lambda: sacrebleu.CHRF(),
  "ter": lambda: sacrebleu.TER(),
}


@pytest.mark.quick
@pytest.mark.parametrize("kind", ["bs", "ar"])
@pytest.mark.parametrize("name", METRICS)
def test_with_one_seed_the_draws_are_sacrebleus(name, kind):
  references, one, other = _texts(0)
  samples = 200
  theirs = significance.PairedTest(
    [("other", other), ("one", one)],
    {name: METRICS[name]()},
    [references],
    test_type=kind,
    n_samples=samples,
  )()[1]
  [_, result] = next(v for k, v in theirs.items() if k != "System")
  systems = [_system(name, h, references) for h in (one, other)]
  if kind == "bs":
    ours = statistics.paired_bootstrap(*systems, resamples=samples)
  else:
    ours = statistics.approximate_randomisation(*systems, trials=samples)
  # Theirs leaves out draws that are equal to what was observed; and its sums
  # are float32, so one on the border may fall either way.
  assert -1.01 <= (samples + 1) * (ours - result.p_value) <= 2.01
  assert 1 / (samples + 1) < ours < 1 or name == "ter"
  assert statistics.values(systems[0])[0] == pytest.approx(result.score)


def _constant(values, sentences=40):
  """Runs whose sentences all score alike: nothing is due to sentences."""
  return [np.tile([[v / 100, 1.0]], (sentences, 1)) for v in values]


A, B = (71.0, 74.5, 73.0), (69.0, 70.5, 68.2, 71.0)


@pytest.mark.quick
def test_without_noise_of_sentences_it_is_welchs_test():
  systems = {
    "a": statistics.System(_constant(A), metrics.ratio),
    "b": statistics.System(_constant(B), metrics.ratio),
  }
  terms = [statistics.Term(1, "a"), statistics.Term(-1, "b")]
  ours = statistics.estimate(terms, systems)
  theirs = scipy.stats.ttest_ind(A, B, equal_var=False)
  interval = theirs.confidence_interval(0.95)
  assert ours.value == pytest.approx(np.mean(A) - np.mean(B))
  assert ours.p == pytest.approx(theirs.pvalue)
  assert ours.low == pytest.approx(interval.low)
  assert ours.high == pytest.approx(interval.high)
  assert ours.sentence_variance == pytest.approx(0, abs=1e-18)


@pytest.mark.quick
def test_rows_of_the_same_trainings_are_paired_by_seed():
  other = (72.0, 75.0, 74.2)
  systems = {
    "a": statistics.System(_constant(A), metrics.ratio, trained="x"),
    "b": statistics.System(_constant(other), metrics.ratio, trained="x"),
  }
  terms = [statistics.Term(1, "b"), statistics.Term(-1, "a")]
  ours = statistics.estimate(terms, systems)
  assert ours.p == pytest.approx(scipy.stats.ttest_rel(other, A).pvalue)


@pytest.mark.quick
def test_without_noise_of_seeds_it_is_the_binomials_deviation():
  run = np.array([[1.0, 1.0]] * 300 + [[0.0, 1.0]] * 100)
  systems = {"a": statistics.System([run, run], metrics.ratio)}
  ours = statistics.estimate([statistics.Term(1, "a")], systems, resamples=4000)
  sd = 100 * np.sqrt(0.75 * 0.25 / 400)
  assert np.sqrt(ours.sentence_variance) == pytest.approx(sd, rel=0.05)
  assert ours.seed_variance == 0
  normal = scipy.stats.t.ppf(0.975, 399)
  assert ours.high - ours.value == pytest.approx(normal * sd, rel=0.05)


@pytest.mark.quick
def test_rows_of_one_test_set_share_its_hard_sentences():
  rng = np.random.default_rng(0)
  easy = (rng.random(400) < 0.5).astype(float)
  run = np.stack([easy, np.ones(400)], axis=1)
  worse = run.copy()
  worse[:4, 0] = 1 - worse[:4, 0]
  terms = [statistics.Term(1, "a"), statistics.Term(-1, "b")]

  def variance(tests):
    systems = {
      name: statistics.System([r, r], metrics.ratio, test)
      for name, r, test in zip("ab", (run, worse), tests)
    }
    return statistics.estimate(terms, systems).sentence_variance

  assert variance(("t", "t")) < 0.05 * variance(("t", "u"))


@pytest.mark.quick
def test_subsets():
  """Three of four long ones, one of two short ones: a gap of 25 points."""
  run = np.array([[1, 1], [1, 1], [1, 1], [0, 1], [1, 1], [0, 1]], float)
  long = np.array([True] * 4 + [False] * 2)
  systems = {"a": statistics.System([run, run], metrics.ratio)}
  terms = [
    statistics.Term(1, "a", long),
    statistics.Term(-1, "a", ~long),
  ]
  assert statistics.estimate(terms, systems).value == pytest.approx(25)


@pytest.mark.quick
def test_one_seed_is_not_tested():
  systems = {
    "a": statistics.System(_constant([90]), metrics.ratio),
    "b": statistics.System(_constant(B), metrics.ratio),
  }
  terms = [statistics.Term(1, "a"), statistics.Term(-1, "b")]
  estimate = statistics.estimate(terms, systems)
  assert estimate.p is None and not estimate.tested
  assert statistics.verdict(estimate, 0, 100) == "INCONCLUSIVE"


@pytest.mark.quick
@pytest.mark.parametrize(
  "low, high, verdict",
  [
    (0, np.inf, "PASS"),
    (4, np.inf, "INCONCLUSIVE"),
    (8, np.inf, "FAIL"),
    (-9, -1, "FAIL"),
    (2.5, 7.5, "PASS"),
  ],
)
def test_verdicts(low, high, verdict):
  estimate = statistics.Estimate(5.0, 3.0, 7.0, 0.01, True, 0, 0)
  assert statistics.verdict(estimate, low, high) == verdict


@pytest.mark.quick
def test_holm_by_hand():
  corrected = statistics.holm([0.01, 0.04, None, 0.03, 0.005])
  expected = [0.03, 0.06, None, 0.06, 0.02]
  for ours, by_hand in zip(corrected, expected):
    assert ours == (None if by_hand is None else pytest.approx(by_hand))
  assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]


@pytest.mark.quick
def test_share_of_seeds_by_hand():
  """Within 2, between (16 - 2) / 2 = 7: two ninths."""
  assert statistics.seed_share([[1, 3], [5, 7]]) == pytest.approx(2 / 9)
  assert statistics.seed_share([[1, 3], [1, 3]]) == 1.0
  assert statistics.seed_share([[1], [2]]) is None
  assert statistics.seed_share([[1, 2]]) is None


def _run(rng, hard, quality):
  """A run of exact matches; `quality` and `hard` add up to a logit."""
  right = rng.random(len(hard)) < 1 / (1 + np.exp(hard - quality))
  return np.stack([right, np.ones(len(hard))], axis=1).astype(float)


def _table(rng, rows, seeds, noise, gain=0.0, sentences=150, shared=False):
  """Corrected p of rows against a reference; `gain` is the first row's.

  Rows of `shared` trainings differ in search alone: a seed is as good in all.
  """
  hard = rng.normal(0, 1.5, sentences)
  common = rng.normal(0, 1.0, seeds) if shared else np.zeros(seeds)
  systems = {}
  for row in range(rows + 1):
    quality = 0.5 + (gain if row == 1 else 0.0)
    runs = [
      _run(rng, hard, quality + luck + rng.normal(0, noise)) for luck in common
    ]
    systems[row] = statistics.System(
      runs, metrics.ratio, "test", "same" if shared else ""
    )
  ps = []
  for row in range(1, rows + 1):
    terms = [statistics.Term(1, row), statistics.Term(-1, 0)]
    ps.append(statistics.estimate(terms, systems, resamples=100).p)
  return statistics.holm(ps)


def _at_most_five_percent(wrong, tables):
  # More than this would be seen in 1 % of the cases if the rate were 5 %.
  assert wrong <= scipy.stats.binom.ppf(0.99, tables, 0.05)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_tables_of_identical_rows(seeds, noise, shared):
  """In at most 5 % of them is any row called different."""
  rng = np.random.default_rng((1, seeds, int(10 * noise)))
  tables = 200
  wrong = sum(
    min(_table(rng, 4, seeds, noise, shared=shared)) < 0.05
    for _ in range(tables)
  )
  _at_most_five_percent(wrong, tables)


def test_wide_tables_of_rows_that_share_their_trainings():
  """As of penalties that are given to the same models."""
  rng, tables = np.random.default_rng(5), 200
  ps = (_table(rng, 12, 3, 0.5, shared=True) for _ in range(tables))
  _at_most_five_percent(sum(min(p) < 0.05 for p in ps), tables)


def test_claims_on_identical_rows():
  """In at most 5 % of the tables is any claim decided, after Holm."""
  rng, wrong, tables = np.random.default_rng(8), 0, 100
  for _ in range(tables):
    hard = rng.normal(0, 1.5, 100)
    luck = rng.normal(0, 0.3, (4, 3))
    systems = {
      str(row): statistics.System(
        [_run(rng, hard, 0.5 + x) for x in row_luck], metrics.ratio
      )
      for row, row_luck in enumerate(luck)
    }
    ps = []
    for better, worse in itertools.combinations(systems, 2):
      terms = [statistics.Term(1, better), statistics.Term(-1, worse)]
      estimate = statistics.estimate(terms, systems, resamples=100)
      ps.append(statistics.p_of_verdict(estimate, 0, np.inf))
      decided = statistics.verdict(estimate, 0, np.inf) != "INCONCLUSIVE"
      assert decided == (ps[-1] < 0.05)
    wrong += min(statistics.holm(ps)) < 0.05
  _at_most_five_percent(wrong, tables)


@pytest.mark.quick
def test_p_of_a_verdict_is_that_of_the_bounds():
  def p_at(bound):
    return 1 / (1 + abs(5 - bound))

  estimate = statistics.Estimate(5.0, 4.0, 6.0, 0.1, True, 0, 0, p_at)

  def p(low, high):
    return statistics.p_of_verdict(estimate, low, high)

  assert p(0, np.inf) == p_at(0)  # passes by the one bound that there is
  assert p(0, 6) == p_at(6)  # passes by both: the nearer one
  assert p(7, 9) == p_at(7) and p(-2, 1) == p_at(1)  # fails by what it misses
  assert statistics.p_of_verdict(estimate._replace(tested=False), 0, 1) is None


@pytest.mark.parametrize("seeds", [2, 3])
@pytest.mark.parametrize("noise", [0.1, 0.3])
def test_the_interval_of_one_row_misses_seldom(noise, seeds):
  """In at most 5 % of the tables; the truth is what all seeds and sentences
  would have."""
  rng = np.random.default_rng((6, seeds))
  luck, hard = rng.normal(0, noise, 400), rng.normal(0, 1.5, (400, 1))
  truth = 100 * np.mean(1 / (1 + np.exp(hard - 0.5 - luck)))
  wrong, tables = 0, 400
  for _ in range(tables):
    sentences = rng.choice(hard[:, 0], 150)
    runs = [_run(rng, sentences, 0.5 + x) for x in rng.choice(luck, seeds)]
    systems = {"a": statistics.System(runs, metrics.ratio)}
    estimate = statistics.estimate(
      [statistics.Term(1, "a")], systems, resamples=100
    )
    wrong += not estimate.low <= truth <= estimate.high
  _at_most_five_percent(wrong, tables)


@pytest.mark.quick
def test_randomisation_pairs_runs_of_the_same_seed():
  """Of seeds 0 to 2 one row lacks the first, the other the last."""
  rng = np.random.default_rng(7)
  runs = [_run(rng, rng.normal(0, 1.5, 100), q) for q in (0.0, 0.5, 1.0, 2.0)]

  def system(chosen, seeds):
    return statistics.System(
      [runs[i] for i in chosen], metrics.ratio, seeds=seeds
    )

  def test(a, b):
    return statistics.approximate_randomisation(a, b, trials=500)

  holes = test(system((0, 1), (1, 2)), system((3, 2), (0, 1)))
  assert holes == test(system((0,), (1,)), system((2,), (1,)))
  assert test(system((0,), (0,)), system((1,), (1,))) is None


def test_sentences_alone_take_seeds_for_differences():
  """Why seeds are counted: without them a third of such tables is wrong."""
  rng = np.random.default_rng(2)
  wrong = 0
  for _ in range(60):
    hard = rng.normal(0, 1.5, 150)
    one, other = (
      statistics.System(
        [_run(rng, hard, 0.5 + rng.normal(0, 0.5)) for _ in range(3)],
        metrics.ratio,
      )
      for _ in range(2)
    )
    wrong += statistics.paired_bootstrap(one, other, resamples=200) < 0.05
  assert wrong > 12


def test_a_planted_difference_is_found():
  rng = np.random.default_rng(3)
  detected = [_table(rng, 4, 5, 0.1, gain=1.0)[0] < 0.05 for _ in range(40)]
  assert sum(detected) >= 32
