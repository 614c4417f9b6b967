"""A manifest as the examples of a run: task audio, from files to batches."""

import dataclasses

import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.data import batches, corpus, utterances, vocabulary
from seq2seq_jax.data import lengths as lengths_lib
from tests.helpers import speech

pytestmark = pytest.mark.quick
pytest.importorskip("soundfile")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  return speech.write_splits(tmp_path_factory.mktemp("speech"))


def test_batches_hold_the_frames_of_each_utterance(folder):
  data = speech.data(folder, stack=2, stack_step=2)
  split = corpus.Corpus(data)
  assert len(split.indices) == 6, "an utterance without text is left out"
  assert split.blank["blank target"].first.endswith("utterance mute")
  vocabularies = vocabulary.train(data, split)
  assert vocabularies.source.features == 16
  training = batches.TrainData(data, split, vocabularies, seed=0)
  samples = np.array([800 + 400 * n for n in range(6)])
  frames = 1 + (samples - 200) // 80
  assert training.lengths[:, 0].tolist() == (-(-frames // 2)).tolist()
  batch = training.load(0)
  assert batch.src.dtype == np.float32 and batch.src.shape[2] == 16
  assert sorted(batch.src_len) == sorted([*(-(-frames // 2)), 1, 1])
  for row, length in zip(batch.src, batch.src_len):
    assert not row[length:].any()
  # The statistics are of the training set that is used: mean 0, deviation 1.
  single = vocabulary.train(speech.data(folder), split)
  encoded = [single.source.encode(split.train[i][0]) for i in range(6)]
  values = np.concatenate([e.values for e in encoded])
  np.testing.assert_allclose(values.mean(axis=0), 0.0, atol=1e-4)
  np.testing.assert_allclose(values.std(axis=0), 1.0, atol=1e-4)


def test_lengths_are_known_without_reading_audio(folder, monkeypatch):
  data = speech.data(folder)
  split = corpus.Corpus(data)
  vocabularies = vocabulary.train(data, split)
  read = lengths_lib.measure(split, vocabularies)
  monkeypatch.setattr(
    type(vocabularies.source), "log_mel", lambda *_: pytest.fail("was read")
  )
  assert np.array_equal(lengths_lib.measure(split, vocabularies), read)


def test_masks_are_the_same_in_every_process_and_anew_each_epoch(folder):
  data = speech.data(folder, frequency_masks=1, frequency_width=4, time_masks=1)
  split = corpus.Corpus(data)
  vocabularies = vocabulary.train(data, split)
  training = batches.TrainData(data, split, vocabularies, seed=0)
  whole = training.load(0)
  halves = [training.load(0, process, 2) for process in (0, 1)]
  assert np.array_equal(np.concatenate([h.src for h in halves]), whole.src)
  again = batches.TrainData(data, split, vocabularies, seed=0)
  later = again.load(1)  # the second epoch, without loading the first
  assert np.array_equal(later.src, training.load(1).src)
  other = batches.TrainData(data, split, vocabularies, seed=1)
  totals = {round(float(b.src.sum()), 3) for b in (whole, later, other.load(0))}
  assert len(totals) == 3


def test_a_manifest_is_the_same_in_another_folder(folder, tmp_path):
  here = folder / "train.jsonl"
  there = tmp_path / "other.jsonl"
  content = here.read_text()
  there.write_text(content.replace('"u0.wav"', f'"{folder}/u0.wav"'))
  sums = {utterances.Manifests(path).checksum() for path in (here, there)}
  assert len(sums) == 1
  there.write_text(content.replace('"samples": 800', '"samples": 801'))
  assert utterances.Manifests(there).checksum() not in sums


def test_a_manifest_without_texts_is_refused(tmp_path):
  path = tmp_path / "m.jsonl"
  path.write_text('{"id": "a", "audio": "a.wav"}\n')
  with pytest.raises(types.UserError, match="no line has a 'text'"):
    utterances.Manifests(path)


def test_a_stored_side_refuses_other_features(folder, tmp_path):
  data = speech.data(folder)
  vocabularies = vocabulary.train(data, corpus.Corpus(data))
  for name, content in vocabularies.files().items():
    (tmp_path / name).write_bytes(content)
  again = vocabulary.load(data, tmp_path)
  assert again.checksum() == vocabularies.checksum()
  masked = vocabulary.load(speech.data(folder, time_masks=1), tmp_path)
  assert masked.source.samples and not again.source.samples
  with pytest.raises(types.UserError, match=r"data\.audio says"):
    vocabulary.load(speech.data(folder, window="hann"), tmp_path)


@pytest.mark.parametrize(
  "change, message",
  [
    ({"joint": True}, r"data\.joint"),
    ({"train": ()}, r"data\.train"),
  ],
)
def test_a_config_that_contradicts_audio_is_refused(change, message):
  fields = {"task": "audio", "train": ("m.jsonl",)} | change
  with pytest.raises(types.UserError, match=message):
    config.Data(**fields)


def test_the_models_features_are_those_of_the_data():
  data = config.Data(task="audio", train=("m.jsonl",))
  with pytest.raises(types.UserError, match=r"model\.encoder\.features"):
    config.Config(data=data)
  encoder = config.Encoder(features=80)
  config.Config(data=data, model=config.Model(encoder=encoder))


def test_several_manifests_are_one_set(folder, tmp_path):
  train, valid = folder / "train.jsonl", tmp_path / "more.jsonl"
  valid.write_text('{"audio": "x.wav", "text": "one", "id": "new"}\n')
  both = utterances.Manifests(train, valid)
  alone = utterances.Manifests(train)
  assert len(both) == len(alone) + 1
  assert [u.id for u, _ in both.pairs[-1:]] == ["new"]
  assert both.place(0) == alone.place(0)
  assert both.place(len(alone)) == f"{valid}, utterance new"
  assert both.checksum() != alone.checksum()
  data = speech.data(folder)
  found = corpus.open_split(
    dataclasses.replace(data, root="", train=(str(train), str(valid))), "train"
  )
  assert found.checksum() == both.checksum()
  with pytest.raises(types.UserError, match="has an utterance u0 as well"):
    utterances.Manifests(train, train)
  valid.write_text('{"audio": "x.wav"}\n')
  with pytest.raises(types.UserError, match=r"more.jsonl: no line has a 'te"):
    utterances.Manifests(train, valid)
