"""Audio of every kind: samples, or one message, or a filler that is counted."""

import dataclasses
import json

import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.data import batches, corpus, vocabulary
from tests.helpers import speech

pytestmark = pytest.mark.quick
soundfile = pytest.importorskip("soundfile")
RATE = 16000
TONE = (0.4 * np.sin(np.arange(4000) / 9.0)).astype(np.float32)


def _spoiled(samples, place, value):
  samples = samples.copy()
  samples[place] = value
  return samples


def _encoded(folder, name, samples=TONE, rate=RATE, **options):
  soundfile.write(folder / name, samples, rate, **options)
  return (folder / name).read_bytes()


def _damaged_flac(folder):
  content = bytearray(_encoded(folder, "x.flac", subtype="PCM_16"))
  half = len(content) // 2
  content[half : half + 200] = bytes(200)
  return bytes(content)


# From a name to what is in the file, and to what its message says; empty: it
# can be used.
CASES = {
  "8-bit.wav": (lambda f: _encoded(f, "x.wav", subtype="PCM_U8"), ""),
  "24-bit.wav": (lambda f: _encoded(f, "x.wav", subtype="PCM_24"), ""),
  "mu-law.wav": (lambda f: _encoded(f, "x.wav", subtype="ULAW"), ""),
  "24-bit.flac": (lambda f: _encoded(f, "x.flac", subtype="PCM_24"), ""),
  "float.wav": (lambda f: _encoded(f, "x.wav", subtype="FLOAT"), ""),
  "loud.wav": (lambda f: _encoded(f, "x.wav", 3 * TONE, subtype="FLOAT"), ""),
  "opus.ogg": (
    lambda f: _encoded(f, "x.ogg", format="OGG", subtype="OPUS"),
    "",
  ),
  "nan.wav": (
    lambda f: _encoded(f, "x.wav", _spoiled(TONE, 7, np.nan), subtype="FLOAT"),
    "sample 7 is not a finite number",
  ),
  "huge.wav": (
    lambda f: _encoded(f, "x.wav", _spoiled(TONE, 8, 1e30), subtype="FLOAT"),
    "sample 8 is too large",
  ),
  "stereo.wav": (
    lambda f: _encoded(f, "x.wav", np.stack([TONE, -TONE], 1)),
    "has 2 channels; name one in the manifest's 'channel' or in "
    "data.audio.channel",
  ),
  "cut.wav": (
    lambda f: _encoded(f, "x.wav")[:4044],
    "has 2,000 samples, but the manifest says 4,000; the file is cut short",
  ),
  "header.wav": (lambda f: _encoded(f, "x.wav")[:44], "4,000; the file is cut"),
  "cut.flac": (
    lambda f: _encoded(f, "x.flac")[:800],
    "the file is damaged or no audio",
  ),
  "damaged.flac": (_damaged_flac, "the file is damaged or no audio"),
  "nothing.flac": (lambda f: b"", "cannot be decoded"),
  "noise.wav": (lambda f: bytes(range(256)) * 9, "cannot be decoded"),
  "name.raw": (lambda f: bytes(900), "cannot be decoded"),
  "8kHz.wav": (
    lambda f: _encoded(f, "x.wav", rate=8000),
    "has 8000 samples a second, but data.audio.rate is 16000; set "
    "data.audio.resample to convert it",
  ),
  "short.wav": (
    lambda f: _encoded(f, "x.wav", TONE[:399]),
    "has 399 samples, fewer than a frame of 400 (data.audio.window_ms)",
  ),
  "missing.wav": (None, "does not exist"),
}
BAD = [name for name, (_, message) in CASES.items() if message]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """A file of each case, and a manifest of all; half of them have no length."""
  folder = tmp_path_factory.mktemp("cases")
  lines = []
  for name, (content, _) in CASES.items():
    if content:
      (folder / name).write_bytes(content(folder))
    line = {"id": f"id-{name}", "audio": name, "text": "one two"}
    if name in ("cut.wav", "header.wav", "nan.wav", "float.wav", "8kHz.wav"):
      line["samples"] = 4000
    lines.append(json.dumps(line))
  for name in ("train.jsonl", "valid.jsonl"):
    (folder / name).write_text("\n".join(lines))
  return folder


def _data(folder, on_error, **audio):
  data = speech.data(folder)
  fields = {"rate": RATE, "bins": 8, "normalize": "utterance"} | audio
  audio = config.Audio(on_error=on_error, **fields)
  return dataclasses.replace(data, audio=audio)


@pytest.mark.parametrize("name", CASES)
def test_every_file_ends_in_frames_or_in_one_line(folder, name):
  message = CASES[name][1]
  data = _data(folder, "fail")
  split = corpus.Corpus(data)
  side = vocabulary.train(data, split).source
  utterance, _ = split.train[list(CASES).index(name)]
  if not message:
    frames = side.encode(utterance).values
    assert len(frames) == side.positions(utterance) >= 23
    assert np.isfinite(frames).all()
    return
  with pytest.raises(types.Unreadable) as e:
    side.encode(utterance)
  told = str(e.value)
  assert str(folder / name) in told and f"id-{name}" in told
  assert message in told and "\n" not in told
  assert told.endswith(
    "data.audio.on_error skip goes on without such utterances"
  )


def test_training_has_a_filler_row_for_each(folder, caplog):
  data = _data(folder, "skip", normalize="global")
  split = corpus.Corpus(data)
  vocabularies = vocabulary.train(data, split)
  counted = f"{len(BAD)} of {len(CASES)} training utterances cannot be used"
  assert counted in caplog.text
  named = [name for name in BAD if f"skipped: {folder}/{name}" in caplog.text]
  assert named == BAD[:10] and "are not named" in caplog.text
  training = batches.TrainData(data, split, vocabularies, seed=0)
  loaded = list(training.batches(0, len(training.plan)))
  rows = sum(int(np.sum(batch.tgt_len > 0)) for batch in loaded)
  assert rows == len(CASES) - len(BAD)
  assert training.skipped == len(BAD)
  for batch in loaded:
    filler = batch.tgt_len == 0
    assert np.all(batch.src_len[filler] == 1) and not batch.src[filler].any()
    assert not batch.tgt[filler].any()
  # The good ones are as they would be without the others.
  i = list(CASES).index("float.wav")
  alone = vocabularies.encode(split.train[i])
  assert any(
    n == len(alone.source.values)
    and np.array_equal(row[:n], alone.source.values)
    for batch in loaded
    for row, n in zip(batch.src, batch.src_len)
  )


def test_a_file_that_disappears_is_skipped_or_named(tmp_path, caplog):
  speech.write_splits(tmp_path)
  for on_error in ("skip", "fail"):
    data = speech.data(tmp_path, on_error=on_error, time_masks=1)
    split = corpus.Corpus(data)
    vocabularies = vocabulary.train(data, split)
    training = batches.TrainData(data, split, vocabularies, seed=0)
    (whole,) = training.batches(0, 1)
    assert np.sum(whole.tgt_len > 0) == 6
    (tmp_path / "u3.wav").rename(tmp_path / "away.wav")
    if on_error == "skip":
      (later,) = training.batches(1, 2)
      assert np.sum(later.tgt_len > 0) == 5 and training.skipped == 1
      assert "u3.wav (utterance u3): does not exist" in caplog.text
    else:
      with pytest.raises(types.Unreadable, match=r"u3\.wav .*does not exist"):
        list(training.batches(1, 2))
    (tmp_path / "away.wav").rename(tmp_path / "u3.wav")


def test_training_on_nothing_is_an_error(tmp_path):
  speech.write_splits(tmp_path)
  for path in tmp_path.glob("*.wav"):
    path.write_bytes(b"no audio")
  data = speech.data(tmp_path, on_error="skip")
  split = corpus.Corpus(data)
  with pytest.raises(types.UserError, match="none of 6 utterances can be"):
    vocabulary.train(data, split)
  data = speech.data(tmp_path, on_error="skip", normalize="utterance")
  vocabularies = vocabulary.train(data, split)
  training = batches.TrainData(data, split, vocabularies, seed=0)
  with pytest.raises(types.UserError, match="none of the first batch"):
    list(training.batches(0, 3))
