"""Source sides of frames, and the one of feature vectors in memory."""

import abc
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from seq2seq_jax import config, types
from seq2seq_jax.data import ladder, stored


class Frames(abc.ABC):
  """What all sources of frames share, whatever their raw values are.

  Args:
    features: features F of each frame.
    reverse: the encoder reads the frames from last to first.
  """

  present: ClassVar[bool] = True
  item: ClassVar[str] = "utterance"
  unit: ClassVar[str] = "frames"
  asked: ClassVar[str] = "the name of an audio file"
  vocab_size = 0
  segmentation = None

  def __init__(self, features: int, reverse: bool = False):
    self.features, self.reverse = features, reverse
    self.marks = (0, 0)

  def prepare(self, values: Iterable[Any]) -> None:
    return None

  def length(self, encoded: types.EncodedSide) -> int:
    return len(encoded.values)

  def pad(
    self, rows: Sequence[types.EncodedSide | None], length: int
  ) -> types.PaddedSide:
    values = np.zeros((len(rows), length, self.features), np.float32)
    lengths = np.ones(len(rows), np.int32)  # a filler row is a frame of zeros
    for i, row in enumerate(rows):
      if row is not None:
        lengths[i] = len(row.values)
        values[i, : lengths[i]] = row.values
    return types.PaddedSide(values, lengths)

  def padded(self, length: int, step: int) -> int:
    return ladder.growing(length, step)

  def cut(self, positions: Any, length: int) -> Any:
    return positions[-length:] if self.reverse else positions[:length]

  def copyable(self, value: Any) -> list[str]:
    return []

  def unknown(self, value: Any) -> list[str]:
    return []

  def spelled(self, value: Any) -> list[str]:
    return self.words(value)

  def words(self, value: Any) -> list[str]:
    raise types.UserError(
      "decode.replace_unknown needs a source of words, not frames"
    )

  def checksum(self) -> str:
    return stored.checksum(self._settings())

  def dump(self) -> bytes:
    return stored.dump(self._settings())

  def accept(self, value: Any) -> Any:
    return value

  def inputs(self, path: str | None) -> Iterator[types.Input]:
    raise types.UserError(
      "the model reads arrays of frames, which no file holds: translate them "
      "in a program"
    )

  @staticmethod
  def reference(value: Any) -> str | None:
    return None

  def record(self, value: Any) -> dict[str, Any]:
    return {"source": self.text(value)}

  @abc.abstractmethod
  def text(self, value: Any) -> str:
    """A raw value as text."""

  @abc.abstractmethod
  def _settings(self) -> dict[str, Any]:
    """What is stored of the side."""


class SourceFrames(Frames):
  """A source of feature vectors [L, F] in memory, such as log-mel frames.

  Args:
    features: features F of each frame.
    reverse: the encoder reads the frames from last to first.
  """

  samples = False

  @classmethod
  def of_training(
    cls, values: Iterable[np.ndarray], data: config.Data
  ) -> "SourceFrames":
    value = next(iter(values))
    if value.ndim != 2:
      raise types.UserError(
        f"a source has the shape {value.shape}; it must have two axes, time "
        "and features"
      )
    return cls(value.shape[1], data.reverse_source)

  @classmethod
  def restore(
    cls, settings: dict[str, Any], data: config.Data
  ) -> "SourceFrames":
    """The side of stored settings."""
    return cls(settings["features"], data.reverse_source)

  @staticmethod
  def is_blank(value: np.ndarray) -> bool:
    return not len(value)

  @staticmethod
  def content(value: np.ndarray) -> bytes:
    value = np.ascontiguousarray(value)
    head = f"{value.dtype.str} {value.shape} ".encode()
    return head + hashlib.sha256(value.tobytes()).hexdigest().encode()

  def encode(
    self, value: np.ndarray, rng: np.random.Generator | None = None
  ) -> types.EncodedSide:
    if np.ndim(value) != 2 or np.shape(value)[1] != self.features:
      raise types.UserError(
        f"a source has the shape {np.shape(value)}; every source of this run "
        f"must be an array of frames with {self.features} features each"
      )
    frames = np.asarray(value, np.float32)
    return types.EncodedSide(frames[::-1] if self.reverse else frames)

  def positions(self, value: np.ndarray) -> int:
    return len(value)

  def units(self, value: np.ndarray) -> int:
    return len(value)

  def show(self, value: np.ndarray) -> list[str]:
    return [str(i) for i in range(len(value))]

  def text(self, value: np.ndarray) -> str:
    return f"{len(value)} frames"

  def picture(self, value: np.ndarray) -> types.Picture:
    return types.Picture(value, None, None)

  def _settings(self) -> dict[str, Any]:
    return {"kind": "frames", "features": self.features}
