"""Trains with the second process's scores spoiled; tells what is saved.

A process prints a line at each save: step, factors of the learning rate, a
checksum of the parameters, best step.
"""

import zlib

import jax
import numpy as np

from seq2seq_jax import cli, train
from seq2seq_jax.runtime import processes
from seq2seq_jax.training import transitions


def spoil() -> None:
  """Makes scores of process 1 from the second validation on worse each time."""
  scores, save, made = transitions._validation_scores, transitions.save, []

  def spoiled(run, replica, writer):
    values = scores(run, replica, writer)
    made.append(replica)
    if processes.index() == 1 and len(made) > 1:
      return {name: 1e6 * len(made) for name in values}
    return values

  def telling(run, step, writer, **options):
    crc = 0
    for x in jax.tree.leaves(run.state.params):
      crc = zlib.crc32(np.asarray(x.addressable_data(0)).tobytes(), crc)
    factors = run.learning_rate_scales().tolist()
    print(f"saved {step} {factors} {crc} {run.selection[0].best_step}")
    return save(run, step, writer, **options)

  transitions._validation_scores = spoiled
  transitions.save = telling


if __name__ == "__main__":
  spoil()
  cli.run(train.main)
