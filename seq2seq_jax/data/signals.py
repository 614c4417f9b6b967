"""What is done to a signal before it becomes features."""

import fractions
import zlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

# Root mean squares of a joined recording and of the noise around it.
_SPEECH, _NOISE = 0.05, 0.0005


def joined(
  recordings: Sequence[Float[np.ndarray, " M"]], gaps: Sequence[int], name: str
) -> Float[np.ndarray, " N"]:
  """Recordings at one loudness, with faint noise between them, float32.

  Args:
    recordings: with something in them.
    gaps: samples of noise before, between and behind them.
    name: of the utterance; the noise is drawn from its checksum, so that it is
      the same in any order, process and run.
  """
  rng = np.random.default_rng(zlib.crc32(name.encode()))
  out = [_NOISE * rng.standard_normal(gaps[0])]
  for recording, gap in zip(recordings, gaps[1:], strict=True):
    loudness = np.sqrt(np.mean(np.square(recording, dtype=np.float64)))
    out.append(recording * (_SPEECH / max(loudness, 1e-9)))
    out.append(_NOISE * rng.standard_normal(gap))
  return np.concatenate(out).astype(np.float32)


def length(samples: int, speed: float) -> int:
  """Samples of a signal at a speed: ceil(N / speed), exactly."""
  ratio = _ratio(speed)
  return -(-samples * ratio.denominator // ratio.numerator)


def heard(
  samples: Float[np.ndarray, " N"], speed: float
) -> Float[np.ndarray, " M"]:
  """A signal at a speed, of `length(N, speed)` samples, float32."""
  if speed == 1.0:
    return samples
  from scipy import signal  # its import takes long, and most runs need none

  ratio = _ratio(speed)
  changed: np.ndarray = signal.resample_poly(
    samples, ratio.denominator, ratio.numerator
  )
  return changed.astype(np.float32)


def _ratio(speed: float) -> fractions.Fraction:
  """A speed as it is written: 0.9 is 9/10."""
  return fractions.Fraction(str(speed))
