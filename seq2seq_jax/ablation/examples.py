"""The sentences and attention maps that a table's page shows."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from seq2seq_jax import records
from seq2seq_jax.ablation import collect, schema

ROWS = 3  # rows whose outputs stand beside those of their reference
LONGEST = 40  # words of a source that is shown
MAPS = 2  # attention maps of each row


def sentences(
  results: collect.Results, rows: Sequence[schema.Row], sign: float
) -> tuple[schema.SentencePair, ...]:
  """Test sentences on which a row beats or misses its reference most.

  Of the first finished seed of the first rows that share the test set of
  their reference.

  Args:
    results: of the table's cells.
    rows: of the table, with their comparisons.
    sign: 1 if a higher score is better, else -1.
  """
  compared = [row for row in rows if row.p_bootstrap is not None]
  pairs: list[schema.SentencePair] = []
  for row in compared[:ROWS]:
    pairs += _of_row(results, row.name, row.reference or "", sign)
  return tuple(pairs)


def _of_row(
  results: collect.Results, row: str, reference: str, sign: float
) -> list[schema.SentencePair]:
  mine, theirs = results.outputs(row), results.outputs(reference)
  system, other = results.systems[row], results.systems[reference]
  # The statistics of a loss are of pairs, also of those without a text.
  if not mine or not len(mine) == len(theirs) == len(system.runs[0]):
    return []
  score = system.score(system.runs[0])
  other_score = other.score(other.runs[0])
  difference = sign * (score - other_score)
  order = [
    i
    for i in np.argsort(difference, kind="stable")
    if len(mine[i]["source"].split()) <= LONGEST
  ]
  worst = [i for i in order[:2] if difference[i] < 0]
  best = [i for i in order[:-3:-1] if difference[i] > 0]
  total = sorted(order, key=lambda i: sign * (score[i] + other_score[i]))
  hardest = [i for i in total if i not in (*worst, *best)][:1]
  chosen: dict[schema.SentenceKind, list[int]] = {
    "this row best": best,
    "baseline best": worst,
    "both worst": hardest,
  }
  return [
    schema.SentencePair(
      kind=kind,
      row=row,
      against=reference,
      source=mine[i]["source"],
      reference=mine[i]["reference"],
      hypothesis=mine[i]["hypothesis"],
      other=theirs[i]["hypothesis"],
      score=float(score[i]),
      other_score=float(other_score[i]),
    )
    for kind, indices in chosen.items()
    for i in indices
  ]


def attention(results: collect.Results) -> tuple[schema.AttentionExample, ...]:
  """Attention maps of each row, by its first finished seed."""
  return tuple(
    schema.AttentionExample(
      row=row.name,
      source=tuple(example["source"]),
      target=tuple(example["target"]),
      weights=tuple(tuple(weights) for weights in example["weights"]),
      spectrogram=_spectrogram(example.get("spectrogram")),
    )
    for row in results.ablation.rows
    for example in results.attention(row.name)[:MAPS]
  )


def _spectrogram(stored: dict[str, Any] | None) -> schema.Spectrogram | None:
  """The record of what a cell has stored, which was checked as it was read."""
  if stored is None:
    return None
  spectrogram: schema.Spectrogram = records.decode(
    schema.Spectrogram, stored, "spectrogram"
  )
  return spectrogram
