"""Text survives a round trip; sampling is exact and of the right law."""

import base64
import collections
import concurrent.futures
import itertools
import json
import math
import multiprocessing
import pickle
import subprocess
import sys

import numpy as np
import pytest
import sentencepiece

from seq2seq_jax import types
from seq2seq_jax.data import tokenizers

KINDS = ("word", "char", "bpe", "unigram")
WORDS = """
  lower lowest low newer newest new wider widest wide slower slow sleepless
  snowing snow showing show flowing flow überall Straße grün 日本語 don't
"""


def _corpus(n=300):
  """Sentences of the words above, frequent ones first (a Zipf-like law)."""
  rng = np.random.default_rng(7)
  words = WORDS.split()
  p = 1 / np.arange(1, len(words) + 1)
  return [
    " ".join(rng.choice(words, size=rng.integers(3, 9), p=p / p.sum()))
    for _ in range(n)
  ]


CORPUS = _corpus()


def _make(kind, texts=CORPUS, vocab_size=70, **settings):
  return tokenizers.train(texts, kind=kind, vocab_size=vocab_size, **settings)


def _sample_all(tokenizer, texts, seed=0):
  """Ids of each text, from a generator that its number alone decides."""
  return [
    tokenizer.encode_sampled(text, np.random.default_rng((seed, i))).tolist()
    for i, text in enumerate(texts)
  ]


def _pieces(tokenizer, ids):
  return "|".join(tokenizer.tokens(ids))


@pytest.mark.quick
@pytest.mark.parametrize("kind", KINDS)
def test_round_trip(kind):
  tokenizer = _make(kind)
  for text in [*CORPUS[:50], "", "low"]:
    ids = tokenizer.encode(text)
    assert ids.dtype == np.int32 and ids.ndim == 1
    assert len(ids) == 0 or 4 <= ids.min() <= ids.max() < tokenizer.vocab_size
    assert tokenizer.decode(ids) == text
    framed = [types.BOS, *ids, types.EOS, types.PAD, types.PAD]
    assert tokenizer.decode(framed) == text
    assert len(tokenizer.tokens(framed)) == len(framed)
    shown = "".join(tokenizer.tokens(ids)).replace("▁", "")
    assert shown == text.replace(" ", "")


@pytest.mark.quick
@pytest.mark.parametrize("kind", KINDS)
def test_special_ids(kind):
  sampling = 0.3 if kind in ("bpe", "unigram") else 0.0
  texts = [*CORPUS, "<s> low </s> <pad> <unk>"] * 2
  tokenizer = _make(kind, texts, sampling=sampling)
  four = [types.PAD, types.BOS, types.EOS, types.UNK]
  assert tokenizer.tokens(four) == ["<pad>", "<s>", "</s>", "<unk>"]
  ids = tokenizer.encode("low <s> </s> <pad> low")
  assert not set(ids.tolist()) & {types.PAD, types.BOS, types.EOS}
  for seed in range(20):
    ids = tokenizer.encode_sampled(
      "<s> </s> <pad> <unk>", np.random.default_rng(seed)
    )
    assert not set(ids.tolist()) & {types.PAD, types.BOS, types.EOS}


# Looks special to us, to SentencePiece or to str.split, and is text.
ODD = [
  "the <unk> bank <s>bold</s>",
  "<pad> <s> </s> <unk>",
  "a▁b ▁ ▁▁c",
  "x▅y ▅ z",
  "<unk>x é e\u0301",
  "##a @@ b@@ <0x41> \\n",
]


@pytest.mark.quick
@pytest.mark.parametrize("kind", KINDS)
def test_text_that_looks_special_comes_back(kind):
  """Learnt and written as it is, and no part of it has a special id."""
  tokenizer = _make(kind, [*CORPUS, *ODD * 5], 300)
  for text in ODD:
    ids = tokenizer.encode(text)
    assert ids.min() >= len(types.SPECIALS), (text, tokenizer.tokens(ids))
    assert tokenizer.decode(ids) == text
    again = pickle.loads(pickle.dumps(tokenizer))
    assert again.encode(text).tolist() == ids.tolist()
  if kind in ("bpe", "unigram"):
    # Other text gives the model that it gave without the names' ends.
    assert "\ufdd3" not in "".join(_make(kind).pieces)
    sampling = _make(kind, [*CORPUS, *ODD * 5], 300, sampling=0.5)
    for n, text in enumerate(ODD):
      ids = sampling.encode_sampled(text, np.random.default_rng(n))
      assert ids.min() >= len(types.SPECIALS)
      assert sampling.decode(ids) == text


@pytest.mark.quick
@pytest.mark.parametrize("kind", KINDS)
def test_text_that_looks_special_is_unknown_where_it_was_not_learnt(kind):
  tokenizer = _make(kind)
  for text in [*ODD, "\ud800 low"]:
    assert not set(tokenizer.encode(text).tolist()) & {0, 1, 2}


@pytest.mark.quick
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("blank", " \t\u00a0\u3000\u2028\x1c\x85")
def test_blanks_around_a_text_are_left_out(kind, blank):
  tokenizer = _make(kind, [*CORPUS, f"low{blank}lower"] * 2)
  text = f"{blank}low{blank}lower{blank}{blank}"
  ids = tokenizer.encode(text).tolist()
  assert ids == tokenizer.encode(text.strip()).tolist()
  between = " " if kind == "word" else blank
  assert tokenizer.decode(ids) == f"low{between}lower"


@pytest.mark.quick
@pytest.mark.parametrize("kind", KINDS)
def test_normal_forms(kind):
  """é in one character or two, a wide letter, a ligature, and soft hyphens."""
  written = "caf\u00e9 fin \uff21\uff22"
  decomposed = "cafe\u0301 \ufb01n AB"
  hidden = "\ufeffca\u00adf\u00e9\u200b f\u200fin \uff21\u2060\uff22"

  def made(**fields):
    return _make(kind, [*CORPUS, written] * 3, 300, **fields)

  plain = made()
  assert "normal_form" not in plain.dump().decode()
  assert plain.encode(written).tolist() != plain.encode(hidden).tolist()
  shown = made(drop_invisible=True)
  assert shown.decode(shown.encode(hidden)) == written
  assert shown.normal(hidden) == written
  nfc = made(form="nfc")
  assert nfc.decode(nfc.encode("cafe\u0301")) == "caf\u00e9"
  assert nfc.encode(written).min() >= 4
  nfkc = made(form="nfkc", drop_invisible=True)
  for text in (written, decomposed, hidden):
    assert nfkc.decode(nfkc.encode(text)) == "caf\u00e9 fin AB"
  stored = pickle.loads(pickle.dumps(nfkc))
  assert (stored.form, stored.drop_invisible) == ("nfkc", True)
  lower = made(form="nfkc", lowercase=True)
  assert lower.decode(lower.encode(written)) == "caf\u00e9 fin ab"
  # Joiners are letters of some scripts.
  assert shown.normal("\u0645\u06cc\u200c") == "\u0645\u06cc\u200c"


@pytest.mark.quick
def test_unknown():
  word, char = _make("word"), _make("char")
  ids = word.encode("low xyzzy <unk> low")
  assert ids.tolist() == [ids[0], types.UNK, types.UNK, ids[0]]
  assert word.decode(ids) == "low <unk> <unk> low"
  assert char.decode(char.encode("low Ω")) == "low <unk>"
  assert char.tokens(char.encode("w Ω")) == ["w", "▁", "<unk>"]
  for kind in ("bpe", "unigram"):
    tokenizer = _make(kind, sampling=0.5)
    text = "low ΩΩΩ xlowΩ"
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == "low <unk> <unk>low<unk>"
    for seed in range(20):
      ids = tokenizer.encode_sampled(text, np.random.default_rng(seed))
      assert tokenizer.decode(ids) == "low <unk> <unk>low<unk>"


@pytest.mark.quick
def test_word_and_character_vocabularies():
  """Counts: b 3, a 2, c 2, d 1; ties go by the alphabet."""
  texts = ["c b a", "b a  c", "b d"]

  def vocabulary(kind, vocab_size, min_count):
    got = _make(kind, texts, vocab_size, min_count=min_count)
    return list(got.pieces[4:])

  assert vocabulary("word", 100, 1) == ["b", "a", "c", "d"]
  assert vocabulary("word", 6, 1) == ["b", "a"]
  assert vocabulary("word", 100, 2) == ["b", "a", "c"]
  assert vocabulary("char", 100, 2) == [" ", "b", "a", "c"]
  spaced = _make("char", ["a  b▁ "])
  assert spaced.decode(spaced.encode(" a▁  b ")) == "a▁  b"


@pytest.mark.quick
@pytest.mark.parametrize("kind", KINDS)
def test_lowercase(kind):
  tokenizer = _make(kind, lowercase=True)
  assert tokenizer.decode(tokenizer.encode("LOW straße")) == "low straße"
  assert tokenizer.decode(tokenizer.encode("Grün")) == "grün"
  kept = _make(kind)
  assert types.UNK in kept.encode("LOW")


@pytest.mark.parametrize("kind", KINDS)
def test_training_is_deterministic(kind):
  """Within a process and in one with another hash seed."""
  here = _make(kind).checksum()
  assert _make(kind, iter(CORPUS)).checksum() == here
  assert _make(kind, CORPUS[:200]).checksum() != here
  program = (
    "import sys, json\n"
    "from seq2seq_jax.data import tokenizers\n"
    "texts = json.load(sys.stdin)\n"
    f"t = tokenizers.train(texts, kind={kind!r}, vocab_size=70)\n"
    "print(t.checksum())"
  )
  for seed in ("1", "2"):
    done = subprocess.run(
      [sys.executable, "-c", program],
      input=json.dumps(CORPUS),
      env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
      capture_output=True,
      text=True,
      check=True,
    )
    assert done.stdout.strip() == here
    assert done.stderr == ""  # a trainer that talks would spoil the display


@pytest.mark.quick
@pytest.mark.parametrize("kind", KINDS)
def test_small_corpora(kind):
  for texts in (["a"], ["ab", ""], ["hello"] * 3, ["x" * 6000]):
    tokenizer = _make(kind, texts, 32000)
    assert tokenizer.decode(tokenizer.encode(texts[0])) == texts[0]
  for texts in ([], [""]):
    with pytest.raises(types.UserError, match="training text is empty"):
      _make(kind, texts)


@pytest.mark.quick
@pytest.mark.parametrize("kind", ("bpe", "unigram"))
def test_too_many_characters(kind):
  """Eight letters, the mark of a blank and four special ids: 13."""
  with pytest.raises(types.UserError, match=r"vocab_size: 8 .* need 13"):
    _make(kind, ["a b c d e f g h"], 8)
  assert _make(kind, ["a b c d e f g h"], 13).vocab_size == 13


@pytest.mark.quick
def test_unknown_kind():
  with pytest.raises(types.UserError, match="'wordpiece' is not one of"):
    _make("wordpiece")


@pytest.mark.parametrize("kind", ("bpe", "unigram"))
def test_long_lines_are_learned_from(kind):
  line = "zebra zoo zigzag " * 1000
  tokenizer = _make(kind, [*CORPUS, line], 200)
  assert any(piece.startswith("▁z") for piece in tokenizer.pieces)


@pytest.mark.quick
@pytest.mark.parametrize("kind", KINDS)
def test_save_and_load(kind, tmp_path):
  sampling = 0.1 if kind in ("bpe", "unigram") else 0.0
  tokenizer = _make(kind, lowercase=True, sampling=sampling)
  path = tmp_path / "source.json"
  path.write_bytes(tokenizer.dump())
  assert json.loads(path.read_text("utf-8"))["format_version"] == 1
  for again in (tokenizers.load(path), pickle.loads(pickle.dumps(tokenizer))):
    assert again.checksum() == tokenizer.checksum()
    assert again.pieces == tokenizer.pieces
    assert (again.kind, again.lowercase) == (kind, True)
    assert again.sampling == sampling
    for text in CORPUS[:20]:
      assert again.encode(text).tolist() == tokenizer.encode(text).tolist()
    assert _sample_all(again, CORPUS) == _sample_all(tokenizer, CORPUS)


@pytest.mark.quick
@pytest.mark.parametrize("kind", ("word", "bpe"))
def test_damaged_file(kind, tmp_path):
  path = tmp_path / "target.json"
  path.write_bytes(_make(kind).dump())
  good = path.read_bytes()

  def refused(content, why):
    path.write_bytes(content)
    with pytest.raises(types.UserError, match=f"target.json.*{why}"):
      tokenizers.load(path)

  refused(good[: len(good) // 2], "is not valid JSON")
  refused(b"", "is not valid JSON")
  refused(b"[1]\n", "must be an object")
  refused(b"{}\n", "kind must be one of word")
  refused(b"\xff" + good, "not UTF-8")
  field, change = ("symbols", ["a"]) if kind == "word" else ("model", "AAAA")
  refused(json.dumps(json.loads(good) | {field: change}).encode(), "sha256")
  newer = json.loads(good) | {"format_version": 99}
  refused(json.dumps(newer).encode(), "format_version 99")
  with pytest.raises(types.UserError, match=r"none\.json: .*No such file"):
    tokenizers.load(tmp_path / "none.json")


@pytest.mark.parametrize("kind", ("bpe", "unigram"))
def test_sampling_is_exact(kind):
  """The same in any order, thread and process, whatever was seen before."""
  tokenizer = _make(kind, sampling=0.3)
  wanted = _sample_all(tokenizer, CORPUS)
  assert wanted != [tokenizer.encode(text).tolist() for text in CORPUS]
  assert wanted != _sample_all(tokenizer, CORPUS, seed=1)

  fresh = pickle.loads(pickle.dumps(tokenizer))
  order = np.random.default_rng(3).permutation(len(CORPUS))
  for i in order:
    rng = np.random.default_rng((0, int(i)))
    assert fresh.encode_sampled(CORPUS[i], rng).tolist() == wanted[i]

  with concurrent.futures.ThreadPoolExecutor(4) as pool:
    args = (itertools.repeat(tokenizer, 8), itertools.repeat(CORPUS))
    assert list(pool.map(_sample_all, *args)) == [wanted] * 8

  spawn = multiprocessing.get_context("spawn")
  with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
    assert pool.submit(_sample_all, tokenizer, CORPUS).result() == wanted


@pytest.mark.quick
@pytest.mark.parametrize("kind", ("bpe", "unigram"))
def test_sampled_segmentations_decode_to_the_text(kind):
  for sampling in (0.1, 0.9):
    tokenizer = _make(kind, sampling=sampling)
    for text, ids in zip(CORPUS, _sample_all(tokenizer, CORPUS)):
      assert tokenizer.decode(ids) == text
    ids = tokenizer.encode_sampled(" low  low ", np.random.default_rng(0))
    assert tokenizer.decode(ids) == "low low"


def _ambiguous(kind, sampling):
  """A vocabulary that cuts words over three letters in many ways."""
  rng = np.random.default_rng(5)
  texts = [
    " ".join("".join(rng.choice([*"abc"], rng.integers(2, 7))) for _ in "12345")
    for _ in range(300)
  ]
  return _make(kind, texts, 40, sampling=sampling)


def _spm(tokenizer):
  """SentencePiece's own view of the model."""
  return sentencepiece.SentencePieceProcessor(
    model_proto=base64.b64decode(tokenizer._settings["model"])
  )


def test_unigram_samples_follow_their_law():
  """P(x) ∝ exp(α Σ score), over the 2^(n-1) ways to cut a word."""
  tokenizer = _ambiguous("unigram", 0.2)
  model, word = _spm(tokenizer), "▁abcabac"
  known = {model.id_to_piece(i): i for i in range(4, len(model))}
  weights = {}
  for cuts in itertools.product((False, True), repeat=len(word) - 1):
    marked = "".join(c + "|" * cut for c, cut in zip(word, [*cuts, False]))
    if all(piece in known for piece in marked.split("|")):
      total = sum(model.get_score(known[p]) for p in marked.split("|"))
      weights[marked] = math.exp(0.2 * total)
  assert len(weights) > 8
  n, rng = 20000, np.random.default_rng(11)
  counts = collections.Counter(
    _pieces(tokenizer, tokenizer.encode_sampled("abcabac", rng))
    for _ in range(n)
  )
  assert counts.keys() <= weights.keys()
  for marked, weight in weights.items():
    p = weight / sum(weights.values())
    deviation = math.sqrt(p * (1 - p) / n)
    assert abs(counts[marked] / n - p) < 5 * deviation + 1 / n, marked


def test_bpe_dropout_follows_its_law():
  """Algorithm 1 as a recursion over the merges that survive a step."""
  drop = 0.3
  tokenizer = _ambiguous("bpe", drop)
  model = _spm(tokenizer)
  rank = {
    model.id_to_piece(i): model.get_score(i) for i in range(4, len(model))
  }

  def law(parts):
    pairs = [
      i for i in range(len(parts) - 1) if parts[i] + parts[i + 1] in rank
    ]
    pairs.sort(key=lambda i: (-rank[parts[i] + parts[i + 1]], i))
    out = collections.Counter({"|".join(parts): drop ** len(pairs)})
    for better, i in enumerate(pairs):
      p = drop**better * (1 - drop)
      merged = (*parts[:i], parts[i] + parts[i + 1], *parts[i + 2 :])
      for marked, q in law(merged).items():
        out[marked] += p * q
    return out

  wanted = law(tuple("▁abcabac"))
  assert math.isclose(sum(wanted.values()), 1) and len(wanted) > 8
  n, rng = 20000, np.random.default_rng(12)
  counts = collections.Counter(
    _pieces(tokenizer, tokenizer.encode_sampled("abcabac", rng))
    for _ in range(n)
  )
  assert counts.keys() <= wanted.keys()
  for marked, p in wanted.items():
    deviation = math.sqrt(p * (1 - p) / n)
    assert abs(counts[marked] / n - p) < 5 * deviation + 1 / n, marked


@pytest.mark.quick
def test_vanishing_dropout_is_the_deterministic_segmentation():
  tokenizer = _make("bpe", sampling=1e-12)
  texts = [*CORPUS, "lowsnownewest überlow Ωlow low▁low", " a  low\tb "]
  for text, ids in zip(texts, _sample_all(tokenizer, texts)):
    assert ids == tokenizer.encode(text).tolist()
  tokenizer = _make("bpe", sampling=0.0)
  for text, ids in zip(texts, _sample_all(tokenizer, texts)):
    assert ids == tokenizer.encode(text).tolist()


@pytest.mark.quick
def test_subword_decoding_is_sentencepiece_s():
  for kind in ("bpe", "unigram"):
    tokenizer = _make(kind)
    model = _spm(tokenizer)
    for text in [*CORPUS[:50], "low Ω xlow"]:
      ids = tokenizer.encode(text)
      assert tokenizer.decode(ids) == model.decode(ids.tolist())
