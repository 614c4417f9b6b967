"""Weights of a search, tried on its n-best lists without searching again.

The outputs stay those that the search has found: a list can only show what
other weights would choose from it, so the search that made it should have had
weights in the middle of what is tried, and a list of some length.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from seq2seq_jax import metrics, types
from seq2seq_jax.decoding import length_rules
from seq2seq_jax.inference import nbest

# Scores as near as this, in parts of the larger, are ties, and the first one of
# the search is taken: its sums are rounded to 32 bits.
TIE = 2e-5
# How far a sum of parts, or a score, may be from the file's.
NEAR = 1e-3
DIGITS = 4  # of weights that are found from sums

MOST_COMBINATIONS = 10_000


class Search(NamedTuple):
  """What ranks hypotheses: weights of the parts, and a length rule."""

  ctc_weight: float
  """Share of CTC; the rest is attention's."""
  lm_weight: float
  length_rule: str
  alpha: float

  def log_prob(self, lists: nbest.Lists) -> Float[np.ndarray, "N K"]:
    """The weighted sum of the parts."""
    weights = {
      "attention": 1 - self.ctc_weight,
      "ctc": self.ctc_weight,
      "lm": self.lm_weight,
    }
    return np.sum(
      [weights[name] * part for name, part in lists.parts.items()], axis=0
    )

  def score(self, lists: nbest.Lists) -> Float[np.ndarray, "N K"]:
    """What hypotheses are ranked by; -inf where there is none."""
    rule = length_rules.RULES[self.length_rule]
    score = rule(self.alpha, self.log_prob(lists), lists.length)
    return np.where(lists.exists, score, -np.inf)


def best(score: Float[np.ndarray, "N K"]) -> Int[np.ndarray, " N"]:
  """The place of each list's best hypothesis, of equal ones the first."""
  top = score.max(axis=1, keepdims=True)
  slack = TIE * np.maximum(1.0, np.abs(top))
  with np.errstate(invalid="ignore"):  # of an empty list: -inf and -inf
    return np.argmax(score >= top - slack, axis=1)


def search_of(lists: nbest.Lists) -> Search | None:
  """The search that made the lists, found from its sums and scores.

  The weights are those with which the parts add up to `log_prob`, the length
  rule is the one that makes `score` of it. None if there are none: a coverage
  penalty, for instance, is in the score and in no part.
  """
  weights = weights_of(lists)
  rule = rule_of(lists)
  if weights is None or rule is None:
    return None
  return Search(*weights, *rule)


def weights_of(lists: nbest.Lists) -> tuple[float, float] | None:
  """The search's weights of CTC and of a language model; None: no such."""
  there = lists.exists
  parts = {name: part[there] for name, part in lists.parts.items()}
  zero = np.zeros(there.sum())
  # log P = first + ctc (CTC - attention) + lm LM
  first = parts.get("attention", parts.get("ctc", zero))
  both = parts.keys() >= {"attention", "ctc"}
  columns = [
    parts["ctc"] - first if both else zero,
    parts.get("lm", zero),
  ]
  wanted = lists.log_prob[there]
  found, *_ = np.linalg.lstsq(np.stack(columns, 1), wanted - first)
  ctc, lm = (_rounded(weight) for weight in found)
  if not both:
    ctc = float("attention" not in parts)
  search = Search(ctc, lm, "none", 0.0)
  if not _near(search.log_prob(lists)[there], wanted):
    return None
  return ctc, lm


def rule_of(lists: nbest.Lists) -> tuple[str, float] | None:
  """The search's length rule and its `alpha`; None: no rule fits."""
  there = lists.exists
  columns = (lists.score, lists.log_prob, lists.length)
  score, log_prob, length = (column[there] for column in columns)
  for rule, alpha in _rules(score, log_prob, length):
    if _near(length_rules.RULES[rule](alpha, log_prob, length), score):
      return rule, alpha
  return None


def _rules(
  score: np.ndarray, log_prob: np.ndarray, length: np.ndarray
) -> Iterator[tuple[str, float]]:
  """Each rule with the `alpha` that one hypothesis asks for."""
  yield "none", 0.0
  longest = int(np.argmax(length))
  alpha = (score[longest] - log_prob[longest]) / length[longest]
  yield "word_reward", _rounded(alpha)
  with np.errstate(divide="ignore", invalid="ignore"):
    logs = np.log(log_prob / score)
    for rule, base in (("average", length), ("gnmt", (5 + length) / 6)):
      alphas = logs / np.log(base)
      told = np.where(np.isfinite(alphas), np.abs(np.log(base)), -1.0)
      alpha = alphas[np.argmax(told)]
      if np.isfinite(alpha):
        yield rule, _rounded(alpha)


def _rounded(weight: float) -> float:
  return round(float(weight), DIGITS) + 0.0  # never -0


def _near(found: np.ndarray, wanted: np.ndarray) -> bool:
  slack = NEAR * np.maximum(1.0, np.abs(wanted))
  return bool(np.all(np.abs(found - wanted) <= slack))


class Scored(NamedTuple):
  """A search, and the metric of what it chooses."""

  search: Search
  value: float
  places: Int[np.ndarray, " N"]
  """Of the outputs in their lists."""


class Rescorer:
  """The metric of a search's choices from n-best lists.

  Args:
    lists: to choose from.
    references: one for each.
    metric: that compares outputs with references.
    comparison: how.
  """

  def __init__(
    self,
    lists: nbest.Lists,
    references: Sequence[str],
    metric: metrics.Metric,
    comparison: metrics.Comparison,
  ):
    if metric.needs != "outputs":
      raise types.UserError(
        f"metric {metric.name}: is not one of outputs: "
        f"{', '.join(metrics.names('outputs'))}"
      )
    self.lists, self.references = lists, list(references)
    self.metric, self.comparison = metric, comparison
    self._sums = self._sentence_sums() if metric.sentence_sums else None

  def _sentence_sums(self) -> metrics.Sentences:
    """Statistics of every hypothesis, so that each is compared but once."""
    pairs = [
      (text, reference)
      for texts, reference in zip(self.lists.texts, self.references)
      for text in texts or [""]
    ]
    outputs, references = zip(*pairs)
    return metrics.sentences(self.metric, outputs, references, self.comparison)

  def value(self, places: Int[np.ndarray, " N"]) -> float:
    """The metric of these outputs."""
    if self._sums is None:
      return self._of_corpus(self.texts(places))
    counts = [max(1, len(texts)) for texts in self.lists.texts]
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    sums = self._sums.rows[first + places].sum(axis=0)
    return float(self._sums.score(sums))

  def _of_corpus(self, texts: list[str]) -> float:
    scores = metrics.score(
      [self.metric], texts, self.references, self.comparison
    )
    if self.metric.name not in scores:
      raise types.UserError(
        f"metric {self.metric.name}: says nothing of these outputs"
      )
    return scores[self.metric.name]

  def texts(self, places: Int[np.ndarray, " N"]) -> list[str]:
    """The outputs at these places; empty of an empty list."""
    return [
      texts[place] if texts else ""
      for texts, place in zip(self.lists.texts, places)
    ]

  def score(self, search: Search) -> Scored:
    """What a search would choose, and its metric."""
    places = best(search.score(self.lists))
    return Scored(search, self.value(places), places)

  def as_searched(self) -> float:
    """The metric of the search's own outputs, the first of each list."""
    return self.value(np.zeros(len(self.references), np.int64))

  def best(self, scored: Sequence[Scored]) -> Scored:
    """The best one, of equal ones the first."""
    sign = 1 if self.metric.lower_is_better else -1
    return min(scored, key=lambda s: sign * s.value)


def grid(
  ctc_weights: Sequence[float],
  lm_weights: Sequence[float],
  length_rule: str,
  alphas: Sequence[float],
) -> list[Search]:
  """All combinations.

  Raises:
    types.UserError: there are too many.
  """
  count = len(ctc_weights) * len(lm_weights) * len(alphas)
  if count > MOST_COMBINATIONS:
    raise types.UserError(
      f"{count:,} combinations are more than {MOST_COMBINATIONS:,}; give fewer "
      "weights"
    )
  return [
    Search(ctc, lm, length_rule, alpha)
    for ctc, lm, alpha in itertools.product(ctc_weights, lm_weights, alphas)
  ]
