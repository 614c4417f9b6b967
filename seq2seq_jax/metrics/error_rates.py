"""Word, character and sentence error rates, and what they are made of.

Texts are aligned with as few edits as possible, each of weight one, by jiwer.
Every run of blanks is one blank first, and CER counts it as a character. A rate
is that of the corpus: edits of all sentences over words (or characters) of all
references, in percent, so it is the sum of its substitutions, deletions and
insertions, and may exceed 100. Where a reference is empty, all of its
hypothesis is inserted, and where all references are empty, a rate is 0 without
edits and 100 with any. SER is the share of sentences with an edit.

An alignment with as few edits may not be the only one; jiwer's is taken. NIST's
sclite weighs a substitution 4 and others 3: it can split the same edits in
another way, and in rare sentences find one or two more.
"""

import dataclasses
import functools
import importlib.metadata
from typing import Literal

import numpy as np
from jaxtyping import Int

from seq2seq_jax.metrics import record

Unit = Literal["words", "characters"]
KINDS = ("substitutions", "deletions", "insertions")
TOTAL = len(KINDS)  # the column of a reference's words or characters

_CHUNKS = {"substitute": 0, "delete": 1, "insert": 2}  # jiwer's names


def count_edits(
  unit: Unit,
  hypotheses: record.Texts,
  references: record.Texts,
  comparison: record.Comparison,
) -> Int[np.ndarray, "N 4"]:
  """Substitutions, deletions, insertions and reference units of each sentence.

  Args:
    unit: what is aligned.
    hypotheses: output texts.
    references: one for each.
    comparison: how they are compared.
  """
  return _count(
    unit,
    tuple(record.comparable(hypotheses, comparison)),
    tuple(record.comparable(references, comparison)),
  )


@functools.lru_cache(maxsize=2)  # a rate and its parts ask for the same counts
def _count(
  unit: Unit, hypotheses: tuple[str, ...], references: tuple[str, ...]
) -> Int[np.ndarray, "N 4"]:
  import jiwer

  split = str.split if unit == "words" else list
  counts = np.zeros((len(references), TOTAL + 1), np.int64)
  counts[:, TOTAL] = [len(split(text)) for text in references]
  # jiwer refuses empty references.
  empty = [i for i, text in enumerate(references) if not text]
  counts[empty, KINDS.index("insertions")] = [
    len(split(hypotheses[i])) for i in empty
  ]
  places = [i for i, text in enumerate(references) if text]
  if places:
    align = jiwer.process_words if unit == "words" else jiwer.process_characters
    alignments = align(
      [references[i] for i in places], [hypotheses[i] for i in places]
    ).alignments
    for i, chunks in zip(places, alignments):
      for chunk in chunks:
        if chunk.type in _CHUNKS:
          size = max(
            chunk.ref_end_idx - chunk.ref_start_idx,
            chunk.hyp_end_idx - chunk.hyp_start_idx,
          )
          counts[i, _CHUNKS[chunk.type]] += size
  counts.flags.writeable = False  # it is handed out again
  return counts


def _signature(unit: Unit, comparison: record.Comparison) -> str:
  version = importlib.metadata.version("jiwer")
  blanks = "one" if unit == "words" else "one,counted"
  return f"jiwer|{record.case(comparison)}|blanks:{blanks}|version:{version}"


def _rate(
  name: str,
  unit: Unit,
  kinds: tuple[str, ...] = KINDS,
  *,
  label: str,
  diagnostic: bool = False,
  parts: tuple[str, ...] = (),
) -> record.Metric:
  """The record of the rate of some kinds of edits."""
  columns = [KINDS.index(kind) for kind in kinds]

  def sums(
    hypotheses: record.Texts,
    references: record.Texts,
    comparison: record.Comparison,
  ) -> np.ndarray:
    counts = count_edits(unit, hypotheses, references, comparison)
    return np.stack([counts[:, columns].sum(1), counts[:, TOTAL]], axis=1)

  def function(
    hypotheses: record.Texts,
    references: record.Texts,
    comparison: record.Comparison,
  ) -> float:
    return float(record.ratio(sums(hypotheses, references, comparison).sum(0)))

  return record.Metric(
    name,
    function,
    lower_is_better=True,
    label=label,
    diagnostic=diagnostic,
    signature=functools.partial(_signature, unit),
    sentence_sums=sums,
    bounds=record.RATE if "insertions" in kinds else record.PERCENT,
    parts=parts,
  )


def _size(unit: Unit) -> record.Metric:
  """The record of the number of words or characters of all references."""

  def sums(
    hypotheses: record.Texts,
    references: record.Texts,
    comparison: record.Comparison,
  ) -> np.ndarray:
    del hypotheses
    split = str.split if unit == "words" else list
    texts = record.comparable(references, comparison)
    return np.array([[len(split(text))] for text in texts])

  def function(
    hypotheses: record.Texts,
    references: record.Texts,
    comparison: record.Comparison,
  ) -> float:
    return float(sums(hypotheses, references, comparison).sum())

  return record.Metric(
    f"reference_{unit}",
    function,
    diagnostic=True,
    signature=lambda comparison: "blanks:one",
    sentence_sums=sums,
    of_sums=lambda sums: np.asarray(sums, np.float64)[..., 0],
    bounds=record.RATE,
  )


def _records(name: str, unit: Unit) -> tuple[record.Metric, ...]:
  """A rate, its parts, and the size of what it is a rate of."""
  parts = tuple(f"{name}_{kind}" for kind in KINDS)
  title = name.upper()
  return (
    _rate(name, unit, label=title, parts=(*parts, f"reference_{unit}", "ser")),
    *(
      _rate(part, unit, (kind,), label=f"{title}, {kind}", diagnostic=True)
      for part, kind in zip(parts, KINDS)
    ),
    _size(unit),
  )


def _sentence_sums(
  hypotheses: record.Texts,
  references: record.Texts,
  comparison: record.Comparison,
) -> np.ndarray:
  pairs = zip(
    record.comparable(hypotheses, comparison),
    record.comparable(references, comparison),
  )
  return np.array([[a != b, 1] for a, b in pairs])


def _sentence_error_rate(
  hypotheses: record.Texts,
  references: record.Texts,
  comparison: record.Comparison,
) -> float:
  sums = _sentence_sums(hypotheses, references, comparison)
  return float(record.ratio(sums.sum(axis=0)))


def _sentence_signature(comparison: record.Comparison) -> str:
  return f"{record.case(comparison)}|blanks:one"


RECORDS = (
  *_records("wer", "words"),
  *_records("cer", "characters"),
  dataclasses.replace(
    _rate("ctc_cer", "characters", label="CTC CER"),
    needs="ctc",
    of_ensembles=False,
  ),
  record.Metric(
    "ser",
    _sentence_error_rate,
    lower_is_better=True,
    label="SER",
    signature=_sentence_signature,
    sentence_sums=_sentence_sums,
    bounds=record.PERCENT,
  ),
)
