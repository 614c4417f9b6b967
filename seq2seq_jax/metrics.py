"""Scores of hypotheses against references, by the field's own packages.

SacreBLEU for BLEU, chrF and TER, rouge-score for ROUGE, jiwer for WER and CER.
Each is imported where it is used: some of them take seconds.
"""

import importlib.metadata
from collections.abc import Callable, Sequence

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

  names: of exact_match, bleu, chrf, ter, rouge1, rouge2, rougeL, wer, cer.
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


def _sacrebleu(name, hypotheses, references, lowercase, tokenize):
  import sacrebleu

  if name == "bleu":
    there = sacrebleu.BLEU.TOKENIZERS
    if tokenize not in there:
      raise types.UserError(
        f"tokenize: {tokenize!r} is not one of SacreBLEU's: {', '.join(there)}"
      )
    # Forced: scoring tokenised text is the caller's explicit choice.
    metric = sacrebleu.BLEU(lowercase, force=True, tokenize=tokenize)
  elif name == "chrf":
    metric = sacrebleu.CHRF(lowercase=lowercase)
  else:
    metric = sacrebleu.TER()
  value = metric.corpus_score(hypotheses, [references]).score
  return {name: value}, metric.get_signature().format()


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
  value = edits / total if total else float(edits > 0)
  version = importlib.metadata.version("jiwer")
  return {name: 100 * value}, f"jiwer|{_case(lowercase)}|version:{version}"


_METRICS: dict[str, Callable] = {
  "exact_match": _exact_match,
  "bleu": _sacrebleu,
  "chrf": _sacrebleu,
  "ter": _sacrebleu,
  **dict.fromkeys(_ROUGE, _rouge),
  "wer": _error_rate,
  "cer": _error_rate,
}
