"""Log-mel features of audio, their statistics, stacking and SpecAugment.

The features are Kaldi's: samples on the scale of 16-bit integers, frames that
lie whole within the signal, each less its mean, pre-emphasis, Povey's window,
power spectrum, triangles that are linear in mel, natural logarithm. NumPy and
SciPy alone; deterministic, without dither.
"""

import dataclasses
import functools
from typing import Literal

import numpy as np
import scipy.fft
import scipy.sparse
from jaxtyping import Float

# Samples in [-1, 1] are scaled to 16-bit integers, as in Kaldi, so that the
# floor of the logarithm means the same.
_SCALE = 32768.0
# The smallest power whose logarithm is taken: float32's machine epsilon.
_FLOOR = float(np.finfo(np.float32).eps)
_PREEMPHASIS = 0.97
# Variances below this count as this: a bin that never changes stays near 0.
_SMALLEST_VARIANCE = 1e-10

_WINDOWS = {"povey": (0.5, 0.85), "hann": (0.5, 1.0), "hamming": (0.54, 1.0)}


@dataclasses.dataclass(frozen=True)
class LogMel:
  """What log-mel features are made of.

  Attributes:
    rate: samples a second.
    bins: triangular filters F.
    window_ms: length of a frame.
    shift_ms: from the start of a frame to that of the next.
    low: lower end of the lowest filter in Hz.
    high: upper end of the highest filter in Hz; 0: half the rate.
    window: weights of a frame's samples.
  """

  rate: int = 16000
  bins: int = 80
  window_ms: float = 25.0
  shift_ms: float = 10.0
  low: float = 20.0
  high: float = 0.0
  window: Literal["povey", "hann", "hamming"] = "povey"

  @property
  def frame_length(self) -> int:
    """Samples in a frame."""
    return int(self.rate * self.window_ms / 1000)

  @property
  def frame_shift(self) -> int:
    """Samples from one frame to the next."""
    return int(self.rate * self.shift_ms / 1000)

  def frames(self, samples: int) -> int:
    """Number of whole frames in so many samples."""
    if samples < self.frame_length:
      return 0
    return 1 + (samples - self.frame_length) // self.frame_shift

  def centres(self) -> tuple[float, ...]:
    """The frequency in Hz at the middle of each filter."""
    edges = np.linspace(
      _mel(self.low), _mel(self.high or self.rate / 2), self.bins + 2
    )
    return tuple((700.0 * np.expm1(edges[1:-1] / 1127.0)).tolist())


def log_mel(
  samples: Float[np.ndarray, " N"], settings: LogMel
) -> Float[np.ndarray, "S F"]:
  """Log-mel features of a signal, float32.

  Args:
    samples: in [-1, 1], at the rate of `settings`.
    settings: of the features.

  Returns:
    `settings.frames(N)` frames; none if the signal is shorter than one.
  """
  count = settings.frames(len(samples))
  if not count:
    return np.zeros((0, settings.bins), np.float32)
  signal = np.asarray(samples, np.float32) * np.float32(_SCALE)
  windows = np.lib.stride_tricks.sliding_window_view(
    signal, settings.frame_length
  )
  frames = windows[:: settings.frame_shift][:count]
  frames = frames - frames.mean(axis=1, keepdims=True)
  # x_t - .97 x_{t-1}; the first sample stands for the one before it.
  previous = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
  frames = frames - np.float32(_PREEMPHASIS) * previous
  frames *= _window(settings)
  spectrum = scipy.fft.rfft(frames, n=_fft_size(settings), axis=1)
  power = spectrum.real**2 + spectrum.imag**2
  # A sparse product starts no threads: they would take other workers' cores.
  mel = (_filters(settings) @ power.T).T
  return np.log(np.maximum(mel, np.float32(_FLOOR)))


@functools.lru_cache(maxsize=8)
def _window(settings: LogMel) -> np.ndarray:
  """Weights of a frame's samples. [frame_length]."""
  offset, power = _WINDOWS[settings.window]
  n = settings.frame_length
  phase = 2.0 * np.pi * np.arange(n) / (n - 1)
  return ((offset - (1.0 - offset) * np.cos(phase)) ** power).astype(np.float32)


def _fft_size(settings: LogMel) -> int:
  """The next power of two that holds a frame."""
  return 1 << (settings.frame_length - 1).bit_length()


@functools.lru_cache(maxsize=8)
def _filters(settings: LogMel) -> scipy.sparse.csr_array:
  """Triangles that are linear in mel, [F, fft_size / 2 + 1]."""
  size = _fft_size(settings)
  high = settings.high or settings.rate / 2
  edges = np.linspace(_mel(settings.low), _mel(high), settings.bins + 2)
  bins = _mel(np.arange(size // 2 + 1) * settings.rate / size)
  left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
  rising = (bins[None] - left) / (centre - left)
  falling = (right - bins[None]) / (right - centre)
  weights = np.maximum(0.0, np.minimum(rising, falling))
  weights[:, -1] = 0.0  # Kaldi leaves half the rate itself out
  return scipy.sparse.csr_array(weights.astype(np.float32))


def _mel(hertz: float | np.ndarray) -> np.ndarray:
  return 1127.0 * np.log1p(np.asarray(hertz) / 700.0)


class Statistics:
  """Mean and deviation of every feature over frames, summed in float64."""

  def __init__(self, features: int):
    self.count = 0
    self.sum = np.zeros(features)
    self.squares = np.zeros(features)

  def add(self, frames: Float[np.ndarray, "S F"]) -> None:
    """Counts the frames of an utterance."""
    self.count += len(frames)
    self.sum += frames.sum(axis=0, dtype=np.float64)
    self.squares += np.square(frames, dtype=np.float64).sum(axis=0)

  def mean(self) -> Float[np.ndarray, " F"]:
    """Of every feature, float64."""
    return self.sum / max(self.count, 1)

  def deviation(self) -> Float[np.ndarray, " F"]:
    """Standard deviation of every feature over all frames, float64."""
    variance = self.squares / max(self.count, 1) - self.mean() ** 2
    return np.sqrt(np.maximum(variance, _SMALLEST_VARIANCE))


def stack(
  frames: Float[np.ndarray, "S F"], size: int, step: int
) -> Float[np.ndarray, "S2 SF"]:
  """Joins each frame with the `size` - 1 after it, and keeps every `step`-th.

  The last ones repeat the last frame. ceil(S / step) frames of size * F.
  """
  if not len(frames) or (size == 1 and step == 1):
    return frames
  starts = np.arange(0, len(frames), step)
  index = np.minimum(starts[:, None] + np.arange(size)[None], len(frames) - 1)
  return frames[index].reshape(len(starts), -1)


@dataclasses.dataclass(frozen=True)
class SpecAugment:
  """Masks over time and frequency (Park et al. 2019, arXiv 1904.08779).

  Attributes:
    frequency_masks: masks over features.
    frequency_width: a mask's width is uniform in 0 .. this.
    time_masks: masks over frames.
    time_width: a mask's width is uniform in 0 .. this,
    time_share: but at most this share of the utterance.
  """

  frequency_masks: int = 0
  frequency_width: int = 27
  time_masks: int = 0
  time_width: int = 40
  time_share: float = 0.2

  @property
  def masks(self) -> int:
    """Number of masks; with none, frames stay as they are."""
    return self.frequency_masks + self.time_masks

  def __call__(
    self, frames: Float[np.ndarray, "S F"], rng: np.random.Generator
  ) -> Float[np.ndarray, "S F"]:
    """A copy of normalised frames with masks of 0, which is the mean."""
    out = np.array(frames)
    length, features = out.shape
    widest = min(self.time_width, int(self.time_share * length))
    for _ in range(self.frequency_masks):
      start, end = _span(rng, min(self.frequency_width, features), features)
      out[:, start:end] = 0.0
    for _ in range(self.time_masks):
      start, end = _span(rng, widest, length)
      out[start:end] = 0.0
    return out


def _span(
  rng: np.random.Generator, widest: int, length: int
) -> tuple[int, int]:
  """Start and end of a mask, its width uniform in 0 .. `widest`."""
  width = int(rng.integers(0, widest + 1))
  start = int(rng.integers(0, length - width + 1))
  return start, start + width
