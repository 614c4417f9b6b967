"""The examples of a manifest: utterances and what is said in them."""

import dataclasses
import functools
import hashlib
import os

from seq2seq_jax import types
from seq2seq_jax.data import audio, sources


class Manifest(sources.Pairs):
  """Pairs of an utterance and its text, from a manifest.

  Args:
    path: of the manifest; `audio.read_manifest` says what it holds.

  Raises:
    types.UserError: a line is wrong, or names no text.
  """

  def __init__(self, path: str | os.PathLike[str]):
    utterances = audio.read_manifest(path)
    super().__init__(
      [(utterance, utterance.text) for utterance in utterances],
      functools.partial(_place, path=path, ids=[u.id for u in utterances]),
    )
    if not any(utterance.text for utterance in utterances):
      raise types.UserError(
        f"{path}: no line has a 'text'; name what is said to train on it or "
        "to score it"
      )

  def checksum(self) -> str:
    """SHA-256 of the lines, folders apart: the data may be moved."""
    digest = hashlib.sha256()
    for utterance, text in self.pairs:
      local = dataclasses.replace(
        utterance,
        audio=_name(utterance.audio),
        parts=tuple(_name(part) for part in utterance.parts),
      )
      line = f"{audio.identity(local)}\t{text}\n"
      digest.update(line.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _name(path: str) -> str:
  """A file's name without its folder, with the member of an archive."""
  archive, mark, member = path.partition(".tar#")
  return os.path.basename(archive) + mark + member


# A function with a name, as worker processes are handed sources pickled.
def _place(i: int, path: str | os.PathLike[str], ids: list[str]) -> str:
  return f"{path}, utterance {ids[i]}"
