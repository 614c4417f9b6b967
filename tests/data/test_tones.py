"""The language of tones: what is made is what is said, known, and tellable."""

import itertools
import pickle
import sys

import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.data import audio, batches, corpus, tones, vocabulary
from seq2seq_jax.data import lengths as lengths_lib

pytestmark = pytest.mark.quick
RATE = 8000
SIZES = {"min_length": 1, "max_length": 4, "symbols": 30, "seed": 5}


def _sentences(split="train", size=40, rate=RATE, **changes):
  sizes = SIZES | changes
  return [u for u, _ in tones.pairs(split, size, rate=rate, **sizes)]


def _heard(samples, size):
  """The phone whose tones are nearest to the two peaks of a spectrum."""
  window = np.hanning(len(samples))
  power = np.abs(np.fft.rfft(samples * window, 8192)) ** 2
  hertz = np.fft.rfftfreq(8192, 1 / RATE) / size
  peaks = []
  for low, high in ((200, 1080), (1080, 3950)):
    inside = (hertz > low) & (hertz < high)
    peaks.append(hertz[inside][np.argmax(power[inside])])
  pairs = [(a, b) for b in (1300, 1800, 2500, 3400) for a in (350, 550, 850)]
  far = [np.abs(np.log(np.divide(pair, peaks))).max() for pair in pairs]
  return int(np.argmin(far))


def test_a_sentence_depends_on_seed_split_and_number_alone():
  whole = _sentences(size=12)
  assert _sentences(size=5) == whole[:5]
  again = pickle.loads(pickle.dumps(whole[3]))
  assert again == whole[3]
  assert np.array_equal(again.signal(), whole[3].signal())
  for other in (_sentences("test"), _sentences(seed=6)):
    assert other[3].samples != whole[3].samples
    assert not {u.speaker for u in _sentences("test")} & {
      u.speaker for u in whole
    }
  signals = {u.signal().tobytes() for u in whole}
  assert len(signals) == len({u.id for u in whole}) == 12


@pytest.mark.parametrize("rate", [8000, 22050])
def test_the_samples_are_as_many_as_is_known(rate):
  reader = audio.Reader(rate)
  for sentence in _sentences(size=6, rate=rate):
    samples = reader.read(sentence)
    assert samples.dtype == np.float32 and len(samples) == sentence.samples
    assert 0.1 < np.abs(samples).max() < 1.0
    assert 0.2 < len(samples) / rate < 5.0


def test_words_are_different_and_those_of_fewer_are_among_them():
  few, many = tones.words(20, 5), tones.words(1884, 5)
  assert len({tones.spelling(word) for word in many}) == 1884
  assert few == many[:20] != tones.words(20, 6)
  assert [len(word) for word in few[:6]] == [1, 2, 3, 1, 2, 3]
  with pytest.raises(types.UserError, match=r"symbols: .* 1,884 words"):
    tones.words(1885, 5)


def test_texts_spell_the_phones_that_are_said():
  for sentence in _sentences():
    groups = itertools.groupby(
      (phone for phone, _ in sentence.pieces), lambda p: p == tones.PAUSE
    )
    said = [tones.spelling(tuple(g)) for pause, g in groups if not pause]
    assert sentence.text.split() == said
    assert 1 <= len(said) <= 4


def test_phones_can_be_told_from_their_tones():
  right = total = 0
  for sentence in _sentences():
    signal, start = sentence.signal(), 0
    for phone, samples in sentence.pieces:
      piece = signal[start : start + samples]
      start += samples
      if phone != tones.PAUSE:
        total += 1
        right += _heard(piece, 1.0) == phone
  assert total > 150 and right / total > 0.97, right / total


def test_other_rates_are_refused():
  with pytest.raises(types.UserError, match=r"data\.audio\.rate: .* 8000"):
    _sentences(rate=7999)


def _data(**changes):
  sizes = {"train": 20, "valid": 4, "test": 4, "symbols": 6, "max_length": 3}
  fields = {
    "task": "tones",
    "synthetic": config.Synthetic(**sizes),
    "audio": config.Audio(rate=RATE, bins=12, time_masks=1),
    "batch_size": 8,
    "buckets": 2,
    "max_source_length": 400,
  }
  return config.Data(**fields | changes)


def test_the_task_gives_batches_of_frames_and_words(monkeypatch):
  monkeypatch.setitem(sys.modules, "soundfile", None)  # is not installed
  data = _data()
  split = corpus.Corpus(data)
  assert split.checksums() == corpus.Corpus(data).checksums()
  assert split.checksums() != corpus.Corpus(_data(seed=1)).checksums()
  vocabularies = vocabulary.train(data, split)
  assert vocabularies.target.vocab_size == 4 + 6
  training = batches.TrainData(data, split, vocabularies, seed=0)
  batch = training.load(0)
  assert batch.src.shape[2] == 12 and batch.src.dtype == np.float32
  source = vocabularies.source
  utterance = split.valid[0][0]
  assert len(source.encode(utterance).values) == source.positions(utterance)
  assert source.text(utterance) == "tones-valid-00000"
  halves = [training.load(0, process, 2) for process in (0, 1)]
  assert np.array_equal(np.concatenate([h.src for h in halves]), batch.src)
  # Lengths are known before any sound is made.
  monkeypatch.setattr(tones.Sentence, "signal", lambda _: pytest.fail("made"))
  lengths = lengths_lib.measure(split, vocabularies)
  assert np.array_equal(lengths, training.lengths)


def test_the_test_set_may_have_other_lengths():
  usual = corpus.open_split(_data(), "test")
  long = corpus.open_split(_data(test=("8-9",)), "test")
  assert {len(text.split()) for _, text in usual} <= {1, 2, 3}
  assert {len(text.split()) for _, text in long} == {8, 9}
  assert {word for _, text in long for word in text.split()} == {
    tones.spelling(word) for word in tones.words(6, 0)
  }
  valid = corpus.open_split(_data(test=("8-9",)), "valid")
  assert {len(text.split()) for _, text in valid} <= {1, 2, 3}
  for wrong in ("8", "9-8", "0-3", "8-x"):
    with pytest.raises(types.UserError, match=r"data\.test: .* such as 8-12"):
      _data(test=(wrong,))


def test_a_stored_side_refuses_other_features(tmp_path):
  data = _data()
  vocabularies = vocabulary.train(data, corpus.Corpus(data))
  for name, content in vocabularies.files().items():
    (tmp_path / name).write_bytes(content)
  assert vocabulary.load(data, tmp_path).checksum() == vocabularies.checksum()
  other = _data(audio=config.Audio(rate=RATE, bins=13))
  with pytest.raises(types.UserError, match=r"data\.audio says"):
    vocabulary.load(other, tmp_path)


def _run(monkeypatch, *words):
  monkeypatch.setattr(sys, "argv", ["tones", *map(str, words)])
  return tones.main()


def test_files_hold_what_was_made(tmp_path, monkeypatch, capsys):
  pytest.importorskip("soundfile")
  words = ("--out", tmp_path / "t", "--split", "valid", "--utterances", 3)
  assert _run(monkeypatch, *words, "--seed", 5, "--words", 30) == 0
  path = tmp_path / "t" / "valid.jsonl"
  assert capsys.readouterr().out == f"{path}: 3 utterances\n"
  made = _sentences("valid", size=3, max_length=6)
  read = audio.read_manifest(path)
  for a, b in zip(read, made, strict=True):
    assert (a.id, a.text, a.speaker) == (b.id, b.text, b.speaker)
    assert np.array_equal(audio.Reader(RATE).read(a), b.signal())
  with pytest.raises(types.UserError, match="exists; choose another folder"):
    _run(monkeypatch, *words)


@pytest.mark.parametrize(
  "words, message",
  [
    (("--utterances", 0), "--utterances 0 is not in 1"),
    (("--min-length", 7), "--min-length 7 is above --max-length 6"),
    (("--words", 2000), "1,884 words"),
  ],
)
def test_a_command_that_makes_no_sense_is_refused(
  words, message, tmp_path, monkeypatch
):
  with pytest.raises(types.UserError, match=message):
    _run(monkeypatch, "--out", tmp_path / "t", *words)
  assert not (tmp_path / "t").exists()
