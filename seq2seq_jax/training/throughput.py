"""What a training run shows of its steps: loss, rates, epochs, divergence."""

import logging
import time

import numpy as np

from seq2seq_jax import types
from seq2seq_jax.training import metrics_writer
from seq2seq_jax.training import run as training_run

log = logging.getLogger(__name__)


class Meter:
  """Metrics of steps, read one step late so that devices never wait."""

  def __init__(self, run: training_run.Run, out: metrics_writer.Writer):
    self.run, self.out = run, out
    self.pending = None
    self.pause()

  def dispatched(self, at: int, outputs):
    """A step was handed to the devices; the one before is read now."""
    before, self.pending = self.pending, (at, outputs)
    if before:
      self._read(*before)

  def drain(self):
    """Reads the last step too."""
    if self.pending:
      before, self.pending = self.pending, None
      self._read(*before)

  def pause(self):
    """Forgets the time since the last line: it was not spent training."""
    self.mark, self.stall, self.tokens, self.padded = (
      time.monotonic(),
      0.0,
      0,
      0,
    )

  def _read(self, at: int, outputs):
    calls = self.run.conf.train.steps_per_call
    every = {
      k: np.asarray(v.addressable_data(0)).reshape(calls, -1)
      for k, v in outputs.items()
    }
    first = at - calls
    log_every = self.run.conf.train.log_every
    steps = range(first + 1, at + 1)
    ends = [s for s in steps if s % log_every == 0 or s == at]
    for start, end in zip([first, *ends], ends):
      part = slice(start - first, end - first)
      self._read_part(start, end, {k: v[part] for k, v in every.items()})

  def _read_part(self, start: int, at: int, values):
    """Counts steps start + 1 to `at`, and shows the last. [steps, replicas]."""
    run, data = self.run, self.run.train_data
    self._check(start, values)
    replicas = run.running() or [0]
    for replica in replicas:
      run.histories[replica]["tokens"] += int(
        values["tokens"][:, replica].sum()
      )
    self.tokens += float(values["tokens"][:, replicas].sum())
    buckets = [data.buckets[data.bucket(step)] for step in range(start, at)]
    self.padded += sum(b.rows * b.target for b in buckets) * len(replicas)
    spent = max(1e-9, time.monotonic() - self.mark)
    values = {k: v[-1] for k, v in values.items()}
    mean = lambda name: float(np.mean(values[name][replicas]))
    shown = {
      "loss": mean("loss"),
      "learning_rate": mean("learning_rate"),
      "tokens_per_second": self.tokens / spent,
      "padded_tokens_per_second": self.padded / spent,
      "stall": self.stall / spent,
    }
    epoch = (at - 1) // len(run.train_data.plan)
    self.out.progress(at, epoch + 1, shown)
    if at % run.conf.train.log_every == 0:
      line = shown | {
        "epoch": epoch + 1,
        "nll": mean("nll"),
        "grad_norm": mean("grad_norm"),
        "tokens": run.histories[replicas[0]]["tokens"],
      }
      if run.replicas > 1:
        line |= {
          run.named(name, replica): float(values[name][replica])
          for name in ("loss", "nll", "grad_norm")
          for replica in replicas
        }
      self.out.write(at, "train", line)
      self.pause()

  def _check(self, start: int, values) -> None:
    """Stops at a loss that is not finite; of several replicas only that one."""
    run = self.run
    finite = np.isfinite(values["loss"]) & np.isfinite(values["grad_norm"])
    for replica in run.running():
      if finite[:, replica].all():
        continue
      place = int(np.argmin(finite[:, replica]))
      loss, norm = (
        float(values[k][place, replica]) for k in ("loss", "grad_norm")
      )
      at = start + 1 + place
      told = (
        f"step {at}: the loss is {loss}, the gradient's norm {norm}; the last "
        "checkpoint is from before. A lower optim.learning_rate or "
        "optim.clip_norm, in a new workdir, may help"
      )
      finished = any(
        h["stopped"] and h["diverged"] is None for h in run.histories
      )
      if run.running() == [replica] and not finished:
        raise types.Diverged(told)
      log.warning(f"replica {replica} has diverged and stops: {told}")
      run.diverge(replica, at)
