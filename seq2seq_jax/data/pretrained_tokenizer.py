"""Tokenizers of pretrained models, by the package tokenizers.

The whole definition (the content of a tokenizer.json) is part of the settings,
so that a run needs nothing else. The model's own ids are put in another order:
first the four of `types.SPECIALS`, then all others as they stand.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from seq2seq_jax import types
from seq2seq_jax.data import tokenizers

KIND = "pretrained"
ABSENT = -1
"""In place of the id of a special token that a model does not have."""


class Pretrained(tokenizers.Tokenizer):
  """The tokenizer of a pretrained model.

  Text that looks like a special token is text, and nothing is added to it or
  cut from it, whatever the definition says.
  """

  def __init__(self, settings: dict[str, Any]):
    specials, size = settings["specials"], settings["size"]
    self._order = order(specials, size)
    self._model = _model(settings["definition"])
    known = self._model.get_vocab_size(with_added_tokens=True)
    if known > size:
      raise ValueError(f"it has {known} tokens, but the model {size}")
    pieces = [self._model.id_to_token(i) for i in self._order[4:]]
    shown = [f"<unused {i}>" if p is None else p for i, p in enumerate(pieces)]
    super().__init__(settings, [*types.SPECIALS, *shown])
    # No text is pad, BOS or EOS.
    self._new = np.full(size, types.UNK, np.int32)
    self._new[self._order[4:]] = np.arange(4, len(self.pieces), dtype=np.int32)

  def own_ids(self, ids: Sequence[int] | np.ndarray) -> list[int]:
    """The model's own ids; `ABSENT` for a special one that it lacks."""
    return self._order[np.asarray(ids, np.int64)].tolist()

  def _encode(self, text: str) -> Sequence[int]:
    # What a terminal sent may hold halves of characters.
    text = text.encode("utf-8", "replace").decode("utf-8")
    own = self._model.encode(text, add_special_tokens=False).ids
    return self._new[np.array(own, np.int64)].tolist()

  def _sample(self, text: str, rng: np.random.Generator) -> Sequence[int]:
    del rng  # it has only one segmentation
    return self._encode(text)

  def _join(self, pieces: Sequence[str]) -> str:
    decoder = self._model.decoder
    text = " ".join(pieces) if decoder is None else decoder.decode(pieces)
    return text.removeprefix(" ")


def order(specials: Sequence[int], size: int) -> np.ndarray:
  """The model's own id of each of ours; `ABSENT` if it has none. [V] int64.

  Args:
    specials: own ids of pad, BOS, EOS and unknown; one may stand for several.
    size: of the model's own vocabulary.
  """
  rest = [i for i in range(size) if i not in set(specials)]
  return np.array([*specials, *rest], np.int64)


def settings(
  definition: str, specials: Sequence[int], size: int
) -> dict[str, Any]:
  """Settings that `tokenizers.build` takes.

  Args:
    definition: content of a tokenizer.json.
    specials: as in `order`.
    size: as in `order`.
  """
  return {
    "kind": KIND,
    "lowercase": False,
    "sampling": 0.0,
    "definition": definition,
    "specials": list(specials),
    "size": size,
  }


def vocabulary(definition: str) -> dict[str, int]:
  """Own ids of all tokens of a definition.

  Raises:
    ValueError: it is damaged.
  """
  return dict(_model(definition).get_vocab(with_added_tokens=True))


def library() -> Any:
  """The package tokenizers.

  Raises:
    types.UserError: it is not installed.
  """
  try:
    import tokenizers as package
  except ImportError as e:
    raise types.UserError(
      "tokenizers is not installed, and this vocabulary is a pretrained "
      "model's; install it with pip install 'seq2seq_jax[pretrained]'"
    ) from e
  return package


def _model(definition: str) -> Any:
  """A tokenizer of the package that neither pads, cuts nor adds."""
  try:
    model = library().Tokenizer.from_str(definition)
  except Exception as e:  # the package raises Exception itself
    raise ValueError(str(e)) from e
  model.no_padding()
  model.no_truncation()
  model.encode_special_tokens = True
  return model
