"""Published numbers: all are whole, some are spelled out by hand."""

import numbers
import subprocess
import sys

import pytest

from seq2seq_jax import types
from seq2seq_jax.ablation import published

pytestmark = [pytest.mark.quick, pytest.mark.usefixtures("strict")]

NOT_NUMBERS = {"model", "gpu", "doubtful"}  # of what else an entry may say


@pytest.mark.parametrize(
  "reference, hedge",
  [
    ("lake_baroni2018/coverage/2 %", "about "),
    ("lake_baroni2018/cells/SRN, best", "below "),
    ("lake_baroni2018/scan/simple, top", ""),
  ],
)
def test_what_is_no_exact_value_says_so(reference, hedge):
  assert published.load(reference).hedge == hedge


@pytest.mark.parametrize(
  "reference, value, tag",
  [
    ("bahdanau2015/bleu/RNNenc-50", 17.82, "S"),
    ("bahdanau2015/bleu/RNNsearch-50", 26.75, "S"),
    ("luong2015/ladder/base", 11.3, "P"),
    ("luong2015/attention/local-p (general)", 19.0, "P"),
    ("britz2017/cells/LSTM", 22.22, "S"),
    ("britz2017/cells/Vanilla-Dec", 15.38, "S"),
    ("britz2017/depth/Dec-8", 1.42, "S"),
    ("britz2017/decoding/B10-LP-1.0", 21.80, "S"),
    ("sutskever2014/bleu/ensemble of 5, beam 12", 34.81, "P"),
    ("gnmt2016/alpha_beta/alpha 0.6, beta 0.4", 31.1, "S"),
    ("gnmt2016/alpha_beta_after_rl/alpha 1.0, beta 1.0", 0.295, "S"),
    ("lake_baroni2018/scan/length, top", 20.8, "P"),
    ("lake_baroni2018/scan/jump, overall-best", 0.08, "P"),
    ("bentrevett/ladder/3 bidirectional GRU, attention", 28.30, "P"),
    ("lium2017/ende/monomodal, test2016", 39.00, "P"),
    ("sennrich_zhang2019/words_100k/3 + mainstream", 7.20, "M"),
    ("gu2016/x_xx/CopyNet", 98.3, "M"),
    ("bengio2015/captions/always sampling", 11.2, "S"),
    ("g2p/cmudict/g2p-seq2seq LSTM 2 x 64", 32.03, "P"),
    ("g2p/cmudict_accuracy/g2p-seq2seq LSTM 2 x 64", 67.97, "P"),
    ("sigmorphon2020/lstm/vie", 4.67, "M"),
    ("rothe2020/ende/BERT2RND large custom", 31.7, "S"),
    ("zeyer2018/librispeech/dev-other", 14.37, "P"),
    ("zeyer2018/librispeech/test-clean, LM", 3.82, "S"),
    ("librispeech/lingvo/characters", 5.4, "P"),
    ("librispeech/specaugment/LAS-6-1280, LD", 2.8, "S"),
    ("an4/test/asr1 pytorch, CTC weight 0.5", 15.3, "P"),
    ("an4/test/transducer, tuned", 8.7, "I"),
  ],
)
def test_numbers(reference, value, tag):
  entry = published.load(reference)
  assert (entry.value, entry.tag) == (value, tag)
  assert entry.unconfirmed == (tag == "M")


def test_an_entry_says_what_it_is_about():
  entry = published.load("britz2017/cells/GRU")
  assert "Massive Exploration" in entry.paper
  assert "newstest2013" in entry.data
  assert entry.source == "transcription of all six tables"
  assert (entry.sd, entry.more["max"]) == (0.05, 21.83)
  assert entry.more["parameters"] == pytest.approx(66.32e6)
  assert published.load("bahdanau2015/bleu/Moses").sd is None


def test_every_entry_is_whole():
  references = published.references()
  assert len(references) == len(set(references)) > 600
  for reference in references:
    entry = published.load(reference)
    assert entry.tag in published.TAGS, reference
    for text in (entry.paper, entry.metric, entry.data, entry.source):
      assert text and isinstance(text, str), reference
    assert isinstance(entry.value, numbers.Real), reference
    assert entry.bound in ("", "upper", "lower"), reference
    for name, value in entry.more.items():
      if name not in NOT_NUMBERS:
        assert isinstance(value, numbers.Real), (reference, name)


def test_recalled_numbers_say_so():
  for reference in published.references():
    entry = published.load(reference)
    recalled = "recalled" in entry.source
    assert recalled == entry.unconfirmed, reference


def test_every_curve_is_whole():
  curves = [
    f"{file}/curves/{name}"
    for file in published.files()
    for name in published.read(file).get("curves", {})
  ]
  assert "luong2015/curves/local-p" in curves
  for reference in curves:
    curve = published.curve(reference)
    assert len(curve.x) == len(curve.y) > 1
    assert list(curve.x) == sorted(curve.x)
    assert curve.tag in published.TAGS and curve.source
  none, local = (
    published.curve(f"luong2015/curves/{name}") for name in ("none", "local-p")
  )
  gap = [b - a for a, b in zip(none.y, local.y)]
  assert round(gap[-1], 1) == 11.3  # at 75 words


@pytest.mark.parametrize(
  "reference, words",
  [
    ("britz2018/cells/GRU", ["britz2018", "britz2017"]),
    ("britz2017/cell/GRU", ["britz2017.yaml", "'cell'", "cells"]),
    ("britz2017/cells/GRUU", ["britz2017.yaml", "'cells'", "'GRUU'", "GRU"]),
    ("britz2017/cells", ["FILE/TABLE/ROW"]),
    ("domhan2018/any/row", ["domhan2018.yaml", "none"]),
  ],
)
def test_a_wrong_name_is_told_with_the_nearest(reference, words):
  with pytest.raises(ValueError) as e:
    published.load(reference)
  for word in words:
    assert word in str(e.value)


def test_a_wrong_curve_is_told():
  with pytest.raises(ValueError, match=r"luong2015.yaml.*local-p"):
    published.curve("luong2015/curves/local-q")
  with pytest.raises(ValueError, match="FILE/curves/NAME"):
    published.curve("luong2015/ladder/base")


MULTI30K = {
  "task": "parallel",
  "test": ["multi30k/lc/test_2016_flickr.lc.de.gz", "x.en.gz"],
}
WMT = {
  "task": "tfds",
  "name": "wmt14_translate/fr-en",
  "source_field": "en",
  "target_field": "fr",
  "test": ["test"],
}


@pytest.mark.parametrize(
  "reference, data, metric, words",
  [
    ("bahdanau2015/bleu/RNNenc-50", MULTI30K, "bleu", ["of other data: WMT14"]),
    ("bahdanau2015/bleu/RNNenc-50", WMT, "bleu", []),
    ("bahdanau2015/bleu/RNNenc-50", WMT, "ter", ["of another metric: bleu"]),
    ("bentrevett/ladder/3 bidirectional GRU, attention", MULTI30K, "bleu", []),
    (
      "lake_baroni2018/scan/simple, top",
      {"task": "scan", "name": "simple", "test": []},
      "exact_match",
      [],
    ),
    (
      "an4/test/asr1 pytorch, CTC alone",
      {"task": "audio", "test": ["test.jsonl"]},
      "cer",
      [],
    ),
    (
      "an4/dev/asr1 Chainer, CTC alone, word LM",
      {"task": "audio", "test": ["test.jsonl"]},
      "cer",
      ["of other data: AN4, 100 utterances of dev"],
    ),
    # A row of a file that is of other data than the rest of it.
    (
      "gu2016/lcsts/CopyNet, words",
      {"task": "copy_rules", "name": "all"},
      "rouge1",
      ["of other data: LCSTS", "of another variant of the metric"],
    ),
    (
      "see2017/rouge/pointer-generator + coverage",
      WMT
      | {"name": "cnn_dailymail", "source_field": "article"}
      | {"target_field": "highlights"},
      "rouge1",
      ["of another variant of the metric: pyrouge's F1 (ROUGE-1.5.5) with"],
    ),
  ],
)
def test_what_is_not_ours_is_told(reference, data, metric, words):
  differs = published.load(reference).differs(published.test_set(data), metric)
  assert len(differs) == len(words)
  for text, start in zip(differs, words):
    assert text.startswith(start)


def test_no_rouge_is_taken_for_ours():
  for reference in published.references():
    entry = published.load(reference)
    if entry.metric.startswith("rouge"):
      assert "ours is rouge-score's" in entry.variant, reference


@pytest.mark.parametrize(
  "text, message",
  [
    ("paper: [", "x.yaml: cannot be read"),
    ("- 1", "x.yaml: the file must be an object"),
    ("{paper: p, metric: m, tables: {}}", "lacks the field 'data'"),
    ("{paper: p, metric: m, data: d, tables: {t: [1]}}", "tables['t']"),
    (
      "{paper: p, metric: m, data: d, tables: {t: {r: {value: x, tag: P}}}}",
      "x.yaml, table 't', row 'r'",
    ),
    (
      "{paper: p, metric: m, data: d, source: s, tables: {t: {r: {value: x, "
      "tag: P}}}}",
      "value must be a number, but is",
    ),
    (
      "{paper: p, metric: m, data: d, source: s, tables: {t: {r: {value: 1, "
      "tag: Q}}}}",
      "tag must be one of P, S, I, D, M",
    ),
  ],
)
def test_a_broken_file_is_named(text, message, tmp_path, monkeypatch):
  (tmp_path / "x.yaml").write_text(text)
  monkeypatch.setattr(published, "_folder", lambda: tmp_path)
  published._parsed.cache_clear()
  try:
    with pytest.raises(types.UserError) as e:
      published.load("x/t/r")
    assert message in str(e.value)
  finally:
    published._parsed.cache_clear()


def test_imports_nothing_heavy():
  code = (
    "import sys\n"
    "from seq2seq_jax.ablation import published\n"
    "published.references()\n"
    "assert not {'jax', 'sacrebleu'} & set(sys.modules)\n"
  )
  subprocess.run([sys.executable, "-c", code], check=True)
