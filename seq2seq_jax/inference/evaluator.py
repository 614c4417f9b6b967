"""Scores of a split: of references under a model, and of a model's outputs."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from seq2seq_jax import config, metrics, types
from seq2seq_jax.config import extensions
from seq2seq_jax.data import batches, sources, vocabulary
from seq2seq_jax.inference import text as inference_text
from seq2seq_jax.inference import translator as translation
from seq2seq_jax.runtime import parallel

BESIDE_SCORES = ("signature", "sentences", "checkpoint_step", "seconds")
"""What an evaluation holds beside its metrics."""
# Called with the number of sources answered so far, and with that of all.
Progress = Callable[[int, int], None]


def make_scoring(models: Sequence[Any]) -> Callable[..., tuple[jax.Array, ...]]:
  """Builds `score(params, batch) -> [B, T] nll, [B, T] correct`.

  Several models are an ensemble: the mean of their probabilities. Which token
  it ranks first is not known from each member's own, so there `correct` is left
  out.
  """

  def score(
    params: tuple[Any, ...], batch: types.Batch
  ) -> tuple[jax.Array, ...]:
    terms = [m.apply(p, batch, method="losses") for m, p in zip(models, params)]
    if len(terms) == 1:
      return terms[0]["nll"], terms[0]["correct"]
    log_probs = jnp.stack([-t["nll"] for t in terms])
    return (math.log(len(terms)) - jax.nn.logsumexp(log_probs, axis=0),)

  return score


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """A model's scores of a split, and its outputs."""

  scores: dict[str, Any]
  texts: list[str]
  """One a source; none of a language model."""


class Scorer:
  """Scores given targets; fixed rows, so batches never change a bit.

  Args:
    models: modules, one a member of an ensemble.
    vocabularies: of the run.
    mapper: over the devices.
  """

  def __init__(
    self,
    models: Sequence[Any],
    vocabularies: vocabulary.Vocabularies,
    mapper: parallel.Mapper,
  ):
    self.vocabularies = vocabularies
    self.program = mapper.round_robin(make_scoring(models))

  def score(
    self,
    params: tuple[Any, ...],
    pairs: Sequence[types.EncodedPair],
    rows: int,
  ) -> list[Float[np.ndarray, "_ T"]]:
    """Log-probability of every target token, and whether it ranked first.

    Args:
      params: tuple of parameter trees on the mapper's devices.
      pairs: encoded examples.
      rows: of the program, on each device.

    Returns:
      A [2, T] array for each pair; [1, T] of an ensemble.
    """
    scores: list[Any] = [None] * len(pairs)
    planned = batches.evaluation(self.vocabularies, pairs, rows)
    for turn, (members, batch) in enumerate(planned):
      nll, *correct = jax.device_get(self.program(params, batch, turn))
      for row, i in enumerate(members):
        length = self.vocabularies.target.length(pairs[i].target)
        scores[i] = np.stack([x[row, :length] for x in (-nll, *correct)])
    return scores


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
    scorer: Scorer | None = None,
  ):
    self.conf, self.vocabularies = conf, vocabularies
    pairs = [split[i] for i in range(len(split))]
    self.encoded = [vocabularies.encode(pair) for pair in pairs]
    if not any(has_text(pair) for pair in self.encoded):
      raise types.UserError("every reference of this split is empty")
    groups = _by_source(pairs) if conf.data.alternatives else None
    groups = groups or [[i] for i in range(len(pairs))]
    self.sources = [pairs[group[0]][0] for group in groups]
    self.references = [[pairs[i][1] for i in group] for group in groups]
    self._first = [group[0] for group in groups]  # its example of each source
    self.translator = translator or translation.Translator(
      models, mapper, vocabularies.source
    )
    self.scorer = scorer or Scorer(models, vocabularies, mapper)

  def token_scores(self, params: tuple[Any, ...]) -> list[np.ndarray]:
    """`Scorer.score` of every example."""
    return self.scorer.score(params, self.encoded, self.conf.decode.batch_rows)

  def model_scores(self, params: tuple[Any, ...]) -> dict[str, float]:
    """The metrics that need the model alone, of references with text."""
    pairs = [pair for pair in self.encoded if has_text(pair)]
    scores = self.scorer.score(params, pairs, self.conf.decode.batch_rows)
    return self.model_metrics(scores)

  def model_metrics(
    self, token_scores: Sequence[np.ndarray]
  ) -> dict[str, float]:
    """The metrics that need the model alone, of `Scorer.score`'s results."""
    return metrics.values("model", metrics_of(self.conf), token_scores)

  def translate(
    self,
    params: tuple[Any, ...],
    decode: config.Decode | None = None,
    *,
    batch_size: int | None = None,
    progress: Progress | None = None,
  ) -> tuple[list[types.Hypotheses], list[str]]:
    """Hypotheses of the sources that hold something, and an output for each.

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
    is_blank = self.vocabularies.source.is_blank
    places = [i for i, s in enumerate(self.sources) if not is_blank(s)]
    hypotheses: dict[int, types.Hypotheses] = {}
    texts = [""] * len(self.sources)
    if progress:
      progress(0, len(places))
    size = batch_size or max(1, len(places))
    for first in range(0, len(places), size):
      batch = places[first : first + size]
      answers = text_translator.search(
        params, self.encoded_sources(batch), lengths=self.oracle_lengths(batch)
      )
      for n, outputs in answers:
        i = batch[n]
        hypotheses[i] = outputs
        texts[i] = text_translator.text(self.sources[i], outputs)
        if progress:
          progress(len(hypotheses), len(places))
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
    references = self.closest_references(texts)
    return metrics.score(chosen, texts, references, self.comparison())

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
