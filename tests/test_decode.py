"""Decoding with a trained model from its command line."""

import json

import pytest

from seq2seq_jax import decode, types


def test_exact_search_refuses_what_it_cannot_give(whole):
  command = ["--workdir", str(whole), "--decode.exact", "5"]
  for flags in (["--n-best", "2"], ["--attention", "--format", "jsonl"]):
    with pytest.raises(types.UserError, match="leave n_best and attention"):
      decode.main([*command, *flags])
  with pytest.raises(types.UserError, match="neither coverage nor"):
    decode.main([*command, "--decode.coverage", "0.2"])


def test_a_line_of_exact_search_says_whether_it_is_proven(whole, tmp_path):
  (tmp_path / "in").write_text("1 2 3\n")
  command = ["--workdir", str(whole), "--decode.exact", "3000"]
  files = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
  assert decode.main([*command, *files, "--format", "jsonl"]) == 0
  [line] = (tmp_path / "out").read_text().splitlines()
  assert json.loads(line)["proven"] is True


def test_blank_lines_stay_blank_and_others_answer_as_without(whole, tmp_path):
  texts = {"plain": "1 2 3\n2 2\n", "blank": "\n1 2 3\n  \n2 2\n\n"}
  found = {}
  for name, text in texts.items():
    (tmp_path / name).write_text(text)
    for form, flags in (
      ("text", ""),
      ("two", "--n-best 2"),
      ("jsonl", "--format jsonl --attention"),
    ):
      out = tmp_path / f"{name}.{form}"
      command = ["--workdir", str(whole), "--input", str(tmp_path / name)]
      command += ["--output", str(out), *flags.split()]
      assert decode.main(command) == 0
      found[name, form] = out.read_text().split("\n")[:-1]
  answers = found["plain", "text"]
  assert found["blank", "text"] == ["", answers[0], "", answers[1], ""]
  assert found["blank", "two"][::2] == found["blank", "text"]
  assert found["blank", "two"][3] == found["plain", "two"][1] != answers[0]
  lines = [json.loads(line) for line in found["blank", "jsonl"]]
  assert [line["source"] for line in lines] == ["", "1 2 3", "  ", "2 2", ""]
  assert [bool(line["hypotheses"]) for line in lines] == [0, 1, 0, 1, 0]
  same = [found["plain", "jsonl"][i] for i in (0, 1)]
  assert [found["blank", "jsonl"][i] for i in (1, 3)] == same
  tokens = lines[1]["source_tokens"]
  assert tokens[:3] == ["1", "2", "3"] and len(tokens) == 4
  weights = lines[1]["hypotheses"][0]["attention"]
  assert all(len(row) == 4 for row in weights)


def test_the_output_is_never_the_input(whole, tmp_path):
  text = tmp_path / "x"
  text.write_text("1 2 3\n")
  (tmp_path / "y").hardlink_to(text)
  for output in ("x", "y"):
    flags = ["--input", str(text), "--output", str(tmp_path / output)]
    with pytest.raises(types.UserError, match="same file as --input"):
      decode.main(["--workdir", str(whole), *flags])
    assert text.read_text() == "1 2 3\n"
