"""The vocabularies in a checkpoint of OpenNMT-py.

Version 3 stores lists; 1 and 2 store objects of torchtext, of which the reader
keeps names and states.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from seq2seq_jax import types
from seq2seq_jax.interchange import toolkit_options, toolkit_words

PAD, BOS, EOS, UNK = ("<blank>", "<pad>"), ("<s>",), ("</s>",), ("<unk>",)
_DEEP = 8  # levels of objects that are searched


class Words(NamedTuple):
  """The words of both sides."""

  source: toolkit_words.WordList
  target: toolkit_words.WordList
  start: int
  """The row that the decoder begins with."""


def read(vocab: Any, place: Any) -> Words:
  """The words of a checkpoint's `vocab`.

  Raises:
    types.UserError: it holds no lists of words.
  """
  source, target = (_listed(vocab, side, place) for side in ("src", "tgt"))
  token = "<s>"
  if isinstance(vocab, Mapping):
    token = vocab.get("decoder_start_token") or token
  if token not in target.words:
    raise types.UserError(
      f"{place}: its decoder begins with {token}, which is no target word"
    )
  return Words(source, target, list(target.words).index(token))


def _listed(vocab: Any, side: str, place: Any) -> toolkit_words.WordList:
  """The words of src or tgt."""
  value = _side(vocab, side)
  # Version 3 has the list itself, the others an object that holds it.
  found = next(_lists(value, named=isinstance(vocab, Mapping)), None)
  if found is None:
    raise types.UserError(f"{place}: its vocab has no list of {side} words")
  rows = [
    next((found.index(token) for token in tokens if token in found), None)
    for tokens in (PAD, BOS, EOS, UNK)
  ]
  return toolkit_words.WordList(
    found, toolkit_words.Specials(*rows), f"{place}, {side} words"
  )


def _side(vocab: Any, side: str) -> Any:
  """What a vocab holds of src or tgt."""
  if isinstance(vocab, Mapping):
    return vocab.get(side)
  # Version 1: pairs of name and vocabulary.
  if isinstance(vocab, Sequence) and not isinstance(vocab, str):
    for pair in vocab:
      if isinstance(pair, Sequence) and len(pair) == 2 and pair[0] == side:
        return pair[1]
  return None


def _lists(
  value: Any, depth: int = 0, named: bool = False
) -> Iterator[list[str]]:
  """Lists of words inside a value: itself, or an object's `itos`.

  Args:
    value: a list, or objects.
    depth: how deep it lies.
    named: it is known to be a list of words.
  """
  if depth > _DEEP:
    return
  if isinstance(value, (list, tuple)):
    if named and value and all(isinstance(word, str) for word in value):
      yield list(value)
      return
    for item in value:
      yield from _lists(item, depth + 1, named)
    return
  fields = toolkit_options.fields(value)
  if "itos" in fields:
    yield from _lists(fields["itos"], depth + 1, True)
    return
  for item in fields.values():
    yield from _lists(item, depth + 1)
