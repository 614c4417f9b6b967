"""N-best lists of `decode --format jsonl`, with what a search's parts gave.

A line is `{"source": ..., "hypotheses": [...]}`, and may have a `reference`. Of
each hypothesis `text`, `score`, `log_prob`, `parts` and the number of
`token_log_probs` are read; other keys are left alone. A blank source has an
empty list.
"""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from seq2seq_jax import records, types
from seq2seq_jax.data import audio, sources, text_files

PARTS = ("attention", "ctc", "lm")
LARGEST = 1e9  # magnitude of a log-probability that can be one

Path = str | os.PathLike[str]


class Lists(NamedTuple):
  """N lists of at most K hypotheses, in the order of the search."""

  sources: list[str]
  """As the line shows them; of an utterance its name."""
  references: list[str | None]
  texts: list[list[str]]
  exists: Bool[np.ndarray, "N K"]
  score: Float[np.ndarray, "N K"]
  """By the search's length rule and weights."""
  log_prob: Float[np.ndarray, "N K"]
  """The weighted sum of the parts."""
  length: Float[np.ndarray, "N K"]
  """Tokens, EOS included; 1 where there is no hypothesis."""
  parts: dict[str, Float[np.ndarray, "N K"]]
  """Sums over tokens of natural logarithms, by `PARTS`."""


@dataclasses.dataclass(frozen=True)
class _Hypothesis:
  text: str
  score: float
  log_prob: float
  token_log_probs: list[Any]
  parts: dict[str, float]


@dataclasses.dataclass(frozen=True)
class _Line:
  hypotheses: tuple[_Hypothesis, ...]
  source: str = ""
  reference: str | None = None


def read(path: Path) -> Lists:
  """The lists of a file.

  Raises:
    types.UserError: the file cannot be read, a line is not as `decode` writes
      it, or there is nothing to choose from; the message names line and key.
  """
  lines = [
    _line(text, f"{path}, line {number}")
    for number, text in enumerate(text_files.read(os.fspath(path)), 1)
  ]
  every = [h for line in lines for h in line.hypotheses]
  if not any(len(line.hypotheses) > 1 for line in lines):
    raise types.UserError(
      f"{path}: no line has two hypotheses to choose from; decode with "
      "--format jsonl --n-best N"
    )
  names = every[0].parts.keys()
  for number, line in enumerate(lines, 1):
    for n, hypothesis in enumerate(line.hypotheses):
      if hypothesis.parts.keys() != names:
        raise types.UserError(
          f"{path}, line {number}: hypotheses[{n}].parts are "
          f"{_words(hypothesis.parts)}, but those of the first line that has "
          f"any are {_words(names)}; decode all lines with one search"
        )
  return Lists(
    sources=[line.source for line in lines],
    references=[line.reference for line in lines],
    texts=[[h.text for h in line.hypotheses] for line in lines],
    exists=_padded([[True for _ in line.hypotheses] for line in lines]) > 0,
    score=_padded([[h.score for h in line.hypotheses] for line in lines]),
    log_prob=_padded([[h.log_prob for h in line.hypotheses] for line in lines]),
    length=_padded(
      [[len(h.token_log_probs) for h in line.hypotheses] for line in lines], 1
    ),
    parts={
      name: _padded([[h.parts[name] for h in x.hypotheses] for x in lines])
      for name in PARTS
      if name in names
    },
  )


def _padded(rows: Sequence[Sequence[float]], fill: float = 0.0) -> np.ndarray:
  """Rows of different lengths as one array. [N, K]."""
  out = np.full((len(rows), max(map(len, rows))), fill, np.float64)
  for i, row in enumerate(rows):
    out[i, : len(row)] = row
  return out


def _words(names: Any) -> str:
  return ", ".join(names) or "none"


def _line(text: str, place: str) -> _Line:
  """A line, its values checked."""
  line: _Line = records.decode(_Line, _known(text, place), place)
  for words in (line.reference or "", *(h.text for h in line.hypotheses)):
    if fault := sources.fault_of(words):
      raise types.UserError(f"{place}: a text holds {fault}")
  for n, hypothesis in enumerate(line.hypotheses):
    for key, value in _numbers(hypothesis):
      if abs(value) > LARGEST:
        raise types.UserError(
          f"{place}: hypotheses[{n}].{key} is no sum of log-probabilities: its "
          f"magnitude is above {LARGEST:.0e}"
        )
    if not hypothesis.token_log_probs:
      raise types.UserError(
        f"{place}: hypotheses[{n}].token_log_probs is empty; it has one number "
        "for each token, the end included"
      )
    for name in hypothesis.parts:
      if name not in PARTS:
        raise types.UserError(
          f"{place}: hypotheses[{n}].parts has {name!r:.60}; there are "
          f"{_words(PARTS)}"
        )
  return line


def _numbers(hypothesis: _Hypothesis) -> Iterator[tuple[str, float]]:
  yield "score", hypothesis.score
  yield "log_prob", hypothesis.log_prob
  for name, value in hypothesis.parts.items():
    yield f"parts[{name!r:.60}]", value


def _known(text: str, place: str) -> Any:
  """A line's JSON, without the keys that are not read."""
  tree = _only(_Line, records.parse(text, place))
  if not isinstance(tree, dict) or "hypotheses" not in tree:
    raise types.UserError(
      f"{place}: must be an object with 'hypotheses', as decode --format jsonl "
      "writes it"
    )
  if isinstance(tree["hypotheses"], list):
    tree["hypotheses"] = [_only(_Hypothesis, h) for h in tree["hypotheses"]]
    for n, hypothesis in enumerate(tree["hypotheses"]):
      if isinstance(hypothesis, dict) and not hypothesis.get("parts", True):
        hypothesis.pop("parts")
      if isinstance(hypothesis, dict) and "parts" not in hypothesis:
        raise types.UserError(
          f"{place}: hypotheses[{n}] has no 'parts': its search had but one; "
          "decode with decode.ctc_weight above 0 and below 1, or a language "
          "model by decode.lm and decode.lm_weight"
        )
  return tree


def _only(kind: Any, tree: Any) -> Any:
  if not isinstance(tree, dict):
    return tree
  names = {field.name for field in dataclasses.fields(kind)}
  return {key: value for key, value in tree.items() if key in names}


def references(path: Path, file: Path | None, lists: Lists) -> list[str]:
  """The reference of each list.

  Args:
    path: of the lists, for messages.
    file: a text file with a line for each, or a manifest `*.jsonl` whose `id`s
      the lists' sources are; None: the lists' own.
    lists: that need them.

  Raises:
    types.UserError: one is missing.
  """
  if file is None:
    own = [text for text in lists.references if text is not None]
    if len(own) < len(lists.references):
      number = lists.references.index(None) + 1
      raise types.UserError(
        f"{path}, line {number}: has no 'reference'; give the references by "
        "--reference FILE"
      )
    return own
  if os.fspath(file).endswith(".jsonl"):
    texts = {u.id: u.text for u in audio.read_manifest(file)}
    for number, name in enumerate(lists.sources, 1):
      if name not in texts:
        raise types.UserError(
          f"{path}, line {number}: the source {name!r:.60} is no id of the "
          f"manifest {file}"
        )
    return [texts[name] for name in lists.sources]
  lines = text_files.read(os.fspath(file))
  if len(lines) != len(lists.sources):
    raise types.UserError(
      f"{path} has {len(lists.sources):,} lines and {file} {len(lines):,}; "
      "they must match line by line"
    )
  return lines
