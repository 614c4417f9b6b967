"""Reading audio: every kind of file ends in samples or in one clear message."""

import ast
import builtins
import json
import pathlib
import tarfile

import numpy as np
import pytest

import seq2seq_jax
from seq2seq_jax import types
from seq2seq_jax.data import audio

pytestmark = pytest.mark.quick

soundfile = pytest.importorskip("soundfile")
RATE = 16000
TONE = (0.4 * np.sin(np.arange(4000) / 9.0)).astype(np.float32)


def _write(path, samples=TONE, rate=RATE, **options):
  soundfile.write(path, samples, rate, **options)
  return audio.Utterance("u1", str(path))


@pytest.mark.parametrize(
  "name, subtype, tolerance",
  [
    ("a.wav", "PCM_16", 1e-4),
    ("a.wav", "PCM_U8", 1e-2),
    ("a.wav", "PCM_24", 1e-6),
    ("a.wav", "ULAW", 2e-2),
    ("a.wav", "FLOAT", 0.0),
    ("a.flac", "PCM_16", 1e-4),
    ("a.flac", "PCM_24", 1e-6),
    ("a.aiff", "PCM_16", 1e-4),
    ("a.nist", "PCM_16", 1e-4),
    ("a.ogg", "VORBIS", 0.1),
  ],
)
def test_every_format_has_the_same_samples(tmp_path, name, subtype, tolerance):
  utterance = _write(tmp_path / name, subtype=subtype)
  got = audio.Reader(RATE).read(utterance)
  assert got.dtype == np.float32 and got.shape == TONE.shape
  np.testing.assert_allclose(got, TONE, atol=tolerance)


def _broken(tmp_path):
  """{name: (utterance, message)}."""
  flac = tmp_path / "whole.flac"
  _write(flac)
  whole = flac.read_bytes()
  (tmp_path / "cut.flac").write_bytes(whole[: len(whole) // 2])
  (tmp_path / "none.flac").write_bytes(b"")
  (tmp_path / "noise.wav").write_bytes(bytes(range(256)) * 9)
  wav = tmp_path / "whole.wav"
  _write(wav)
  (tmp_path / "cut.wav").write_bytes(wav.read_bytes()[:4044])
  nan = TONE.copy()
  nan[7] = np.nan
  cut = audio.Utterance("u1", str(tmp_path / "cut.wav"), samples=len(TONE))

  def at(name):
    return audio.Utterance("u1", str(tmp_path / name))

  return {
    "cut FLAC": (at("cut.flac"), "cannot be decoded"),
    "no bytes": (at("none.flac"), "cannot be decoded"),
    "noise": (at("noise.wav"), "cannot be decoded"),
    "cut WAV": (cut, "has 2,000 samples, but the manifest says 4,000"),
    "no samples": (_write(tmp_path / "e.wav", TONE[:0]), "has no samples"),
    "not finite": (
      _write(tmp_path / "nan.wav", nan, subtype="FLOAT"),
      "sample 7 is not a finite number",
    ),
    "stereo": (
      _write(tmp_path / "2.wav", np.stack([TONE, -TONE], 1)),
      "has 2 channels; name one",
    ),
    "rate": (
      _write(tmp_path / "8k.wav", rate=8000),
      "has 8000 samples a second, but data.audio.rate is 16000",
    ),
    "missing": (at("no.wav"), "does not exist"),
    "folder": (audio.Utterance("u1", str(tmp_path)), "is no file"),
    "offset": (
      audio.Utterance("u1", str(wav), offset=9.0),
      "starts at 9 s, but the file ends at 0.25 s",
    ),
    "channel": (
      audio.Utterance("u1", str(wav), channel=1),
      "has 1 channels, and channel 1",
    ),
  }


def test_what_is_wrong_with_a_file_is_named(tmp_path):
  reader = audio.Reader(RATE)
  for name, (utterance, message) in _broken(tmp_path).items():
    with pytest.raises(types.UserError) as e:
      reader.read(utterance)
    assert message in str(e.value), name
    assert utterance.audio in str(e.value) and "u1" in str(e.value), name


def test_a_channel_and_a_piece_are_taken(tmp_path):
  path = tmp_path / "2.wav"
  _write(path, np.stack([TONE, -0.5 * TONE], 1), subtype="FLOAT")
  reader = audio.Reader(RATE, channel=0)
  assert np.array_equal(reader.read(audio.Utterance("a", str(path))), TONE)
  piece = audio.Utterance("b", str(path), samples=800, offset=0.125, channel=1)
  assert np.array_equal(reader.read(piece), -0.5 * TONE[2000:2800])
  seconds = audio.Utterance("c", str(path), duration=0.05, offset=0.125)
  assert np.array_equal(reader.read(seconds), TONE[2000:2800])


def test_another_rate_is_converted_on_request(tmp_path):
  pytest.importorskip("soxr")
  time = np.arange(8000) / 8000
  tone = 0.5 * np.sin(2 * np.pi * 440 * time)
  utterance = _write(tmp_path / "8k.wav", tone, 8000, subtype="FLOAT")
  got = audio.Reader(RATE, resample=True).read(utterance)
  want = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / RATE)
  assert got.shape == want.shape
  np.testing.assert_allclose(got[500:-500], want[500:-500], atol=1e-3)


def test_members_of_an_archive_are_read_in_place(tmp_path):
  for name, scale in (("x.wav", 1.0), ("y.wav", 0.5)):
    _write(tmp_path / name, scale * TONE, subtype="FLOAT")
  with tarfile.open(tmp_path / "a.tar", "w") as archive:
    for name in ("x.wav", "y.wav"):
      archive.add(tmp_path / name, f"wav/{name}")
  reader = audio.Reader(RATE)
  member = audio.Utterance("u1", f"{tmp_path}/a.tar#wav/y.wav")
  assert np.array_equal(reader.read(member), 0.5 * TONE)
  for path, message in (
    (f"{tmp_path}/a.tar#wav/z.wav", "has no member wav/z.wav"),
    (f"{tmp_path}/b.tar#wav/z.wav", "cannot read the archive"),
  ):
    with pytest.raises(types.UserError, match=message):
      reader.read(audio.Utterance("u1", path))


def test_parts_are_joined_at_one_loudness(tmp_path):
  quiet, loud = 0.01 * TONE, 0.9 * TONE[:3000]
  for name, samples in (("q.wav", quiet), ("l.wav", loud)):
    _write(tmp_path / name, samples, subtype="FLOAT")
  parts = tuple(str(tmp_path / name) for name in ("q.wav", "l.wav"))
  utterance = audio.Utterance("u1", "", parts=parts, gaps=(500, 100, 700))
  got = audio.Reader(RATE).read(utterance)
  assert got.dtype == np.float32 and len(got) == 500 + 4000 + 100 + 3000 + 700

  def loudness(samples):
    return np.sqrt(np.mean(samples**2))

  for start, end in ((500, 4500), (4600, 7600)):
    assert loudness(got[start:end]) == pytest.approx(0.05, rel=1e-4)
  for start, end in ((0, 500), (7600, 8300)):
    assert loudness(got[start:end]) == pytest.approx(0.0005, rel=0.1)
  assert np.array_equal(audio.Reader(RATE).read(utterance), got)
  wrong = audio.Utterance("u1", "", samples=9, parts=parts, gaps=(0, 0, 0))
  with pytest.raises(types.UserError, match=r"have 7,000 samples.* says 9"):
    audio.Reader(RATE).read(wrong)


def test_a_manifest_is_read_with_either_name_of_a_key(tmp_path):
  path = tmp_path / "train.jsonl"
  lines = [
    {"id": "a", "audio": "a.wav", "text": " ONE  TWO", "samples": 5, "x": 1},
    {"audio_filepath": "/b/c.flac", "duration": 1.5, "text": "y", "offset": 2},
  ]
  path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
  assert audio.read_manifest(path) == [
    audio.Utterance("a", f"{tmp_path}/a.wav", "ONE TWO", samples=5),
    audio.Utterance("c-2", "/b/c.flac", "y", duration=1.5, offset=2),
  ]


@pytest.mark.parametrize(
  "content, message",
  [
    ('{"audio": "a.wav"\n', "line 1 is not valid JSON"),
    ('{"audio": "a.wav"}\n[1]\n', "line 2: the file must be an object"),
    ('{"text": "x"}\n', "line 1: names no audio file"),
    ('{"audio": "a.wav", "samples": "5"}\n', "samples must be a whole number"),
    ('{"audio": "a.wav", "offset": -1}\n', "line 1: offset is negative"),
    ('{"id": "a", "audio": "x"}\n' * 2, "the id 'a' of utterance 2"),
    ('{"parts": ["a"], "gaps": [1]}\n', "1 parts need 2 gaps"),
    ('{"parts": ["a"], "gaps": [1, -1]}\n', "line 1: a gap is negative"),
    ('{"audio": "b", "parts": ["a"], "gaps": [1, 1]}', "both 'audio' and"),
    ("\n\n", "has no utterances"),
    (b'{"audio": "\xe9"}', "line 1 is not UTF-8"),
  ],
)
def test_a_wrong_line_of_a_manifest_is_named(tmp_path, content, message):
  path = tmp_path / "m.jsonl"
  path.write_bytes(content if isinstance(content, bytes) else content.encode())
  with pytest.raises(types.UserError) as e:
    audio.read_manifest(path)
  assert str(path) in str(e.value) and message in str(e.value)


@pytest.mark.parametrize("library", ["soundfile", "soxr"])
def test_without_a_library_the_extra_is_named(tmp_path, monkeypatch, library):
  utterance = _write(tmp_path / "a.wav", rate=8000)
  real = builtins.__import__

  def absent(name, *args, **kwargs):
    if name == library:
      raise ImportError(name)
    return real(name, *args, **kwargs)

  monkeypatch.setattr(builtins, "__import__", absent)
  with pytest.raises(types.UserError, match="the extra audio") as e:
    audio.Reader(RATE, resample=True).read(utterance)
  # No utterance is at fault, so none is skipped for it.
  assert not isinstance(e.value, types.Unreadable)


def test_the_package_is_imported_without_the_libraries():
  """Only inside of functions, so that text needs no extra."""
  package = pathlib.Path(seq2seq_jax.__file__).parent
  for path in package.rglob("*.py"):
    for node in ast.parse(path.read_text()).body:
      if isinstance(node, ast.Import):
        names = {alias.name for alias in node.names}
        assert not names & {"soundfile", "soxr"}, path
