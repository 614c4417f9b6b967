"""Manifests of data sets: what is made, what is refused, what is checked."""

import json
import sys

import numpy as np
import pytest

from seq2seq_jax import types
from seq2seq_jax.data import audio, manifest, manifest_makers

pytestmark = pytest.mark.quick
soundfile = pytest.importorskip("soundfile")
RATE = 16000


def _write(path, samples=4000, rate=RATE):
  path.parent.mkdir(parents=True, exist_ok=True)
  tone = 0.1 * np.sin(np.arange(samples) / 9.0)
  soundfile.write(path, tone, rate)


def _run(monkeypatch, *words):
  monkeypatch.setattr(sys, "argv", ["manifest", *map(str, words)])
  return manifest.main()


def _librispeech(root):
  folder = root / "dev-clean" / "84" / "121123"
  for n in range(2):
    _write(folder / f"84-121123-000{n}.flac", 4000 + n)
  (folder / "84-121123.trans.txt").write_text(
    "84-121123-0000 GO ON\n84-121123-0001 STOP\n"
  )


def test_librispeechs_folders(tmp_path, monkeypatch, capsys):
  _librispeech(tmp_path / "corpus")
  out = tmp_path / "out"
  assert (
    _run(monkeypatch, "librispeech", tmp_path / "corpus", "--out", out) == 0
  )
  assert "dev-clean.jsonl: 2 utterances" in capsys.readouterr().out
  utterances = audio.read_manifest(out / "dev-clean.jsonl")
  assert [(u.id, u.text, u.samples, u.speaker) for u in utterances] == [
    ("84-121123-0000", "GO ON", 4000, "84"),
    ("84-121123-0001", "STOP", 4001, "84"),
  ]
  assert len(audio.Reader(RATE).read(utterances[1])) == 4001
  # What is there is not written again.
  with pytest.raises(types.UserError, match=r"dev-clean\.jsonl exists"):
    _run(monkeypatch, "librispeech", tmp_path / "corpus", "--out", out)


def test_kaldis_folders_with_segments(tmp_path):
  folder = tmp_path / "train"
  _write(folder / "r1.wav", 16000)
  (folder / "wav.scp").write_text(f"r1 {folder / 'r1.wav'}\n")
  (folder / "text").write_text("u1 one two\nu2 three\n")
  (folder / "segments").write_text("u1 r1 0.0 0.25\nu2 r1 0.5 1.0\n")
  (folder / "utt2spk").write_text("u1 anna\nu2 ben\n")
  made = manifest_makers.kaldi(folder)
  assert list(made) == ["train"]
  manifest.write(tmp_path / "m.jsonl", made["train"])
  one, two = audio.read_manifest(tmp_path / "m.jsonl")
  assert (one.text, one.speaker, two.offset) == ("one two", "anna", 0.5)
  reader = audio.Reader(RATE)
  assert len(reader.read(one)) == 4000 and len(reader.read(two)) == 8000


@pytest.mark.parametrize(
  "name, content, message",
  [
    ("wav.scp", "r1 sph2pipe a.sph |\n", "is the output of a command"),
    ("wav.scp", "r2 b.wav\n", "lacks r1"),
    ("segments", "u1 r1 zero 1\n", "u1 is not RECORDING START END"),
    ("text", "u1 a\nu1 b\n", "line 2: u1 is there twice"),
    ("text", b"u1 \xe9\n", "cannot read"),
  ],
)
def test_what_is_wrong_with_kaldis_files_is_named(
  tmp_path, name, content, message
):
  files = {
    "wav.scp": "r1 a.wav\n",
    "text": "u1 a\n",
    "segments": "u1 r1 0 1\n",
    name: content,
  }
  for file, text in files.items():
    text = text if isinstance(text, bytes) else text.encode()
    (tmp_path / file).write_bytes(text)
  with pytest.raises(types.UserError) as e:
    manifest_makers.kaldi(tmp_path)
  assert str(tmp_path / name) in str(e.value) and message in str(e.value)


def test_check_names_what_is_too_short_or_of_another_length(
  tmp_path, monkeypatch, capsys
):
  _write(tmp_path / "a.wav", 4000)
  _write(tmp_path / "short.wav", 399)
  lines = [
    {"id": "whole", "audio": "a.wav", "duration": 0.25},
    {"id": "rounded", "audio": "a.wav", "duration": 0.255},
    {"id": "long", "audio": "a.wav", "duration": 0.3},
    {"id": "samples", "audio": "a.wav", "samples": 4001},
    {"id": "short", "audio": "short.wav"},
    {"id": "piece", "audio": "a.wav", "samples": 300},
  ]
  path = tmp_path / "m.jsonl"
  path.write_text("".join(json.dumps(line) + "\n" for line in lines))
  assert _run(monkeypatch, "check", path) == 2
  *bad, last = capsys.readouterr().out.splitlines()
  told = [
    ("long", "has 4,000 samples, but the manifest says 4,800"),
    ("samples", "has 4,000 samples, but the manifest says 4,001"),
    ("short", "has 399 samples, fewer than a frame of 400"),
    ("piece", "has 300 samples, fewer than a frame of 400"),
  ]
  for line, (name, message) in zip(bad, told, strict=True):
    assert f"(utterance {name})" in line and message in line
  assert "2 of 6 utterances are good" in last
  assert _run(monkeypatch, "check", path, "--window-ms", "10") == 2
  assert "4 of 6 utterances are good" in capsys.readouterr().out
  with pytest.raises(types.UserError, match="--window-ms 0 is not in"):
    _run(monkeypatch, "check", path, "--window-ms", "0")


def test_check_names_every_bad_file(tmp_path, monkeypatch, capsys):
  _write(tmp_path / "good.wav")
  _write(tmp_path / "slow.wav", rate=8000)
  (tmp_path / "noise.flac").write_bytes(bytes(range(256)))
  path = tmp_path / "m.jsonl"
  names = ("good.wav", "slow.wav", "noise.flac", "none.wav")
  path.write_text("".join(json.dumps({"audio": n}) + "\n" for n in names))
  assert _run(monkeypatch, "check", path) == 2
  out, err = capsys.readouterr()
  *bad, last = out.splitlines()
  assert [n in line for n, line in zip(names[1:], bad)] == [True] * 3
  assert last.endswith("1 of 4 utterances are good, 0.00 hours")
  assert err == "error: 3 utterances cannot be used\n"
  path.write_text(json.dumps({"audio": "good.wav"}))
  assert _run(monkeypatch, "check", path, "--rate", "16000") == 0


def test_text_prints_a_line_for_each_utterance(tmp_path, monkeypatch, capsys):
  path = tmp_path / "m.jsonl"
  said = ("GO  ON", "", "one\ntwo", "é")
  lines = [json.dumps({"audio": f"{t}.wav", "text": t}) for t in said]
  path.write_text("\n".join(lines))
  assert _run(monkeypatch, "text", path) == 0
  assert capsys.readouterr().out == "GO ON\none two\né\n"
  path.write_text(lines[1])
  with pytest.raises(types.UserError, match="no line has a 'text'"):
    _run(monkeypatch, "text", path)


@pytest.mark.parametrize("kind", ["an4", "fsdd", "librispeech"])
def test_a_folder_without_the_data_is_named(tmp_path, monkeypatch, kind):
  for folder, message in ((tmp_path, "no "), (tmp_path / "x", "is no folder")):
    with pytest.raises(types.UserError, match=message):
      _run(monkeypatch, kind, folder, "--out", tmp_path / "out")
  assert not (tmp_path / "out").exists()


def test_an4_and_the_digit_strings(tmp_path, monkeypatch, shared_data):
  """Numbers of utterances and samples as published; ends are decoded."""
  for kind, rate, counts in (
    ("an4", 16000, {"train": 848, "dev": 100, "test": 130}),
    (
      "fsdd",
      8000,
      {
        **{"train": 12000, "dev": 600, "test": 1200, "test_long": 600},
        **{"train_short": 6836, "dev_short": 351, "test_short": 689},
      },
    ),
  ):
    folder = shared_data(kind)
    out = tmp_path / kind
    assert _run(monkeypatch, kind, folder, "--out", out) == 0
    reader = audio.Reader(rate)
    for part, count in counts.items():
      utterances = audio.read_manifest(out / f"{part}.jsonl")
      assert len(utterances) == count
      for utterance in (utterances[0], utterances[-1]):
        assert len(reader.read(utterance)) == utterance.samples
  assert max(len(u.parts) for u in utterances) == 4  # of test_short
