"""Text to ids and back: words, characters, SentencePiece's BPE and unigram.

The ids of `types.SPECIALS` are the same in every vocabulary, and no text is
ever encoded as pad, BOS or EOS: a text `</s>` is text like any other.

Blanks are what `str.split` splits at. Every tokenizer leaves out those before
and after a text. Between words, that of words takes any run of them as one;
subwords do so with runs of U+0020 and keep other blanks as characters; that of
characters keeps all.
"""

import abc
import base64
import bisect
import collections
import math
import os
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from seq2seq_jax import types
from seq2seq_jax.data import normal_form, stored, subwords

KINDS = ("word", "char", "bpe", "unigram")  # that can be trained
_SILENT = (types.PAD, types.BOS, types.EOS)
_MAX_CACHED_WORDS = 20_000
_UNK_PENALTY = 10.0  # SentencePiece's: below the worst score of its pieces
# For each prefix of a word: possible starts of its last piece, and their
# cumulative weights.
Lattice = list[tuple[list[int], list[float]]]


class Tokenizer(abc.ABC):
  """Converts text to ids and back; returned by `train` and `load`.

  Immutable and picklable.

  Attributes:
    kind: word, char, bpe, unigram or pretrained.
    lowercase: text is lower-cased before it is split.
    form, drop_invisible: its normal form, see `normal_form.normal`.
    sampling: strength of subword regularisation; with 0, `encode_sampled`
      equals `encode`.
    pieces: text of each id.
  """

  def __init__(self, settings: dict, pieces: Sequence[str]):
    self.kind: str = settings["kind"]
    self.lowercase: bool = settings["lowercase"]
    self.sampling: float = settings["sampling"]
    self.form: normal_form.Form = settings.get("normal_form", "none")
    self.drop_invisible: bool = settings.get("drop_invisible", False)
    self.pieces = tuple(pieces)
    self._settings = settings

  @property
  def vocab_size(self) -> int:
    """Number of ids, the four special ones included."""
    return len(self.pieces)

  def encode(self, text: str) -> np.ndarray:
    """Ids of a text, without BOS and EOS. [L] int32."""
    return np.array(self._encode(self.clean(text)), np.int32)

  def encode_sampled(self, text: str, rng: np.random.Generator) -> np.ndarray:
    """Ids of a random segmentation if `sampling` is not 0. [L] int32.

    The result depends only on the text and on the state of `rng`.
    """
    if not self.sampling:
      return self.encode(text)
    return np.array(self._sample(self.clean(text), rng), np.int32)

  def normal(self, text: str) -> str:
    """A text in the normal form of this side, its case as it is."""
    return normal_form.normal(text, self.form, self.drop_invisible)

  def clean(self, text: str) -> str:
    """A text as it is split: normal, lower-cased, without outer blanks."""
    return clean(text, self.lowercase, self.form, self.drop_invisible)

  def words(self, text: str) -> list[str]:
    """The words of a text, one for each id of `encode`.

    Raises:
      types.UserError: the tokenizer is not one of words.
    """
    if self.kind != "word":
      raise types.UserError(
        f"tokenizer {self.kind} does not split into words; use tokenizer word"
      )
    return self.clean(text).split()

  def decode(self, ids: Sequence[int] | np.ndarray) -> str:
    """Text of ids, without pad, BOS and EOS; unknown words are `<unk>`."""
    ids = np.asarray(ids).tolist()
    return self._join([self.pieces[i] for i in ids if i not in _SILENT])

  def tokens(self, ids: Sequence[int] | np.ndarray) -> list[str]:
    """One string for each id, special ones included; a blank is `▁`."""
    return [
      self.pieces[i].replace(" ", subwords.BLANK) for i in np.asarray(ids)
    ]

  def checksum(self) -> str:
    """SHA-256 of the settings, as 64 hexadecimal digits."""
    return stored.checksum(self._settings)

  def dump(self) -> bytes:
    """The content of a file that `load` reads."""
    return stored.dump(self._settings)

  @abc.abstractmethod
  def _encode(self, text: str) -> Sequence[int]:
    """Ids of a clean text."""

  @abc.abstractmethod
  def _sample(self, text: str, rng: np.random.Generator) -> Sequence[int]:
    """Ids of a random segmentation of a clean text."""

  @abc.abstractmethod
  def _join(self, pieces: Sequence[str]) -> str:
    """Text of pieces."""

  def __reduce__(self) -> tuple:
    return build, (self._settings,)


class _Table(Tokenizer):
  """A table of symbols, which are words or characters."""

  def __init__(self, settings: dict):
    super().__init__(settings, types.SPECIALS + tuple(settings["symbols"]))
    first = len(types.SPECIALS)
    self._ids = {p: i for i, p in enumerate(self.pieces) if i >= first}

  def _encode(self, text: str) -> Sequence[int]:
    get = self._ids.get
    symbols = text.split() if self.kind == "word" else text
    return [get(symbol, types.UNK) for symbol in symbols]

  def _sample(self, text: str, rng: np.random.Generator) -> Sequence[int]:
    del rng  # words and characters have only one segmentation
    return self._encode(text)

  def _join(self, pieces: Sequence[str]) -> str:
    return (" " if self.kind == "word" else "").join(pieces)


class _Subwords(Tokenizer):
  """A SentencePiece model.

  SentencePiece's sampling draws from a generator of the thread, which cannot be
  repeated; ours draws only from the `rng` argument. It segments one word at a
  time, as no piece spans a blank.
  """

  def __init__(self, settings: dict):
    import sentencepiece

    model = base64.b64decode(settings["model"], validate=True)
    self._model = sentencepiece.SentencePieceProcessor(model_proto=model)
    ids = range(len(self._model))
    ordinary = ids[len(types.SPECIALS) :]
    pieces = [self._model.id_to_piece(i) for i in ordinary]
    super().__init__(settings, [*types.SPECIALS, *pieces])
    self._check_specials()
    self._ids = {self.pieces[i]: i for i in ordinary}
    self._scores = {self.pieces[i]: self._model.get_score(i) for i in ordinary}
    self._longest_piece = max(map(len, self._ids))
    self._unk_score = min(self._scores.values()) - _UNK_PENALTY
    self._lattices: dict[str, Lattice] = {}  # by word

  def _check_specials(self) -> None:
    """Raises ValueError if the model has other special ids than all have."""
    model = self._model
    found = (model.pad_id(), model.bos_id(), model.eos_id(), model.unk_id())
    if found != (types.PAD, types.BOS, types.EOS, types.UNK):
      raise ValueError(
        f"its model has pad, BOS, EOS and unknown at the ids {found}"
      )

  def tokens(self, ids: Sequence[int] | np.ndarray) -> list[str]:
    return [subwords.shown(token) for token in super().tokens(ids)]

  def _encode(self, text: str) -> Sequence[int]:
    return self._model.encode(subwords.hidden(text))

  def _join(self, pieces: Sequence[str]) -> str:
    text = "".join(pieces).replace(subwords.BLANK, " ").removeprefix(" ")
    return subwords.shown(text)

  def _sample(self, text: str, rng: np.random.Generator) -> Sequence[int]:
    pieces: list[str] = []
    # Python's generator draws one number at a time much faster than NumPy's.
    draw = random.Random(int(rng.integers(2**63))).random
    segment = self._drop_merges if self.kind == "bpe" else self._draw_path
    for word in _words(self._model.normalize(subwords.hidden(text))):
      pieces += segment(word, draw)
    ids = [self._ids.get(piece, types.UNK) for piece in pieces]
    # As in SentencePiece's encoding, a run of unknown characters is one id.
    return [
      token
      for i, token in enumerate(ids)
      if token != types.UNK or i == 0 or ids[i - 1] != types.UNK
    ]

  def _drop_merges(self, word: str, draw: Callable[[], float]) -> list[str]:
    """Pieces of a word by BPE-dropout (Provilkov et al. 2020, algorithm 1).

    At each step every possible merge is dropped with probability `sampling`,
    and the best of the others is applied, until none is possible. A piece's
    score is minus its rank among the merges: earlier ones are better.
    """
    pieces, score, drop = list(word), self._scores.get, self.sampling
    while True:
      best, position = -math.inf, -1
      for i in range(len(pieces) - 1):
        rank = score(pieces[i] + pieces[i + 1])
        if rank is not None and draw() >= drop and rank > best:
          best, position = rank, i
      if position < 0:
        return pieces
      merged = pieces[position] + pieces[position + 1]
      pieces[position : position + 2] = [merged]

  def _draw_path(self, word: str, draw: Callable[[], float]) -> list[str]:
    """Pieces of a word drawn from P(x) ∝ exp(α Σ score(x_i)).

    Kudo 2018, section 3.1, over all segmentations: forward filtering, then
    sampling from the end (α is `sampling`).
    """
    lattice = self._lattices.get(word)
    if lattice is None:
      lattice = self._lattice(word)
      if len(self._lattices) < _MAX_CACHED_WORDS:
        self._lattices[word] = lattice
    pieces, end = [], len(word)
    while end:
      # The start of the last piece of word[:end], drawn in proportion to the
      # weight of all segmentations with it.
      starts, cumulative = lattice[end - 1]
      i = bisect.bisect_right(cumulative, draw() * cumulative[-1])
      start = starts[min(i, len(starts) - 1)]
      pieces.append(word[start:end])
      end = start
    return pieces[::-1]

  def _lattice(self, word: str) -> Lattice:
    """The starts of the last piece of each prefix, with cumulative weights.

    The weight of a start is the weight of the piece times the sum over all
    segmentations before it, by forward filtering in the log domain.
    """
    log_totals = [0.0]  # of all segmentations of each prefix
    lattice: Lattice = []
    for end in range(1, len(word) + 1):
      starts: list[int] = []
      logs: list[float] = []
      for start in range(max(0, end - self._longest_piece), end):
        score = self._scores.get(word[start:end])
        if score is None and start == end - 1:
          score = self._unk_score
        if score is not None:
          starts.append(start)
          logs.append(log_totals[start] + self.sampling * score)
      top = max(logs)
      weights = [math.exp(x - top) for x in logs]
      cumulative = np.cumsum(weights).tolist()
      log_totals.append(top + math.log(cumulative[-1]))
      lattice.append((starts, cumulative))
    return lattice


def train(
  texts: Iterable[str],
  *,
  kind: str,
  vocab_size: int,
  min_count: int = 1,
  lowercase: bool = False,
  sampling: float = 0.0,
  form: normal_form.Form = "none",
  drop_invisible: bool = False,
) -> Tokenizer:
  """Trains a tokenizer; the same texts in the same order give the same one.

  Args:
    texts: training texts.
    kind: word (split at blanks), char, bpe or unigram.
    vocab_size: largest vocabulary, the four special ids included; a small
      corpus gives a smaller one.
    min_count: rarer words and characters are left out (word and char).
    lowercase: lower-case all text, in training and in encoding.
    sampling: strength of subword regularisation (bpe and unigram).
    form, drop_invisible: normal form of all text, see `normal_form.normal`.

  Raises:
    types.UserError: the texts are empty, no symbol is frequent enough, or
      `vocab_size` is too small for every character (bpe and unigram).
  """
  if kind == "pretrained":
    raise types.UserError(
      "tokenizer pretrained: name the model's workdir in data.vocabulary"
    )
  if kind not in KINDS:
    raise types.UserError(
      f"tokenizer: {kind!r} is not one of {', '.join(KINDS)}"
    )
  texts = (clean(text, lowercase, form, drop_invisible) for text in texts)
  settings: dict[str, Any] = {
    "kind": kind,
    "lowercase": lowercase,
    "sampling": sampling,
  }
  # Not stored where it changes nothing: the checksum is part of identities.
  if form != "none":
    settings["normal_form"] = form
  if drop_invisible:
    settings["drop_invisible"] = drop_invisible
  if kind in ("bpe", "unigram"):
    model = subwords.train(texts, kind, vocab_size)
    return build(settings | {"model": base64.b64encode(model).decode()})
  counts: collections.Counter[str] = collections.Counter()
  for text in texts:
    counts.update(text.split() if kind == "word" else text)
  if not counts:
    raise types.UserError(
      f"tokenizer {kind}: the training text is empty; name files with text"
    )
  ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
  limit = max(0, vocab_size - len(types.SPECIALS))
  symbols = [s for s, n in ranked[:limit] if n >= min_count]
  if not symbols:
    raise types.UserError(
      f"tokenizer {kind}: none of {len(counts)} symbols is frequent enough; "
      f"the most frequent occurs {max(counts.values(), default=0)} times in "
      "training; lower min_count or raise vocab_size"
    )
  return build(settings | {"symbols": symbols})


def load(path: str | os.PathLike[str]) -> Tokenizer:
  """The tokenizer in a file written with `Tokenizer.dump`.

  Raises:
    types.UserError: the file is missing, damaged, of another version, or holds
      another side than one of text.
  """
  settings = stored.load(path)
  if settings["kind"] not in (*KINDS, "pretrained"):
    raise stored.damaged(
      path, f"it holds a side of kind {settings['kind']!r}, not a tokenizer"
    )
  return build(settings, path)


def build(
  settings: dict[str, Any], path: str | os.PathLike[str] = "tokenizer"
) -> Tokenizer:
  """The tokenizer of stored settings.

  Raises:
    types.UserError: the settings are damaged; the message names `path`.
  """
  try:
    return _class_of(settings)(settings)
  except stored.DAMAGE as e:
    raise stored.damaged(path, e) from e


def _class_of(settings: dict[str, Any]) -> Callable[[dict], Tokenizer]:
  from seq2seq_jax.data import pretrained_tokenizer  # needs this module

  if "definition" in settings:
    return pretrained_tokenizer.Pretrained
  return _Subwords if "model" in settings else _Table


def clean(
  text: str,
  lowercase: bool = False,
  form: normal_form.Form = "none",
  drop_invisible: bool = False,
) -> str:
  """A text in its normal form, lower-cased, without outer blanks."""
  text = normal_form.normal(text, form, drop_invisible)
  if lowercase:
    # Lower-casing may leave the normal form.
    text = normal_form.normal(text.lower(), form, False)
  return text.strip()


def _words(text: str) -> list[str]:
  """Splits a normalised text before every blank, which starts its word."""
  first, *rest = text.split(subwords.BLANK)
  return ([first] if first else []) + [subwords.BLANK + part for part in rest]
