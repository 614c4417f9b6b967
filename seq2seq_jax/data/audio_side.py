"""The source side of utterances: from a line of a manifest to frames."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from seq2seq_jax import config, records, types
from seq2seq_jax.data import (
  audio,
  audio_inputs,
  features,
  frames_side,
  signals,
)

ALL = ""  # the speaker of statistics over all utterances


@dataclasses.dataclass(frozen=True)
class Settings:
  """How an utterance becomes frames; a run keeps them in its workdir.

  Attributes:
    mel: the features.
    resample: convert files of another rate.
    channel: of files with several; None: refuse them.
    normalize: mean 0 and deviation 1 by the statistics of the training set, of
      the utterance's speaker in it, of the utterance itself, or not at all. A
      speaker that training has not seen is normalised by its utterance.
    stack: frames that are joined into one,
    stack_step: and from the start of one to that of the next.
  """

  mel: features.LogMel = dataclasses.field(default_factory=features.LogMel)
  resample: bool = False
  channel: int | None = None
  normalize: Literal["global", "speaker", "utterance", "none"] = "global"
  stack: int = 1
  stack_step: int = 1


@dataclasses.dataclass(frozen=True)
class Moments:
  """Mean and deviation of every feature over `frames` frames."""

  frames: int
  mean: tuple[float, ...]
  deviation: tuple[float, ...]

  def apply(self, frames: Float[np.ndarray, "S F"]) -> np.ndarray:
    """Frames with mean 0 and deviation 1 by these moments, float32."""
    mean, deviation = np.array(self.mean), np.array(self.deviation)
    return ((frames - mean[None]) / deviation[None]).astype(np.float32)


def moments_of(statistics: features.Statistics) -> Moments:
  """The moments of counted frames."""
  return Moments(
    statistics.count,
    tuple(statistics.mean().tolist()),
    tuple(statistics.deviation().tolist()),
  )


def settings_of(section: config.Audio) -> Settings:
  """What a config says of how utterances become frames."""
  return Settings(
    features.LogMel(
      section.rate,
      section.bins,
      section.window_ms,
      section.shift_ms,
      section.low,
      section.high,
      section.window,
    ),
    section.resample,
    None if section.channel < 0 else section.channel,
    section.normalize,
    section.stack,
    section.stack_step,
  )


def masks_of(section: config.Audio) -> features.SpecAugment:
  """What a config says of masks in training."""
  return features.SpecAugment(
    section.frequency_masks,
    section.frequency_width,
    section.time_masks,
    section.time_width,
    section.time_share,
  )


class SourceAudio(frames_side.Frames):
  """A source of utterances, read and turned into frames as they are needed.

  Args:
    settings: of the features.
    moments: of the training set under ALL, or of each speaker in it.
    augment: masks of training; drawn where `encode` is handed a generator.
    reverse: the encoder reads the frames from last to first.
  """

  def __init__(
    self,
    settings: Settings,
    moments: dict[str, Moments],
    augment: features.SpecAugment | None = None,
    reverse: bool = False,
  ):
    self.settings, self.moments = settings, moments
    self.augment = augment or features.SpecAugment()
    super().__init__(settings.mel.bins * settings.stack, reverse)
    self.samples = self.augment.masks > 0
    self._reader = audio.Reader(
      settings.mel.rate, settings.resample, settings.channel
    )

  @classmethod
  def learn(
    cls,
    utterances: Iterable[audio.Utterance],
    settings: Settings,
    augment: features.SpecAugment | None = None,
    reverse: bool = False,
  ) -> "SourceAudio":
    """The side with the statistics of training utterances, each read once."""
    side = cls(settings, {}, augment, reverse)
    if settings.normalize in ("global", "speaker"):
      sums: dict[str, features.Statistics] = {}
      for utterance in utterances:
        name = ALL if settings.normalize == "global" else utterance.speaker
        if name not in sums:
          sums[name] = features.Statistics(settings.mel.bins)
        sums[name].add(side.log_mel(utterance))
      side.moments = {name: moments_of(s) for name, s in sums.items()}
    return side

  @classmethod
  def of_training(
    cls, values: Iterable[audio.Utterance], data: config.Data
  ) -> "SourceAudio":
    return cls.learn(
      values,
      settings_of(data.audio),
      masks_of(data.audio),
      data.reverse_source,
    )

  @classmethod
  def restore(
    cls, settings: dict[str, Any], data: config.Data
  ) -> "SourceAudio":
    """The side of stored settings, with the config's masks.

    Raises:
      types.UserError: the config says other features than are stored.
    """
    tree = {k: v for k, v in settings.items() if k != "kind"}
    content: _Stored = records.decode(_Stored, tree, "source.json")
    if data.is_audio() and content.settings != settings_of(data.audio):
      raise types.UserError(
        f"source.json: the run's features are {content.settings}, but "
        f"data.audio says {settings_of(data.audio)}; set it accordingly"
      )
    masks = masks_of(data.audio)
    return cls(content.settings, content.moments, masks, data.reverse_source)

  def log_mel(self, utterance: audio.Utterance) -> Float[np.ndarray, "S F"]:
    """Features of an utterance before they are normalised.

    Raises:
      types.Unreadable: the file cannot be used, or is shorter than a frame.
    """
    samples = signals.heard(self._reader.read(utterance), utterance.speed)
    frames = features.log_mel(samples, self.settings.mel)
    if not len(frames):
      raise types.Unreadable(
        f"{audio.place_of(utterance)}: has {len(samples)} samples, fewer than "
        f"a frame of {self.settings.mel.frame_length}"
      )
    return frames

  @staticmethod
  def is_blank(value: audio.Utterance) -> bool:
    return value.samples == 0

  @staticmethod
  def content(value: audio.Utterance) -> bytes:
    return audio_inputs.content(value)

  def encode(
    self, value: audio.Utterance, rng: np.random.Generator | None = None
  ) -> types.EncodedSide:
    frames = self._normalized(self.log_mel(value), value.speaker)
    if rng is not None and self.samples:
      frames = self.augment(frames, rng)
    frames = features.stack(
      frames, self.settings.stack, self.settings.stack_step
    )
    return types.EncodedSide(frames[::-1] if self.reverse else frames)

  def _normalized(
    self, frames: Float[np.ndarray, "S F"], speaker: str
  ) -> Float[np.ndarray, "S F"]:
    kind = self.settings.normalize
    if kind == "none":
      return frames
    moments = self.moments.get(ALL if kind == "global" else speaker)
    if moments is None:
      own = features.Statistics(frames.shape[1])
      own.add(frames)
      moments = moments_of(own)
    return moments.apply(frames)

  def positions(self, value: audio.Utterance) -> int:
    return -(-self.units(value) // self.settings.stack_step)

  def units(self, value: audio.Utterance) -> int:
    """Frames; by the manifest, if it says the samples at this rate."""
    if value.samples is None or self.settings.resample:
      return len(self.log_mel(value))
    return self.settings.mel.frames(signals.length(value.samples, value.speed))

  def show(self, value: audio.Utterance) -> list[str]:
    """The second at which each frame starts."""
    mel = self.settings.mel
    step = self.settings.stack_step * mel.frame_shift / mel.rate
    labels = [f"{i * step:.4g}" for i in range(self.positions(value))]
    return labels[::-1] if self.reverse else labels

  def text(self, value: audio.Utterance) -> str:
    return value.id

  def accept(self, value: Any) -> audio.Utterance:
    return audio_inputs.utterance(value, self.settings.mel.rate)

  def inputs(self, path: str | None) -> Iterator[types.Input]:
    return audio_inputs.read(path)

  @staticmethod
  def reference(value: audio.Utterance) -> str | None:
    return value.text or None

  def record(self, value: audio.Utterance) -> dict[str, Any]:
    return audio_inputs.record(value)

  def picture(self, value: audio.Utterance) -> types.Picture:
    mel = self.settings.mel
    seconds = mel.frame_shift / mel.rate
    return types.Picture(self.log_mel(value), seconds, mel.centres())

  def _settings(self) -> dict[str, Any]:
    content = dataclasses.asdict(_Stored(self.settings, self.moments))
    return {"kind": "audio", **content}


@dataclasses.dataclass(frozen=True)
class _Stored:
  """What the workdir keeps of a side."""

  settings: Settings
  moments: dict[str, Moments]
