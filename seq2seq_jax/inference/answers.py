"""Answers to lines of text or utterances, as `decode` writes them."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from seq2seq_jax import contracts, types
from seq2seq_jax.inference import long_sources, model, text
from seq2seq_jax.runtime import processes

FORMATS = ("text", "jsonl", "nbest")
log = logging.getLogger(__name__)


class _Part(NamedTuple):
  """What one process has found, by the places of lines."""

  answers: dict[int, tuple[str, bool]]
  """And whether the best output was cut."""
  failed: tuple[str, list[int]] | None
  """Why and where there are no answers."""
  unreadable: dict[int, str]
  """Why audio cannot be used."""


class Answers:
  """Answers lines, which utterances may be too, in one of `FORMATS`.

  Args:
    searcher: with the search to use.
    form: `text`, a line for each of N outputs; `nbest`, a line `NUMBER ||| TEXT
      ||| SCORE` for each output there is, NUMBER being the source's from 0;
      `jsonl`, an object for each source.
    n_best: N.
    attention: with attention weights, in JSONL.
    draw: called with a line, its number from 0 and the attention of its best
      output.

  Attributes:
    count: lines answered.
    cut: outputs cut at the longest length.
    tally: of lines cut and skipped.
    unreadable: lines whose audio cannot be used.
  """

  def __init__(
    self,
    searcher: model.Model,
    form: str,
    n_best: int,
    attention: bool,
    draw: Callable[[Any, int, types.AttentionMap], None] | None = None,
  ):
    self.model, self.form, self.n_best = searcher, form, n_best
    self.attention, self.draw = attention, draw
    self.text_translator = searcher.text_translator()
    self.count = self.cut = 0
    side = searcher.vocabularies.source
    self.item = side.item
    self.tally = long_sources.Tally(side, searcher.config.decode, self.item)
    self.unreadable: list[str] = []

  def to(
    self, lines: Sequence[Any], progress: Callable[[int], None] | None = None
  ) -> tuple[list[str], types.Unanswerable | None]:
    """The answers to lines, that to a blank or an unreadable one blank.

    Several processes share the lines; all but the first call `follow`.

    Args:
      lines: raw source values.
      progress: called with the number of those answered.

    Returns:
      An answer for each line up to the first that has none, and the error that
      says why, its places counted from the first line of all.
    """
    if processes.is_first():
      processes.broadcast(True)  # there are more
    lines = processes.broadcast(list(lines))
    before, waiting = self.count, self._waiting(lines)
    answers = [self._blank(line) for line in lines]
    errors = []
    unreadable: dict[int, str] = {}
    for part in processes.gather(self._search(lines, progress)):
      for i, (answer, is_cut) in part.answers.items():
        answers[i] = answer
        self.cut += is_cut
        waiting.discard(i)
      errors += [part.failed] if part.failed else []
      unreadable |= part.unreadable
    for i, reason in sorted(unreadable.items()):
      answers[i] = self._blank(lines[i], reason)
      waiting.discard(i)
      self.unreadable.append(reason)
      log.warning(reason)
    whole = min(waiting, default=len(lines)) if errors else len(lines)
    self.count += whole
    if not errors:
      return answers, None
    reason, places = errors[0]
    error = types.Unanswerable(reason, [before + i for i in places])
    return answers[:whole], error

  def follow(self) -> None:
    """Does this process's part until the first one has called `finish`."""
    while processes.broadcast(None):
      self.to([])

  def finish(self) -> None:
    """Tells the other processes that there are no more lines."""
    processes.broadcast(False)

  def _search(
    self, lines: Sequence[Any], progress: Callable[[int], None] | None
  ) -> _Part:
    """This process's part of the answers, and why and where there are none."""
    found = self.model.search(
      lines,
      n_best=self.n_best,
      attention=self.attention or self.draw is not None,
      tally=self.tally,
      part=True,
    )
    answers: dict[int, tuple[str, bool]] = {}
    try:
      for n, (i, hypotheses) in enumerate(found, 1):
        answer = self._answer(lines[i], hypotheses, self.count + i)
        answers[i] = answer, self._is_cut(hypotheses)
        if self.draw:
          shown = self.text_translator.attention_map(lines[i], hypotheses)
          if shown:
            self.draw(lines[i], self.count + i, shown)
        if progress:
          progress(n)
    except types.Unanswerable as e:
      return _Part(answers, (e.reason, list(e.places)), {})
    except types.Unreadable as e:
      return _Part(answers, None, e.reasons)
    return _Part(answers, None, {})

  def _waiting(self, lines: Sequence[Any]) -> set[int]:
    """Places of the lines that need a search."""
    side, decode = self.model.vocabularies.source, self.model.config.decode
    places = {i for i, line in enumerate(lines) if not side.is_blank(line)}
    if decode.long_source != "skip":
      return places
    return {
      i
      for i in places
      if not long_sources.is_long(_positions(side, lines[i]), decode)
    }

  def _blank(self, line: Any, error: str = "") -> str:
    """The answer to a line with nothing to search for."""
    if self.form == "jsonl":
      return self.text_translator.blank_json_line(line, self.attention, error)
    return "\n" * self.n_best if self.form == "text" else ""

  def _answer(
    self, line: Any, hypotheses: types.Hypotheses, number: int
  ) -> str:
    if self.form == "jsonl":
      return self.text_translator.json_line(line, hypotheses, self.attention)
    if self.form == "text":
      texts = self.text_translator.texts(line, hypotheses)
      return text.lines(texts, self.n_best)
    translations = self.text_translator.translations(line, hypotheses)
    return "".join(
      f"{number} ||| {text.one_line(t.text)} ||| {t.score:.6f}\n"
      for t in translations
    )

  def _is_cut(self, hypotheses: types.Hypotheses) -> bool:
    """True if the best output was cut at the longest length."""
    return bool(hypotheses.length[0]) and not hypotheses.finished[0]


def _positions(side: contracts.Side, line: Any) -> int:
  """Positions of a line; none if it cannot be read."""
  try:
    return side.positions(line)
  except types.Unreadable:
    return 0
