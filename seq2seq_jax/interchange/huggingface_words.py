"""The vocabulary of a Hugging Face model: its tokenizer and its special ids."""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from seq2seq_jax import records, types
from seq2seq_jax.data import pretrained_tokenizer, tokenizers
from seq2seq_jax.interchange import (
  huggingface_config,
  pretrained_vocabulary,
)

ABSENT = pretrained_tokenizer.ABSENT
# Names of pad, BOS, EOS and unknown in the files beside a tokenizer, and what
# they are where these say nothing.
_NAMES = {
  "bert": ("pad_token", "cls_token", "sep_token", "unk_token"),
  "roberta": ("pad_token", "bos_token", "eos_token", "unk_token"),
}
_DEFAULTS = {
  "bert": ("[PAD]", "[CLS]", "[SEP]", "[UNK]"),
  "roberta": ("<pad>", "<s>", "</s>", "<unk>"),
}
_END = "<|endoftext|>"


class Words(NamedTuple):
  """A vocabulary of theirs in our order."""

  tokenizer: tokenizers.Tokenizer
  order: np.ndarray
  """[V] own id of each of our words, -1 if it has none."""
  added: np.ndarray
  """[V] True where it is no word of the model's: a special one that it lacks,
  or that another one stands for."""


def read(
  stack: huggingface_config.Stack,
  path: pathlib.Path,
  flag: str,
  start: Any = None,
  end: Any = None,
) -> Words:
  """The vocabulary of a stack.

  Args:
    stack: what config.json says of it.
    path: of the tokenizer, a folder or a file.
    flag: that names another one, for messages.
    start: own id of BOS, if the config names it.
    end: own id of EOS, likewise.

  Raises:
    types.UserError: there is no tokenizer, it is damaged, larger than the
      model, or lacks a special token.
  """
  definition = pretrained_vocabulary.definition(path)
  if definition is None:
    raise types.UserError(
      f"{path}: has no tokenizer (tokenizer.json, vocab.txt, or vocab.json and "
      f"merges.txt); name its folder with {flag}"
    )
  ids = pretrained_vocabulary.tokens(definition, path)
  size = stack.words
  most = max(ids.values(), default=-1) + 1
  if most > size:
    raise types.UserError(
      f"{path}: its tokenizer has {most} tokens, but the {stack.kind} model "
      f"{size}; name another one with {flag}"
    )
  folder = path if path.is_dir() else path.parent
  specials = _specials(stack, ids, folder)
  for n, given in ((1, start), (2, end)):
    if given is not None:
      specials[n] = _id(given, size, path)
  settings = pretrained_tokenizer.settings(definition, specials, size)
  order = pretrained_tokenizer.order(specials, size)
  added = np.zeros(len(order), bool)
  owned: set[int] = {ABSENT}
  for n in (types.EOS, types.UNK, types.PAD, types.BOS):
    added[n] = specials[n] in owned
    owned.add(specials[n])
  return Words(tokenizers.build(settings, path), order, added)


def _specials(
  stack: huggingface_config.Stack,
  ids: Mapping[str, int],
  folder: pathlib.Path,
) -> list[int]:
  """Own ids of pad, BOS, EOS and unknown."""
  if stack.kind == "gpt2":
    end = stack.fields.get("eos_token_id")
    end = ids.get(_END) if end is None else end
    if end is None:
      raise types.UserError(
        f"{folder}: neither config.json (eos_token_id) nor the tokenizer "
        f"({_END}) says which token ends a text"
      )
    end = _id(end, stack.words, folder)
    return [ABSENT, end, end, ABSENT]
  said = _said(folder)
  found = []
  defaults = _DEFAULTS[stack.kind]
  for name, default in zip(_NAMES[stack.kind], defaults, strict=True):
    token = said.get(name) or default
    if token not in ids and name != "pad_token":
      raise types.UserError(
        f"{folder}: its tokenizer has no {token}, the {name} of a {stack.kind} "
        "model"
      )
    found.append(ids.get(token, ABSENT))
  return found


def _said(folder: pathlib.Path) -> dict[str, str]:
  """Special tokens by name, as the files beside a tokenizer say."""
  found: dict[str, str] = {}
  for name in ("tokenizer_config.json", "special_tokens_map.json"):
    if not (folder / name).is_file():
      continue
    for key, value in records.read(folder / name, dict[str, Any]).items():
      token = value.get("content") if isinstance(value, dict) else value
      if key.endswith("_token") and isinstance(token, str):
        found[key] = token
  return found


def _id(value: Any, size: int, place: pathlib.Path) -> int:
  """An id of a special token."""
  value = value[0] if isinstance(value, list) and value else value
  if not isinstance(value, int) or not 0 <= value < size:
    raise types.UserError(
      f"{place}: {str(value)[:40]!r} is no id of the model's {size} tokens"
    )
  return value
