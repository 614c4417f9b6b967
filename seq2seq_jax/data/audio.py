"""Utterances of a manifest, and their samples.

A manifest has a JSON object a line: `id`, `audio`, `text`, and optionally
`samples` or `duration` (seconds), `offset` (seconds), `speaker`, `channel`;
`audio_filepath` is another name for `audio`. `audio` is a file, relative to the
manifest's folder, or `archive.tar#member`. In its place `parts` may list files
and `gaps` the samples of silence before, between and behind them. Whatever is
wrong with a line or a file is a `types.UserError` that names it.
"""

import abc
import dataclasses
import io
import os
import pathlib
import tarfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from seq2seq_jax import records, types
from seq2seq_jax.data import signals


@dataclasses.dataclass(frozen=True)
class _Line:
  """A line of a manifest."""

  id: str | None = None
  audio: str | None = None
  audio_filepath: str | None = None
  text: str | None = None
  samples: int | None = None
  duration: float | None = None
  offset: float | None = None
  speaker: str | None = None
  channel: int | None = None
  parts: tuple[str, ...] = ()
  gaps: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Utterance:
  """A piece of an audio file, and what is said in it.

  Attributes:
    id: its name, unique in the manifest.
    audio: path of a file, or of an archive and a member as `a.tar#b.flac`.
    text: what is said; empty if the manifest does not say.
    samples: its length at the file's rate; None: to the end of the file.
    duration: the same in seconds, where the manifest has no samples.
    offset: where it starts, in seconds.
    speaker: empty if it is not named.
    channel: which one of the file's, from 0; None: the file has one.
    parts: recordings to be joined, as `audio`, which is then empty.
    gaps: samples before, between and behind the parts, one more than these.
    speed: at which it is heard, which `Reader` leaves to the features.
  """

  id: str
  audio: str
  text: str = ""
  samples: int | None = None
  duration: float | None = None
  offset: float = 0.0
  speaker: str = ""
  channel: int | None = None
  parts: tuple[str, ...] = ()
  gaps: tuple[int, ...] = ()
  speed: float = 1.0


def identity(utterance: Utterance) -> str:
  """A text that is equal for equal utterances alone."""
  values = {
    field.name: getattr(utterance, field.name)
    for field in dataclasses.fields(utterance)
  }
  speed = values.pop("speed")
  text = repr(tuple(values.values()))
  return text if speed == 1.0 else f"{text} at speed {speed}"


@dataclasses.dataclass(frozen=True)
class Made(Utterance, abc.ABC):
  """An utterance whose samples are made when they are needed, not read.

  Attributes:
    rate: samples a second.
  """

  rate: int = 0

  @abc.abstractmethod
  def signal(self) -> Float[np.ndarray, "..."]:
    """Samples [N] or [N, C] in [-1, 1], float32; the same at every call."""


def read_manifest(path: str | os.PathLike[str]) -> list[Utterance]:
  """The utterances of a manifest, their paths joined to its folder.

  Raises:
    types.UserError: the file cannot be read, a line is no such object, names
      no audio, or repeats an id; the message has the line's number.
  """
  place = os.fspath(path)
  try:
    content = pathlib.Path(path).read_bytes()
  except OSError as e:
    raise types.UserError(f"{place}: cannot read: {e.strerror}") from e
  return parse_manifest(content, place, pathlib.Path(path).parent)


def parse_manifest(
  content: bytes, place: str, folder: pathlib.Path
) -> list[Utterance]:
  """The same of a manifest's content, which `place` names in messages."""
  utterances = list(_utterances(content, place, folder))
  if not utterances:
    raise types.UserError(f"{place}: has no utterances")
  lines: dict[str, int] = {}
  for number, utterance in enumerate(utterances, 1):
    if utterance.id in lines:
      raise types.UserError(
        f"{place}: the id {utterance.id!r} of utterance {number} is also that "
        f"of utterance {lines[utterance.id]}"
      )
    lines[utterance.id] = number
  return utterances


def _utterances(
  content: bytes, place: str, folder: pathlib.Path
) -> Iterator[Utterance]:
  for number, text in enumerate(content.split(b"\n"), 1):
    if not text.strip():
      continue
    where = f"{place}, line {number}"
    line: _Line = records.decode(_Line, _object(text, where), where)
    audio = line.audio or line.audio_filepath or ""
    if not audio and not line.parts:
      raise types.UserError(f"{where}: names no audio file in 'audio'")
    _check_parts(line, where)
    for name in ("samples", "duration", "offset", "channel"):
      value = getattr(line, name)
      if value is not None and value < 0:
        raise types.UserError(f"{where}: {name} is negative: {value}")
    yield Utterance(
      id=line.id or f"{pathlib.Path(audio or line.parts[0]).stem}-{number}",
      audio=os.fspath(folder / audio) if audio else "",
      text=" ".join((line.text or "").split()),
      samples=line.samples,
      duration=line.duration,
      offset=line.offset or 0.0,
      speaker=line.speaker or "",
      channel=line.channel,
      parts=tuple(os.fspath(folder / part) for part in line.parts),
      gaps=line.gaps,
    )


def _check_parts(line: _Line, where: str) -> None:
  if not line.parts and not line.gaps:
    return
  if line.audio or line.audio_filepath:
    raise types.UserError(f"{where}: has both 'audio' and 'parts'; name one")
  if len(line.gaps) != len(line.parts) + 1:
    raise types.UserError(
      f"{where}: {len(line.parts)} parts need {len(line.parts) + 1} gaps, "
      f"before, between and behind them, not {len(line.gaps)}"
    )
  if any(gap < 0 for gap in line.gaps):
    raise types.UserError(f"{where}: a gap is negative")


def _object(text: bytes, where: str) -> Any:
  """A line's object, without the keys that are not ours."""
  tree = records.parse(text, where)
  if not isinstance(tree, dict):
    return tree
  names = {field.name for field in dataclasses.fields(_Line)}
  return {key: value for key, value in tree.items() if key in names}


def place_of(utterance: Utterance) -> str:
  """An utterance's file and name, for messages."""
  if utterance.audio == utterance.id:
    return utterance.id
  return f"{utterance.audio} (utterance {utterance.id})".strip()


_MISSING = (
  "audio is read with the libraries of the extra audio: "
  "pip install 'seq2seq_jax[audio]'"
)
# The energy of greater samples is infinite in float32.
_LARGEST = 1e9


class Reader:
  """Reads utterances' samples, mono and at one rate.

  Args:
    rate: samples a second that are wanted.
    resample: convert files of another rate, and do not refuse them.
    channel: of files with several, where the manifest names none; None:
      refuse them.
  """

  def __init__(
    self, rate: int, resample: bool = False, channel: int | None = None
  ):
    self.rate, self.resample, self.channel = rate, resample, channel
    self._archives: dict[str, dict[str, tuple[int, int]]] = {}

  def read(self, utterance: Utterance) -> Float[np.ndarray, " N"]:
    """Samples in [-1, 1], float32.

    Raises:
      types.Unreadable: the file is missing, damaged, of another rate or length
        than is said, has several channels, or samples that are not finite.
    """
    if utterance.parts:
      return self._joined(utterance)
    place = place_of(utterance)
    if isinstance(utterance, Made):
      rate, samples = utterance.rate, utterance.signal()
      samples = samples if samples.ndim > 1 else samples[:, None]
    else:
      samples, rate = self._file(utterance, place)
    samples = self._one_channel(samples, utterance, place)
    sound = np.abs(samples) < _LARGEST  # false of NaN
    if not np.all(sound):
      first = int(np.argmin(sound))
      finite = np.isfinite(samples[first])
      fault = "too large" if finite else "not a finite number"
      raise types.Unreadable(
        f"{place}: sample {first} is {fault}; convert the file again"
      )
    return self._at_rate(samples, rate, place)

  def _file(
    self, utterance: Utterance, place: str
  ) -> tuple[Float[np.ndarray, "N C"], int]:
    """The utterance's samples in its file, all channels, and their rate."""
    library = _soundfile()
    try:
      with library.SoundFile(self._open(utterance, place)) as file:
        return self._piece(file, utterance, place), int(file.samplerate)
    # Also Python's own errors: for a header that promises more than memory
    # holds, or a name that ends in .raw.
    except (library.SoundFileError, TypeError, ValueError, MemoryError) as e:
      reason = getattr(e, "error_string", str(e))
      raise types.Unreadable(
        f"{place}: cannot be decoded: {reason}; the file is damaged or no audio"
      ) from e

  def _joined(self, utterance: Utterance) -> Float[np.ndarray, " N"]:
    """The parts with gaps around them, all at the loudness of speech."""
    whole = dataclasses.replace(utterance, samples=None, parts=(), gaps=())
    recordings = [
      self.read(dataclasses.replace(whole, audio=part))
      for part in utterance.parts
    ]
    samples = signals.joined(recordings, utterance.gaps, utterance.id)
    if utterance.samples not in (None, len(samples)):
      raise types.Unreadable(
        f"utterance {utterance.id}: its parts have {len(samples):,} samples, "
        f"but the manifest says {utterance.samples:,}"
      )
    return samples

  def _open(self, utterance: Utterance, place: str) -> Any:
    """What soundfile opens: a path, or a member's bytes."""
    archive, mark, member = utterance.audio.partition(".tar#")
    if not mark:
      path = pathlib.Path(utterance.audio)
      try:
        if not path.is_file():
          what = "is no file" if path.exists() else "does not exist"
          raise types.Unreadable(f"{place}: {what}")
      except OSError as e:  # a folder that may not be entered, a long name
        raise types.Unreadable(f"{place}: cannot read: {e.strerror}") from e
      return utterance.audio
    path = pathlib.Path(f"{archive}.tar")
    try:
      offset, size = self._members(path)[member]
      with path.open("rb") as file:
        file.seek(offset)
        return io.BytesIO(file.read(size))
    except KeyError as e:
      raise types.Unreadable(f"{place}: {path} has no member {member}") from e
    except (OSError, tarfile.TarError) as e:
      raise types.Unreadable(f"{place}: cannot read the archive: {e}") from e

  def _members(self, path: pathlib.Path) -> dict[str, tuple[int, int]]:
    """Offset and size of an archive's files, by name; looked up once."""
    key = os.fspath(path)
    if key not in self._archives:
      # "r:" is without compression: members of others cannot be jumped to.
      with tarfile.open(path, "r:") as archive:
        self._archives[key] = {
          info.name: (info.offset_data, info.size)
          for info in archive
          if info.isfile()
        }
    return self._archives[key]

  def _piece(
    self, file: Any, utterance: Utterance, place: str
  ) -> Float[np.ndarray, "N C"]:
    """The utterance's samples at the file's rate, all channels."""
    start = round(utterance.offset * file.samplerate)
    count = utterance.samples
    tolerance = 0
    if count is None and utterance.duration is not None:
      count = round(utterance.duration * file.samplerate)
      tolerance = file.samplerate // 100  # durations are often rounded
    if start > file.frames:
      raise types.Unreadable(
        f"{place}: starts at {utterance.offset:g} s, but the file ends at "
        f"{file.frames / file.samplerate:g} s"
      )
    file.seek(start)
    # Never as integers: of a file of floats they would all be 0.
    wanted = -1 if count is None else count
    samples: np.ndarray = file.read(wanted, dtype="float32", always_2d=True)
    if count is not None and len(samples) < count - tolerance:
      raise types.Unreadable(
        f"{place}: has {len(samples):,} samples, but the manifest says "
        f"{count:,}; the file is cut short"
      )
    if not len(samples):
      raise types.Unreadable(f"{place}: has no samples")
    return samples

  def _one_channel(
    self, samples: Float[np.ndarray, "N C"], utterance: Utterance, place: str
  ) -> Float[np.ndarray, " N"]:
    channels = samples.shape[1]
    channel = utterance.channel
    if channel is None:
      channel = self.channel
    if channel is None and channels > 1:
      # Their mean may be silence: opposite phases cancel out.
      raise types.Unreadable(
        f"{place}: has {channels} channels; name one in the manifest's "
        "'channel' or in data.audio.channel"
      )
    if channel is not None and channel >= channels:
      raise types.Unreadable(
        f"{place}: has {channels} channels, and channel {channel} (from 0) is "
        "asked for"
      )
    return samples[:, channel or 0]

  def _at_rate(
    self, samples: Float[np.ndarray, " N"], rate: int, place: str
  ) -> Float[np.ndarray, " M"]:
    if rate == self.rate:
      return samples
    if not self.resample:
      raise types.Unreadable(
        f"{place}: has {rate} samples a second, but data.audio.rate is "
        f"{self.rate}; set data.audio.resample to convert it"
      )
    try:
      import soxr
    except (ImportError, OSError) as e:
      raise types.UserError(f"data.audio.resample: {_MISSING}") from e
    converted: np.ndarray = soxr.resample(samples, rate, self.rate)
    return converted


def length(path: str | os.PathLike[str]) -> int:
  """Samples of an audio file, from its header.

  Raises:
    types.UserError: it is no audio file.
  """
  library = _soundfile()
  try:
    return int(library.info(os.fspath(path)).frames)
  except library.LibsndfileError as e:
    raise types.UserError(f"{path}: cannot be decoded: {e.error_string}") from e


def _soundfile() -> Any:
  """The library that decodes audio.

  Raises:
    types.UserError: it is not installed.
  """
  try:
    import soundfile
  except (ImportError, OSError) as e:
    raise types.UserError(_MISSING) from e
  return soundfile
