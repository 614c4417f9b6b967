"""Transcripts for sclite, read back by its rules."""

import re

import pytest

from seq2seq_jax import evaluate, types
from seq2seq_jax.data import audio
from seq2seq_jax.inference import replicas, trn

SPECIAL = ["(", ")", "{", "}", "{ a / b }", "@", ";;", ";; a", "a (b)"]
SPECIAL += ["** a", "a * *b"]


def read(path):
  """(words, id) of each line: the id is what the last parentheses hold."""
  found = []
  for line in path.read_text(encoding="utf-8").splitlines():
    assert not line.startswith((";", "*"))  # comments
    text, name = re.fullmatch(r"(.*) \(([^()\s]+)\)", line).groups()
    assert not set(text) & set("(){}")  # identifiers and alternatives
    assert "@" not in text.split()  # the empty word
    assert " *" not in text  # what stands for a missing one
    found.append((text.split(), name))
  return found


@pytest.mark.quick
@pytest.mark.parametrize("text", [*SPECIAL, "", "a b", "a;; b/c <d>"])
def test_a_line_is_read_as_its_words(text, tmp_path):
  """As many words and characters; what is not special is as it was."""
  path = tmp_path / "x.trn"
  path.write_text(trn.line(text, "u-1"), encoding="utf-8")
  ((words, name),) = read(path)
  assert name == "u-1" and len(words) == len(text.split())
  assert [len(w) for w in words] == [len(w) for w in text.split()]
  if text not in SPECIAL:
    assert words == text.split()


@pytest.mark.quick
def test_names_are_the_utterances_own_or_numbers():
  spoken = [audio.Utterance(i, "x.wav") for i in ("a-1", "A-1", "b (c) d")]
  assert trn.names(spoken, "test") == ["a-1", "A-1-2", "b_（c）_d"]
  assert trn.names(["x", "y"], "test") == ["test-000001", "test-000002"]


def test_evaluate_writes_transcripts(whole, tmp_path):
  source, reference = tmp_path / "in", tmp_path / "ref"
  source.write_text("1 2 3\n\n2 2\n")
  reference.write_text("1  2 3 \n(x)\n2 2\n")
  command = ["--workdir", str(whole), "--source", str(source)]
  command += ["--reference", str(reference), "--trn", str(tmp_path)]
  outputs = tmp_path / "out"
  assert evaluate.main([*command, "--output", str(outputs)]) == 0
  texts = outputs.read_text().splitlines()
  names = [f"pair-00000{n}" for n in (1, 2, 3)]
  found = read(tmp_path / "hyp.trn")
  assert found == list(zip([text.split() for text in texts], names))
  references = [["1", "2", "3"], ["（x）"], ["2", "2"]]
  assert read(tmp_path / "ref.trn") == list(zip(references, names))


def test_transcripts_replace_nothing_that_is_read(whole, tmp_path):
  source = tmp_path / "ref.trn"
  source.write_text("1 2 3\n")
  command = ["--workdir", str(whole), "--source", str(source)]
  command += ["--reference", str(source)]
  for flags, message in (
    (["--trn", str(tmp_path)], "references.*same file as --source"),
    (["--trn", str(tmp_path / "x")], "its folder does not exist"),
    (["--trn", ""], "--trn: is empty"),
    (
      ["--trn", str(tmp_path), "--output", str(tmp_path / "hyp.trn")],
      "outputs.*same file as --output",
    ),
    (["--trn", str(whole / "checkpoints")], "belongs to the run"),
  ):
    with pytest.raises(types.UserError, match=message):
      evaluate.main([*command, *flags])
  assert source.read_text() == "1 2 3\n"
  assert sorted(p.name for p in tmp_path.iterdir()) == ["ref.trn"]
  with pytest.raises(types.UserError, match="--trn: --score translates"):
    evaluate.main(["--workdir", str(whole), "--trn", str(tmp_path), "--score"])


def test_several_runs_have_no_transcripts(whole, tmp_path, monkeypatch):
  monkeypatch.setattr(replicas, "undiverged", lambda runs: [0, 1])
  with pytest.raises(types.UserError, match=r"--trn: .* holds several runs"):
    replicas.evaluate(whole, [("1", "1")], trn=tmp_path)
