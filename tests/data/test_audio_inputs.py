"""What a model of speech is given: files by what they are, and samples."""

import io
import sys

import numpy as np
import pytest

from seq2seq_jax import types
from seq2seq_jax.data import audio, audio_inputs

pytestmark = pytest.mark.quick
LINE = '{"id": "a", "audio": "x.wav", "text": "one"}\n'


@pytest.mark.parametrize("name", ["m.jsonl", "m.json", "m", "m.wav"])
def test_a_manifest_is_known_by_its_end_or_its_beginning(tmp_path, name):
  path = tmp_path / name
  path.write_text("\n  " + LINE)
  (found,) = audio_inputs.read(str(path))
  assert found.value == audio.Utterance("a", str(tmp_path / "x.wav"), "one")
  assert found.place == f"{path}, utterance a"


def test_all_else_is_audio_but_text(tmp_path):
  path = tmp_path / "x"
  for content in (b"RIFF\0\0\0\0WAVE", b"\xff\xfb\x90", b""):
    path.write_bytes(content)
    (found,) = audio_inputs.read(str(path))
    assert found == (audio.Utterance(str(path), str(path)), str(path))
  # A character of three bytes may be cut at the end of what is looked at.
  for text in ("notes\n", "ab" + "€" * 2000):
    path.write_text(text)
    with pytest.raises(types.UserError, match=r"x: is text, but this model"):
      audio_inputs.read(str(path))
  with pytest.raises(types.UserError, match=r"gone.wav: no such file"):
    audio_inputs.read(str(tmp_path / "gone.wav"))
  (found,) = audio_inputs.read("a.tar#b.flac")
  assert found.value.audio == "a.tar#b.flac"


def test_standard_input_is_a_manifest(monkeypatch):
  def given(content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    return audio_inputs.read(None)

  (found,) = given(LINE.encode())
  assert found.value.audio == "x.wav"
  assert found.place == "standard input, utterance a"
  with pytest.raises(types.UserError, match=r"input: is no manifest, which"):
    given(b"RIFF")


def test_samples_are_an_utterance_at_their_scale():
  floats = np.array([0.5, -0.25, 0.0])
  wanted = floats.astype(np.float32)
  reader = audio.Reader(8000)
  for value in (
    floats,
    wanted,
    (wanted, 8000),
    (wanted * 2**15).astype(np.int16),
    ((wanted * 2**31).astype(np.int32)[:, None], np.int64(8000)),
  ):
    made = audio_inputs.utterance(value, 8000)
    assert made.samples == 3 and made.id == "3 samples"
    assert np.array_equal(reader.read(made), wanted)
  assert audio_inputs.utterance(made, 1) is made
  other = audio_inputs.utterance(wanted, 16000)
  with pytest.raises(
    types.Unreadable, match=r"3 samples.*: has 16000 samples a"
  ):
    reader.read(other)
  two = audio_inputs.utterance(np.zeros((3, 2)), 8000)
  with pytest.raises(types.Unreadable, match=r"3 samples.*: has 2 channels"):
    reader.read(two)
  again = audio_inputs.utterance(wanted, 8000)
  contents = [audio_inputs.content(x) for x in (made, again, other, two)]
  assert contents[0] != contents[1], "another shape"
  assert contents[1] == audio_inputs.content(
    audio_inputs.utterance(floats, 8000)
  )
  assert len(set(contents)) == 4


@pytest.mark.parametrize(
  "value, message",
  [
    (3.0, "a source is float, but this model reads speech"),
    (None, "a source is NoneType"),
    ((np.zeros(3), "8000"), "a source is ndarray, but"),
    (np.zeros((2, 2, 2)), r"samples are float64 of shape \(2, 2, 2\)"),
    (np.zeros(3, np.uint8), "samples are uint8 of shape"),
  ],
)
def test_what_is_no_speech_is_refused(value, message):
  with pytest.raises(types.UserError, match=message):
    audio_inputs.utterance(value, 8000)


def test_a_blank_name_is_an_utterance_without_samples():
  assert audio_inputs.utterance("  ", 8000).samples == 0
  assert audio_inputs.utterance("a.wav", 8000) == audio.Utterance(
    "a.wav", "a.wav"
  )
