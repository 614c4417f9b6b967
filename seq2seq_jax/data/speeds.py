"""Utterances at several speeds, as further examples of training.

Speed perturbation (Ko et al. 2015): a signal is resampled, so that it is heard
faster or slower and its pitch changes. Lengths are known before any is read.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from seq2seq_jax.data import audio, sources


class AtSpeeds:
  """Examples of utterances, all of them at each of several speeds.

  Example k N + i is the i-th of N at the k-th speed.

  Args:
    source: examples of utterances and texts.
    speeds: factors; 1 is as it was recorded.
  """

  def __init__(self, source: sources.Source, speeds: Sequence[float]):
    self.source, self.speeds = source, tuple(speeds)

  def __len__(self) -> int:
    return len(self.source) * len(self.speeds)

  def __getitem__(self, i: int, /) -> sources.Pair:
    k, n = divmod(i, len(self.source))
    utterance, text = self.source[n]
    return dataclasses.replace(utterance, speed=self.speeds[k]), text

  def place(self, i: int) -> str:
    """Where the i-th example stands, for messages."""
    k, n = divmod(i, len(self.source))
    return f"{sources.place(self.source, n)} at speed {self.speeds[k]:g}"

  def checksum(self) -> str:
    """SHA-256 of the examples and the speeds."""
    content = f"{self.source.checksum()} at speeds {self.speeds}"
    return hashlib.sha256(content.encode()).hexdigest()


def repeated(
  source: sources.Source, indices: np.ndarray, speeds: Sequence[float]
) -> tuple[sources.Source, np.ndarray]:
  """Examples at all speeds, and the indices of those that are chosen.

  Args:
    source: of training. Only utterances have a speed; others stay as they are.
    indices: [N] the chosen ones, ascending.
    speeds: factors.
  """
  if tuple(speeds) == (1.0,) or not _of_utterances(source, indices):
    return source, indices
  starts = np.arange(len(speeds), dtype=np.int64) * len(source)
  return AtSpeeds(source, speeds), (starts[:, None] + indices).reshape(-1)


def _of_utterances(source: sources.Source, indices: np.ndarray) -> bool:
  if not len(indices):
    return False
  value: Any = source[int(indices[0])][0]
  return isinstance(value, audio.Utterance)
