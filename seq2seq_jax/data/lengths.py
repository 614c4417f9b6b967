"""How long the sides of the training examples are, measured once."""

import contextlib
import hashlib
import io
import pathlib
from collections.abc import Callable

import numpy as np

from seq2seq_jax import archives, types
from seq2seq_jax.data import corpus as corpus_lib
from seq2seq_jax.data import vocabulary


def measure(
  corpus: corpus_lib.Corpus,
  vocabularies: vocabulary.Vocabularies,
  cache: pathlib.Path | None = None,
  write: Callable[[pathlib.Path, bytes], object] | None = None,
) -> np.ndarray:
  """Source and target positions of the trainable examples. [N, 2] int64.

  Texts are encoded once, which takes minutes for a large corpus; utterances are
  read only where their manifest does not say how long they are.

  Args:
    corpus: holds the training examples.
    vocabularies: encode the examples, without sampling.
    cache: file with the lengths of an earlier call; ignored if it is damaged or
      belongs to another corpus or other vocabularies.
    write: called with `cache` and its new content if it could not be used.
  """
  digest = hashlib.sha256(corpus.indices.tobytes())
  digest.update((corpus.train.checksum() + vocabularies.checksum()).encode())
  key = digest.hexdigest()
  if cache is not None and cache.is_file():
    wanted = {
      "key": archives.Wanted("U", ()),
      "lengths": archives.Wanted("i", (len(corpus.indices), 2)),
    }
    with contextlib.suppress(types.UserError):
      stored = archives.read(cache, wanted)
      if str(stored["key"]) == key:
        return stored["lengths"]
  lengths = np.zeros((len(corpus.indices), 2), np.int64)
  for n, i in enumerate(corpus.indices):
    lengths[n] = vocabularies.positions(corpus.train[int(i)])
  if cache is not None and write is not None:
    content = io.BytesIO()
    np.savez(content, key=key, lengths=lengths)
    write(cache, content.getvalue())
  return lengths
