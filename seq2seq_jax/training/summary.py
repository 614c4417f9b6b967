"""What is said about a run before its first step and after its last."""

import logging

import jax
import numpy as np

from seq2seq_jax import types
from seq2seq_jax.data import left_out, sources
from seq2seq_jax.inference import translator
from seq2seq_jax.training import ctc_check
from seq2seq_jax.training import run as run_lib

# Real text of another kind has far fewer unknown words.
MOST_UNKNOWN = 0.5
MOST_NAMED = 20  # examples in a message

log = logging.getLogger(__name__)


def log_start(run: run_lib.Run) -> None:
  """Logs data, batches, vocabularies, parameters and devices of a run."""
  data = run.data
  sizes = [size for size in run.vocabularies.sizes if size]
  log.info(
    f"{len(data.indices):,} examples, "
    f"{len(data.plan)} batches an epoch, vocabulary "
    f"{' and '.join(map(str, sizes))}, "
    f"{run.parameter_count / 1e6:.2f} M parameters"
  )
  if reasons := left_out.describe(data.left_out):
    log.info(f"left out: {reasons}")
  shapes = ", ".join(f"{b.rows}x{b.source}/{b.target}" for b in data.buckets)
  log.info(
    f"batches {shapes}; {100 * data.efficiency():.1f} % of their tokens are "
    f"real; {jax.device_count()} {jax.devices()[0].device_kind} device(s)"
  )
  if run.vocabularies.source.present and (count := unreachable_targets(run)):
    log.info(
      f"{count:,} of them have longer targets than search may write "
      "(decode.max_ratio, decode.max_extra)"
    )
  for doubt in (*doubts(run), *unaligned(run)):
    log.warning(doubt)
  warmup = run.config.optim.warmup_steps
  if warmup >= run.config.train.steps:
    log.warning(
      f"optim.warmup_steps {warmup} is not below train.steps "
      f"{run.config.train.steps}: the learning rate rises to the end and never "
      "falls"
    )
  if run.first_step:
    log.info(f"resumed at step {run.first_step}")


def doubts(run: run_lib.Run) -> list[str]:
  """What looks wrong about the data, though a run can be made of them."""
  found = []
  sums = run.corpus.checksums()
  for split in ("valid", "test"):
    if sums.get(split) == sums["train"]:
      found.append(
        f"data.{split} has the same examples as data.train: its scores say "
        "nothing of other text"
      )
  encoded = run.evaluator.encoded if run.evaluator else []
  for name, side in (
    ("source", run.vocabularies.source),
    ("target", run.vocabularies.target),
  ):
    if not side.vocab_size or not encoded:
      continue  # no ids
    ids = np.concatenate([getattr(pair, name).values[:-1] for pair in encoded])
    share = np.mean(ids == types.UNK) if len(ids) else 0.0
    if share > MOST_UNKNOWN:
      found.append(
        f"{100 * share:.0f} % of the validation set's {name} tokens are "
        "unknown to the training set's vocabulary: are its files in the order "
        "source, target, and prepared alike?"
      )
  return found


def unaligned(run: run_lib.Run) -> list[str]:
  """A warning that names training examples of which CTC can learn nothing."""
  if "ctc" not in run.config.optim.objective_weights():
    return []
  found = ctc_check.unaligned(
    run.model,
    run.corpus,
    run.vocabularies,
    run.data.indices,
    run.data.lengths,
  )
  if not found:
    return []
  named = [sources.place(run.corpus.train, i) for i in found[:MOST_NAMED]]
  rest = len(found) - len(named)
  return [
    f"ctc: {len(found):,} of {len(run.data.indices):,} examples have more "
    "labels than the encoder has positions, counting one more between two "
    "equal labels; this objective learns nothing from them (ctc_left_out); "
    f"shorten the source less ({'; '.join(named)}"
    + (f"; and {rest:,} more)" if rest else ")")
  ]


def unreachable_targets(run: run_lib.Run) -> int:
  """Number of training examples whose target is longer than any output."""
  source, target = run.data.lengths.T
  limit = translator.longest_output(run.config.decode, source)
  return int((target > limit).sum())


def lines(run: run_lib.Run) -> list[str]:
  """Validation scores of each replica, and the command that comes next."""
  texts = []
  if count := run.data.skipped:
    texts.append(
      f"{count:,} rows of training were filler: their sources could not be "
      "used (data.audio.on_error skip)"
    )
  for replica, selection in enumerate(run.selection):
    name = run.metric_name(run.deciding_metric.name, replica)
    if selection.diverged is not None:
      texts.append(f"replica {replica} diverged at step {selection.diverged}")
    elif selection.best_step is not None:
      last, score = selection.validated[-1]
      texts.append(
        f"validation {name}: last {score:.4f} (step {last}), best "
        f"{selection.best_score:.4f} (step {selection.best_step})"
      )
  return [
    *texts,
    f"next: python -m seq2seq_jax.evaluate --workdir {run.workdir}",
  ]
