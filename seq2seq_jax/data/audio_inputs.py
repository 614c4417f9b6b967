"""What a trained model of speech is given: files, manifests, samples."""

import codecs
import dataclasses
import hashlib
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float

from seq2seq_jax import types
from seq2seq_jax.data import audio, text_files

_MANIFESTS = (".jsonl", ".json")  # ends of their names
_HEAD = 4096  # bytes by which a file is told
# Of integer samples, the magnitude that stands for 1.
_FULL_SCALE = {np.dtype(np.int16): 2**15, np.dtype(np.int32): 2**31}


@dataclasses.dataclass(frozen=True, eq=False)
class Recording(audio.Made):
  """An utterance in memory, as a microphone gives it.

  Attributes:
    array: samples [N] or [N, C] in [-1, 1], float32.
  """

  array: Any = dataclasses.field(default=None, repr=False)

  def signal(self) -> Float[np.ndarray, "..."]:
    return self.array


def read(path: str | None) -> Iterator[types.Input]:
  """The utterances of a manifest, or the one that an audio file is.

  A manifest's name ends in `.jsonl`, or its content begins with an object.

  Args:
    path: of the file, or `a.tar#member`; None: a manifest on standard input,
      with paths from the current folder.

  Raises:
    types.UserError: it is neither, or a line of the manifest is wrong.
  """
  if path is None:
    name, found = "standard input", _from_standard_input()
  else:
    name, found = path, _from_file(path)
  return (
    types.Input(
      utterance,
      name if name == utterance.id else f"{name}, utterance {utterance.id}",
    )
    for utterance in found
  )


def _from_standard_input() -> list[audio.Utterance]:
  content = sys.stdin.buffer.read()
  if not _begins_an_object(content):
    raise types.UserError(
      "standard input: is no manifest, which has a JSON object a line; name "
      "audio files with --input"
    )
  return audio.parse_manifest(content, "standard input", pathlib.Path())


def _from_file(path: str) -> list[audio.Utterance]:
  types.check_local("file", path)
  alone = [audio.Utterance(path, path)]
  if ".tar#" in path:
    return alone
  if reason := text_files.problem(path):
    raise types.UserError(f"{text_files.full(path)}: {reason}")
  if not pathlib.Path(path).is_file():  # <(COMMAND) of a shell: read it once
    content = pathlib.Path(path).read_bytes()
    return audio.parse_manifest(content, path, pathlib.Path())
  with open(path, "rb") as file:
    head = file.read(_HEAD)
  if path.endswith(_MANIFESTS) or _begins_an_object(head):
    return audio.read_manifest(path)
  if _is_text(head):
    raise types.UserError(
      f"{path}: is text, but this model reads audio; give audio files, or "
      "manifests of them: a JSON object a line with the key 'audio'"
    )
  return alone


def _begins_an_object(content: bytes) -> bool:
  return content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{"


def _is_text(head: bytes) -> bool:
  """True if a file that begins so holds readable characters alone."""
  try:
    # The last character may be cut in two.
    text = codecs.getincrementaldecoder("utf-8")().decode(head)
  except UnicodeDecodeError:
    return False
  return bool(text) and all(c.isprintable() or c.isspace() for c in text)


def utterance(value: Any, rate: int) -> audio.Utterance:
  """A source of a program, such as a file's name or samples, as an utterance.

  Args:
    value: an utterance; the path of an audio file; samples [N], floats in
      [-1, 1] or integers of 16 or 32 bits; or samples and their rate, as
      `soundfile.read` returns them. A blank path is an utterance without
      samples.
    rate: of samples alone.

  Raises:
    types.UserError: it is none of them.
  """
  if isinstance(value, audio.Utterance):
    return value
  if isinstance(value, str | os.PathLike):
    path = os.fspath(value)
    return audio.Utterance(path, path, samples=None if path.strip() else 0)
  if isinstance(value, tuple | list) and len(value) == 2:
    value, rate = value
  if not isinstance(value, np.ndarray) or not isinstance(
    rate, int | np.integer
  ):
    raise types.UserError(
      f"a source is {type(value).__name__}, but this model reads speech: give "
      "the path of an audio file, an utterance of a manifest, an array of "
      "samples, or a pair of samples and their rate"
    )
  return _recording(value, int(rate))


def _recording(signal: np.ndarray, rate: int) -> Recording:
  scale = _FULL_SCALE.get(signal.dtype)
  if signal.ndim not in (1, 2) or not (scale or signal.dtype.kind == "f"):
    raise types.UserError(
      f"samples are {signal.dtype} of shape {signal.shape}; they must be "
      "floats in [-1, 1], or integers of 16 or 32 bits, of shape [N] or "
      "[N, channels]"
    )
  samples = signal.astype(np.float32) / np.float32(scale or 1)
  name = f"{len(signal):,} samples"
  return Recording(name, "", samples=len(signal), array=samples, rate=rate)


def content(value: audio.Utterance) -> bytes:
  """Bytes that are equal for equal utterances alone."""
  if isinstance(value, Recording):
    samples = hashlib.sha256(value.array.tobytes()).hexdigest()
    value = dataclasses.replace(value, array=(value.array.shape, samples))
  return audio.identity(value).encode("utf-8", "surrogatepass")


def record(value: audio.Utterance) -> dict[str, Any]:
  """What a line of an output file says of an utterance."""
  line: dict[str, Any] = {"source": value.id}
  if value.audio or value.parts:
    line["audio"] = value.audio or list(value.parts)
  if value.text:
    line["reference"] = value.text
  return line
