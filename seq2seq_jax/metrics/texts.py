"""Metrics of output texts against references, by the field's own packages.

SacreBLEU for BLEU, chrF and TER, rouge-score for ROUGE; WER and CER have a file
of their own, `error_rates.py`. Each package is imported where it is used: some
of them take seconds.
"""

import functools
import importlib.metadata
from typing import Any

import numpy as np

from seq2seq_jax import types
from seq2seq_jax.metrics import record


def _sacrebleu(name: str, comparison: record.Comparison) -> Any:
  """SacreBLEU's metric of that name."""
  import sacrebleu

  if name == "bleu":
    tokenizers = sacrebleu.BLEU.TOKENIZERS
    if comparison.tokenize not in tokenizers:
      raise types.UserError(
        f"tokenize: {comparison.tokenize!r} is not one of SacreBLEU's: "
        f"{', '.join(tokenizers)}"
      )
    # Forced: scoring tokenised text is the caller's explicit choice.
    return sacrebleu.BLEU(
      comparison.lowercase, force=True, tokenize=comparison.tokenize
    )
  if name == "chrf":
    return sacrebleu.CHRF(lowercase=comparison.lowercase)
  return sacrebleu.TER()


def _sacrebleu_metric(name: str, **more: Any) -> record.Metric:
  """The record of one of SacreBLEU's metrics."""

  def function(
    hypotheses: record.Texts,
    references: record.Texts,
    comparison: record.Comparison,
  ) -> float:
    metric = _sacrebleu(name, comparison)
    return metric.corpus_score(hypotheses, [references]).score

  def sums(
    hypotheses: record.Texts,
    references: record.Texts,
    comparison: record.Comparison,
  ) -> np.ndarray:
    metric = _sacrebleu(name, comparison)
    return metric._extract_corpus_statistics(hypotheses, [references])

  return record.Metric(
    name,
    function,
    signature=functools.partial(_sacrebleu_signature, name),
    sentence_sums=sums,
    **more,
  )


def _sacrebleu_signature(name: str, comparison: record.Comparison) -> str:
  metric = _sacrebleu(name, comparison)
  metric.num_refs = 1
  return metric.get_signature().format()


def _bleu_of_sums(sums: np.ndarray) -> np.ndarray:
  """SacreBLEU's corpus BLEU of many sums at once. [..., 10] -> [...].

  Lengths of hypothesis and reference, then matches and totals of 1 to 4 words;
  the n-th order without a match counts 1 / 2^n of a match (`smooth:exp`).
  """
  sums = np.asarray(sums, np.float64)
  length, reference_length = sums[..., 0], sums[..., 1]
  matches, totals = sums[..., 2:6], sums[..., 6:10]
  reached = np.cumprod(totals > 0, axis=-1) > 0
  missed = reached & (matches == 0)
  halves = 2.0 ** np.cumsum(missed, axis=-1)
  with np.errstate(divide="ignore", invalid="ignore"):
    precision = np.where(missed, 1 / (halves * totals), matches / totals)
    logs = np.where(reached, np.log(precision), -np.inf)
    brevity = np.where(
      length < reference_length, 1 - reference_length / length, 0.0
    )
    value = 100 * np.exp(brevity + logs.mean(axis=-1))
  return np.where((matches.sum(axis=-1) > 0) & (length > 0), value, 0.0)


def _chrf_of_sums(sums: np.ndarray) -> np.ndarray:
  # Sums are already of the right case.
  metric = _sacrebleu("chrf", record.Comparison())

  def one(row: np.ndarray) -> float:
    return metric._compute_score_from_stats(list(row)).score

  return np.apply_along_axis(one, -1, np.asarray(sums))


def _length_ratio(
  hypotheses: record.Texts,
  references: record.Texts,
  comparison: record.Comparison,
) -> float:
  """Tokens of the outputs over the references', as BLEU counts them."""
  metric = _sacrebleu("bleu", comparison)
  bleu = metric.corpus_score(hypotheses, [references])
  return 100 * (bleu.sys_len / bleu.ref_len if bleu.ref_len else 0.0)


def _exact_match(
  hypotheses: record.Texts,
  references: record.Texts,
  comparison: record.Comparison,
) -> float:
  pairs = zip(
    record.comparable(hypotheses, comparison),
    record.comparable(references, comparison),
  )
  return 100 * sum(a == b for a, b in pairs) / len(references)


def _empty(
  hypotheses: record.Texts,
  references: record.Texts,
  comparison: record.Comparison,
) -> float:
  del references, comparison
  return 100 * sum(not h.strip() for h in hypotheses) / len(hypotheses)


def _empty_signature(comparison: record.Comparison) -> str:
  del comparison
  return "no text"


_ROUGE = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L"}


@functools.lru_cache(maxsize=1)  # all three at once: their cost is shared
def _rouge_means(
  hypotheses: tuple[str, ...], references: tuple[str, ...]
) -> dict[str, float]:
  from rouge_score import rouge_scorer

  scorer = rouge_scorer.RougeScorer(list(_ROUGE), use_stemmer=False)
  sums = dict.fromkeys(_ROUGE, 0.0)
  for hypothesis, reference in zip(hypotheses, references):
    for name, values in scorer.score(reference, hypothesis).items():
      sums[name] += values.fmeasure
  return {name: 100 * x / len(references) for name, x in sums.items()}


def _rouge_signature(comparison: record.Comparison) -> str:
  del comparison
  version = importlib.metadata.version("rouge-score")
  return f"rouge-score|case:lc|stemmer:no|mean:f1|version:{version}"


def _rouge_metric(name: str) -> record.Metric:
  def function(
    hypotheses: record.Texts,
    references: record.Texts,
    comparison: record.Comparison,
  ) -> float:
    del comparison
    return _rouge_means(tuple(hypotheses), tuple(references))[name]

  return record.Metric(
    name,
    function,
    label=_ROUGE[name],
    undecided=_rouge2_undecided if name == "rouge2" else record.decides,
    signature=_rouge_signature,
    bounds=record.PERCENT,
  )


def _bleu_undecided(
  references: record.Texts, comparison: record.Comparison
) -> str:
  """Without four tokens in a row there is no 4-gram to match."""
  tokenize = _sacrebleu("bleu", comparison).tokenizer
  if any(len(tokenize(text).split()) >= 4 for text in references):
    return ""
  return "no reference has four tokens, so it is 0 for all outputs"


def _rouge2_undecided(
  references: record.Texts, comparison: record.Comparison
) -> str:
  del comparison
  if any(len(text.split()) >= 2 for text in references):
    return ""
  return "no reference has two words, so it is 0 for all outputs"


RECORDS = (
  record.Metric(
    "exact_match", _exact_match, signature=record.case, bounds=record.PERCENT
  ),
  _sacrebleu_metric(
    "bleu",
    label="BLEU",
    of_sums=_bleu_of_sums,
    bounds=record.PERCENT,
    undecided=_bleu_undecided,
  ),
  _sacrebleu_metric(
    "chrf", label="chrF", of_sums=_chrf_of_sums, bounds=record.PERCENT
  ),
  _sacrebleu_metric(
    "ter", label="TER", lower_is_better=True, bounds=record.RATE
  ),
  *(_rouge_metric(name) for name in _ROUGE),
  record.Metric(
    "length_ratio",
    _length_ratio,
    diagnostic=True,
    signature=functools.partial(_sacrebleu_signature, "bleu"),
    bounds=record.RATE,
  ),
  record.Metric(
    "empty",
    _empty,
    diagnostic=True,
    signature=_empty_signature,
    bounds=record.PERCENT,
  ),
)
