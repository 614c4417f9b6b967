"""From an utterance to its features: read, at its speed, or out of a cache."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float

from seq2seq_jax import types
from seq2seq_jax.data import audio, feature_cache, features, signals, skipped

_WAY_OUT = "data.audio.on_error skip goes on without such utterances"


class Extractor:
  """Makes the features of utterances. Picklable.

  Args:
    mel: what the features are made of.
    reader: of their samples.
    rounded: features are rounded to 16 bits, whether a cache has them or not.
    cache: folder with those of whole sets of utterances; empty: none.
    skip: go on without utterances that cannot be used, where many are read.

  Attributes:
    skipped: those of them.
  """

  def __init__(
    self,
    mel: features.LogMel,
    reader: audio.Reader,
    *,
    rounded: bool = False,
    cache: str = "",
    skip: bool = False,
  ):
    self.mel, self.reader = mel, reader
    self.rounded, self.cache, self.skip = rounded, cache, skip
    self.skipped = skipped.Skipped()
    self._stores: list[feature_cache.Store] = []

  def prepare(self, utterances: Iterable[audio.Utterance]) -> None:
    """Has the features of these utterances in the cache, if there is one.

    Those that are skipped are told where they are read.

    Raises:
      types.UserError: an utterance cannot be used, or the cache not be written.
    """
    if not self.cache:
      return
    types.check_local("data.audio.cache", self.cache)
    stored = [u for u in utterances if u.audio or u.parts]
    if not stored:
      return
    settings = f"{self.mel} {self.reader.resample} {self.reader.channel}"
    store = feature_cache.opened(
      self.cache, settings, self.mel.bins, stored, self._measured_if_usable
    )
    if store.path not in [known.path for known in self._stores]:
      self._stores.append(store)

  def read(self, utterance: audio.Utterance) -> Float[np.ndarray, "S F"]:
    """Features of an utterance, float32.

    Raises:
      types.Unreadable: it cannot be used.
    """
    if not self.rounded:
      return self._measured(utterance)
    frames = self._stored(utterance)
    if frames is None:  # a run has rounded ones in all its parts
      frames = self._measured(utterance).astype(np.float16)
    return frames.astype(np.float32)

  def read_if_usable(
    self, utterance: audio.Utterance
  ) -> Float[np.ndarray, "S F"] | None:
    """The same; None of one that cannot be used and is skipped."""
    try:
      return self.read(utterance)
    except types.Unreadable as e:
      if not self.skip:
        raise
      self.skipped.add(e)
      return None

  def length(self, utterance: audio.Utterance) -> int:
    """Frames; as the manifest says, if it says the samples at this rate.

    At least 1, as many as a filler has.
    """
    if utterance.samples is not None and not self.reader.resample:
      samples = signals.length(utterance.samples, utterance.speed)
      return max(1, self.mel.frames(samples))
    name = feature_cache.name_of(utterance) if self._stores else 0
    for store in self._stores:
      if count := store.length(name):
        return count
    frames = self.read_if_usable(utterance)
    return 1 if frames is None else len(frames)

  def _stored(
    self, utterance: audio.Utterance
  ) -> Float[np.ndarray, "S F"] | None:
    """Features in 16 bits that a cache has; None if none does."""
    if not self._stores:
      return None
    name = feature_cache.name_of(utterance)
    found = (store.read(name) for store in self._stores)
    return next((frames for frames in found if frames is not None), None)

  def _measured_if_usable(
    self, utterance: audio.Utterance
  ) -> Float[np.ndarray, "S F"] | None:
    try:
      return self._measured(utterance)
    except types.Unreadable:
      if not self.skip:
        raise
      return None

  def _measured(self, utterance: audio.Utterance) -> Float[np.ndarray, "S F"]:
    """Features of an utterance from its file."""
    try:
      samples = self.reader.read(utterance)
    except types.Unreadable as e:
      raise types.Unreadable(e.reason, way_out=_WAY_OUT) from e
    samples = signals.heard(samples, utterance.speed)
    frames = features.log_mel(samples, self.mel)
    if not len(frames):
      raise types.Unreadable(
        f"{audio.place_of(utterance)}: has {len(samples)} samples, fewer than "
        f"a frame of {self.mel.frame_length} (data.audio.window_ms)",
        way_out=_WAY_OUT,
      )
    return frames
