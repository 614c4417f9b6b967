"""`python -m seq2seq_jax.train`: train a model, or go on with its run.

Where the workdir holds a run of the same config, it is resumed exactly.
"""

import argparse
import contextlib
import logging
import os
import pathlib
import signal
import time

import jax

from seq2seq_jax import cli, config, types
from seq2seq_jax.config import overrides
from seq2seq_jax.inference import translator
from seq2seq_jax.runtime import locks, parallel, signals
from seq2seq_jax.runtime import log as log_lib
from seq2seq_jax.training import metrics_writer, throughput
from seq2seq_jax.training import run as training_run

log = logging.getLogger(__name__)


def loop(
  run: training_run.Run, out: metrics_writer.Writer, stop: signals.GracefulStop
) -> int | None:
  """Trains to the end; the step where a signal stopped it, or None."""
  t = run.conf.train
  process = (jax.process_index(), jax.process_count())
  data = run.train_data
  batches = data.batches(run.first, t.steps, *process, t.steps_per_call)
  alone = process[1] == 1  # several agree with each other on a step
  if not run.compile(out, lambda: alone and stop.signal is not None):
    return run.first
  out.phase("training")
  meter, saved_at = throughput.Meter(run, out), time.monotonic()
  n = t.steps_per_call
  for at in range(run.first + n, t.steps + 1, n):
    waited = time.monotonic()
    batch = next(batches)
    meter.stall += time.monotonic() - waited
    run.state, outputs = run.train_step(run.state, run.mapper.shard(batch))
    meter.dispatched(at, outputs)
    boundary = at % t.validate_every == 0 or at == t.steps
    due = (
      jax.process_count() == 1
      and t.checkpoint_minutes
      and (time.monotonic() - saved_at > 60 * t.checkpoint_minutes)
    )
    due = due or (t.checkpoint_every and at % t.checkpoint_every == 0)
    asked = alone and stop.signal is not None
    asked = asked or run.checkpoints.reached_preemption(at)
    if not (boundary or due or asked):
      continue
    meter.drain()
    if boundary and run.evaluator:
      run.validate(at, out)
    elif boundary:
      for told in run.histories:
        told.passed(at)
    run.save(at, out)
    saved_at = time.monotonic()
    if not run.running():
      break
    if asked:
      return at
    out.phase("training")
    meter.pause()
  return None


def train(
  conf: config.Config, workdir: pathlib.Path, live=None
) -> training_run.Run:
  """Trains or resumes a run to its end; returns it."""
  try:
    workdir.mkdir(parents=True, exist_ok=True)
  except OSError as e:
    raise types.UserError(f"{workdir}: cannot write: {e.strerror}") from e
  with _alone(workdir):
    return _train(conf, workdir, live)


@contextlib.contextmanager
def _alone(workdir: pathlib.Path):
  """Holds the workdir: two processes would cut back each other's run.

  A dead process of this machine is seen at once; of one on another machine the
  heartbeat is waited for.
  """
  if jax.process_index():
    yield  # the first process speaks for all
    return
  path = workdir / "lock"

  def tell(holder: locks.Holder | None) -> None:
    log.info(
      f"{workdir} was being trained by {holder}; waiting for a sign of life"
    )

  try:
    lock = locks.claim_or_wait(path, on_lost=_lost, on_wait=tell)
  except locks.Held as e:
    raise types.UserError(f"{workdir} is being trained by {e.holder}") from e
  except OSError as e:
    raise types.UserError(f"{path}: cannot write: {e.strerror}") from e
  with lock:
    yield


def _lost(path: pathlib.Path):
  log.error(f"{path}: another process has taken this run; stopping")
  os._exit(1)


def _train(conf, workdir, live) -> training_run.Run:
  run = training_run.Run(conf, workdir)
  t = conf.train
  done = run.first >= t.steps or not run.running()
  if done:
    log.info(f"{workdir}: this run is complete at step {run.first}")
    _summary(run)
    run.checkpoints.close()
    return run
  stopped_at = None
  with (
    metrics_writer.Writer(
      workdir,
      total_steps=t.steps,
      resume_step=run.first,
      primary=run.primary,
      live=live,
    ) as out,
    signals.GracefulStop(jax.process_count() > 1) as stop,
  ):
    _introduce(run)
    try:
      stopped_at = loop(run, out, stop)
    finally:
      run.checkpoints.close()
  if stopped_at is not None:
    saved = " and saved" if stopped_at > run.first else ", before its first"
    log.warning(
      f"stopped at step {stopped_at}{saved}; give the same command again to "
      "go on"
    )
    raise SystemExit(128 + (stop.signal or signal.SIGTERM))
  _summary(run)
  if stop.signal is not None:  # at the very end; but what follows was not begun
    raise SystemExit(128 + stop.signal)
  return run


def _introduce(run: training_run.Run):
  data = run.train_data
  shapes = ", ".join(f"{b.rows}x{b.source}/{b.target}" for b in data.buckets)
  vocab = [size for size in run.vocabularies.sizes if size]
  log.info(
    f"{len(data.indices):,} examples ({data.left_out} too long), "
    f"{len(data.plan)} batches an epoch, vocabulary "
    f"{' and '.join(map(str, vocab))}, {run.size / 1e6:.2f} M parameters"
  )
  log.info(
    f"batches {shapes}; {100 * data.efficiency():.1f} % of their tokens are "
    f"real; {jax.device_count()} {jax.devices()[0].device_kind} device(s)"
  )
  if run.vocabularies.source.present and (many := _unreachable(run)):
    log.info(
      f"{many:,} of them have longer targets than search may write "
      "(decode.max_ratio, decode.max_extra)"
    )
  t = run.conf.train
  if jax.process_count() > 1 and t.checkpoint_minutes:
    log.info(
      "several processes save at steps alone: train.checkpoint_every, not "
      "train.checkpoint_minutes"
    )
  if run.first:
    log.info(f"resumed at step {run.first}")


def _unreachable(run: training_run.Run) -> int:
  """Training examples whose target is longer than any output."""
  source, target = run.train_data.lengths.T
  limit = translator.longest(run.conf.decode, source)
  return int((target > limit).sum())


def _summary(run: training_run.Run):
  if not run.primary:
    return
  for replica, told in enumerate(run.histories):
    name = run.named(run.conf.train.metric, replica)
    if told["diverged"]:
      print(f"replica {replica} diverged at step {told['diverged']}")
    elif told["best_step"] is not None:
      last, score = told["validated"][-1]
      print(
        f"validation {name}: last {score:.4f} (step {last}), best "
        f"{told['best_score']:.4f} (step {told['best_step']})"
      )
  print(f"next: python -m seq2seq_jax.evaluate --workdir {run.workdir}")


def parser() -> argparse.ArgumentParser:
  p = argparse.ArgumentParser(
    prog="python -m seq2seq_jax.train", add_help=False
  )
  p.add_argument("config", nargs="?", metavar="CONFIG")
  p.add_argument("--workdir", metavar="DIR")
  p.add_argument("--coordinator", default="", metavar="HOST:PORT|auto")
  p.add_argument("--processes", type=int, default=0)
  p.add_argument("--process-id", type=int, default=-1)
  cli.add_device_flags(p)
  p.add_argument("-h", "--help", action="store_true")
  return p


def main(argv=None) -> int:
  p = parser()
  args, rest = p.parse_known_args(argv)
  if args.help:
    p.print_help()
    print("\nEvery field of the config, by its dotted name:\n")
    base = config.load(args.config) if args.config else config.Config()
    overrides.apply(base, ["--help"], p.prog)
  if not args.config or not args.workdir:
    raise types.UserError(
      "usage: python -m seq2seq_jax.train CONFIG --workdir DIR "
      "[--dotted.override VALUE ...]; --help lists all"
    )
  conf = overrides.apply(config.load(args.config), rest, p.prog)
  parallel.start_processes(args.coordinator, args.processes, args.process_id)
  if jax.process_index():
    log_lib.hide()  # the first process speaks for all
  train(conf, pathlib.Path(args.workdir))
  return 0


if __name__ == "__main__":
  cli.run(main)
