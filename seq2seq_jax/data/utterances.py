"""The examples of manifests: utterances and what is said in them."""

import dataclasses
import functools
import hashlib
import os

from seq2seq_jax import types
from seq2seq_jax.data import audio, sources


class Manifests(sources.Pairs):
  """Pairs of an utterance and its text, from one manifest or several.

  Args:
    paths: of the manifests, in their order; `audio.read_manifest` says what
      one holds.

  Raises:
    types.UserError: a line is wrong, no line of a manifest has a text, or two
      manifests have an utterance of the same id.
  """

  def __init__(self, *paths: str | os.PathLike[str]):
    pairs: list[sources.Pair] = []
    places: dict[str, str] = {}  # manifest of each id
    for path in paths:
      utterances = audio.read_manifest(path)
      if not any(utterance.text for utterance in utterances):
        raise types.UserError(
          f"{path}: no line has a 'text'; name what is said to train on it or "
          "to score it"
        )
      for utterance in utterances:
        if utterance.id in places:
          raise types.UserError(
            f"{path}: {places[utterance.id]} has an utterance {utterance.id} "
            "as well; give one of them another id"
          )
        places[utterance.id] = os.fspath(path)
        pairs.append((utterance, utterance.text))
    super().__init__(
      pairs, functools.partial(_place, places=list(places.items()))
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
def _place(i: int, places: list[tuple[str, str]]) -> str:
  name, path = places[i]
  return f"{path}, utterance {name}"
