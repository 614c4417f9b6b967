"""A trained model in a program's hands: translate, score, evaluate.

    model = load("runs/x")
    model.translate(["jump twice"], beam_size=5)

The commands `decode` and `evaluate` call the same functions.
"""

import copy
import dataclasses
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, overload

import jax
import numpy as np

from seq2seq_jax import config, types
from seq2seq_jax.checkpoints import select
from seq2seq_jax.data import sources
from seq2seq_jax.inference import (
  checks,
  details,
  loading,
  long_sources,
  splits,
  text,
  translator,
)
from seq2seq_jax.inference import evaluator as evaluation
from seq2seq_jax.inference import scorer as scoring
from seq2seq_jax.runtime import parallel, processes


class Model:
  """A trained model, or several as an ensemble, with the search to use.

  Args:
    members: loaded onto the mapper's devices.
    mapper: over the devices.
    runs: what they were loaded from.

  Attributes:
    config: of the first member.
    params: tuple of parameter trees, one a member.
  """

  def __init__(
    self,
    members: Sequence[loading.Loaded],
    mapper: parallel.Mapper,
    runs: Sequence[str],
  ):
    self.members, self.mapper, self.runs = tuple(members), mapper, tuple(runs)
    self.config = members[0].config
    self.vocabularies = members[0].vocabularies
    self.params = tuple(member.params for member in members)
    models = [member.model for member in members]
    self.translator = translator.Translator(
      models, mapper, self.vocabularies.source
    )
    self.scorer = scoring.Scorer(models, self.vocabularies, mapper)

  def __repr__(self) -> str:
    steps = ", ".join(str(member.step) for member in self.members)
    many = "s" if len(self.members) > 1 else ""
    return (
      f"Model({', '.join(self.runs)}; step{many} {steps}; "
      f"{self.parameters:,} parameters; beam {self.config.decode.beam_size})"
    )

  @property
  def parameters(self) -> int:
    """Number of parameters of all members."""
    return sum(x.size for x in jax.tree.leaves(self.params))

  def with_config(self, conf: config.Config) -> "Model":
    """The same model with another search, data folder or test set."""
    other = copy.copy(self)
    other.config = conf
    return other

  def with_search(self, beam_size: int | None = None, **decode: Any) -> "Model":
    """The same model with other fields of the config's decode section."""
    if beam_size is not None:
      decode["beam_size"] = beam_size
    if not decode:
      return self
    checks.check_fields(decode)
    section = dataclasses.replace(self.config.decode, **decode)
    return self.with_config(dataclasses.replace(self.config, decode=section))

  @overload
  def translate(
    self,
    texts: Sequence[Any],
    beam_size: int | None = None,
    n_best: Literal[1] = 1,
    *,
    scores: Literal[False] = False,
    attention: Literal[False] = False,
    progress: evaluation.Progress | None = None,
    **decode: Any,
  ) -> list[str]: ...

  @overload
  def translate(
    self,
    texts: Sequence[Any],
    beam_size: int | None = None,
    n_best: int = 1,
    *,
    scores: bool = False,
    attention: bool = False,
    progress: evaluation.Progress | None = None,
    **decode: Any,
  ) -> list[Any]: ...

  def translate(
    self,
    texts: Sequence[Any],
    beam_size: int | None = None,
    n_best: int = 1,
    *,
    scores: bool = False,
    attention: bool = False,
    progress: evaluation.Progress | None = None,
    **decode: Any,
  ) -> list[Any]:
    """The best output of every source.

    Args:
      texts: sources, as `Side.accept` takes them; of a blank one nothing.
      beam_size: hypotheses kept; 1 is greedy search; by default the config's.
      n_best: outputs of each source.
      scores: return `text.Translation`, with the score, instead of a text.
      attention: return `text.Translation`, with the attention weights too.
      progress: called with (answered sources, all of them).
      **decode: other fields of the config's decode section.

    Returns:
      A text for each source; with `n_best` above 1 a list of texts, best first,
      fewer if the search found fewer. With `scores` or `attention` records
      instead of texts; None of a blank source if one output is asked for.

    Raises:
      types.UserError: the model or this search cannot give that.
    """
    model = self.with_search(beam_size, **decode)
    text_translator = model.text_translator()
    texts = checks.accepted(texts, self.vocabularies.source)
    outputs: list[list[Any]] = [[] for _ in texts]
    records = scores or attention
    answers = model.search(texts, n_best=n_best, attention=attention)
    for count, (i, hypotheses) in enumerate(answers, 1):
      if records:
        outputs[i] = text_translator.translations(
          texts[i], hypotheses, attention
        )
      else:
        outputs[i] = text_translator.texts(texts[i], hypotheses)
      if progress:
        progress(count, len(outputs))
    if n_best > 1:
      return outputs
    empty = None if records else ""
    return [best[0] if best else empty for best in outputs]

  def search(
    self,
    texts: Sequence[Any],
    *,
    n_best: int = 1,
    attention: bool = False,
    tally: long_sources.Tally | None = None,
    part: bool = False,
  ) -> Iterator[tuple[int, types.Hypotheses]]:
    """Index and hypotheses of every source that is not blank, as they come.

    A source that cannot be answered is an error after all others' answers.

    Args:
      texts: as those of `translate`.
      n_best: outputs of each source.
      attention: with attention weights.
      tally: counts sources that are cut or skipped; by default they are told.
      part: of several processes, search only for this one's part.

    Raises:
      types.UserError: the model or its search cannot give that.
    """
    self.check_search(n_best, attention)
    values = checks.accepted(texts, self.vocabularies.source)
    return self._answers(values, n_best, attention, tally, part)

  def _answers(
    self,
    texts: Sequence[Any],
    n_best: int,
    attention: bool,
    tally: long_sources.Tally | None,
    part: bool,
  ) -> Iterator[tuple[int, types.Hypotheses]]:
    side, decode = self.vocabularies.source, self.config.decode
    counted = tally or long_sources.Tally(side, decode)
    places, encoded, refused = long_sources.all_limited(
      side, texts, decode, counted
    )
    if part:
      own = processes.own_places(len(places))
      places, encoded = [places[n] for n in own], [encoded[n] for n in own]
    answers = self.text_translator().search(
      self.params, encoded, n_best=n_best, attention=attention
    )
    with long_sources.placed(places):
      for n, hypotheses in answers:
        yield places[n], hypotheses
    if refused:
      raise refused
    if tally is None:
      counted.tell()

  def check_search(self, n_best: int = 1, attention: bool = False) -> None:
    """Checks that the model and its search can give these outputs.

    Raises:
      types.UserError: they cannot.
    """
    present = self.vocabularies.source.present
    checks.check_search(self.config, self.runs[0], present, n_best, attention)

  def text_translator(self) -> text.TextTranslator:
    """Turns hypotheses of this model's search into texts."""
    return text.TextTranslator(self._ready(), self.vocabularies, self.config)

  def _ready(self) -> translator.Translator:
    """The translator, with what joins the decoder in the config's search."""
    loading.add_parts(
      self.translator, self.config.decode, self.members, self.runs, self.mapper
    )
    return self.translator

  def score(
    self,
    sources: Sequence[Any] | None = None,
    targets: Sequence[str] = (),
    *,
    tokens: bool = False,
  ) -> list[Any]:
    """Log-probability of every target given its source.

    Args:
      sources: as those of `translate`; None of a language model.
      targets: as many texts.
      tokens: return an array [T] for each target, the log-probability of each
        of its tokens and of its end, instead of their sum.

    Raises:
      types.UserError: sources and targets do not match, or nor does the model.
    """
    pairs = checks.pairs(sources, targets, self.vocabularies.source)
    token_scores = self.scorer.score(
      self.params,
      [self.vocabularies.encode(pair) for pair in pairs],
      self.config.decode.batch_rows,
    )
    if tokens:
      return [scores[0] for scores in token_scores]
    return [float(np.sum(scores[0])) for scores in token_scores]

  def score_split(
    self, data: splits.Data = "test"
  ) -> tuple[dict[str, Any], list[float]]:
    """Scores of references under the model, without outputs of its own.

    Args:
      data: as that of `evaluate`.

    Returns:
      Metric -> value with `sentences`, and every reference's log-probability;
      nan where the source was skipped.
    """
    scored = self.evaluator(self._examples(data))
    token_scores = scored.token_scores(self.params)
    log_probs = [
      float(np.sum(scores[0])) if scores.shape[1] else math.nan
      for scores in token_scores
    ]
    scores: dict[str, Any] = dict(scored.metrics_with_text(token_scores))
    return scores | {"sentences": len(log_probs)}, log_probs

  def evaluator(self, split: sources.Source) -> evaluation.Evaluator:
    """Scores a split with this model's programs."""
    return evaluation.Evaluator(
      self.config,
      self.vocabularies,
      [member.model for member in self.members],
      split,
      self.mapper,
      translator=self._ready(),
      scorer=self.scorer,
    )

  def split(self, name: str) -> sources.Source:
    """The examples of the run's `train`, `valid` or `test` split.

    Raises:
      types.UserError: the config names none.
    """
    workdir, _ = select.split_replica(self.runs[0])
    trained = self.members[0].config.data
    return splits.open_split(self.config.data, name, trained, workdir)

  def evaluate(
    self,
    data: splits.Data = "test",
    *,
    metrics: Iterable[str] = (),
    progress: evaluation.Progress | None = None,
  ) -> dict[str, Any]:
    """The scores of a split, or of pairs of source and reference.

    Args:
      data: `train`, `valid` or `test` of the run's own data, or pairs; the
        source of a language model's pairs is None.
      metrics: further ones beside those of the run's config.
      progress: called with (answered sources, all of them).

    Returns:
      Metric -> value as `evaluate` writes it, with `signature`, `sentences`,
      `checkpoint_step` and `seconds`.
    """
    return self.evaluation(data, metrics=metrics, progress=progress).scores

  def evaluation(
    self,
    data: splits.Data = "test",
    *,
    metrics: Iterable[str] = (),
    batch_size: int | None = None,
    progress: evaluation.Progress | None = None,
  ) -> evaluation.Evaluation:
    """The same, with the output texts.

    Args:
      data, metrics, progress: as those of `evaluate`.
      batch_size: sources searched together, by default all; changes no output.
    """
    chosen = evaluation.reported_metrics(self.config, metrics)
    present = self.vocabularies.source.present
    checks.check_metrics(chosen, self.members[0].model)
    scored = self.evaluator(self._examples(data))
    start = time.monotonic()
    scores: dict[str, Any] = dict(scored.model_scores(self.params))
    texts: list[str] = []
    if present:
      hypotheses, texts = scored.translate(
        self.params, batch_size=batch_size, progress=progress
      )
      scores |= scored.text_scores(texts, chosen)
      scores |= details.search_diagnostics(
        hypotheses, self.config.decode.oracle_length
      )
    scores |= {
      "sentences": len(scored.sources),
      "checkpoint_step": [member.step for member in self.members],
      "seconds": time.monotonic() - start,
    }
    return evaluation.Evaluation(scores, texts, scored)

  def _examples(self, data: splits.Data) -> sources.Source:
    """A split of the run's own data, or pairs as examples."""
    return splits.examples(data, self.split, self.vocabularies.source)

  def pool_size(self) -> int:
    """Sources that are best searched together; fewer leave rows idle."""
    return self.translator.pool_size(self.config.decode)


def load(
  runs: loading.Run | Sequence[loading.Run],
  checkpoint: str | int = "best",
  replica: int | None = None,
) -> Model:
  """A trained model, ready to translate, score and evaluate.

  Args:
    runs: the workdir of a run, `DIR#REPLICA` for one of several seeds, or
      several of them, which become an ensemble.
    checkpoint: last, best, average, or a step.
    replica: which of a run's `train.seeds`, for workdirs that name none.

  Raises:
    types.UserError: one cannot be loaded, or cannot join the others.
  """
  names = loading.run_names(runs)
  mapper = parallel.Mapper("pmap", local=True)
  members = loading.load_all(names, str(checkpoint), mapper, replica)
  return Model(members, mapper, names)
