"""The training loop: from a config to a trained run."""

import contextlib
import dataclasses
import logging
import os
import pathlib
import signal
import threading
import time
from collections.abc import Iterable
from typing import Any

from seq2seq_jax import config, types
from seq2seq_jax.data import corpus as corpus_lib
from seq2seq_jax.runtime import processes, signals
from seq2seq_jax.training import (
  compilation,
  metrics_writer,
  notebook,
  progress,
  size_estimate,
  summary,
  throughput,
  transitions,
)
from seq2seq_jax.training import run as run_lib
from seq2seq_jax.training import workdir as workdir_lib

log = logging.getLogger(__name__)


def fit(
  conf: config.Config,
  workdir: str | os.PathLike[str],
  train: Iterable[tuple[Any, str]] | None = None,
  valid: Iterable[tuple[Any, str]] | None = None,
  *,
  restart: bool = False,
  among_others: bool = False,
  show_progress: bool = False,
) -> run_lib.Run:
  """Trains a model, or resumes its run, and returns the run.

  It may be called from any thread, and for several runs of a process at once.
  In the main thread a first Ctrl-C or SIGTERM saves the run and returns it with
  `interrupted` set; the same call then resumes it. It gives the same bits as
  `python -m seq2seq_jax.train`.

  Args:
    conf: of the run.
    workdir: its folder; a run of the same config that it holds is resumed.
    train: training examples in memory, pairs of source and target text; by
      default those that the config names. A source may also be an array of
      frames [L, F], or None for a language model. The run's config then says
      `data.task pairs`, so that nothing is scored on other data.
    valid: validation examples in memory; only with `train`.
    restart: begin anew; a run that the folder holds is moved into a folder in
      it, `before-restart-1`, once the first step is made.
    among_others: the workdir may hold other files; they are left alone.
    show_progress: draw a live display on a terminal or in a notebook, else
      write plain lines.

  Raises:
    types.UserError: the workdir is in use, holds something else or a run of
      another config, or cannot be written, or the data do not fit the config.
      Nothing is left of a run that was refused before its first step.
    types.Diverged: the loss is not finite any more.
  """
  types.check_local("workdir", workdir)
  workdir = pathlib.Path(workdir)
  if train is not None:
    data = corpus_lib.in_memory(conf.data)
    conf = dataclasses.replace(conf, data=data)
  elif valid is not None:
    raise types.UserError("valid: pairs in memory need train=pairs as well")
  with signals.GracefulStop() as stop, contextlib.ExitStack() as opened:
    try:
      with stop.breaking():
        size_estimate.check(conf)
        workdir_lib.check(workdir, among_others=among_others)
        lost = opened.enter_context(workdir_lib.holding(workdir))
        corpus = corpus_lib.Corpus(conf.data, train, valid)
        run = run_lib.Run(conf, workdir, corpus, restart=restart)
    except signals.Stopped as e:
      e.leave()
    opened.callback(run.checkpoints.close)
    if run.complete:
      log.info(f"{workdir}: this run is complete at step {run.step}")
    else:
      _train(run, show_progress, stop, lost)
  return run


def _train(
  run: run_lib.Run,
  show_progress: bool,
  stop: signals.GracefulStop,
  lost: threading.Event,
) -> None:
  """Trains to the end or to a signal, with display, files and signals."""
  display = None
  if show_progress:
    kind = notebook.Display if notebook.is_running() else progress.Display
    display = kind(run.last_step, step=run.first_step)
  with metrics_writer.Writer(
    run.workdir, primary=run.primary, display=display
  ) as writer:
    summary.log_start(run)
    ended = train_steps(run, writer, stop, lost)
    stop.ended()
    run.checkpoints.finish()
  if not ended:
    run.interrupted = stop.signal or signal.SIGTERM
    saved = (
      "and saved" if run.step > run.first_step else "before its first step"
    )
    log.warning(
      f"stopped at step {run.step} {saved}; run the same command again to "
      "resume"
    )
  elif stop.signal is not None:
    run.interrupted = stop.signal  # at the very end: the run is complete


def train_steps(
  run: run_lib.Run,
  writer: metrics_writer.Writer,
  stop: signals.GracefulStop,
  lost: threading.Event,
) -> bool:
  """Makes the updates that are left; False if a signal stopped it before.

  Args:
    run: is changed in place.
    writer: of metrics, and its display.
    stop: the signals heard.
    lost: set if another process has taken the workdir.
  """
  train = run.config.train
  try:
    if run.saved:  # it is resumed; what --restart moves aside may be anything
      writer.check(run.first_step)
    with stop.breaking():
      compilation.compile_ahead(run, writer.display)
      # The first step of all would not wait for long compilations of some.
      processes.barrier()
  except signals.Stopped:
    return False
  if run.unvalidated and not transitions.validate_again(run, writer, stop):
    return False
  if run.complete:
    return True
  meter = throughput.Meter(train.steps_per_call, train.log_every)
  batches = run.data.batches(
    run.first_step,
    train.steps,
    processes.index(),
    processes.count(),
    train.steps_per_call,
  )
  saved_at = time.monotonic()
  writer.display.phase("training")
  for step in range(
    run.first_step + train.steps_per_call, train.steps + 1, train.steps_per_call
  ):
    requested = time.monotonic()
    batch = next(batches)
    meter.stall(time.monotonic() - requested)
    run.state, values = run.train_step(run.state, run.mapper.shard(batch))
    run.step = step
    if lost.is_set():
      raise _lost(run)
    windows = meter.dispatched(step, values)
    if not run.begun:
      windows = meter.drain()
      transitions.stop_diverged(run, windows)
      run.begin()
      writer.open(run.first_step)
    transitions.record(run, windows, meter, writer)
    validates = step % train.validate_every == 0 or step == train.steps
    stopping = stop.reached(step)
    if not (validates or stopping or _save_is_due(run, step, saved_at)):
      continue
    transitions.record(run, meter.drain(), meter, writer)
    if validates and run.evaluator:
      run.unvalidated = stopping or not transitions.validate(
        run, step, writer, stop
      )
      stopping = run.unvalidated
    elif validates:
      for selection in run.selection:
        selection.record_unscored(step)
    transitions.save(run, step, writer, unvalidated=run.unvalidated)
    if validates and not stopping:
      processes.barrier()  # nor would a step wait for a long save
    saved_at = time.monotonic()
    if not run.running():
      return True
    if stopping:
      return False
    writer.display.phase("training")
    meter.restart()
  return True


def _lost(run: run_lib.Run) -> types.UserError:
  """Why a run whose lock is lost stops."""
  if not run.workdir.exists():
    return types.UserError(
      f"{run.workdir}: the workdir is gone; stopped at step {run.step}"
    )
  return types.UserError(
    f"{run.workdir}: another process has taken the workdir; stopped at step "
    f"{run.step} without saving"
  )


def _save_is_due(run: run_lib.Run, step: int, saved_at: float) -> bool:
  """True if an extra checkpoint, for resuming alone, is due after this step."""
  train = run.config.train
  if train.checkpoint_every and step % train.checkpoint_every == 0:
    return True
  # Of several processes the first one writes, so only its clock counts.
  if not (run.primary and train.checkpoint_minutes):
    return False
  return time.monotonic() - saved_at > 60 * train.checkpoint_minutes
