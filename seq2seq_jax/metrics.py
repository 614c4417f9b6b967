"""One record a metric: what it is called, computed by, and read as.

`METRICS` lists them all: scores of a model on given references, scores of
output texts by the field's own packages (SacreBLEU for BLEU, chrF and TER,
rouge-score for ROUGE, jiwer for WER and CER), and diagnostics of outputs and of
the search behind them. A new metric is one more record.

The packages are imported where they are used: some of them take seconds.
"""

import dataclasses
import functools
import importlib.metadata
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from seq2seq_jax import types

Texts = Sequence[str]


class Comparison(NamedTuple):
  """How output texts are compared with references."""

  lowercase: bool = False  # TER and ROUGE, by their packages' defaults, always
  tokenize: str = "13a"  # SacreBLEU's for BLEU; `none`: it is tokenised already


AS_WRITTEN = Comparison()


def ratio(sums: np.ndarray) -> np.ndarray:
  """The first sum over the second, in percent. [..., 2] -> [...]."""
  sums = np.asarray(sums, np.float64)
  empty = np.where(sums[..., 0] > 0, 100.0, 0.0)
  with np.errstate(divide="ignore", invalid="ignore"):
    return np.where(sums[..., 1] > 0, 100 * sums[..., 0] / sums[..., 1], empty)


def _no_signature(comparison: Comparison) -> str:
  del comparison
  return ""


@dataclasses.dataclass(frozen=True)
class Metric:
  """A metric, and all that others ask about it.

  `function` gives the score of a corpus, usually in percent. It takes what
  `needs` says:
    outputs: (hypotheses, references, comparison), lists of texts.
    model: (token_scores,), the references' scores under the model, an array a
      sentence: [2, T] log-probability of each token and whether it ranked
      first; [1, T] of an ensemble, which does not know the latter.
    search: (hypotheses,), the `types.Hypotheses` of each source.
  It may return None where the metric is not defined.

  `sentence_sums`, of the same arguments, gives sufficient statistics [N, F] of
  the N sentences, from whose sum `of_sums` [..., F] -> [...] gives the score:
  tests of significance draw sentences again with them. By default a corpus
  score is the mean of its sentences' scores.
  """

  name: str
  function: Callable[..., float | None]
  lower_is_better: bool = False
  label: str = ""  # for tables and figures; by default the name in words
  needs: Literal["model", "outputs", "search"] = "outputs"
  diagnostic: bool = False  # printed, but never chooses a checkpoint or a row
  signature: Callable[[Comparison], str] = _no_signature  # settings, versions
  sentence_sums: Callable[..., np.ndarray] | None = None
  of_sums: Callable[[np.ndarray], np.ndarray] = ratio

  def __post_init__(self) -> None:
    if not self.label:
      object.__setattr__(self, "label", self.name.replace("_", " "))


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

  `signature` maps a name to the settings and version behind its value, for
  BLEU, chrF and TER SacreBLEU's own. exact_match, WER and CER first make every
  run of blanks one; CER counts a blank as a character. WER and CER are the
  edits of the corpus over the words or characters of all references; if a
  reference is empty, its hypothesis counts as insertions. If all are empty
  they are 0 without edits, else 100. ROUGE is F1 without stemming, the mean
  over sentences; an empty side scores 0. chrF and TER treat empty sides as
  SacreBLEU does. length_ratio is that of BLEU's brevity penalty.
  Raises types.UserError for different counts, none at all, unknown names.
  """
  records = [_of_outputs(metric) for metric in dict.fromkeys(chosen)]
  _check_counts(hypotheses, references)
  texts = list(hypotheses), list(references)
  values = {m.name: m.function(*texts, comparison) for m in records}
  return {
    **{name: value for name, value in values.items() if value is not None},
    "signature": {
      m.name: m.signature(comparison)
      for m in records
      if values[m.name] is not None
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


def closest(
  hypotheses: Texts, alternatives: Sequence[Texts], *, lowercase: bool = False
) -> list[str]:
  """Of each hypothesis' references the one with the fewest edits of words.

  The first of several. The rule for words with several pronunciations: one is
  right that equals any of them, and edits are divided by the length of those
  chosen.
  """
  chosen: list[str] = []
  for hypothesis, references in zip(hypotheses, alternatives, strict=True):
    if len(references) == 1:
      chosen += references
      continue
    edits = [_edits("wer", [hypothesis], [r], lowercase)[0] for r in references]
    chosen.append(references[edits.index(min(edits))])
  return chosen


def _of_outputs(chosen: str | Metric) -> Metric:
  """The record of a metric that compares output texts with references."""
  metric = METRICS.get(chosen) if isinstance(chosen, str) else chosen
  if metric is None or metric.needs != "outputs":
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


# Scores of the references under a model.


def _tokens(token_scores: Sequence[np.ndarray]) -> int:
  return sum(s.shape[1] for s in token_scores)


def _loss(token_scores: Sequence[np.ndarray]) -> float:
  """Negative log-likelihood in nats a token, EOS included."""
  sums = (float(np.sum(s[0], dtype=np.float64)) for s in token_scores)
  return -math.fsum(sums) / _tokens(token_scores)


def _perplexity(token_scores: Sequence[np.ndarray]) -> float:
  return math.exp(min(_loss(token_scores), 700.0))


def _token_accuracy(token_scores: Sequence[np.ndarray]) -> float | None:
  """Share of tokens that ranked first; None of an ensemble."""
  if any(len(s) == 1 for s in token_scores):
    return None
  correct = sum(float(np.sum(s[1])) for s in token_scores)
  return 100.0 * correct / _tokens(token_scores)


def _loss_sums(token_scores: Sequence[np.ndarray]) -> np.ndarray:
  return np.array([[-np.sum(s[0]), s.shape[1]] for s in token_scores])


def _accuracy_sums(token_scores: Sequence[np.ndarray]) -> np.ndarray:
  if any(len(s) == 1 for s in token_scores):
    raise types.UserError("token_accuracy is of one model, not of an ensemble")
  return np.array([[np.sum(s[1]), s.shape[1]] for s in token_scores])


def _mean(sums: np.ndarray) -> np.ndarray:
  return sums[..., 0] / np.maximum(sums[..., 1], 1)


def _exp_mean(sums: np.ndarray) -> np.ndarray:
  return np.exp(_mean(sums))


# SacreBLEU.


def _sacrebleu(name: str, comparison: Comparison) -> Any:
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


def _sacrebleu_metric(name: str, **more: Any) -> Metric:
  """The record of one of SacreBLEU's metrics."""

  def function(
    hypotheses: Texts, references: Texts, comparison: Comparison
  ) -> float:
    metric = _sacrebleu(name, comparison)
    return metric.corpus_score(hypotheses, [references]).score

  def sums(
    hypotheses: Texts, references: Texts, comparison: Comparison
  ) -> np.ndarray:
    metric = _sacrebleu(name, comparison)
    return metric._extract_corpus_statistics(hypotheses, [references])

  return Metric(
    name,
    function,
    signature=functools.partial(_sacrebleu_signature, name),
    sentence_sums=sums,
    **more,
  )


def _sacrebleu_signature(name: str, comparison: Comparison) -> str:
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
  metric = _sacrebleu("chrf", Comparison())  # case does not change sums' score

  def one(row: np.ndarray) -> float:
    return metric._compute_score_from_stats(list(row)).score

  return np.apply_along_axis(one, -1, np.asarray(sums))


def _length_ratio(
  hypotheses: Texts, references: Texts, comparison: Comparison
) -> float:
  """Tokens of the outputs over the references', as BLEU counts them."""
  metric = _sacrebleu("bleu", comparison)
  bleu = metric.corpus_score(hypotheses, [references])
  return 100 * (bleu.sys_len / bleu.ref_len if bleu.ref_len else 0.0)


# Exact match, empty outputs, ROUGE, error rates.


def _collapse(texts: Texts, lowercase: bool) -> list[str]:
  texts = [" ".join(text.split()) for text in texts]
  return [text.lower() for text in texts] if lowercase else texts


def _case(comparison: Comparison) -> str:
  return f"case:{'lc' if comparison.lowercase else 'mixed'}"


def _exact_match(
  hypotheses: Texts, references: Texts, comparison: Comparison
) -> float:
  pairs = zip(
    _collapse(hypotheses, comparison.lowercase),
    _collapse(references, comparison.lowercase),
  )
  return 100 * sum(a == b for a, b in pairs) / len(references)


def _empty(
  hypotheses: Texts, references: Texts, comparison: Comparison
) -> float:
  del references, comparison
  return 100 * sum(not h.strip() for h in hypotheses) / len(hypotheses)


def _empty_signature(comparison: Comparison) -> str:
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


def _rouge_signature(comparison: Comparison) -> str:
  del comparison
  version = importlib.metadata.version("rouge-score")
  return f"rouge-score|case:lc|stemmer:no|mean:f1|version:{version}"


def _rouge_metric(name: str) -> Metric:
  def function(
    hypotheses: Texts, references: Texts, comparison: Comparison
  ) -> float:
    del comparison
    return _rouge_means(tuple(hypotheses), tuple(references))[name]

  return Metric(name, function, label=_ROUGE[name], signature=_rouge_signature)


def _jiwer_signature(comparison: Comparison) -> str:
  version = importlib.metadata.version("jiwer")
  return f"jiwer|{_case(comparison)}|version:{version}"


def _error_rate_metric(name: str) -> Metric:
  """The record of WER or CER."""

  def function(
    hypotheses: Texts, references: Texts, comparison: Comparison
  ) -> float:
    edits, total = _edits(name, hypotheses, references, comparison.lowercase)
    return 100 * (edits / total if total else float(edits > 0))

  def sums(
    hypotheses: Texts, references: Texts, comparison: Comparison
  ) -> list[tuple[int, int]]:
    return [
      _edits(name, [h], [r], comparison.lowercase)
      for h, r in zip(hypotheses, references)
    ]

  return Metric(
    name,
    function,
    lower_is_better=True,
    label=name.upper(),
    signature=_jiwer_signature,
    sentence_sums=sums,
  )


def _edits(
  name: str, hypotheses: Texts, references: Texts, lowercase: bool
) -> tuple[int, int]:
  """Edits, and the words (`wer`) or characters (`cer`) of the references."""
  import jiwer

  hypotheses = _collapse(hypotheses, lowercase)
  references = _collapse(references, lowercase)
  split = str.split if name == "wer" else list
  # jiwer refuses empty references.
  pairs = [(h, r) for h, r in zip(hypotheses, references) if r]
  edits = sum(len(split(h)) for h, r in zip(hypotheses, references) if not r)
  total = sum(len(split(r)) for r in references)
  if pairs:
    align = jiwer.process_words if name == "wer" else jiwer.process_characters
    outputs, targets = map(list, zip(*pairs))
    counts = align(targets, outputs)
    edits += counts.substitutions + counts.deletions + counts.insertions
  return edits, total


# Diagnostics of a search, in percent of the sources.


def _share(flags: Sequence[Any]) -> float:
  return 100.0 * float(np.mean(flags))


def _cut(hypotheses: Sequence[types.Hypotheses]) -> float | None:
  """Best outputs that reached the longest length without an end."""
  if not hypotheses:
    return None
  return _share([not h.finished[0] for h in hypotheses])


def _search_errors(hypotheses: Sequence[types.Hypotheses]) -> float | None:
  """Sources for which exact search found a better output than the beam.

  A lower bound: what is not proven may have been missed by both.
  """
  if not hypotheses or hypotheses[0].proven is None:
    return None
  return _share([h.improved for h in hypotheses])


def _proven(hypotheses: Sequence[types.Hypotheses]) -> float | None:
  """Sources whose output exact search has shown to be the best of all."""
  if not hypotheses or hypotheses[0].proven is None:
    return None
  return _share([h.proven for h in hypotheses])


_RECORDS = (
  Metric(
    "loss",
    _loss,
    lower_is_better=True,
    needs="model",
    sentence_sums=_loss_sums,
    of_sums=_mean,
  ),
  Metric(
    "perplexity",
    _perplexity,
    lower_is_better=True,
    needs="model",
    sentence_sums=_loss_sums,
    of_sums=_exp_mean,
  ),
  Metric(
    "token_accuracy",
    _token_accuracy,
    needs="model",
    sentence_sums=_accuracy_sums,
  ),
  Metric("exact_match", _exact_match, signature=_case),
  _sacrebleu_metric("bleu", label="BLEU", of_sums=_bleu_of_sums),
  _sacrebleu_metric("chrf", label="chrF", of_sums=_chrf_of_sums),
  _sacrebleu_metric("ter", label="TER", lower_is_better=True),
  *(_rouge_metric(name) for name in _ROUGE),
  _error_rate_metric("wer"),
  _error_rate_metric("cer"),
  Metric(
    "length_ratio",
    _length_ratio,
    diagnostic=True,
    signature=functools.partial(_sacrebleu_signature, "bleu"),
  ),
  Metric("empty", _empty, diagnostic=True, signature=_empty_signature),
  Metric("cut", _cut, needs="search", diagnostic=True),
  Metric("search_errors", _search_errors, needs="search", diagnostic=True),
  Metric("proven", _proven, needs="search", diagnostic=True),
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in _RECORDS}


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
