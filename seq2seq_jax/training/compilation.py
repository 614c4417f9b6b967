"""Compiles the train step for every shape of batch, before the first step."""

import logging

import jax

from seq2seq_jax import types
from seq2seq_jax.data import batches, buckets
from seq2seq_jax.runtime import memory, processes
from seq2seq_jax.training import memory_check, progress
from seq2seq_jax.training import run as run_lib

log = logging.getLogger(__name__)


def compile_ahead(
  run: run_lib.Run,
  display: progress.Hidden,
) -> None:
  """Compiles all programs, and logs how much memory the largest batch takes.

  Args:
    run: whose train step is compiled.
    display: shows which program is being compiled.

  Raises:
    types.UserError: a batch does not fit into a device's memory.
  """
  shapes, needs = run.data.buckets, []
  if run.config.train.steps_per_call > 1:
    shapes = shapes[-1:]  # one program, in which every step chooses its shape
  for i, bucket in enumerate(shapes):
    display.phase(
      f"compiling: source {bucket.source} x target {bucket.target}",
      i + 1,
      len(shapes),
    )
    batch = run.mapper.shard(_filler_batch(run, bucket))
    compiled = run.train_step.lower(run.state, batch).compile()
    rows = run.data.rows(bucket) // run.mapper.count
    needs.append(
      memory_check.need(compiled, rows, bucket.source + bucket.target)
    )
  capacity = memory.of_device(jax.local_devices()[0])
  if message := memory_check.report(needs, capacity):
    log.info(message)


def _filler_batch(run: run_lib.Run, bucket: buckets.Bucket) -> types.Batch:
  """This process's rows of a batch of this shape, without any example."""
  rows = run.data.rows(bucket) // processes.count()
  batch = batches.filler(run.vocabularies, rows, bucket.source, bucket.target)
  if run.replicas > 1:
    batch = batches.stack([batch] * run.replicas)
  if run.config.train.steps_per_call > 1:
    batch = batches.stack([batch] * run.config.train.steps_per_call)
  return batch
