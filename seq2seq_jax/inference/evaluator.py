"""Scores of a split: of references under a model, and of a model's outputs."""

import dataclasses
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from seq2seq_jax import config, metrics, types
from seq2seq_jax.config import extensions
from seq2seq_jax.data import sources, vocabulary
from seq2seq_jax.inference import encoding, long_sources
from seq2seq_jax.inference import scorer as scoring
from seq2seq_jax.inference import text as inference_text
from seq2seq_jax.inference import translator as translation
from seq2seq_jax.runtime import parallel, processes

BESIDE_SCORES = ("signature", "sentences", "checkpoint_step", "seconds")
"""What an evaluation holds beside its metrics."""
log = logging.getLogger(__name__)

# Called with the number of sources answered so far, and with that of all.
Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """A model's scores of a split, and its outputs."""

  scores: dict[str, Any]
  texts: list[str]
  """One a source; none of a language model."""
  evaluator: "Evaluator"
  """Of the split."""


def find_metric(name: str) -> metrics.Metric:
  """The record of a metric's name, or of the user's own `FILE.py:NAME`.

  That may be a `metrics.Metric`, or a function of (hypotheses, references,
  comparison) that becomes one.

  Raises:
    types.UserError: there is no such metric, or it is none.
  """
  if name in metrics.METRICS:
    return metrics.METRICS[name]
  if not extensions.is_reference(name):
    raise types.UserError(
      f"metric {name}: there are {', '.join(metrics.names())}, or one of your "
      "own as FILE.py:NAME"
    )
  value = extensions.resolve(name)
  if isinstance(value, metrics.Metric):
    metric = value
  elif callable(value) and not isinstance(value, type):
    metric = metrics.Metric(name.rpartition(":")[2], value)
  else:
    raise types.UserError(
      f"{name}: must be a metrics.Metric, or a function (hypotheses, "
      "references, comparison) -> number"
    )
  if metric.name in metrics.METRICS or metric.name in BESIDE_SCORES:
    raise types.UserError(
      f"{name}: its metric is called {metric.name!r}, a name that is taken; "
      "give it another one"
    )
  return metric


def metrics_of(
  conf: config.Config, more: Iterable[str] = ()
) -> list[metrics.Metric]:
  """The metrics of a config: the one that decides, then the others.

  Args:
    conf: of the run.
    more: names of further ones.

  Raises:
    types.UserError: there is no such metric, or two have one name.
  """
  found: dict[str, metrics.Metric] = {}
  for name in dict.fromkeys((conf.train.metric, *conf.train.metrics, *more)):
    metric = find_metric(name)
    if found.setdefault(metric.name, metric) != metric:
      raise types.UserError(
        f"{name}: another metric is called {metric.name!r} too; give one of "
        "them another name"
      )
  return list(found.values())


def reported_metrics(
  conf: config.Config, more: Iterable[str] = ()
) -> list[metrics.Metric]:
  """The same, each followed by the parts that `evaluate` gives beside it."""
  return metrics.with_parts(metrics_of(conf, more))


class Evaluator:
  """A split, encoded once, and the programs that score it.

  Args:
    conf: of the run, with the search to use.
    vocabularies: of the run.
    models: modules, one a member of an ensemble.
    split: of the data.
    mapper: over the devices.
    translator: of these models, if there is one already.
    scorer: of these models, if there is one already.

  Attributes:
    encoded: every example of the split.
    has_ctc: outputs of CTC alone can be scored.
    skipped: places of examples whose sources are too long, or cannot be used.
    sources: raw source values, each once if it has alternative references.
    references: of each source.

  Raises:
    types.UserError: no reference of the split has text.
  """

  def __init__(
    self,
    conf: config.Config,
    vocabularies: vocabulary.Vocabularies,
    models: Sequence[Any],
    split: sources.Source,
    mapper: parallel.Mapper,
    *,
    translator: translation.Translator | None = None,
    scorer: scoring.Scorer | None = None,
  ):
    self.conf, self.vocabularies = conf, vocabularies
    self.has_ctc = (
      len(models) == 1
      and models[0].ctc_head is not None
      and conf.model.head == "softmax"
    )
    pairs = [split[i] for i in range(len(split))]
    self._told: set[str] = set()
    self.encoded, self.skipped = encoding.encode(conf, vocabularies, pairs)
    if not any(has_text(pair) for pair in self.encoded):
      first = f" (the first: {sources.place(split, 0)})" if pairs else ""
      raise types.UserError(f"every reference of this split is empty{first}")
    if len(self.skipped) == len(pairs):
      raise types.UserError(
        "every source is longer than decode.max_source_length "
        f"{conf.decode.max_source_length:,}; raise it, or cut them with "
        "decode.long_source"
      )
    groups = _by_source(pairs) if conf.data.alternatives else None
    groups = groups or [[i] for i in range(len(pairs))]
    self.sources = [pairs[group[0]][0] for group in groups]
    self.references = [
      [vocabularies.reference(pairs[i][1]) for i in group] for group in groups
    ]
    self._first = [group[0] for group in groups]  # its example of each source
    self.translator = translator or translation.Translator(
      models, mapper, vocabularies.source
    )
    self.scorer = scorer or scoring.Scorer(models, vocabularies, mapper)

  def _scores_of(
    self, params: tuple[Any, ...], places: Sequence[int]
  ) -> list[np.ndarray]:
    """`Scorer.score` of these examples, which several processes share."""

    def part(numbers: list[int]) -> list[np.ndarray]:
      own = [places[n] for n in numbers]
      with long_sources.placed(own):
        return self.scorer.score(
          params, [self.encoded[i] for i in own], self.conf.decode.batch_rows
        )

    return processes.share(part, len(places))

  def token_scores(self, params: tuple[Any, ...]) -> list[np.ndarray]:
    """`Scorer.score` of every example; no tokens of those skipped."""
    places = [i for i in range(len(self.encoded)) if i not in self.skipped]
    scores = dict(zip(places, self._scores_of(params, places)))
    nothing = np.zeros((2, 0), np.float32)
    return [scores.get(i, nothing) for i in range(len(self.encoded))]

  def model_scores(self, params: tuple[Any, ...]) -> dict[str, float]:
    """The metrics that need no search: the model's own, and those of CTC.

    They are of references with text, those of CTC of all sources.
    """
    places = [
      i
      for i, pair in enumerate(self.encoded)
      if has_text(pair) and i not in self.skipped
    ]
    scores = self.model_metrics(self._scores_of(params, places))
    return scores | self.ctc_metrics(self.ctc_texts(params))

  def model_metrics(
    self, token_scores: Sequence[np.ndarray]
  ) -> dict[str, float]:
    """The metrics that need the model alone, of `Scorer.score`'s results."""
    return metrics.values("model", metrics_of(self.conf), token_scores)

  def metrics_with_text(
    self, token_scores: Sequence[np.ndarray]
  ) -> dict[str, float]:
    """`model_metrics` of all examples' scores: of those with text."""
    return self.model_metrics(
      [
        scores
        for scores, pair in zip(token_scores, self.encoded)
        if has_text(pair)
      ]
    )

  def ctc_texts(self, params: tuple[Any, ...]) -> list[str]:
    """Each source's output by CTC's best path, without the decoder.

    None if there is no such path: of a model without CTC, and of an ensemble.
    """
    if not self.has_ctc:
      return []
    return self.translate(params, self.conf.decode.best_path())[1]

  def ctc_metrics(self, texts: Sequence[str]) -> dict[str, float]:
    """The metrics of `ctc_texts`' outputs; none if there are none."""
    if not texts:
      return {}
    references = self.closest_references(texts)
    chosen = metrics_of(self.conf)
    return metrics.values("ctc", chosen, texts, references, self.comparison())

  def translate(
    self,
    params: tuple[Any, ...],
    decode: config.Decode | None = None,
    *,
    batch_size: int | None = None,
    progress: Progress | None = None,
  ) -> tuple[list[types.Hypotheses], list[str]]:
    """Hypotheses of the sources that hold something, and an output for each.

    Several processes share the sources, and all get all outputs.

    Args:
      params: tuple of parameter trees on the mapper's devices.
      decode: the search; by default the config's.
      batch_size: sources searched together, by default all; changes no output.
      progress: called with (answered sources, all of them).

    Returns:
      The hypotheses of the sources that are not blank, and a text for each
      source, empty for a blank one.
    """
    text_translator = self.text_translator(decode)
    no_oracle = decode is not None and not decode.oracle_length
    is_blank = self.vocabularies.source.is_blank
    places = [
      i
      for i, source in enumerate(self.sources)
      if not is_blank(source) and self._first[i] not in self.skipped
    ]
    hypotheses: dict[int, types.Hypotheses] = {}
    texts = [""] * len(self.sources)
    if progress:
      progress(0, len(places))
    size = batch_size or max(1, len(places))
    for first in range(0, len(places), size):
      batch = places[first : first + size]
      batch = [batch[n] for n in processes.own_places(len(batch))]
      answers = text_translator.search(
        params,
        self.encoded_sources(batch),
        lengths=None if no_oracle else self.oracle_lengths(batch),
      )
      found = {}
      with long_sources.placed([self._first[i] for i in batch]):
        for n, outputs in answers:
          i = batch[n]
          found[i] = outputs, text_translator.text(self.sources[i], outputs)
          if progress:
            progress(len(hypotheses) + len(found), len(places))
      for part in processes.gather(found):
        for i, (outputs, text) in part.items():
          hypotheses[i], texts[i] = outputs, text
    return [hypotheses[i] for i in places], texts

  def text_translator(
    self, decode: config.Decode | None = None
  ) -> inference_text.TextTranslator:
    """Searches for outputs, by default with the config's search."""
    conf = self.conf
    if decode is not None:
      conf = dataclasses.replace(conf, decode=decode)
    return inference_text.TextTranslator(
      self.translator, self.vocabularies, conf
    )

  def encoded_sources(self, places: Iterable[int]) -> list[types.EncodedSide]:
    """These sources as the search takes them."""
    return [self.encoded[self._first[i]].source for i in places]

  def oracle_lengths(self, places: Iterable[int]) -> list[int] | None:
    """Tokens of these sources' references, if the search asks an oracle."""
    if not self.conf.decode.oracle_length:
      return None
    target = self.vocabularies.target
    return [
      target.length(self.encoded[self._first[i]].target) - 1 for i in places
    ]

  def text_scores(
    self, texts: Sequence[str], chosen: Iterable[metrics.Metric]
  ) -> dict[str, Any]:
    """The chosen metrics that compare outputs with references."""
    chosen = [metric for metric in chosen if metric.needs == "outputs"]
    for metric in chosen:
      reason = self.undecided(metric)
      if reason and metric.name not in self._told:
        self._told.add(metric.name)
        log.warning(f"{metric.label}: {reason}")
    references = self.closest_references(texts)
    return metrics.score(chosen, texts, references, self.comparison())

  def undecided(self, metric: metrics.Metric) -> str:
    """Why a metric of outputs tells none of them apart; empty: it does."""
    if metric.needs != "outputs":
      return ""
    references = [text for texts in self.references for text in texts]
    return metric.undecided(references, self.comparison())

  def check_decides(self) -> None:
    """Checks that the metric of `train.metric` can choose a checkpoint.

    Raises:
      types.UserError: it is the same for all outputs.
    """
    name = self.conf.train.metric
    if reason := self.undecided(find_metric(name)):
      raise types.UserError(
        f"train.metric {name}: {reason}; choose another one, such as "
        "exact_match or chrf"
      )

  def closest_references(self, texts: Sequence[str]) -> list[str]:
    """Each output's reference; of alternatives the closest one."""
    lowercase = self.comparison().lowercase
    return metrics.closest(texts, self.references, lowercase=lowercase)

  def comparison(self) -> metrics.Comparison:
    """How outputs are compared with references."""
    data = self.conf.data
    target = data.source if data.joint else data.target
    return metrics.Comparison(target.lowercase, self.conf.train.bleu_tokenize)


def _by_source(pairs: Sequence[tuple[Any, str]]) -> list[list[int]]:
  """Places of the pairs of each source, in the order of their first one."""
  groups: dict[Any, list[int]] = {}
  for i, (source, _) in enumerate(pairs):
    groups.setdefault(sources.content((source,)), []).append(i)
  return list(groups.values())


def has_text(pair: types.EncodedPair) -> bool:
  """True if a reference has more tokens than its end."""
  return len(pair.target.values) > 1
