"""Schema: how utterances become frames, and how training masks them."""

import dataclasses
import re
from typing import Literal

from seq2seq_jax.config import fields

SLOWEST, FASTEST = 0.3, 3.0
_SPEED = re.compile(r"[0-9](\.[0-9]{1,3})?", re.ASCII)


@fields.strict
@dataclasses.dataclass(frozen=True)
class Audio:
  """How utterances become frames (data.task audio and tones)."""

  rate: int = fields.field(16000, min=100, max=10**6)
  """Samples a second; a file of another rate is an error, see `resample`."""
  bins: int = fields.field(80, min=1, max=1000)
  """Log-mel features of a frame."""
  window_ms: float = fields.field(25.0, min=1, max=1000)
  """Length of a frame."""
  shift_ms: float = fields.field(10.0, min=1, max=1000)
  """From the start of a frame to that of the next."""
  low: float = fields.field(20.0, min=0, max=10**6)
  """Lower end of the lowest filter in Hz."""
  high: float = fields.field(0.0, min=0, max=10**6)
  """Upper end of the highest filter in Hz; 0: half the rate."""
  window: Literal["povey", "hann", "hamming"] = "povey"
  """Weights of a frame's samples."""
  resample: bool = False
  """Convert files of another rate."""
  channel: int = fields.field(-1, min=-1, max=10**4)
  """Channel, from 0, of files with several; -1: they are an error, unless the
  manifest names one."""
  normalize: Literal["global", "speaker", "utterance", "none"] = "global"
  """Mean 0 and deviation 1 of every feature: by the training set's statistics,
  by those of each speaker in it (the manifest's `speaker`; of others, the
  utterance's), by each utterance's own, or not at all."""
  stack: int = fields.field(1, min=1, max=100)
  """Frames that are joined into one."""
  stack_step: int = fields.field(1, min=1, max=100)
  """From the start of one of these to that of the next."""
  frequency_masks: int = fields.field(0, min=0, max=1000)
  """SpecAugment: masks over features in training (Park et al. 2019)."""
  frequency_width: int = fields.field(27, min=0, max=1000)
  """A mask's width is uniform in 0 .. this."""
  time_masks: int = fields.field(0, min=0, max=1000)
  """SpecAugment: masks over frames in training."""
  time_width: int = fields.field(40, min=0, max=10**6)
  """A mask's width is uniform in 0 .. this,"""
  time_share: float = fields.field(0.2, min=0, max=1)
  """but at most this share of the utterance."""
  speeds: tuple[str, ...] = ("1.0",)
  """Speeds at which training hears every utterance, pitch included, each one
  more example an epoch: `0.9 1.0 1.1` (Ko et al. 2015)."""
  statistics_utterances: int = fields.field(0, min=0, max=10**10)
  """Mean and deviation are those of so many training utterances, drawn by
  `data.seed`; 0: of all."""
  on_error: Literal["fail", "skip"] = fields.mutable_on_resume("fail")
  """A file that cannot be used (missing, damaged, too short, of another rate,
  of several channels, not finite) ends the run; or `skip`: a row of training is
  filler, and an output is blank, which counts as wrong."""
  cache: str = fields.mutable_on_resume("")
  """Folder of files with the features in 16 bits, to which they are rounded
  then; each is made once and read by all later runs. Empty: none."""

  def __post_init__(self) -> None:
    fields.validate(self, "data.audio")
    nyquist = self.rate / 2
    fields.check(
      self.high <= nyquist,
      "data.audio.high",
      f"must be at most half of data.audio.rate ({nyquist:g}), not "
      f"{self.high:g}",
    )
    fields.check(
      self.low < (self.high or nyquist),
      "data.audio.low",
      f"must be below data.audio.high ({self.high or nyquist:g}), not "
      f"{self.low:g}",
    )
    fields.check(
      self.rate * min(self.shift_ms, self.window_ms) >= 2000,
      "data.audio.shift_ms",
      "a frame, and its shift, must have two samples or more",
    )
    factors = self.factors()
    fields.check(
      0 < len(set(factors)) == len(factors),
      "data.audio.speeds",
      "names no speed, or one twice: " + " ".join(self.speeds),
    )
    fields.check(
      self.normalize != "speaker" or not self.statistics_utterances,
      "data.audio.statistics_utterances",
      "a sample may miss speakers; set it 0, or data.audio.normalize global",
    )

  def features(self) -> int:
    """Features F of the frames that the encoder reads."""
    return self.bins * self.stack

  def factors(self) -> tuple[float, ...]:
    """The speeds as numbers."""
    factors = []
    for text in self.speeds:
      fields.check(
        bool(_SPEED.fullmatch(text)) and SLOWEST <= float(text) <= FASTEST,
        "data.audio.speeds",
        f"{fields.shown(text)} is not a speed from {SLOWEST} to {FASTEST} with "
        "at most three decimals",
      )
      factors.append(float(text))
    return tuple(factors)
