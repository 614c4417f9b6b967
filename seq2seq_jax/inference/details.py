"""Scores of a split with what they are made of, for a cell of a table."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from seq2seq_jax import metrics, types
from seq2seq_jax.inference import evaluator as evaluation

# Longest source whose attention is shown, if there are shorter ones: in words
# or characters, or in frames.
LONGEST_SHOWN = {"tokens": 20, "frames": 400}
# Of a spectrogram in text: the first level's character, and the last level.
FIRST, LAST = "0", 63


class Details(NamedTuple):
  """A model's scores of a split, with what they are made of."""

  scores: dict[str, Any]
  """Metric -> value; `signature`."""
  sentences: metrics.Sentences
  """Of one metric."""
  outputs: list[dict[str, Any]]
  """`source`, `reference`, `hypothesis` and `length` of the source."""
  attention: list[dict[str, Any]]
  """`source` and `target` tokens and `weights`, of a few sentences; of speech
  `spectrogram`, see `ablation/schema.py`."""
  parameters: int
  """Of all members."""


def score_with_details(
  evaluator: evaluation.Evaluator,
  params: tuple[Any, ...],
  names: Sequence[str],
  metric: str,
  examples: int = 3,
) -> Details:
  """Scores a split, and keeps what a test over sentences needs.

  Args:
    evaluator: of the split, with the search to use.
    params: tuple of parameter trees on the mapper's devices.
    names: metrics.
    metric: the one whose statistics of sentences are kept.
    examples: sentences whose attention is kept.
  """
  token_scores = evaluator.token_scores(params)
  scores: dict[str, Any] = dict(evaluator.metrics_with_text(token_scores))
  ctc_texts = evaluator.ctc_texts(params)
  scores |= evaluator.ctc_metrics(ctc_texts)
  outputs: list[dict[str, Any]] = []
  attention: list[dict[str, Any]] = []
  side = evaluator.vocabularies.source
  if side.present:
    hypotheses, texts = evaluator.translate(params)
    chosen = [evaluation.find_metric(name) for name in names]
    scores |= evaluator.text_scores(texts, chosen)
    oracle_length = evaluator.conf.decode.oracle_length
    scores |= search_diagnostics(hypotheses, oracle_length)
    outputs = [
      {
        "source": side.text(source),
        "reference": reference,
        "hypothesis": text,
        "length": side.units(source),
      }
      for source, reference, text in zip(
        evaluator.sources, evaluator.closest_references(texts), texts
      )
    ]
    attention = attention_examples(evaluator, params, examples)
  record = evaluation.find_metric(metric)
  if record.needs == "model":
    sentences = metrics.token_sentences(record, token_scores)
  else:
    compared = [output["hypothesis"] for output in outputs]
    if record.needs == "ctc":
      compared = ctc_texts
      if not compared:
        raise types.UserError(f"metric {metric}: the model has no CTC")
    sentences = metrics.sentences(
      record,
      compared,
      evaluator.closest_references(compared),
      evaluator.comparison(),
    )
  parameters = sum(x.size for x in jax.tree.leaves(params))
  return Details(scores, sentences, outputs, attention, parameters)


def search_diagnostics(
  hypotheses: Sequence[types.Hypotheses], oracle_length: bool = False
) -> dict[str, float]:
  """Diagnostics of a search by name; with an oracle's lengths all are cut."""
  values = metrics.values("search", (), hypotheses)
  if oracle_length:
    values.pop("cut", None)
  return values


def attention_examples(
  evaluator: evaluation.Evaluator, params: tuple[Any, ...], count: int
) -> list[dict[str, Any]]:
  """Attention over a few sentences of middling length; none of exact search."""
  if evaluator.conf.decode.exact:
    return []
  side = evaluator.vocabularies.source
  places = _of_middling_length(
    [side.units(source) for source in evaluator.sources],
    count,
    LONGEST_SHOWN[side.unit],
  )
  text_translator = evaluator.text_translator()
  examples: dict[int, dict[str, Any]] = {}
  answers = text_translator.search(
    params,
    evaluator.encoded_sources(places),
    attention=True,
    lengths=evaluator.oracle_lengths(places),
  )
  for n, hypotheses in answers:
    if hypotheses.attention is None:
      return []
    source = evaluator.sources[places[n]]
    if shown := text_translator.attention_map(source, hypotheses):
      examples[n] = _example(shown)
  return [examples[n] for n in sorted(examples)]


def _example(shown: types.AttentionMap) -> dict[str, Any]:
  """Attention as a table keeps it, with the spectrogram if there is one."""
  example: dict[str, Any] = {
    "source": shown.labels,
    "target": shown.tokens,
    "weights": [[round(float(w), 4) for w in row] for row in shown.weights],
  }
  if shown.picture is not None:
    values = shown.picture.values
    low, high = np.percentile(values, (2, 99.5))
    levels = LAST * (values - low) / max(high - low, 1e-3)
    levels = np.clip(np.round(levels), 0, LAST).astype(int) + ord(FIRST)
    example["spectrogram"] = {
      "values": ["".join(map(chr, frame)) for frame in levels],
      "seconds": shown.picture.seconds,
      "hertz": shown.picture.hertz,
      "frames": shown.frames,
      "start": shown.start,
    }
  return example


def _of_middling_length(
  lengths: Sequence[int], count: int, longest: int
) -> list[int]:
  """Places spread evenly over the sentences sorted by length."""
  order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
  short = [i for i in order if lengths[i] <= longest] or order[:count]
  middles = (len(short) * (2 * k + 1) // (2 * count) for k in range(count))
  return list(dict.fromkeys(short[middle] for middle in middles))
