"""Small cases by hand, and BLEU, chrF and edits by slow versions of our own."""

import collections
import math

import numpy as np
import pytest
import sacrebleu

from seq2seq_jax import metrics, types

ALL = ("exact_match", "bleu", "chrf", "ter", "rouge1", "rouge2", "rougeL")
ALL += ("wer", "cer")


def _value(name, hypotheses, references, **settings):
  comparison = metrics.Comparison(**settings)
  return metrics.score([name], hypotheses, references, comparison)[name]


def _random_text(rng, n):
  words = ["the", "a", "cat", "dog", "sat", "ran", "on", "mat", "log"]
  return [
    " ".join(rng.choice(words, size=rng.integers(4, 15))) for _ in range(n)
  ]


def _noisy(rng, texts):
  """Words left out and doubled here and there."""
  out = []
  for text in texts:
    times = rng.choice([0, 1, 2], size=len(text.split()), p=[0.1, 0.8, 0.1])
    out.append(
      " ".join(w for w, n in zip(text.split(), times) for _ in range(n))
    )
  return out


def _ngrams(words, n):
  return collections.Counter(
    tuple(words[i : i + n]) for i in range(len(words) - n + 1)
  )


def _bleu(hypotheses, references):
  """Papineni et al. 2002 over blanks, on a corpus that has every n-gram."""
  matches, totals = [0] * 4, [0] * 4
  lengths = [0, 0]
  for hypothesis, reference in zip(hypotheses, references):
    h, r = hypothesis.split(), reference.split()
    lengths[0] += len(h)
    lengths[1] += len(r)
    for n in range(4):
      there = _ngrams(h, n + 1)
      matches[n] += (there & _ngrams(r, n + 1)).total()
      totals[n] += there.total()
  precision = sum(math.log(m / t) for m, t in zip(matches, totals)) / 4
  brevity = min(0.0, 1 - lengths[1] / lengths[0])
  return 100 * math.exp(precision + brevity)


def _distance(a, b):
  """Levenshtein's table, cell by cell."""
  table = np.zeros((len(a) + 1, len(b) + 1), int)
  table[:, 0], table[0] = range(len(a) + 1), range(len(b) + 1)
  for i, x in enumerate(a):
    for j, y in enumerate(b):
      table[i + 1, j + 1] = min(
        table[i, j] + (x != y), table[i, j + 1] + 1, table[i + 1, j] + 1
      )
  return table[-1, -1]


@pytest.mark.quick
def test_exact_match():
  hypotheses = ["I_JUMP  I_RUN ", "a b", "", "A"]
  references = ["I_JUMP I_RUN", "a c", "", "a"]
  assert _value("exact_match", hypotheses, references) == 50
  found = _value("exact_match", hypotheses, references, lowercase=True)
  assert found == 75


@pytest.mark.quick
def test_bleu_against_our_own():
  rng = np.random.default_rng(0)
  references = _random_text(rng, 60)
  for hypotheses in (_noisy(rng, references), [r[:-6] for r in references]):
    found = metrics.score(
      ["bleu"], hypotheses, references, metrics.Comparison(tokenize="none")
    )
    wanted = _bleu(hypotheses, references)
    assert 20 < wanted < 95
    assert math.isclose(found["bleu"], wanted, rel_tol=1e-9)
    assert "|tok:none|" in found["signature"]["bleu"]


@pytest.mark.quick
def test_bleu_settings_show_in_the_signature(caplog):
  """Tokenised text is scored as it is, with no warning about it."""
  hypotheses = ["The cat sat on the mat ."] * 120
  references = ["the cat sat on the mat ."] * 120
  raw = metrics.score(["bleu"], hypotheses, references)
  folded = metrics.score(
    ["bleu"], hypotheses, references, metrics.Comparison(lowercase=True)
  )
  assert raw["bleu"] < 100 and math.isclose(folded["bleu"], 100)
  assert "case:mixed" in raw["signature"]["bleu"]
  assert "case:lc" in folded["signature"]["bleu"]
  assert "tok:13a" in raw["signature"]["bleu"]
  assert f"version:{sacrebleu.__version__}" in raw["signature"]["bleu"]
  assert not caplog.records
  # 13a splits the full stop off, `none` does not.
  assert _value("bleu", ["a b c d."], ["a b c d ."]) == pytest.approx(100)
  assert _value("bleu", ["a b c d."], ["a b c d ."], tokenize="none") < 60


@pytest.mark.quick
def test_chrf_of_one_word():
  """abcd for abce: 3/4, 2/3, 1/2 and 0/1 of the n-grams; no longer ones."""
  wanted = 100 * (3 / 4 + 2 / 3 + 1 / 2 + 0) / 4
  assert _value("chrf", ["abcd"], ["abce"]) == pytest.approx(wanted)
  assert _value("chrf", ["ABCD"], ["abce"]) == 0
  found = _value("chrf", ["ABCD"], ["abce"], lowercase=True)
  assert found == pytest.approx(wanted)


@pytest.mark.quick
def test_ter_counts_a_shift_as_one_edit():
  """One shift and one substitution over 6 + 2 reference words."""
  hypotheses = ["d e f a b c", "g x"]
  references = ["a b c d e f", "g h"]
  assert _value("ter", hypotheses, references) == pytest.approx(100 * 2 / 8)
  assert _value("wer", hypotheses, references) == pytest.approx(100 * 7 / 8)


@pytest.mark.quick
def test_rouge():
  """`the cat sat` of `the cat is on the mat`: overlaps 2, 1 and 2.

  Precisions 2/3, 1/2, 2/3; recalls 2/6, 1/5, 2/6. The second pair is equal,
  the third has nothing in common, an empty hypothesis scores 0.
  """
  hypotheses = ["the cat sat", "a red log", "x y", ""]
  references = ["the cat is on the mat", "a red log", "v w", "v w"]
  found = metrics.score(ALL[4:7], hypotheses, references)

  def f1(p, r):
    return 2 * p * r / (p + r)

  one = 100 * (f1(2 / 3, 2 / 6) + 1) / 4
  assert found["rouge1"] == pytest.approx(one)
  assert found["rouge2"] == pytest.approx(100 * (f1(1 / 2, 1 / 5) + 1) / 4)
  assert found["rougeL"] == pytest.approx(one)
  # The longest common subsequence of a swap is 1 of 2; unigrams do not see it.
  swap = metrics.score(ALL[4:7], ["a b"], ["b a"])
  assert (swap["rouge1"], swap["rougeL"]) == pytest.approx((100, 50))


@pytest.mark.quick
def test_error_rates():
  """1 + 3 edits over 3 + 4 words; 1 + 5 over 5 + 9 characters."""
  hypotheses = ["a x  c", "dd ee"]
  references = ["a b c", "dd e f gg"]
  found = metrics.score(["wer", "cer"], hypotheses, references)
  assert found["wer"] == pytest.approx(100 * 4 / 7)
  assert found["cer"] == pytest.approx(100 * (1 + 5) / (5 + 9))


@pytest.mark.quick
def test_error_rates_against_our_own():
  rng = np.random.default_rng(1)
  references = _random_text(rng, 15)
  hypotheses = _noisy(rng, references)
  for name, split in (("wer", str.split), ("cer", list)):
    pairs = [(split(h), split(r)) for h, r in zip(hypotheses, references)]
    edits = sum(_distance(h, r) for h, r in pairs)
    wanted = 100 * edits / sum(len(r) for _, r in pairs)
    assert _value(name, hypotheses, references) == pytest.approx(wanted)


@pytest.mark.quick
def test_error_rates_with_empty_sides():
  """An empty reference makes its hypothesis insertions, over the rest."""
  hypotheses, references = ["a b", "", "c"], ["", "d e", "c"]
  assert _value("wer", hypotheses, references) == pytest.approx(100 * 4 / 3)
  assert _value("cer", hypotheses, references) == pytest.approx(100 * 6 / 4)
  assert _value("wer", ["", ""], ["", " "]) == 0
  assert _value("wer", ["a", "b c"], ["", ""]) == 100
  assert _value("wer", ["A"], ["a"]) == 100
  assert _value("wer", ["A"], ["a"], lowercase=True) == 0


@pytest.mark.quick
def test_all_at_once():
  """Order and repetition of names change nothing; perfect and empty output."""
  references = ["the cat sat on the mat", "a dog ran on a log"]
  found = metrics.score(ALL, references, references)
  assert list(found) == [*ALL, "signature", "sentences"]
  assert found["sentences"] == 2
  assert found["signature"].keys() == set(ALL)
  for name in ALL:
    lower = metrics.METRICS[name].lower_is_better
    assert found[name] == pytest.approx(0 if lower else 100)
    assert isinstance(found[name], float)
  empty = metrics.score(ALL, ["", ""], references)
  for name in ALL:
    assert empty[name] == (100 if metrics.METRICS[name].lower_is_better else 0)
  again = metrics.score(["wer", "rougeL", "wer"], references, references)
  assert list(again) == ["wer", "rougeL", "signature", "sentences"]


@pytest.mark.quick
def test_bad_input():
  with pytest.raises(types.UserError, match="2 hypotheses but 1 references"):
    metrics.score(["wer"], ["a", "b"], ["a"])
  with pytest.raises(types.UserError, match="no sentences"):
    metrics.score(["bleu"], [], [])
  with pytest.raises(types.UserError, match="metric meteor: not one of"):
    metrics.score(["bleu", "meteor"], ["a"], ["a"])
  with pytest.raises(types.UserError, match="tokenize: 'moses' is not one"):
    metrics.score(["bleu"], ["a"], ["a"], metrics.Comparison(tokenize="moses"))


@pytest.mark.quick
@pytest.mark.parametrize("name", ALL)
def test_sums_of_sentences_give_the_corpus_score(name):
  rng = np.random.default_rng(7)
  references = [*_random_text(rng, 40), "a", "the cat", ""]
  hypotheses = [*_noisy(rng, references[:40]), "", "the dog", "a"]
  settings = {"lowercase": name != "ter", "tokenize": "none"}
  found = metrics.sentences(
    name, hypotheses, references, metrics.Comparison(**settings)
  )
  assert len(found.rows) == len(references)
  for part in (slice(None), slice(3, 9), slice(40, 42), slice(41, 42)):
    want = _value(name, hypotheses[part], references[part], **settings)
    assert found.score(found.rows[part].sum(axis=0)) == pytest.approx(want)
  many = found.score(np.cumsum(found.rows, axis=0))
  one = [found.score(found.rows[: i + 1].sum(axis=0)) for i in range(len(many))]
  np.testing.assert_allclose(many, one)


@pytest.mark.quick
def test_smoothed_bleu_of_sums():
  """Orders without a match, and too short a hypothesis for four words."""
  hypotheses = ["a b c d e", "x y z a", "a b", "q", "a b c q d"]
  references = ["a c b d e", "a b c d", "a b", "q r s t", "a b c d e"]
  found = metrics.sentences(
    "bleu", hypotheses, references, metrics.Comparison(tokenize="none")
  )
  for i in range(len(hypotheses)):
    want = _value(
      "bleu", hypotheses[i : i + 1], references[i : i + 1], tokenize="none"
    )
    assert found.score(found.rows[i]) == pytest.approx(want)


@pytest.mark.quick
def test_the_closest_of_several_references():
  outputs = ["a b", "c", "x y z"]
  references = [("q r", "a b"), ("c",), ("x", "x y q", "x y w")]
  chosen = metrics.closest(outputs, references)
  assert chosen == ["a b", "c", "x y q"]
  found = metrics.score(["exact_match", "wer"], outputs, chosen)
  assert found["exact_match"] == pytest.approx(200 / 3)
  assert found["wer"] == pytest.approx(100 / 6)  # of the lengths chosen
  assert metrics.closest(["A"], [("b c", "a b")]) == ["b c"]
  assert metrics.closest(["A"], [("b c", "a b")], lowercase=True) == ["a b"]


@pytest.mark.quick
def test_what_is_told_of_texts():
  names = ["length_ratio", "empty", "bleu"]
  outputs, references = ["a b", "", "c d e , f"], ["a b c", "d", "c d e f"]
  found = metrics.score(
    names, outputs, references, metrics.Comparison(tokenize="none")
  )
  assert found["length_ratio"] == pytest.approx(100 * 7 / 8)
  assert found["empty"] == pytest.approx(100 / 3)
  assert found["signature"]["length_ratio"] == found["signature"]["bleu"]


@pytest.mark.quick
def test_signatures_are_those_of_a_scored_corpus():
  for name, metric in (("chrf", sacrebleu.CHRF()), ("ter", sacrebleu.TER())):
    metric.corpus_score(["a"], [["a"]])
    signature = metrics.score([name], ["a"], ["a"])["signature"][name]
    assert signature == metric.get_signature().format()


@pytest.mark.quick
def test_a_metric_is_one_record():
  """Of its own function: scored, drawn by sentences, and labelled."""

  def first_word(hypotheses, references, comparison):
    pairs = zip(hypotheses, references)
    return 100 * np.mean([h.split()[0] == r.split()[0] for h, r in pairs])

  metric = metrics.Metric("first_word", first_word)
  assert metric.label == "first word" and not metric.lower_is_better
  outputs, references = ["a b", "c d", "e"], ["a x", "q d", "e f"]
  scores = metrics.score([metric, "empty"], outputs, references)
  assert scores["first_word"] == pytest.approx(200 / 3)
  sentences = metrics.sentences(metric, outputs, references)
  total = sentences.score(sentences.rows.sum(axis=0))
  assert total == pytest.approx(200 / 3)
  with pytest.raises(types.UserError, match="metric loss: not one of"):
    metrics.score(["loss"], outputs, references)


@pytest.mark.quick
def test_metrics_of_a_model_take_its_token_scores():
  one = [np.array([[-1.0, -2.0], [1, 0]]), np.array([[-3.0], [1]])]
  loss = metrics.METRICS["loss"]
  assert loss.function(one) == 2 and loss.lower_is_better
  assert metrics.METRICS["perplexity"].function(one) == math.exp(2)
  accuracy = metrics.METRICS["token_accuracy"]
  assert accuracy.function(one) == pytest.approx(200 / 3)
  for metric in (loss, metrics.METRICS["perplexity"], accuracy):
    sums = metric.sentence_sums(one).sum(axis=0)
    assert metric.of_sums(sums) == pytest.approx(metric.function(one))
  ensemble = [scores[:1] for scores in one]
  assert accuracy.function(ensemble) is None
  with pytest.raises(types.UserError, match="not of an ensemble"):
    accuracy.sentence_sums(ensemble)
