"""The source side of utterances: from a line of a manifest to frames."""

import dataclasses
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from seq2seq_jax import config, records, types
from seq2seq_jax.data import (
  audio,
  audio_inputs,
  extraction,
  features,
  frames_side,
)

log = logging.getLogger(__name__)

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
    rounded: features are rounded to 16 bits, as those in a cache are.
  """

  mel: features.LogMel = dataclasses.field(default_factory=features.LogMel)
  resample: bool = False
  channel: int | None = None
  normalize: Literal["global", "speaker", "utterance", "none"] = "global"
  stack: int = 1
  stack_step: int = 1
  rounded: bool = False


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
    bool(section.cache),
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
    cache: folder of features; empty: none.
    skip: statistics, and a cache, go on without what cannot be used.
  """

  def __init__(
    self,
    settings: Settings,
    moments: dict[str, Moments],
    augment: features.SpecAugment | None = None,
    reverse: bool = False,
    cache: str = "",
    skip: bool = False,
  ):
    self.settings, self.moments = settings, moments
    self.augment = augment or features.SpecAugment()
    super().__init__(settings.mel.bins * settings.stack, reverse)
    self.samples = self.augment.masks > 0
    mel = settings.mel
    self.extractor = extraction.Extractor(
      mel,
      audio.Reader(mel.rate, settings.resample, settings.channel),
      rounded=settings.rounded,
      cache=cache,
      skip=skip,
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
    side.moments = side._moments(list(utterances))
    return side

  @classmethod
  def of_training(
    cls, values: Iterable[audio.Utterance], data: config.Data
  ) -> "SourceAudio":
    side, utterances = cls._of(settings_of(data.audio), {}, data), list(values)
    side.prepare(utterances)
    if count := data.audio.statistics_utterances:
      rng = np.random.default_rng((data.seed, 4))
      chosen = np.sort(rng.permutation(len(utterances))[:count])
      utterances = [utterances[i] for i in chosen]
    side.moments = side._moments(utterances)
    return side

  @classmethod
  def restore(
    cls, settings: dict[str, Any], data: config.Data
  ) -> "SourceAudio":
    """The side of stored settings, with the config's masks and cache.

    Raises:
      types.UserError: the config says other features than are stored.
    """
    tree = {k: v for k, v in settings.items() if k != "kind"}
    content: _Stored = records.decode(_Stored, tree, "source.json")
    rounded = content.settings.rounded
    if data.audio.cache and not rounded:
      raise types.UserError(
        "data.audio.cache: this run's features are not rounded, as those in a "
        "cache are; leave it empty"
      )
    # Another machine may have no cache; features are then rounded all the same.
    wanted = dataclasses.replace(settings_of(data.audio), rounded=rounded)
    if data.is_audio() and content.settings != wanted:
      raise types.UserError(
        f"source.json: the run's features are {content.settings}, but "
        f"data.audio says {wanted}; set it accordingly"
      )
    return cls._of(content.settings, content.moments, data)

  @classmethod
  def _of(
    cls, settings: Settings, moments: dict[str, Moments], data: config.Data
  ) -> "SourceAudio":
    """The side with all else as the config says."""
    return cls(
      settings,
      moments,
      masks_of(data.audio),
      data.reverse_source,
      data.audio.cache,
      data.audio.on_error == "skip",
    )

  def prepare(self, values: Iterable[audio.Utterance]) -> None:
    self.extractor.prepare(values)

  def _moments(
    self, utterances: Sequence[audio.Utterance]
  ) -> dict[str, Moments]:
    """The moments of training utterances that its normalisation needs."""
    kind = self.settings.normalize
    if kind not in ("global", "speaker"):
      return {}
    sums: dict[str, features.Statistics] = {}
    bad = 0
    for utterance in utterances:
      frames = self.extractor.read_if_usable(utterance)
      if frames is None:
        bad += 1
        continue
      name = ALL if kind == "global" else utterance.speaker
      if name not in sums:
        sums[name] = features.Statistics(self.settings.mel.bins)
      sums[name].add(frames)
    if not sums:
      raise types.UserError(
        f"data.train: none of {len(utterances):,} utterances can be used"
      )
    if bad:
      log.warning(
        f"{bad:,} of {len(utterances):,} training utterances cannot be used; "
        "their rows of a batch are filler (data.audio.on_error skip)"
      )
    return {name: moments_of(s) for name, s in sums.items()}

  def log_mel(self, utterance: audio.Utterance) -> Float[np.ndarray, "S F"]:
    """Features of an utterance before they are normalised.

    Raises:
      types.Unreadable: the file cannot be used, or is shorter than a frame.
    """
    return self.extractor.read(utterance)

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
    return self.extractor.length(value)

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
    return types.Picture(
      self.log_mel(value), seconds, mel.centres(), self.settings.stack_step
    )

  def _settings(self) -> dict[str, Any]:
    content = dataclasses.asdict(_Stored(self.settings, self.moments))
    if not self.settings.rounded:
      del content["settings"]["rounded"]  # as runs before there was a cache
    return {"kind": "audio", **content}


@dataclasses.dataclass(frozen=True)
class _Stored:
  """What the workdir keeps of a side."""

  settings: Settings
  moments: dict[str, Moments]
