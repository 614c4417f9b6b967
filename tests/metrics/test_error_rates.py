"""Error rates and their parts, against alignments found by trying them all."""

import numpy as np
import pytest

from seq2seq_jax import metrics
from seq2seq_jax.data import manifest_makers
from seq2seq_jax.metrics import error_rates

pytestmark = pytest.mark.quick

RATES = {"wer": "words", "cer": "characters"}
AS_WRITTEN = metrics.AS_WRITTEN


def best_splits(reference, hypothesis):
  """All (S, D, I) of alignments with as few edits as there can be."""
  table = {(0, 0): {(0, 0, 0)}}
  for i in range(len(reference) + 1):
    for j in range(len(hypothesis) + 1):
      ways = set()
      if i and j:
        edit = reference[i - 1] != hypothesis[j - 1]
        ways |= {(s + edit, d, n) for s, d, n in table[i - 1, j - 1]}
      if i:
        ways |= {(s, d + 1, n) for s, d, n in table[i - 1, j]}
      if j:
        ways |= {(s, d, n + 1) for s, d, n in table[i, j - 1]}
      if ways:
        least = min(map(sum, ways))
        table[i, j] = {way for way in ways if sum(way) == least}
  return table[len(reference), len(hypothesis)]


def some_texts(seed, count=60):
  rng = np.random.default_rng(seed)
  words = ["a", "ab", "abc", "b", "ba"]
  return [
    " ".join(rng.choice(words, size=rng.integers(0, 7))) for _ in range(count)
  ]


@pytest.mark.parametrize("unit", RATES.values())
def test_edits_are_those_of_a_best_alignment(unit):
  split = str.split if unit == "words" else list
  hypotheses, references = some_texts(0), some_texts(1)
  assert "" in references and "" in hypotheses
  counts = error_rates.count_edits(unit, hypotheses, references, AS_WRITTEN)
  for row, hypothesis, reference in zip(counts, hypotheses, references):
    h, r = split(hypothesis), split(reference)
    assert tuple(row[:3]) in best_splits(r, h)
    assert row[3] == len(r)


@pytest.mark.parametrize("name", RATES)
def test_a_rate_is_the_sum_of_its_parts(name):
  hypotheses, references = some_texts(2), some_texts(3)
  chosen = metrics.with_parts([metrics.METRICS[name]])
  assert [m.name for m in chosen] == [
    name,
    *(f"{name}_{kind}" for kind in error_rates.KINDS),
    f"reference_{RATES[name]}",
    "ser",
  ]
  found = metrics.score(chosen, hypotheses, references)
  counts = error_rates.count_edits(
    RATES[name], hypotheses, references, AS_WRITTEN
  ).sum(axis=0)
  for kind, count in zip(error_rates.KINDS, counts):
    want = 100 * count / counts[3]
    assert found[f"{name}_{kind}"] == pytest.approx(want)
  parts = sum(found[f"{name}_{kind}"] for kind in error_rates.KINDS)
  assert found[name] == pytest.approx(parts)
  assert found[f"reference_{RATES[name]}"] == counts[3]
  for metric in chosen:  # each can be drawn by sentences
    sentences = metrics.sentences(metric, hypotheses, references)
    total = sentences.score(sentences.rows.sum(axis=0))
    assert total == pytest.approx(found[metric.name])


def test_by_hand():
  """A substitution, a deletion, an insertion; blanks count as characters."""
  references, hypotheses = ["a b c", "d e", "f"], ["a x c", "d", "f  g"]
  chosen = metrics.with_parts([metrics.METRICS["wer"], metrics.METRICS["cer"]])
  found = metrics.score(chosen, hypotheses, references)
  for kind in error_rates.KINDS:
    assert found[f"wer_{kind}"] == pytest.approx(100 / 6)
  assert found["wer"] == pytest.approx(50)
  assert found["reference_words"] == 6
  assert found["reference_characters"] == 5 + 3 + 1
  # " e" is gone and " g" has come: two characters each.
  assert found["cer_substitutions"] == pytest.approx(100 / 9)
  assert found["cer_deletions"] == pytest.approx(200 / 9)
  assert found["cer_insertions"] == pytest.approx(200 / 9)
  assert found["ser"] == 100


def test_sentence_errors():
  """Blanks do not matter, case does unless it is folded, empty may be right."""
  references = ["a b", "", "", "A"]
  hypotheses = [" a  b", "", "x", "a"]
  found = metrics.score(["ser", "exact_match"], hypotheses, references)
  assert (found["ser"], found["exact_match"]) == (50, 50)
  folded = metrics.Comparison(lowercase=True)
  assert metrics.score(["ser"], hypotheses, references, folded)["ser"] == 25
  assert metrics.METRICS["ser"].bounds == (0, 100)


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("output", ["", "a b"])
def test_empty_references(name, output):
  """What stands for an empty one is inserted, also where all are empty."""
  chosen = metrics.with_parts([metrics.METRICS[name]])
  found = metrics.score(chosen, [output, "a"], ["", "a"])
  units = len(output.split()) if name == "wer" else len(output)
  assert found[name] == found[f"{name}_insertions"] == 100 * units
  assert found["ser"] == (50 if output else 0)
  alone = metrics.score(chosen, [output, " "], ["", " "])
  assert alone[name] == alone[f"{name}_insertions"] == (100 if output else 0)
  assert alone[f"{name}_substitutions"] == alone[f"{name}_deletions"] == 0
  assert alone[f"reference_{RATES[name]}"] == 0


def test_signatures_say_how_texts_are_compared():
  folded = metrics.Comparison(lowercase=True)
  found = metrics.score(["wer", "cer", "ser"], ["a"], ["a"], folded)
  wer, cer, ser = found["signature"].values()
  assert wer.startswith("jiwer|case:lc|blanks:one|version:")
  assert cer.startswith("jiwer|case:lc|blanks:one,counted|version:")
  assert ser == "case:lc|blanks:one"


def test_parts_choose_no_checkpoint():
  deciding = metrics.names(diagnostics=False)
  assert {"wer", "cer", "ser"} <= set(deciding)
  assert not [n for n in deciding if n.endswith(error_rates.KINDS)]


def test_an4_has_as_many_words_and_characters_as_sclite_counts(shared_data):
  lines = manifest_makers.an4(shared_data("an4"))["test"]
  texts = [line["text"] for line in lines]
  names = ["reference_words", "reference_characters"]
  found = metrics.score(names, texts, texts)
  assert found["sentences"] == 130
  assert [found[name] for name in names] == [773, 2565]
