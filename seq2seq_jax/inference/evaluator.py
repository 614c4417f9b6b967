"""Scores of a split: what a model makes of its references, and its outputs."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax import config, metrics, types
from seq2seq_jax.data import batches, vocabulary
from seq2seq_jax.inference import loading
from seq2seq_jax.inference import text as inference_text
from seq2seq_jax.inference import translator as translation
from seq2seq_jax.runtime import parallel


def make_scoring(models):
  """Builds `score(params, batch) -> [B, T] nll, [B, T] correct`.

  Several models are an ensemble: the mean of their probabilities. What it ranks
  first is not known from each member's own, so there `correct` is left out.
  """

  def score(params, batch: types.Batch):
    terms = [m.apply(p, batch, method="losses") for m, p in zip(models, params)]
    if len(terms) == 1:
      return terms[0]["nll"], terms[0]["correct"]
    every = jnp.stack([-t["nll"] for t in terms])
    return (math.log(len(terms)) - jax.nn.logsumexp(every, axis=0),)

  return score


class Scorer:
  """Scores given targets; fixed rows, so batches never change a bit."""

  def __init__(
    self,
    models,
    vocabularies: vocabulary.Vocabularies,
    rows: int,
    mapper: parallel.Mapper,
  ):
    self.vocabularies, self.rows = vocabularies, rows
    self.program = mapper.round_robin(make_scoring(models))

  def score(self, params, pairs) -> list[np.ndarray]:
    """Log-probability of every target token, and whether it ranked first.

    Args:
      params: tuple of parameter trees on the mapper's devices.
      pairs: encoded examples.

    Returns:
      A [2, T] array for each pair; [1, T] of an ensemble.
    """
    out = [None] * len(pairs)
    planned = batches.evaluation(self.vocabularies, pairs, self.rows)
    for turn, (part, batch) in enumerate(planned):
      nll, *correct = jax.device_get(self.program(params, batch, turn))
      for row, i in enumerate(part):
        n = self.vocabularies.target.length(pairs[i].target)
        out[i] = np.stack([x[row, :n] for x in (-nll, *correct)])
    return out


def model_metrics(token_scores) -> dict[str, float]:
  """The metrics that need the model alone, of a list of `Scorer.score`."""
  values = {
    name: metrics.METRICS[name].function(token_scores)
    for name in metrics.names("model")
  }
  return {name: value for name, value in values.items() if value is not None}


class Evaluator:
  """A split, encoded once, and the programs that score it."""

  def __init__(self, conf: config.Config, vocabularies, models, split, mapper):
    self.conf, self.vocabularies = conf, vocabularies
    pairs = [split[i] for i in range(len(split))]
    self.encoded = [vocabularies.encode(pair) for pair in pairs]
    self.sources, self.references = _grouped(pairs, conf.data.alternatives)
    if not any(has_text(p) for p in self.encoded):
      raise types.UserError("what is to be scored has no reference with text")
    translator = translation.Translator(
      models, conf.decode, mapper, vocabularies.source
    )
    self.reader = inference_text.Reader(translator, vocabularies, conf)
    self.scorer = Scorer(models, vocabularies, conf.decode.batch_rows, mapper)

  def losses(self, params) -> dict[str, float]:
    """What the model makes of the references."""
    full = [p for p in self.encoded if has_text(p)]
    return model_metrics(self.scorer.score(params, full))

  def translate(self, params, options, done=None, together=None):
    """Hypotheses of the sources with text, and an output for every source.

    Of `together` sentences at a time, by default of all.
    """
    side = self.vocabularies.source
    real = [i for i, s in enumerate(self.sources) if not side.is_blank(s)]
    both, size = [], together or max(1, len(real))
    made = lambda text, h: (h, self.reader.text(text, h))
    for first in range(0, len(real), size):
      so_far = done and (lambda n, first=first: done(first + n))
      part = real[first : first + size]
      some, lengths = [self.sources[i] for i in part], self.lengths(part)
      both += self.reader.search(params, some, options, so_far, made, lengths)
    texts = [""] * len(self.sources)
    for i, (_, text) in zip(real, both, strict=True):
      texts[i] = text
    return [h for h, _ in both], texts

  def lengths(self, places) -> list[int] | None:
    """The references' tokens of these sources, where the oracle is asked."""
    if not self.conf.decode.oracle_length:
      return None
    return [
      self.vocabularies.target.length(self.encoded[i].target) - 1
      for i in places
    ]

  def score_texts(self, texts: list[str], names) -> dict:
    """Decoded metrics of outputs against the references."""
    names = [n for n in names if metrics.METRICS[n].needs == "outputs"]
    references = self.compared(texts)
    return metrics.score(names, texts, references, self.comparison())

  def compared(self, texts: list[str]) -> list[str]:
    """Each output's reference; of alternatives the closest one."""
    lowercase = self.comparison().lowercase
    return metrics.closest(texts, self.references, lowercase=lowercase)

  def comparison(self) -> metrics.Comparison:
    """How outputs are compared with references."""
    data = self.conf.data
    target = data.source if data.joint else data.target
    return metrics.Comparison(target.lowercase, self.conf.train.bleu_tokenize)


def _grouped(pairs, alternatives: bool):
  """Sources, and the references of each."""
  if not alternatives:
    return [p[0] for p in pairs], [(p[1],) for p in pairs]
  groups: dict = {}
  for source, reference in pairs:
    groups.setdefault(source, []).append(reference)
  return list(groups), [tuple(g) for g in groups.values()]


def has_text(encoded) -> bool:
  """True if a reference has more tokens than its end."""
  return len(encoded.target.values) > 1


class Detail(NamedTuple):
  """A model's scores of a split, with what they are made of."""

  scores: dict  # metric -> value, `signature`
  sentences: metrics.Sentences  # of one metric
  outputs: list[dict]  # source, reference, hypothesis, length of the source
  attention: list[dict]  # source and target tokens, weights, of a few
  parameters: int  # of all members


def detail(
  members: list[loading.Loaded],
  conf: config.Config,
  split,
  names: list[str],
  metric: str,
  mapper: parallel.Mapper,
  shown: int = 3,
) -> Detail:
  """Scores a split, and keeps what a test over sentences needs.

  Args:
    members: a model, or those of an ensemble.
    conf: with the search to use.
    split: of text pairs.
    names: metrics.
    metric: the one whose statistics of sentences are kept.
    mapper: over the devices.
    shown: sentences whose attention is kept.
  """
  evaluator = Evaluator(
    conf, members[0].vocabularies, [m.model for m in members], split, mapper
  )
  params = tuple(m.params for m in members)
  scored = evaluator.scorer.score(params, evaluator.encoded)
  full = [s for s, p in zip(scored, evaluator.encoded) if has_text(p)]
  scores, outputs, attention = model_metrics(full), [], []
  side = members[0].vocabularies.source
  if side.present:
    options = translation.options_of(conf.decode)
    found, texts = evaluator.translate(params, options)
    scores |= evaluator.score_texts(texts, names)
    scores |= of_search(found, conf.decode.oracle_length)
    outputs = [
      {
        "source": side.text(s),
        "reference": r,
        "hypothesis": h,
        "length": side.units(s),
      }
      for s, r, h in zip(evaluator.sources, evaluator.compared(texts), texts)
    ]
    attention = _attended(evaluator, params, options, shown)
  record = metrics.METRICS[metric]
  if record.needs == "model":
    rows = record.sentence_sums(scored)
    sentences = metrics.Sentences(rows, record.of_sums)
  else:
    sentences = metrics.sentences(
      metric,
      [o["hypothesis"] for o in outputs],
      [o["reference"] for o in outputs],
      evaluator.comparison(),
    )
  size = sum(x.size for m in members for x in jax.tree.leaves(m.params))
  return Detail(scores, sentences, outputs, attention, size)


def of_search(hypotheses, oracle_length: bool = False) -> dict[str, float]:
  """Diagnostics of a search by name; by an oracle's lengths all are cut."""
  values = {
    name: metrics.METRICS[name].function(hypotheses)
    for name in metrics.names("search")
    if not (oracle_length and name == "cut")
  }
  return {name: value for name, value in values.items() if value is not None}


def _attended(evaluator, params, options, count: int) -> list[dict]:
  """Attention over a few sentences of middling length; none of exact search."""
  if options.exact:
    return []
  side = evaluator.vocabularies.source
  words = [side.units(source) for source in evaluator.sources]
  order = sorted(range(len(words)), key=lambda i: (words[i], i))
  fitting = [i for i in order if words[i] <= 20] or order[:count]
  chosen = [
    fitting[len(fitting) * (2 * k + 1) // (2 * count)] for k in range(count)
  ]
  chosen = list(dict.fromkeys(chosen))
  texts = [evaluator.sources[i] for i in chosen]
  found = evaluator.reader.search(
    params,
    texts,
    options._replace(attention=True),
    lengths=evaluator.lengths(chosen),
  )
  out = []
  for text, hypothesis in zip(texts, found):
    if hypothesis.attention is None:
      return []
    entry = inference_text.describe(text, hypothesis, evaluator.reader, True)
    best = entry["hypotheses"][0] if entry["hypotheses"] else None
    if best and "attention" in best:
      out.append(
        {
          "source": entry["source_tokens"],
          "target": best["tokens"],
          "weights": [[round(w, 4) for w in row] for row in best["attention"]],
        }
      )
  return out


def wanted(conf: config.Config) -> list[str]:
  """The metrics of a config: the one that decides, then the others."""
  return list(dict.fromkeys((conf.train.metric, *conf.train.metrics)))
