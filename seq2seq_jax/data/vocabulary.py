"""The vocabularies of a run: trained, stored, loaded, and used to encode."""

import hashlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from seq2seq_jax import config, contracts, types
from seq2seq_jax.data import corpus as corpus_lib
from seq2seq_jax.data import sides, stored, tokenizers

SOURCE_FILE, TARGET_FILE = "source.json", "target.json"


class Vocabularies:
  """The source side and the target side of a run's examples.

  Immutable and picklable.

  Args:
    source: side that the encoder reads.
    target: side that the decoder writes.
    joint: both sides share one vocabulary.
  """

  def __init__(
    self,
    source: contracts.Side,
    target: sides.TargetText,
    joint: bool = False,
  ):
    self.source, self.target, self.joint = source, target, joint

  def __repr__(self) -> str:
    source, target = self.sizes
    return f"Vocabularies(source={source}, target={target})"

  @property
  def copies(self) -> bool:
    """True if encoded sides also hold ids of the extended vocabulary."""
    return self.target.copies

  @property
  def sizes(self) -> tuple[int | None, int]:
    """Vocabulary sizes of source (None: no source, 0: frames) and target."""
    return self.source.vocab_size, self.target.vocab_size

  def encode(
    self, pair: tuple[Any, str], rng: np.random.Generator | None = None
  ) -> types.EncodedPair:
    """An example as arrays, with random segmentations if `rng` is not None."""
    source = self.source.encode(pair[0], rng)
    copyable = self.source.copyable(pair[0])
    return types.EncodedPair(source, self.target.encode(pair[1], rng, copyable))

  def lengths(self, pair: types.EncodedPair) -> tuple[int, int]:
    """Source and target positions, EOS included."""
    return self.source.length(pair.source), self.target.length(pair.target)

  def positions(self, pair: tuple[Any, str]) -> tuple[int, int]:
    """`lengths` of an example that is not encoded yet, by the cheapest way."""
    if self.copies:  # the target's ids depend on the source's words
      return self.lengths(self.encode(pair))
    return self.source.positions(pair[0]), self.target.positions(pair[1])

  def target_text(
    self,
    ids: Sequence[int] | np.ndarray,
    source: Any = None,
    attended: Sequence[int] | np.ndarray | None = None,
  ) -> str:
    """Text of output ids.

    Args:
      ids: output ids; those from V on are words copied from `source`.
      source: raw value of the source.
      attended: the source position most attended to at each output; its word,
        in its own spelling, replaces an unknown one (Luong et al. 2015).
    """
    tokenizer, size = self.target.tokenizer, self.target.vocab_size
    if attended is None and not any(i >= size for i in ids):
      return tokenizer.decode(ids)
    copyable = self.source.copyable(source)
    source_words = self.source.spelled(source) if attended is not None else []
    words = []
    for n, i in enumerate(int(i) for i in ids):
      if i in (types.PAD, types.BOS, types.EOS):
        continue
      word = copyable[i - size] if i >= size else tokenizer.decode([i])
      if i == types.UNK and attended is not None:
        position = attended[n]
        if position < len(source_words):  # else it is the source's EOS
          word = source_words[position]
      words.append(word)
    return " ".join(words)

  def target_tokens(
    self, ids: Sequence[int] | np.ndarray, source: Any
  ) -> list[str]:
    """One string for each output id, copied words included."""
    tokenizer, size = self.target.tokenizer, self.target.vocab_size
    copyable = self.source.copyable(source)
    return [
      copyable[i - size] if i >= size else tokenizer.tokens([i])[0]
      for i in (int(i) for i in ids)
    ]

  def check_features(self, input_features: int) -> None:
    """Checks the number of features that the model reads.

    Args:
      input_features: features F of each frame; 0 if the model reads ids.

    Raises:
      types.UserError: the sources have another number of features.
    """
    if self.source.features == input_features:
      return
    available = (
      f"frames with {self.source.features} features"
      if self.source.features
      else "no frames of audio"
    )
    raise types.UserError(
      f"model.encoder.features is {input_features}, but the sources of the "
      f"data hold {available}; set it to {self.source.features}, or "
      "choose other data"
    )

  def difference(self, other: "Vocabularies") -> str | None:
    """Why models with the two cannot make an ensemble; None if they can."""
    if self.checksum() != other.checksum():
      return "their vocabularies differ"
    if self.source.reverse != other.source.reverse:
      return "data.reverse_source differs, and they read one source"
    if self.source.marks != other.source.marks:
      return "data.source_ends differs, and they read one source"
    if self.copies != other.copies:
      return "only one of them copies words of the source"
    return None

  def checksum(self) -> str:
    """SHA-256 of both sides, as 64 hexadecimal digits."""
    sums = [side.checksum() for side in (self.source, self.target)]
    return hashlib.sha256(" ".join(filter(None, sums)).encode()).hexdigest()

  def checksums(self) -> dict[str, str]:
    """SHA-256 of each side, which a checkpoint can be tied to."""
    return {
      "source": self.source.checksum(),
      "target": self.target.checksum(),
    }

  def reference(self, text: str) -> str:
    """A reference in the normal form in which outputs are written."""
    return self.target.tokenizer.normal(text)

  def files(self) -> dict[str, bytes]:
    """Name and content of the files that `load` reads.

    A joint vocabulary is one file.
    """
    contents = {TARGET_FILE: self.target.dump()}
    if not self.joint:
      contents[SOURCE_FILE] = self.source.dump()
    return contents


def train(
  data: config.Data, corpus: corpus_lib.Corpus, copies: bool = False
) -> Vocabularies:
  """Vocabularies trained on the training examples.

  Args:
    data: settings of the tokenizers.
    corpus: holds the training examples.
    copies: the model copies words of the source.
  """

  def texts(side: int) -> Iterator[str]:
    return (corpus.train[int(i)][side] for i in corpus.once)

  source_side = _without_vocabulary(data, corpus)
  if source_side is not None:
    target = _train_tokenizer(data.target, texts(1))
    return Vocabularies(source_side, sides.TargetText(target))
  if data.joint:
    both = (text for side in (0, 1) for text in texts(side))
    source = target = _train_tokenizer(data.source, both)
  else:
    source = _train_tokenizer(data.source, texts(0))
    target = _train_tokenizer(data.target, texts(1))
  return _of_texts(source, target, data, copies)


def for_new_run(
  data: config.Data, corpus: corpus_lib.Corpus, copies: bool = False
) -> Vocabularies:
  """The vocabularies of the run `data.vocabulary`; if it is empty, new ones.

  A language model takes that run's target side alone, whatever its sources are.
  `data.vocabulary_sides` may take one side alone too.

  Raises:
    types.UserError: that run's vocabularies contradict the config.
  """
  if not data.vocabulary:
    return train(data, corpus, copies)
  folder = pathlib.Path(data.vocabulary) / "tokenizers"
  if not data.has_source():
    target = sides.TargetText(tokenizers.load(folder / TARGET_FILE))
    return _checked(Vocabularies(sides.NoSource(), target), data, folder)
  if data.vocabulary_sides != "both":
    return _checked(_one_side(data, folder, corpus, copies), data, folder)
  two_files = (folder / SOURCE_FILE).exists()
  is_text = isinstance(corpus.train[int(corpus.indices[0])][0], str)
  if is_text and two_files == data.joint:
    raise types.UserError(
      f"data.vocabulary: {folder} has "
      f"{'two vocabularies' if data.joint else 'a joint vocabulary'}, but "
      f"data.joint is {data.joint}; set it to {not data.joint}"
    )
  return load(data, folder, copies)


def _one_side(
  data: config.Data,
  folder: pathlib.Path,
  corpus: corpus_lib.Corpus,
  copies: bool,
) -> Vocabularies:
  """One side of a folder, the other one trained on the training examples."""
  texts = (corpus.train[int(i)] for i in corpus.once)
  if data.vocabulary_sides == "target":
    target = tokenizers.load(folder / TARGET_FILE)
    side = _without_vocabulary(data, corpus)
    if side is not None:
      return Vocabularies(side, sides.TargetText(target))
    source = _train_tokenizer(data.source, (pair[0] for pair in texts))
    return _of_texts(source, target, data, copies)
  joint = not (folder / SOURCE_FILE).exists()
  source = tokenizers.load(folder / (TARGET_FILE if joint else SOURCE_FILE))
  target = _train_tokenizer(data.target, (pair[1] for pair in texts))
  return _of_texts(source, target, data, copies)


def load(
  data: config.Data, folder: pathlib.Path, copies: bool = False
) -> Vocabularies:
  """The vocabularies in a folder with the files of `Vocabularies.files`.

  Raises:
    types.UserError: a file is missing or damaged, or holds another side than
      the config says.
  """
  return _checked(_load(data, folder, copies), data, folder)


def _checked(
  vocabularies: Vocabularies, data: config.Data, folder: pathlib.Path
) -> Vocabularies:
  """The vocabularies of a folder, if they are what the config says of them."""
  target = data.source if data.joint else data.target
  for name, side, text in (
    ("source", vocabularies.source, data.source),
    ("target", vocabularies.target, target),
  ):
    expected = segmentation(text)
    if side.segmentation not in (None, expected):
      raise types.UserError(
        f"{folder}: tokenizer, lowercase, sampling, normal_form and "
        f"drop_invisible of the {name} are {side.segmentation}, but "
        f"data.{name} says {expected}"
      )
  return vocabularies


def segmentation(text: config.Text) -> tuple[str, bool, float, str, bool]:
  """What a config says of a tokenizer, as `contracts.Side.segmentation`."""
  return (
    text.tokenizer,
    text.lowercase,
    text.sampling,
    text.normal_form,
    text.drop_invisible,
  )


def _load(
  data: config.Data, folder: pathlib.Path, copies: bool
) -> Vocabularies:
  """The vocabularies in a folder, whatever the config says of them."""
  target = tokenizers.load(folder / TARGET_FILE)
  path = folder / SOURCE_FILE
  if data.joint and not path.exists():
    return _of_texts(target, target, data, copies)
  settings = stored.load(path)
  restore = sides.STORED.get(settings["kind"])
  if restore is not None:
    source = restore(settings, data)
    return Vocabularies(source, sides.TargetText(target))
  tokenizer = tokenizers.build(settings, path)
  return _of_texts(tokenizer, target, data, copies)


def _train_tokenizer(
  text: config.Text, lines: Iterator[str]
) -> tokenizers.Tokenizer:
  return tokenizers.train(
    lines,
    kind=text.tokenizer,
    vocab_size=text.vocab_size,
    min_count=text.min_count,
    lowercase=text.lowercase,
    sampling=text.sampling,
    form=text.normal_form,
    drop_invisible=text.drop_invisible,
  )


def _of_texts(
  source: tokenizers.Tokenizer,
  target: tokenizers.Tokenizer,
  data: config.Data,
  copies: bool,
) -> Vocabularies:
  output = target if copies else None
  return Vocabularies(
    sides.SourceText(
      source,
      reverse=data.reverse_source,
      output=output,
      ends=data.source_ends,
    ),
    sides.TargetText(target, copies),
    joint=source is target,
  )


def _without_vocabulary(
  data: config.Data, corpus: corpus_lib.Corpus
) -> contracts.Side | None:
  """The source side of frames or of no source; None if the source is text."""
  first = corpus.train[int(corpus.indices[0])][0]
  values = (corpus.train[int(i)][0] for i in corpus.indices)
  return sides.kind_of(first).of_training(values, data)
