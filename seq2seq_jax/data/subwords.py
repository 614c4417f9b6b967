"""How SentencePiece learns a model of subwords, and the text it is handed.

Some characters mean something to SentencePiece that they do not mean to us.
"""

import io
import math
import re
from collections.abc import Iterable

from seq2seq_jax import types

BLANK = "▁"  # SentencePiece's mark of a blank, also used in `tokens`
# SentencePiece reads its mark of a blank as a blank, and learns nothing from a
# line with U+2585. They are characters like others to us, so it is handed ones
# in their place that no text holds.
_STAND_INS = {BLANK: "\ufdd1", "\u2585": "\ufdd2"}
_HIDE = str.maketrans(_STAND_INS)
_SHOW = str.maketrans({hidden: shown for shown, hidden in _STAND_INS.items()})
# Ends the names of its special pieces if the text holds the usual ones, whose
# characters it would not learn from.
_NAME_END = "\ufdd3"
_HALVES = re.compile("[\ud800-\udfff]")
# SentencePiece holds its text in memory; more lines hardly change the result.
_MAX_LINES = 5_000_000


def hidden(text: str) -> str:
  """A text as SentencePiece is handed it."""
  text = text.translate(_HIDE)
  # What a terminal sent may hold halves of characters.
  return _HALVES.sub("\ufffd", text)


def shown(text: str) -> str:
  """A text of SentencePiece's as it was before `hidden`."""
  return text.translate(_SHOW)


def train(texts: Iterable[str], kind: str, vocab_size: int) -> bytes:
  """A SentencePiece model of the texts, serialised."""
  import sentencepiece

  lines = [hidden(text) for text in texts if text]
  if not lines:
    raise types.UserError(
      f"tokenizer {kind}: the training text is empty; name files with text"
    )
  taken = any(name in line for line in lines for name in types.SPECIALS)
  names = [name + _NAME_END * taken for name in types.SPECIALS]
  out = io.BytesIO()
  try:
    sentencepiece.SentencePieceTrainer.train(
      sentence_iterator=iter(lines[:: math.ceil(len(lines) / _MAX_LINES)]),
      model_writer=out,
      model_type=kind,
      vocab_size=vocab_size,
      pad_id=types.PAD,
      bos_id=types.BOS,
      eos_id=types.EOS,
      unk_id=types.UNK,
      pad_piece=names[types.PAD],
      bos_piece=names[types.BOS],
      eos_piece=names[types.EOS],
      unk_piece=names[types.UNK],
      unk_surface=types.SPECIALS[types.UNK],
      character_coverage=1.0,
      hard_vocab_limit=False,
      normalization_rule_name="identity",
      max_sentence_length=2**24,  # bytes; the default leaves out long lines
      num_threads=1,  # with more, sums would depend on their number
      minloglevel=3,
    )
  except RuntimeError as e:
    characters = set().union(*lines) - {" "} | {BLANK}
    required = len(characters) + len(types.SPECIALS)
    if required > vocab_size:
      raise types.UserError(
        f"vocab_size: {vocab_size} is too small for {kind}: the characters "
        f"of the training text alone need {required}; raise it"
      ) from e
    raise types.UserError(
      f"tokenizer {kind}: SentencePiece cannot learn from this training "
      f"text: {e}; try another tokenizer or vocab_size"
    ) from e
  return out.getvalue()
