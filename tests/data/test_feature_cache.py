"""Cached features: the same as without, made once, and again if damaged."""

import dataclasses
import logging
import pickle
import shutil

import numpy as np
import pytest

from seq2seq_jax import types
from seq2seq_jax.data import (
  audio,
  audio_side,
  batches,
  corpus,
  feature_cache,
  stored,
  vocabulary,
)
from tests.helpers import speech

pytestmark = pytest.mark.quick
pytest.importorskip("soundfile")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  return speech.write_splits(tmp_path_factory.mktemp("speech"))


def _trained(folder, cache, **fields):
  data = speech.data(folder, cache=str(cache), **fields)
  split = corpus.Corpus(data)
  return data, split, vocabulary.train(data, split)


def _frames(split, vocabularies):
  return [
    vocabularies.source.encode(split.train[int(i)][0]).values
    for i in split.indices
  ]


def _equal(a, b):
  return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture
def unread(monkeypatch):
  """Makes reading any audio a failure."""

  def forbid():
    monkeypatch.setattr(
      audio.Reader, "read", lambda self, u: pytest.fail(f"{u.id} was read")
    )

  return forbid


def test_an_epoch_with_a_cache_reads_no_audio(folder, tmp_path, unread):
  fields = {"speeds": ("0.9", "1.0"), "time_masks": 1, "frequency_masks": 1}
  data, split, vocabularies = _trained(folder, tmp_path, **fields)
  want = _frames(split, vocabularies)
  (frames_file,) = tmp_path.glob("*.f16")
  count = sum(len(x) for x in want)
  assert frames_file.stat().st_size == count * 8 * 2
  unread()
  # Another run of the same data finds the file, also for its statistics.
  _, _, again = _trained(folder, tmp_path, **fields)
  assert again.checksum() == vocabularies.checksum()
  assert _equal(_frames(split, again), want)
  training = batches.TrainData(data, split, again, seed=0)
  loaded = list(training.batches(0, 2 * len(training.plan)))
  assert sum(int(np.sum(b.tgt_len > 0)) for b in loaded) == 2 * 12
  # A copy in another process has its own map.
  copied = pickle.loads(pickle.dumps(again))
  assert _equal(_frames(split, copied), want)
  assert len(pickle.dumps(again)) < 20_000


def test_a_run_has_rounded_features_in_all_its_parts(folder, tmp_path, unread):
  """Statistics and frames are those of the rounded features, cached or not."""
  cache = tmp_path / "cache"
  data, split, cached = _trained(folder, cache)
  _, _, plain = _trained(folder, "")
  frames = _frames(split, cached)
  utterance = split.train[0][0]
  exact = plain.source.log_mel(utterance)
  difference = np.abs(cached.source.log_mel(utterance) - exact).max()
  # 16 bits hold eleven digits of a number, and these are below 32.
  assert exact.max() < 32 and 0 < difference <= 2**-7
  together = np.concatenate(frames)
  np.testing.assert_allclose(together.mean(axis=0), 0.0, atol=1e-4)
  np.testing.assert_allclose(together.std(axis=0), 1.0, atol=1e-4)
  # On a machine without the cache the run's features are the same.
  path = tmp_path / "source.json"
  path.write_bytes(cached.source.dump())
  elsewhere = speech.data(folder)
  restored = audio_side.SourceAudio.restore(stored.load(path), elsewhere)
  assert restored.checksum() == cached.source.checksum()
  for i, want in zip(split.indices, frames):
    utterance = split.train[int(i)][0]
    assert np.array_equal(restored.encode(utterance).values, want)
  # With it they are the same without reading, once it is prepared.
  restored = audio_side.SourceAudio.restore(stored.load(path), data)
  unread()
  restored.prepare(split.train[int(i)][0] for i in split.indices)
  assert np.array_equal(restored.encode(split.train[0][0]).values, frames[0])
  # A run without one cannot begin to use it.
  path.write_bytes(plain.source.dump())
  assert b"rounded" not in path.read_bytes()
  with pytest.raises(types.UserError, match=r"data\.audio\.cache.* empty"):
    audio_side.SourceAudio.restore(stored.load(path), data)


@pytest.mark.parametrize(
  "spoil, message",
  [
    (lambda f, t: t.unlink(), "cannot read"),
    (lambda f, t: f.unlink(), "No such file"),
    (lambda f, t: t.write_bytes(t.read_bytes()[:300]), "not a whole .npz"),
    (lambda f, t: f.write_bytes(f.read_bytes()[:-2]), "bytes, not"),
  ],
  ids=["no table", "no frames", "cut table", "cut frames"],
)
def test_a_damaged_cache_is_made_again(
  folder, tmp_path, caplog, spoil, message
):
  _, split, vocabularies = _trained(folder, tmp_path)
  (frames_file,), (table,) = tmp_path.glob("*.f16"), tmp_path.glob("*.npz")
  content = frames_file.read_bytes()
  spoil(frames_file, table)
  caplog.set_level(logging.INFO)
  _, _, again = _trained(folder, tmp_path)
  (told,) = [r for r in caplog.records if r.levelno == logging.WARNING]
  assert "made again" in told.getMessage() and message in told.getMessage()
  assert frames_file.read_bytes() == content
  assert _equal(_frames(split, again), _frames(split, vocabularies))


def test_frames_that_were_changed_are_decoded_instead(folder, tmp_path, caplog):
  _, split, vocabularies = _trained(folder, tmp_path)
  want = _frames(split, vocabularies)
  (frames_file,) = tmp_path.glob("*.f16")
  content = bytearray(frames_file.read_bytes())
  content[100] ^= 1
  frames_file.write_bytes(content)
  _, _, again = _trained(folder, tmp_path)
  assert _equal(_frames(split, again), want)
  assert caplog.text.count("does not match its checksum") == 1
  # So are they if the file is removed under a running program.
  shutil.rmtree(tmp_path)
  copied = pickle.loads(pickle.dumps(vocabularies))
  assert _equal(_frames(split, copied), want)


def test_what_is_interrupted_leaves_nothing_wrong(
  folder, tmp_path, monkeypatch
):
  read, count = audio.Reader.read, 0

  def stops(self, utterance):
    nonlocal count
    count += 1
    if count == 4:
      raise KeyboardInterrupt
    return read(self, utterance)

  monkeypatch.setattr(audio.Reader, "read", stops)
  with pytest.raises(KeyboardInterrupt):
    _trained(folder, tmp_path)
  assert [p.suffix for p in tmp_path.iterdir()] == [".lock"]
  # A part that a killed process left is removed by the next one.
  key = next(tmp_path.glob("*.lock")).stem
  left = tmp_path / f".{key}.99.f16.part"
  left.write_bytes(b"x")
  _, split, vocabularies = _trained(folder, tmp_path)
  assert not left.exists() and len(_frames(split, vocabularies)) == 6


def test_what_features_depend_on_has_a_file_of_its_own(folder, tmp_path):
  """Other settings and places do; texts and normalisation do not."""

  def files(**fields):
    _trained(folder, tmp_path, **fields)
    return len(list(tmp_path.glob("*.f16")))

  assert files() == 1
  assert files(normalize="utterance", stack=2) == 1
  assert files(window="hann") == 2
  assert files(speeds=("1.0", "1.1")) == 3
  here = audio.Utterance("u", "/a/x.wav", "one", speaker="s")
  name = feature_cache.name_of(here)
  said = dataclasses.replace(here, text="two", speaker="t")
  assert feature_cache.name_of(said) == name
  for change in ({"audio": "/b/x.wav"}, {"speed": 1.1}, {"offset": 1.0}):
    assert feature_cache.name_of(dataclasses.replace(here, **change)) != name


def test_a_second_process_waits_for_the_first(folder, tmp_path, unread):
  """It holds the lock; then its file is found, and none is read."""
  _, split, vocabularies = _trained(folder, tmp_path / "made")
  cache, made = tmp_path / "cache", tmp_path / "made"
  cache.mkdir()
  (table,) = made.glob("*.npz")
  unread()

  class Lock:
    def __init__(self, path):
      pass

    def acquire(self, timeout=None):
      if timeout is not None:
        raise feature_cache.filelock.Timeout("held")
      for path in made.iterdir():
        shutil.copy(path, cache)

    def release(self):
      pass

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(feature_cache.filelock, "FileLock", Lock)
    _, _, again = _trained(folder, cache)
  assert (cache / table.name).exists()
  assert _equal(_frames(split, again), _frames(split, vocabularies))


def test_a_cache_that_cannot_be_written_is_named(folder, tmp_path):
  (tmp_path / "file").write_text("x")
  with pytest.raises(types.UserError, match=r"data\.audio\.cache: .*file"):
    _trained(folder, tmp_path / "file" / "cache")
  with pytest.raises(types.UserError, match="not supported"):
    _trained(folder, "gs://bucket/cache")


def test_bad_audio_is_not_cached(tmp_path, caplog):
  folder = speech.write_splits(tmp_path / "speech")
  content = (folder / "u2.wav").read_bytes()
  (folder / "u2.wav").write_bytes(content[:500])
  cache = tmp_path / "cache"
  with pytest.raises(types.Unreadable, match=r"u2\.wav"):
    _trained(folder, cache)
  assert not list(cache.glob("*.f16"))
  _, split, vocabularies = _trained(folder, cache, on_error="skip")
  assert "1 of 6 training utterances cannot be used" in caplog.text
  assert "lacks 1 of 6 utterances" in caplog.text
  side, utterance = vocabularies.source, split.train[2][0]
  with pytest.raises(types.Unreadable, match=r"u2\.wav"):
    side.encode(utterance)
  # Once it is whole again it is used, though the cache has it not.
  (folder / "u2.wav").write_bytes(content)
  assert len(side.encode(utterance).values) == side.positions(utterance)


def test_an_empty_cache_is_not_kept(tmp_path):
  """As of files on a disk that is not mounted."""
  folder = speech.write_splits(tmp_path / "speech")
  for path in folder.glob("*.wav"):
    path.unlink()
  with pytest.raises(types.UserError, match="none of 6 utterances can be used"):
    _trained(folder, tmp_path / "cache", on_error="skip")
  assert {p.suffix for p in (tmp_path / "cache").iterdir()} == {".lock"}


def test_statistics_may_be_those_of_a_sample(folder):
  data = speech.data(folder, statistics_utterances=2)
  split = corpus.Corpus(data)
  side = vocabulary.train(data, split).source
  lengths = [side.units(split.train[int(i)][0]) for i in split.indices]
  chosen = np.random.default_rng((0, 4)).permutation(6)[:2]
  assert side.moments[""].frames == sum(lengths[i] for i in chosen)
  values = np.concatenate(
    [side.encode(split.train[i][0]).values for i in chosen]
  )
  np.testing.assert_allclose(values.mean(axis=0), 0.0, atol=1e-4)
  with pytest.raises(types.UserError, match="may miss speakers"):
    speech.data(folder, statistics_utterances=2, normalize="speaker")
