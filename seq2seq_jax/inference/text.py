"""From source values to output texts, and to the records that hold them."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from seq2seq_jax import config, types
from seq2seq_jax.data import vocabulary
from seq2seq_jax.inference import long_sources, sizing
from seq2seq_jax.inference import translator as translation
from seq2seq_jax.models import build


@dataclasses.dataclass(frozen=True)
class Translation:
  """An output text and what the search knows of it."""

  text: str
  tokens: list[str]
  score: float
  """By the length rule and penalties: hypotheses are ranked by it."""
  log_prob: float
  """Natural logarithm of the output's probability."""
  token_log_probs: list[float]
  """Of each token, EOS included."""
  finished: bool
  """It ends in EOS; False: cut at the longest length."""
  attention: Float[np.ndarray, "T M"] | None = None
  """Weight of each source position at each token; None: not asked for."""
  source_tokens: list[str] | None = None
  """What stands at each source position."""
  parts: dict[str, float] | None = None
  """What each part of the search gave, as the sum over tokens of its natural
  logarithms, by `attention`, `ctc` and `lm`; None if there was but one. Times
  their weights they add up to `log_prob`."""

  def __repr__(self) -> str:
    cut = "" if self.finished else ", finished=False"
    return f"Translation({self.text!r}, score={self.score:.4f}{cut})"

  def to_json(self) -> dict[str, Any]:
    """As an entry of a JSONL output's `hypotheses`."""
    entry: dict[str, Any] = {
      "text": self.text,
      "tokens": self.tokens,
      "score": self.score,
      "log_prob": self.log_prob,
      "token_log_probs": self.token_log_probs,
      "finished": self.finished,
    }
    if self.parts is not None:
      entry["parts"] = self.parts
    if self.attention is not None:
      entry["attention"] = [[float(w) for w in row] for row in self.attention]
    return entry


class TextTranslator:
  """Searches for the outputs of source values, and turns them into texts.

  Args:
    translator: of the model.
    vocabularies: of the run.
    conf: of the run, with the search to use.
  """

  def __init__(
    self,
    translator: translation.Translator,
    vocabularies: vocabulary.Vocabularies,
    conf: config.Config,
  ):
    self.translator, self.vocabularies = translator, vocabularies
    self.decode = conf.decode
    sizing.check_search(
      conf.decode.batch_rows,
      conf.decode.beam_size,
      vocabularies.target.vocab_size or 0,
      jax.local_devices()[0],
    )
    # Source positions that the encoder makes one of.
    self.position_size = conf.model.encoder.stride()
    model = conf.model
    self.follows_next = (
      conf.decode.unknown_attention == "next"
      and model.attends()
      and (
        model.decoder.kind == "transformer"
        or build.is_content_based(model.attention.score)
      )
    )

  def search(
    self,
    params: tuple[Any, ...],
    sources: Sequence[types.EncodedSide],
    *,
    n_best: int = 1,
    attention: bool = False,
    lengths: Sequence[int] | None = None,
  ) -> Iterator[tuple[int, types.Hypotheses]]:
    """Each encoded source's index and hypotheses; see `Translator.search`."""
    return self.translator.search(
      params,
      sources,
      self.decode,
      n_best=n_best,
      attention=attention or self.decode.replace_unknown,
      lengths=lengths,
    )

  def encode(self, sources: Sequence[Any]) -> list[types.EncodedSide]:
    """Raw source values as arrays."""
    return [self.vocabularies.source.encode(source) for source in sources]

  def text(self, source: Any, hypotheses: types.Hypotheses, n: int = 0) -> str:
    """The n-th best output of a source as text.

    With `decode.replace_unknown`, unknown words are replaced by the source's
    word that was most attended to.
    """
    length = int(hypotheses.length[n])
    attended = None
    if self.decode.replace_unknown and hypotheses.attention is not None:
      attended = self._attended(source, hypotheses.attention[n, :length])
    return self.vocabularies.target_text(
      hypotheses.tokens[n, :length], source, attended
    )

  def _attended(
    self, source: Any, weights: Float[np.ndarray, "T M"]
  ) -> np.ndarray:
    """The word of the source most attended to at each output."""
    if self.follows_next:
      weights = np.concatenate([weights[1:], weights[-1:]])
    # The source's end is no word.
    side = self.vocabularies.source
    before, behind = side.marks
    words = len(self._tokens(source)) - before - behind
    place = np.argmax(weights[:, before : before + words], axis=-1)
    if side.reverse:  # the first words that were cut off are the last
      place += len(side.words(source)) - words
    return place

  def texts(self, source: Any, hypotheses: types.Hypotheses) -> list[str]:
    """The outputs of a source, best first; fewer than N if there are fewer."""
    return [text for _, text in self._ranked(source, hypotheses)]

  def _ranked(
    self, source: Any, hypotheses: types.Hypotheses
  ) -> list[tuple[int, str]]:
    """Place and text of each output, best first, of equal ones the best."""
    texts = {
      n: self.text(source, hypotheses, n)
      for n in range(len(hypotheses.score))
      if hypotheses.length[n]
    }
    if not self.decode.distinct:
      return list(texts.items())
    first = {text: n for n, text in reversed(texts.items())}
    return [(n, text) for n, text in texts.items() if first[text] == n]

  def _tokens(self, source: Any) -> list[str]:
    """A label for each position that the encoder reads."""
    return long_sources.positions(self.vocabularies.source, source, self.decode)

  def positions(self, source: Any) -> list[str]:
    """What stands at each position that is attended to.

    A token, or those that the encoder makes one position of.
    """
    tokens = self._tokens(source)
    size = self.position_size
    return [" ".join(tokens[i : i + size]) for i in range(0, len(tokens), size)]

  def translations(
    self, source: Any, hypotheses: types.Hypotheses, attention: bool = False
  ) -> list[Translation]:
    """The hypotheses of a source, best first; fewer than N if there are fewer.

    Args:
      source: raw value.
      hypotheses: of this source.
      attention: with attention weights, if the search kept them.
    """
    positions = self.positions(source) if attention else None
    translations = []
    for n, text in self._ranked(source, hypotheses):
      length = int(hypotheses.length[n])
      weights = None
      if positions is not None and hypotheses.attention is not None:
        weights = hypotheses.attention[n, :length, : len(positions)]
      ids = hypotheses.tokens[n, :length]
      translations.append(
        Translation(
          text=text,
          tokens=self.vocabularies.target_tokens(ids, source),
          score=float(hypotheses.score[n]),
          log_prob=float(hypotheses.log_prob[n]),
          token_log_probs=[
            float(p) for p in hypotheses.token_log_probs[n, :length]
          ],
          finished=bool(hypotheses.finished[n]),
          attention=weights,
          source_tokens=positions,
          parts=self._parts(hypotheses, n),
        )
      )
    return translations

  def attention_map(
    self, source: Any, hypotheses: types.Hypotheses
  ) -> types.AttentionMap | None:
    """What is drawn of a source's best output; None if there is none."""
    best = next(iter(self.translations(source, hypotheses, True)), None)
    if best is None or best.attention is None:
      return None
    side = self.vocabularies.source
    picture = side.picture(source)
    labels, weights = best.source_tokens or [], best.attention
    frames = self.position_size * (picture.step if picture else 1)
    start = 0
    if picture and side.reverse:
      weights = weights[:, ::-1]
      # The last position, first in time, may be of fewer frames.
      whole = self.position_size * weights.shape[1]
      start = (len(self._tokens(source)) - whole) * picture.step
    return types.AttentionMap(
      best.text, best.tokens, weights, labels, picture, frames, start
    )

  def _parts(
    self, hypotheses: types.Hypotheses, n: int
  ) -> dict[str, float] | None:
    """What each part of the search gave the n-th best output."""
    if hypotheses.parts is None:
      return None
    return dict(zip(self.decode.parts(), hypotheses.parts[n].tolist()))

  def json_line(
    self, source: Any, hypotheses: types.Hypotheses, attention: bool = False
  ) -> str:
    """The hypotheses of a source as a line of JSONL."""
    translations = self.translations(source, hypotheses, attention)
    line: dict[str, Any] = {
      **self.vocabularies.source.record(source),
      "hypotheses": [t.to_json() for t in translations],
    }
    if attention:
      line["source_tokens"] = self.positions(source)
    if hypotheses.proven is not None:
      line["proven"] = bool(hypotheses.proven)
    return json.dumps(line, ensure_ascii=False) + "\n"

  def blank_json_line(
    self, source: Any, attention: bool = False, error: str = ""
  ) -> str:
    """The line of JSONL of a source without outputs.

    It has the keys of other lines.

    Args:
      source: raw value.
      attention: other lines have it.
      error: why there are none; empty: it holds nothing to translate.
    """
    line: dict[str, Any] = {
      **self.vocabularies.source.record(source),
      "hypotheses": [],
    }
    if error:
      line["error"] = error
    if attention:
      line["source_tokens"] = []
    if self.decode.exact:
      line["proven"] = True
    return json.dumps(line, ensure_ascii=False) + "\n"


def one_line(text: str) -> str:
  """A text whose ends of lines are blanks."""
  return text.replace("\r", " ").replace("\n", " ")


def lines(texts: Sequence[str], n: int = 1) -> str:
  """Outputs of one source as `n` lines, blank if there are fewer.

  An output is a line, as its source was: line feeds become blanks.
  """
  clean = [one_line(t) for t in texts]
  return "".join(f"{t}\n" for t in clean + [""] * (n - len(clean)))
