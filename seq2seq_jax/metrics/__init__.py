"""One record a metric: what it is called, computed by, and read as.

`METRICS` lists them all: scores of a model on given references, scores of
output texts by the field's own packages (SacreBLEU for BLEU, chrF and TER,
rouge-score for ROUGE, jiwer for WER and CER), and diagnostics of outputs and of
the search that made them. A new metric is one more record in the file of its
kind: `model.py`, `texts.py`, `error_rates.py`, `search.py`.

Importing this is cheap; the packages are imported where they are used.
"""

import functools
import numbers
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from seq2seq_jax import types
from seq2seq_jax.metrics import error_rates, model, search, texts
from seq2seq_jax.metrics.record import Comparison, Metric, Texts, ratio

__all__ = [
  "AS_WRITTEN",
  "METRICS",
  "Comparison",
  "Metric",
  "Sentences",
  "closest",
  "label",
  "names",
  "ratio",
  "score",
  "sentences",
  "token_sentences",
  "values",
  "with_parts",
]

_RECORDS = (
  *model.RECORDS,
  *texts.RECORDS,
  *error_rates.RECORDS,
  *search.RECORDS,
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in _RECORDS}
AS_WRITTEN = Comparison()


def names(*needs: str, diagnostics: bool = True) -> tuple[str, ...]:
  """Names of the metrics that need one of `needs`, by default of all."""
  return tuple(
    m.name
    for m in METRICS.values()
    if (not needs or m.needs in needs) and (diagnostics or not m.diagnostic)
  )


def label(name: str) -> str:
  """How tables and figures print a metric's name, also of one not listed."""
  return METRICS[name].label if name in METRICS else name.replace("_", " ")


def bounds(name: str) -> tuple[float, float] | None:
  """The least and the largest that a metric can be; None if not listed."""
  return METRICS[name].bounds if name in METRICS else None


def with_parts(chosen: Iterable[Metric]) -> list[Metric]:
  """Metrics, each followed by those that are given beside it; each once."""
  records: dict[str, Metric] = {}
  for metric in chosen:
    beside = [METRICS[name] for name in metric.parts]
    records |= {m.name: m for m in (metric, *beside) if m.name not in records}
  return list(records.values())


class Sentences(NamedTuple):
  """What a corpus score is made of, sentence by sentence."""

  rows: np.ndarray  # [N, F] sufficient statistics
  score: Callable[[np.ndarray], np.ndarray]  # of their sums


def score(
  chosen: Sequence[str | Metric],
  hypotheses: Texts,
  references: Texts,
  comparison: Comparison = AS_WRITTEN,
) -> dict[str, Any]:
  """Corpus scores of output texts by name, with `signature` and `sentences`.

  Args:
    chosen: metrics that need outputs, or their names.
    hypotheses: output texts.
    references: one for each output.
    comparison: how they are compared.

  `signature` maps the names of those that have one to the settings and version
  used for their values, for BLEU, chrF and TER SacreBLEU's own. exact_match,
  WER, CER and SER first make every run of blanks one; see `error_rates.py` for
  these. ROUGE is F1 without stemming, the mean over sentences; an empty side
  scores 0. chrF and TER treat empty sides as SacreBLEU does. length_ratio is
  that of BLEU's brevity penalty.
  Raises types.UserError for different counts, none at all, unknown names.
  """
  records = [_of_outputs(metric) for metric in dict.fromkeys(chosen)]
  _check_counts(hypotheses, references)
  pair = list(hypotheses), list(references)
  values = {m.name: _value(m, *pair, comparison) for m in records}
  return {
    **{name: value for name, value in values.items() if value is not None},
    "signature": {
      m.name: signature
      for m in records
      if values[m.name] is not None and (signature := m.signature(comparison))
    },
    "sentences": len(hypotheses),
  }


def sentences(
  chosen: str | Metric,
  hypotheses: Texts,
  references: Texts,
  comparison: Comparison = AS_WRITTEN,
) -> Sentences:
  """Statistics of single sentences, whose sums give `score`'s value."""
  metric = _of_outputs(chosen)
  _check_counts(hypotheses, references)
  sums = metric.sentence_sums or functools.partial(_sums_of_mean, metric)
  rows = sums(list(hypotheses), list(references), comparison)
  return Sentences(np.array(rows, np.float64), metric.of_sums)


def token_sentences(
  metric: Metric, token_scores: Sequence[np.ndarray]
) -> Sentences:
  """The same of a metric that needs the model alone.

  Raises:
    types.UserError: it says nothing of single sentences.
  """
  if metric.sentence_sums is None:
    raise types.UserError(
      f"metric {metric.name}: has no sentence_sums, which tests of "
      "significance draw from"
    )
  rows = metric.sentence_sums(token_scores)
  return Sentences(np.asarray(rows), metric.of_sums)


def values(
  needs: str, chosen: Iterable[Metric], *inputs: Any
) -> dict[str, float]:
  """Every listed metric that needs this, and those of `chosen` that do.

  Args:
    needs: `model`, `ctc` or `search`.
    chosen: further metrics; those that need something else are left out.
    *inputs: what a metric's function takes.
  """
  records = {m.name: m for m in METRICS.values() if m.needs == needs}
  records |= {m.name: m for m in chosen if m.needs == needs}
  scores = {name: _value(m, *inputs) for name, m in records.items()}
  return {name: value for name, value in scores.items() if value is not None}


def closest(
  hypotheses: Texts, alternatives: Sequence[Texts], *, lowercase: bool = False
) -> list[str]:
  """Of each hypothesis' references the one with the fewest edits of words.

  The first of several. The rule for words with several pronunciations: one is
  right that equals any of them, and edits are divided by the length of those
  chosen.
  """
  comparison = Comparison(lowercase)
  chosen: list[str] = []
  for hypothesis, references in zip(hypotheses, alternatives, strict=True):
    if len(references) == 1:
      chosen += references
      continue
    counts = error_rates.count_edits(
      "words", [hypothesis] * len(references), references, comparison
    )
    edits = counts[:, : error_rates.TOTAL].sum(axis=1)
    chosen.append(references[int(np.argmin(edits))])
  return chosen


def _value(metric: Metric, *inputs: Any) -> float | None:
  """What a metric's function gives; refuses anything but a number or None."""
  value = metric.function(*inputs)
  if value is None:
    return None
  if not isinstance(value, numbers.Real) or isinstance(value, bool):
    raise types.UserError(
      f"metric {metric.name}: its function must return a number or None, not "
      f"{type(value).__name__}"
    )
  return float(value)


def _of_outputs(chosen: str | Metric) -> Metric:
  """The record of a metric that compares output texts with references."""
  metric = METRICS.get(chosen) if isinstance(chosen, str) else chosen
  if metric is None or metric.needs not in ("outputs", "ctc"):
    raise types.UserError(
      f"metric {chosen}: not one of {', '.join(names('outputs'))}"
    )
  return metric


def _check_counts(hypotheses: Texts, references: Texts) -> None:
  if len(hypotheses) != len(references):
    raise types.UserError(
      f"{len(hypotheses)} hypotheses but {len(references)} references; "
      "there must be one reference for each hypothesis"
    )
  if not hypotheses:
    raise types.UserError("there are no sentences to score")


def _sums_of_mean(
  metric: Metric, hypotheses: Texts, references: Texts, comparison: Comparison
) -> list[tuple[float, int]]:
  """Each sentence's score, for a metric that is the mean of them. [N, 2]."""
  scores = [
    metric.function([h], [r], comparison)
    for h, r in zip(hypotheses, references)
  ]
  return [((value or 0.0) / 100, 1) for value in scores]
