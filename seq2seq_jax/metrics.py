"""Scores of hypotheses against references, by the field's own packages.

SacreBLEU for BLEU, chrF and TER, rouge-score for ROUGE, jiwer for WER and CER.
Each is imported where it is used: some of them take seconds.
"""

import importlib.metadata
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from seq2seq_jax import types

_ROUGE = ("rouge1", "rouge2", "rougeL")


def score(
  names: Sequence[str],
  hypotheses: Sequence[str],
  references: Sequence[str],
  *,
  lowercase: bool = False,
  tokenize: str = "13a",
) -> dict:
  """Corpus scores in percent by name, with `signature` and `sentences`.

  names: of exact_match, bleu, chrf, ter, rouge1, rouge2, rougeL, wer, cer,
    length_ratio (of the hypotheses' tokens to the references', as BLEU counts
    them) and empty (hypotheses without text).
  lowercase: compare lower-cased text. TER and ROUGE, by their packages'
    defaults, do so always.
  tokenize: SacreBLEU's tokenizer for BLEU; `none` for tokenised text.

  `signature` maps a name to the settings and version behind its value, for
  BLEU, chrF and TER SacreBLEU's own. exact_match, WER and CER first make every
  run of blanks one; CER counts a blank as a character. WER and CER are the
  edits of the corpus over the words or characters of all references; where
  a reference is empty, its hypothesis counts as insertions. If all are empty
  they are 0 without edits, else 100. ROUGE is F1 without stemming, the mean
  over sentences; an empty side scores 0. chrF and TER treat empty sides as
  SacreBLEU does.
  Raises types.UserError for different counts, none at all, unknown names.
  """
  if len(hypotheses) != len(references):
    raise types.UserError(
      f"{len(hypotheses)} hypotheses but {len(references)} references; "
      "there must be one reference for each hypothesis"
    )
  if not hypotheses:
    raise types.UserError("there are no sentences to score")
  unknown = [name for name in names if name not in _METRICS]
  if unknown:
    raise types.UserError(
      f"metric {', '.join(unknown)}: not one of {', '.join(_METRICS)}"
    )
  values, signature = {}, {}
  for name in dict.fromkeys(names):
    if name not in values:
      found, how = _METRICS[name](
        name, list(hypotheses), list(references), lowercase, tokenize
      )
      values |= {k: v for k, v in found.items() if k in names}
      signature |= {k: how for k in found if k in names}
  ordered = {name: values[name] for name in names}
  return ordered | {"signature": signature, "sentences": len(hypotheses)}


def closest(
  hypotheses: Sequence[str],
  alternatives: Sequence[Sequence[str]],
  *,
  lowercase: bool = False,
) -> list[str]:
  """Of each hypothesis' references the one with the fewest edits of words.

  The first of several. The rule for words with several pronunciations: one is
  right that equals any of them, and edits are divided by the length of those
  chosen.
  """
  out = []
  for hypothesis, references in zip(hypotheses, alternatives, strict=True):
    if len(references) > 1:
      edits = lambda r, h=hypothesis: _edits("wer", [h], [r], lowercase)[0]
      references = [min(references, key=edits)]
    out += references
  return out


class Sentences(NamedTuple):
  """What a corpus score is made of, sentence by sentence."""

  rows: np.ndarray  # [N, F] sufficient statistics
  score: Callable  # their sums [..., F] -> score in percent [...]


def sentences(
  name: str,
  hypotheses: Sequence[str],
  references: Sequence[str],
  *,
  lowercase: bool = False,
  tokenize: str = "13a",
) -> Sentences:
  """Statistics of single sentences, whose sums give `score`'s value.

  For tests that draw sentences again. Args and errors are those of `score`.
  """
  score([name], hypotheses[:1], references[:1], tokenize=tokenize)
  if name in ("bleu", "chrf", "ter"):
    metric = _metric(name, lowercase, tokenize)
    rows = metric._extract_corpus_statistics(
      list(hypotheses), [list(references)]
    )
    return Sentences(np.array(rows, np.float64), score_of(name))
  if name in ("wer", "cer"):
    one = lambda h, r: _edits(name, [h], [r], lowercase)
  else:
    one = lambda h, r: (
      score([name], [h], [r], lowercase=lowercase)[name] / 100,
      1,
    )
  rows = [one(h, r) for h, r in zip(hypotheses, references)]
  return Sentences(np.array(rows, np.float64), score_of(name))


def score_of(name: str) -> Callable:
  """From the sums of `sentences` to the score. [..., F] -> [...]."""
  if name == "bleu":
    return _bleu_of_sums
  if name == "chrf":
    metric = _metric(name, False, "13a")  # neither changes what sums give
    one = lambda sums: metric._compute_score_from_stats(list(sums)).score
    return lambda sums: np.apply_along_axis(one, -1, np.asarray(sums))
  return ratio


def ratio(sums):
  """The first sum over the second, in percent. [..., 2] -> [...]."""
  sums = np.asarray(sums, np.float64)
  empty = np.where(sums[..., 0] > 0, 100.0, 0.0)
  with np.errstate(divide="ignore", invalid="ignore"):
    return np.where(sums[..., 1] > 0, 100 * sums[..., 0] / sums[..., 1], empty)


def _bleu_of_sums(sums):
  """SacreBLEU's corpus BLEU of many sums at once. [..., 10] -> [...].

  Lengths of hypothesis and reference, then matches and totals of 1 to 4 words;
  the n-th order without a match counts 1 / 2^n of a match (`smooth:exp`).
  """
  sums = np.asarray(sums, np.float64)
  length, wanted = sums[..., 0], sums[..., 1]
  matches, totals = sums[..., 2:6], sums[..., 6:10]
  reached = np.cumprod(totals > 0, axis=-1) > 0
  missed = reached & (matches == 0)
  halves = 2.0 ** np.cumsum(missed, axis=-1)
  with np.errstate(divide="ignore", invalid="ignore"):
    precision = np.where(missed, 1 / (halves * totals), matches / totals)
    logs = np.where(reached, np.log(precision), -np.inf)
    brevity = np.where(length < wanted, 1 - wanted / length, 0.0)
    value = 100 * np.exp(brevity + logs.mean(axis=-1))
  return np.where((matches.sum(axis=-1) > 0) & (length > 0), value, 0.0)


def _collapse(texts: list[str], lowercase: bool) -> list[str]:
  texts = [" ".join(text.split()) for text in texts]
  return [text.lower() for text in texts] if lowercase else texts


def _case(lowercase: bool) -> str:
  return f"case:{'lc' if lowercase else 'mixed'}"


def _exact_match(name, hypotheses, references, lowercase, tokenize):
  del tokenize
  pairs = zip(
    _collapse(hypotheses, lowercase), _collapse(references, lowercase)
  )
  hits = sum(a == b for a, b in pairs)
  return {name: 100 * hits / len(references)}, _case(lowercase)


def _metric(name, lowercase, tokenize):
  import sacrebleu

  if name == "bleu":
    there = sacrebleu.BLEU.TOKENIZERS
    if tokenize not in there:
      raise types.UserError(
        f"tokenize: {tokenize!r} is not one of SacreBLEU's: {', '.join(there)}"
      )
    # Forced: scoring tokenised text is the caller's explicit choice.
    return sacrebleu.BLEU(lowercase, force=True, tokenize=tokenize)
  if name == "chrf":
    return sacrebleu.CHRF(lowercase=lowercase)
  return sacrebleu.TER()


def _sacrebleu(name, hypotheses, references, lowercase, tokenize):
  metric = _metric(name, lowercase, tokenize)
  value = metric.corpus_score(hypotheses, [references]).score
  return {name: value}, metric.get_signature().format()


def _length_ratio(name, hypotheses, references, lowercase, tokenize):
  """What BLEU's brevity penalty looks at."""
  metric = _metric("bleu", lowercase, tokenize)
  found = metric.corpus_score(hypotheses, [references])
  value = found.sys_len / found.ref_len if found.ref_len else 0.0
  return {name: 100 * value}, metric.get_signature().format()


def _empty(name, hypotheses, references, lowercase, tokenize):
  del references, lowercase, tokenize
  share = sum(not h.strip() for h in hypotheses) / len(hypotheses)
  return {name: 100 * share}, "no text"


def _rouge(name, hypotheses, references, lowercase, tokenize):
  """All three at once: their cost is mostly shared."""
  del name, lowercase, tokenize
  from rouge_score import rouge_scorer

  scorer = rouge_scorer.RougeScorer(list(_ROUGE), use_stemmer=False)
  sums = dict.fromkeys(_ROUGE, 0.0)
  for hypothesis, reference in zip(hypotheses, references):
    for name, found in scorer.score(reference, hypothesis).items():
      sums[name] += found.fmeasure
  values = {name: 100 * x / len(references) for name, x in sums.items()}
  version = importlib.metadata.version("rouge-score")
  return values, f"rouge-score|case:lc|stemmer:no|mean:f1|version:{version}"


def _error_rate(name, hypotheses, references, lowercase, tokenize):
  del tokenize
  edits, total = _edits(name, hypotheses, references, lowercase)
  value = edits / total if total else float(edits > 0)
  version = importlib.metadata.version("jiwer")
  return {name: 100 * value}, f"jiwer|{_case(lowercase)}|version:{version}"


def _edits(name, hypotheses, references, lowercase) -> tuple[int, int]:
  """Edits, and the words or characters of the references."""
  import jiwer

  hypotheses = _collapse(hypotheses, lowercase)
  references = _collapse(references, lowercase)
  split = str.split if name == "wer" else list
  # jiwer refuses empty references.
  pairs = [(h, r) for h, r in zip(hypotheses, references) if r]
  edits = sum(len(split(h)) for h, r in zip(hypotheses, references) if not r)
  total = sum(len(split(r)) for r in references)
  if pairs:
    count = jiwer.process_words if name == "wer" else jiwer.process_characters
    kept, wanted = map(list, zip(*pairs))
    found = count(wanted, kept)
    edits += found.substitutions + found.deletions + found.insertions
  return edits, total


_METRICS: dict[str, Callable] = {
  "exact_match": _exact_match,
  "bleu": _sacrebleu,
  "chrf": _sacrebleu,
  "ter": _sacrebleu,
  **dict.fromkeys(_ROUGE, _rouge),
  "wer": _error_rate,
  "cer": _error_rate,
  "length_ratio": _length_ratio,
  "empty": _empty,
}
