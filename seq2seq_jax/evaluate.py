"""`python -m seq2seq_jax.evaluate`: scores of a trained model.

Decodes a split of the run's own data, or any source and reference file, and
prints the field's metrics; --score gives log-probabilities of the references.
"""

import argparse
import json
import logging
import pathlib
import time

import numpy as np

from seq2seq_jax import cli, config, metrics, types
from seq2seq_jax.checkpoints import select
from seq2seq_jax.data import corpus, sources
from seq2seq_jax.inference import evaluator as evaluator_lib
from seq2seq_jax.inference import loading, translator
from seq2seq_jax.inference import text as inference_text
from seq2seq_jax.runtime import files, parallel
from seq2seq_jax.training import run_info

log = logging.getLogger(__name__)


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
  p.add_argument("--output", help="file for the outputs, a line a source")
  return p


def _pairs(args, conf, source_side):
  if args.source or args.reference:
    if not args.reference or (not args.source and source_side.present):
      raise types.UserError("--source and --reference are given together")
    if not source_side.present:
      return sources.lines(args.reference)
    return sources.parallel(args.source, args.reference)
  split = corpus.open_for_scoring(conf.data, args.split)
  if split is None:
    raise types.UserError(
      f"the run's config names no {args.split} split; give --source and "
      "--reference"
    )
  return split


def run(workdirs, args, rest=()) -> dict:
  """Scores a trained model; returns metric name to value.

  Of a run with several seeds and no --replica: means over its replicas,
  deviations as `NAME_sd`, and each replica's values under `replicas`.
  """
  replicas = 1
  path = pathlib.Path(workdirs[0]) / "config.json"
  if args.replica is None and path.is_file():
    replicas = config.from_json(path.read_text(), str(path)).train.seeds
  if replicas == 1 or args.score:  # scores are of one model, line by line
    return _run_replica(workdirs, args, rest, args.replica)
  if args.output:
    raise types.UserError(
      f"--output: {workdirs[0]} holds {replicas} runs; choose one with "
      "--replica"
    )
  lost = select.diverged(pathlib.Path(workdirs[0]))
  kept = [replica for replica in range(replicas) if replica not in lost]
  for replica in sorted(lost):
    log.warning(f"replica {replica} diverged and is left out")
  if not kept:
    raise types.UserError(f"{workdirs[0]}: all replicas diverged")
  found = [{"replica": n} | _run_replica(workdirs, args, rest, n) for n in kept]
  result = {}
  for name, value in found[0].items():
    if isinstance(value, float):
      values = [r[name] for r in found]
      result[name] = float(np.mean(values))
      if len(values) > 1:
        result[f"{name}_sd"] = float(np.std(values, ddof=1))
    elif name not in ("checkpoint_step", "replica"):
      result[name] = value
  return result | {"replicas": found}


def _run_replica(workdirs, args, rest, replica) -> dict:
  mapper = parallel.Mapper("pmap", local=True)
  members = loading.load_all(workdirs, args.checkpoint, mapper, replica)
  first = members[0]
  conf = cli.override(first.config, args, list(rest), "evaluate")
  names = _names(args, conf, first.vocabularies.source)
  split = _pairs(args, conf, first.vocabularies.source)
  same = conf.data.test == first.config.data.test or args.split != "test"
  if not args.reference and args.split != "train" and same:
    _compare(workdirs[0], args.split, split)
  params = tuple(m.params for m in members)
  evaluator = evaluator_lib.Evaluator(
    conf, first.vocabularies, [m.model for m in members], split, mapper
  )
  if args.score:
    return _score(evaluator, params)
  start = time.monotonic()
  result = evaluator.losses(params)
  if first.vocabularies.source.present:
    options = translator.options_of(conf.decode)
    with cli.counter(len(evaluator.sources)) as done:
      found, texts = evaluator.translate(params, options, done, args.batch_size)
    result |= evaluator.score_texts(texts, names)
    result |= evaluator_lib.of_search(found, conf.decode.oracle_length)
    if args.output:
      with files.output(args.output) as out:
        out.writelines(inference_text.lines([t], 1) for t in texts)
  result |= {
    "sentences": len(evaluator.sources),
    "checkpoint_step": [m.step for m in members],
    "seconds": time.monotonic() - start,
  }
  return result


def _names(args, conf, source_side) -> list[str]:
  """The metrics asked for, of those that there are."""
  known = metrics.names("model", "outputs")
  if not source_side.present:
    known = metrics.names("model")
  for name in args.metric or []:
    if name not in known:
      model = "" if source_side.present else "of a language model "
      raise types.UserError(
        f"--metric {name}: {model}there are {', '.join(known)}"
      )
  if args.output and (args.score or not source_side.present):
    what = "--score" if args.score else "a language model"
    raise types.UserError(f"--output: {what} translates nothing")
  return list(
    dict.fromkeys([*evaluator_lib.wanted(conf), *(args.metric or [])])
  )


def _compare(workdir, split: str, data) -> None:
  """Tells where a split is not what it was when the run was last trained."""
  place, _ = select.split_replica(workdir)
  then = run_info.read(place).get("data", {}).get(split)
  if then and then != data.checksum():
    log.warning(
      f"the {split} data is not what this run had: scores are of other "
      "sentences"
    )


def _score(evaluator, params) -> dict:
  scored = evaluator.scorer.score(params, evaluator.encoded)
  for s in scored:
    print(f"{float(np.sum(s[0])):.6f}")
  full = [
    s for s, p in zip(scored, evaluator.encoded) if evaluator_lib.has_text(p)
  ]
  return evaluator_lib.model_metrics(full) | {"sentences": len(scored)}


def main(argv=None) -> int:
  args, rest = parser().parse_known_args(argv)
  if args.json:
    files.check_writable("--json", args.json)
  if args.output:
    files.check_writable("--output", args.output)
  result = run(args.workdir, args, rest)
  if not args.score:
    for name, value in result.items():
      if name == "replicas":
        for found in value:
          numbers = {k: v for k, v in found.items() if isinstance(v, float)}
          told = ", ".join(f"{k} {v:.4f}" for k, v in numbers.items())
          print(f"replica {found['replica']}: {told}")
      elif isinstance(value, dict):
        for key, text in value.items():
          print(f"{name} {key}: {text}")
      elif isinstance(value, float):
        print(f"{name}: {value:.4f}")
      else:
        print(f"{name}: {value}")
  if args.json:
    with files.output(args.json) as out:
      out.write(json.dumps(result, indent=2) + "\n")
  return 0


if __name__ == "__main__":
  cli.run(main)
