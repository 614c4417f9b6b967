"""`python -m seq2seq_jax.evaluate`: scores of a trained model.

Decodes a split of the run's own data, or any source and reference file, and
prints the field's metrics; --score gives log-probabilities of the references.
"""

import argparse
import json
import math
import pathlib
import sys
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax import (
  cli,
  config,
  decode_load,
  decode_search,
  decode_text,
  metrics,
  train_record,
  types,
)
from seq2seq_jax.data import pipeline, sources
from seq2seq_jax.training import parallel, pretrained

MODEL_METRICS = ("loss", "perplexity", "token_accuracy")


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

  def __init__(self, models, rows: int, mapper: parallel.Mapper):
    self.rows = rows
    self.program = mapper.rows(make_scoring(models))

  def score(self, params, pairs) -> list[np.ndarray]:
    """Log-probability of every target token, and whether it ranked first.

    Args:
      params: tuple of parameter trees on the mapper's devices.
      pairs: (source ids or None, target ids), each with EOS.

    Returns:
      A [2, T] array for each pair; [1, T] of an ensemble.
    """
    out = [None] * len(pairs)
    batches = pipeline.eval_batches(pairs, self.rows)
    for turn, (part, batch) in enumerate(batches):
      nll, *correct = jax.device_get(self.program(params, batch, turn))
      for row, i in enumerate(part):
        n = len(pairs[i][1])
        out[i] = np.stack([x[row, :n] for x in (-nll, *correct)])
    return out


def model_metrics(scored) -> dict[str, float]:
  """Loss (nats a token), perplexity, and of one model token accuracy in %."""
  tokens = sum(s.shape[1] for s in scored)
  nll = -math.fsum(float(np.sum(s[0], dtype=np.float64)) for s in scored)
  loss = nll / tokens
  found = {"loss": loss, "perplexity": math.exp(min(loss, 700.0))}
  if all(len(s) == 2 for s in scored):
    correct = sum(float(np.sum(s[1])) for s in scored)
    found["token_accuracy"] = 100.0 * correct / tokens
  return found


class Evaluator:
  """A split, encoded once, and the programs that score it."""

  def __init__(self, conf: config.Config, toks, models, split, mapper):
    self.conf, self.toks = conf, toks
    pairs = [split[i] for i in range(len(split))]
    copies = conf.model.copies()
    self.encoded = [pipeline.encode_pair(toks, p, copies=copies) for p in pairs]
    self.sources, self.references = _grouped(pairs, conf.data.alternatives)
    if not any(_full(p) for p in self.encoded):
      raise types.UserError("what is to be scored has no reference with text")
    translator = decode_search.Translator(models, conf.decode, mapper)
    self.reader = decode_text.Reader(translator, toks, conf)
    self.scorer = Scorer(models, conf.decode.rows, mapper)

  def losses(self, params) -> dict[str, float]:
    """What the model makes of the references."""
    full = [p for p in self.encoded if _full(p)]
    return model_metrics(self.scorer.score(params, full))

  def translate(self, params, options, done=None, together=None):
    """Hypotheses of the sources with text, and an output for every source.

    Of `together` sentences at a time, by default of all.
    """
    real = [i for i, text in enumerate(self.sources) if text.strip()]
    both, size = [], together or max(1, len(real))
    made = lambda text, h: (h, self.reader.text(text, h))
    for first in range(0, len(real), size):
      so_far = done and (lambda n, first=first: done(first + n))
      part = real[first : first + size]
      some, lengths = [self.sources[i] for i in part], None
      if self.conf.decode.oracle_length:
        lengths = [len(self.encoded[i][1]) - 1 for i in part]
      both += self.reader.search(params, some, options, so_far, made, lengths)
    texts = [""] * len(self.sources)
    for i, (_, text) in zip(real, both, strict=True):
      texts[i] = text
    return [h for h, _ in both], texts

  def score_texts(self, texts: list[str], names) -> dict:
    """Decoded metrics of outputs against the references."""
    names = [n for n in names if n not in MODEL_METRICS]
    references = self.compared(texts)
    return metrics.score(names, texts, references, **self.comparison())

  def compared(self, texts: list[str]) -> list[str]:
    """Each output's reference; of alternatives the closest one."""
    lowercase = self.comparison()["lowercase"]
    return metrics.closest(texts, self.references, lowercase=lowercase)

  def comparison(self) -> dict:
    """How outputs are compared with references, for `metrics`."""
    data = self.conf.data
    target = data.source if data.joint else data.target
    return {
      "lowercase": target.lowercase,
      "tokenize": self.conf.train.bleu_tokenize,
    }


def _grouped(pairs, alternatives: bool):
  """Sources, and the references of each."""
  if not alternatives:
    return [p[0] for p in pairs], [(p[1],) for p in pairs]
  groups: dict = {}
  for source, reference in pairs:
    groups.setdefault(source, []).append(reference)
  return list(groups), [tuple(g) for g in groups.values()]


def _full(encoded) -> bool:
  """Whether a reference has more than its end."""
  return len(encoded[1]) > 1


class Detail(NamedTuple):
  """A model's scores of a split, with what they are made of."""

  scores: dict  # metric -> value, `signature`
  sentences: metrics.Sentences  # of one metric
  outputs: list[dict]  # source, reference, hypothesis, length of the source
  attention: list[dict]  # source and target tokens, weights, of a few
  parameters: int  # of all members


def detail(
  members: list[decode_load.Loaded],
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
    conf, members[0].toks, [m.model for m in members], split, mapper
  )
  params = tuple(m.params for m in members)
  scored = evaluator.scorer.score(params, evaluator.encoded)
  full = [s for s, p in zip(scored, evaluator.encoded) if _full(p)]
  scores, outputs, attention = model_metrics(full), [], []
  decoded = [n for n in names if n not in config.OF_SEARCH]
  if members[0].toks.source is not None:
    options = decode_search.options_of(conf.decode)
    found, texts = evaluator.translate(params, options)
    scores |= evaluator.score_texts(texts, decoded) | of_search(found)
    length = len if conf.data.source.tokenizer == "char" else _words
    outputs = [
      {"source": s, "reference": r, "hypothesis": h, "length": length(s)}
      for s, r, h in zip(evaluator.sources, evaluator.compared(texts), texts)
    ]
    attention = _attended(evaluator, params, options, shown)
  if metric in MODEL_METRICS:
    sentences = metrics.Sentences(_token_sums(scored, metric), score_of(metric))
  else:
    sentences = metrics.sentences(
      metric,
      [o["hypothesis"] for o in outputs],
      [o["reference"] for o in outputs],
      **evaluator.comparison(),
    )
  size = sum(x.size for m in members for x in jax.tree.leaves(m.params))
  return Detail(scores, sentences, outputs, attention, size)


def _words(text: str) -> int:
  return len(text.split())


def of_search(found) -> dict[str, float]:
  """What is told of outputs, in percent: config.OF_SEARCH.

  cut: at the longest length, without an end. Of exact search, search_errors:
  the beam had missed it; proven: it is the best. What is not proven may be
  missed by both, so the errors are a lower bound.
  """
  if not found:
    return {}
  share = lambda flags: 100.0 * float(np.mean(flags))
  told = {"cut": share([not h.finished[0] for h in found])}
  if found[0].proven is not None:
    told["search_errors"] = share([h.improved for h in found])
    told["proven"] = share([h.proven for h in found])
  return told


def _token_sums(scored, metric) -> np.ndarray:
  """[N, 2]: what is summed over a sentence's tokens, and their number."""
  part = 1 if metric == "token_accuracy" else 0
  if part and any(len(s) == 1 for s in scored):
    raise types.UserError("token_accuracy is of one model, not of an ensemble")
  sign = 1.0 if part else -1.0
  return np.array([[sign * np.sum(s[part]), s.shape[1]] for s in scored])


def score_of(metric: str):
  """From the sums of sentences' statistics to the score."""
  if metric in ("loss", "perplexity"):
    mean = lambda sums: sums[..., 0] / np.maximum(sums[..., 1], 1)
    return mean if metric == "loss" else lambda sums: np.exp(mean(sums))
  if metric == "token_accuracy":
    return metrics.ratio
  return metrics.score_of(metric)


def _attended(evaluator, params, options, count: int) -> list[dict]:
  """Attention over a few sentences of middling length; none of exact search."""
  if options.exact:
    return []
  words = [_words(s) for s in evaluator.sources]
  order = sorted(range(len(words)), key=lambda i: (words[i], i))
  fitting = [i for i in order if words[i] <= 20] or order[:count]
  chosen = [
    fitting[len(fitting) * (2 * k + 1) // (2 * count)] for k in range(count)
  ]
  texts = [evaluator.sources[i] for i in dict.fromkeys(chosen)]
  found = evaluator.reader.search(
    params, texts, options._replace(attention=True)
  )
  out = []
  for text, hypothesis in zip(texts, found):
    if hypothesis.attention is None:
      return []
    entry = decode_text.describe(text, hypothesis, evaluator.reader, True)
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


def parser() -> argparse.ArgumentParser:
  p = argparse.ArgumentParser(
    prog="python -m seq2seq_jax.evaluate",
    description=__doc__.split("\n\n")[1],
  )
  cli.add_model_flags(p)
  p.add_argument("--split", choices=("train", "valid", "test"), default="test")
  p.add_argument("--source", help="text file to translate")
  p.add_argument("--reference", help="its translation, line by line")
  p.add_argument(
    "--score",
    action="store_true",
    help="print the log-probability of every reference instead",
  )
  p.add_argument("--metric", action="append", help="another metric")
  p.add_argument("--json", help="file for the result")
  p.add_argument("--output", help="file for the outputs, line by line")
  return p


def _pairs(args, conf):
  if args.source or args.reference:
    lm = conf.data.task == "language_model"
    if not args.reference or (not args.source and not lm):
      raise types.UserError("--source and --reference are given together")
    if lm:
      return sources.lines(args.reference)
    return sources.parallel(args.source, args.reference)
  split, tested = None, conf.data.test or conf.data.task in sources.GENERATED
  if args.split == "test" and tested:
    split = sources.open_split(conf.data, "test", pipeline.root(conf.data))
  elif args.split == "valid" and conf.data.valid:
    split = sources.open_split(conf.data, "valid", pipeline.root(conf.data))
  elif args.split != "test" or conf.data.task == "scan":
    corpus = pipeline.Corpus(conf.data)
    split = getattr(corpus, args.split)
    if args.split == "train":  # without what is held out or left out
      split = sources.Pairs(split[int(i)] for i in corpus.indices)
  if split is None:
    raise types.UserError(
      f"the run's config names no {args.split} split; give --source and "
      "--reference"
    )
  return split


def run(workdirs, args, rest=()) -> dict:
  """Scores a trained model; returns metric name to value.

  Of a run with several seeds and no --lane: means over its lanes, deviations
  as `NAME_sd`, and each lane's values under `lanes`.
  """
  lanes = 1
  path = pathlib.Path(workdirs[0]) / "config.json"
  if args.lane is None and path.is_file():
    lanes = config.from_json(path.read_text(), str(path)).train.seeds
  if lanes == 1 or args.score:  # scores are of one model, line by line
    return _run_lane(workdirs, args, rest, args.lane)
  if args.output:
    raise types.UserError(
      f"--output: {workdirs[0]} holds {lanes} runs; choose one with --lane"
    )
  lost = pretrained.diverged(pathlib.Path(workdirs[0]))
  kept = [lane for lane in range(lanes) if lane not in lost]
  for lane in sorted(lost):
    print(f"lane {lane} diverged and is left out", file=sys.stderr)
  if not kept:
    raise types.UserError(f"{workdirs[0]}: all lanes diverged")
  found = [{"lane": n} | _run_lane(workdirs, args, rest, n) for n in kept]
  result = {}
  for name, value in found[0].items():
    if isinstance(value, float):
      values = [r[name] for r in found]
      result[name] = float(np.mean(values))
      if len(values) > 1:
        result[f"{name}_sd"] = float(np.std(values, ddof=1))
    elif name not in ("checkpoint_step", "lane"):
      result[name] = value
  return result | {"lanes": found}


def _run_lane(workdirs, args, rest, lane) -> dict:
  mapper = parallel.Mapper("pmap", local=True)
  say = lambda text: print(text, file=sys.stderr)
  members = decode_load.load_all(workdirs, args.checkpoint, mapper, say, lane)
  first = members[0]
  conf = cli.override(first.config, args, list(rest), "evaluate")
  names = _names(args, conf, first.toks)
  split = _pairs(args, conf)
  if not args.reference and args.split != "train":
    _compare(workdirs[0], args.split, split, say)
  params = tuple(m.params for m in members)
  evaluator = Evaluator(
    conf, first.toks, [m.model for m in members], split, mapper
  )
  if args.score:
    return _score(evaluator, params)
  start = time.monotonic()
  result = evaluator.losses(params)
  if first.toks.source is not None:
    options = decode_search.options_of(conf.decode)
    with cli.counter(len(evaluator.sources)) as done:
      found, texts = evaluator.translate(params, options, done, args.batch_size)
    result |= evaluator.score_texts(texts, names) | of_search(found)
    if args.output:
      with cli.output(args.output) as out:
        out.writelines(decode_text.lines([t], 1) for t in texts)
  result |= {
    "sentences": len(evaluator.sources),
    "checkpoint_step": [m.step for m in members],
    "seconds": time.monotonic() - start,
  }
  return result


def _names(args, conf, toks) -> list[str]:
  """The metrics asked for, of those that there are."""
  known = (*config.METRICS, *config.OF_TEXTS)
  if toks.source is None:
    known = MODEL_METRICS
  for name in args.metric or []:
    if name not in known:
      model = "of a language model " if toks.source is None else ""
      raise types.UserError(
        f"--metric {name}: {model}there are {', '.join(known)}"
      )
  if args.output and (toks.source is None or args.score):
    what = "--score" if args.score else "a language model"
    raise types.UserError(f"--output: {what} translates nothing")
  return list(dict.fromkeys([*wanted(conf), *(args.metric or [])]))


def _compare(workdir, split: str, data, say) -> None:
  """Tells where a split is not what it was when the run was begun."""
  place, _ = pretrained.place_of(workdir)
  then = train_record.read(place).get("data", {}).get(split)
  if then and then != data.checksum():
    say(
      f"the {split} data is not what this run began with: scores are of other "
      "sentences"
    )


def _score(evaluator, params) -> dict:
  scored = evaluator.scorer.score(params, evaluator.encoded)
  for s in scored:
    print(f"{float(np.sum(s[0])):.6f}")
  full = [s for s, p in zip(scored, evaluator.encoded) if _full(p)]
  return model_metrics(full) | {"sentences": len(scored)}


def main(argv=None) -> int:
  args, rest = parser().parse_known_args(argv)
  if args.json:
    cli.check_writable("--json", args.json)
  if args.output:
    cli.check_writable("--output", args.output)
  result = run(args.workdir, args, rest)
  if not args.score:
    for name, value in result.items():
      if name == "lanes":
        for found in value:
          numbers = {k: v for k, v in found.items() if isinstance(v, float)}
          told = ", ".join(f"{k} {v:.4f}" for k, v in numbers.items())
          print(f"lane {found['lane']}: {told}")
      elif isinstance(value, dict):
        for key, text in value.items():
          print(f"{name} {key}: {text}")
      elif isinstance(value, float):
        print(f"{name}: {value:.4f}")
      else:
        print(f"{name}: {value}")
  if args.json:
    with cli.output(args.json) as out:
      out.write(json.dumps(result, indent=2) + "\n")
  return 0


if __name__ == "__main__":
  cli.run(main)
