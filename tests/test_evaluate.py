"""Evaluating a trained model from its command line."""

import json
import shutil

import pytest

from seq2seq_jax import evaluate, types


def test_evaluate_answers_a_blank_source_with_a_blank(whole, tmp_path):
  (tmp_path / "in").write_text("1 2 3\n\n2 2\n")
  (tmp_path / "ref").write_text("1 2 3\nx\n2 2\n")
  files = ["--source", str(tmp_path / "in"), "--reference"]
  command = ["--workdir", str(whole), *files, str(tmp_path / "ref")]
  args, _ = evaluate.parser().parse_known_args(command)
  found = evaluate.run(args)
  assert found["sentences"] == 3
  assert found["exact_match"] in (100 * n / 3 for n in range(3))
  (tmp_path / "ref").write_text("\n\n\n")
  with pytest.raises(
    types.UserError, match="every reference of this split is empty"
  ):
    evaluate.run(args)


def test_evaluate_scores_the_same_however_many_at_a_time(whole, tmp_path):
  found = []
  for flags in ((), ("--batch-size", "3")):
    out = tmp_path / "scores.json"
    command = ["--workdir", str(whole), "--split", "valid", "--json", str(out)]
    assert evaluate.main([*command, *flags]) == 0
    found.append(json.loads(out.read_text()))
    del found[-1]["seconds"]
  assert found[0] == found[1] and found[0]["sentences"] > 3


def test_evaluate_writes_its_outputs_and_tells_of_other_data(
  whole, tmp_path, caplog, capsys
):
  run = tmp_path / "run"
  shutil.copytree(whole, run)
  record = json.loads((run / "run.json").read_text())
  record["data"]["valid"] = "another"
  (run / "run.json").write_text(json.dumps(record))
  out, scores = tmp_path / "out.txt", tmp_path / "scores.json"
  command = ["--workdir", str(run), "--split", "valid", "--output", str(out)]
  command += ["--json", str(scores), "--metric", "empty", "--metric", "wer"]
  assert evaluate.main(command) == 0
  found = json.loads(scores.read_text())
  printed = capsys.readouterr().out.splitlines()
  kinds = ("substitutions", "deletions", "insertions")
  signatures = [line for line in printed if line.startswith("signature ")]
  (of_wer,) = [line for line in signatures if "jiwer" in line]
  assert of_wer.startswith("signature wer, wer_substitutions, wer_deletions, ")
  parts = [found[f"wer_{kind}"] for kind in kinds]
  assert sum(parts) == pytest.approx(found["wer"])
  for name in ("ser", "reference_words", *(f"wer_{kind}" for kind in kinds)):
    assert f"{name}: {found[name]:.4f}" in printed
  lines = out.read_text().splitlines()
  assert len(lines) == found["sentences"] > 3
  assert found["empty"] == 100 * sum(not x for x in lines) / len(lines)
  assert 0 <= found["cut"] <= 100
  assert "valid data is not what this run had" in caplog.text
  with pytest.raises(types.UserError, match="metric blue: there are loss"):
    evaluate.main([*command, "--metric", "blue"])
  with pytest.raises(types.UserError, match="--output: --score translates"):
    evaluate.main([*command, "--score"])


def test_no_output_replaces_what_is_read(whole, tmp_path):
  run = tmp_path / "run"
  shutil.copytree(whole, run)
  source, reference = tmp_path / "in", tmp_path / "ref"
  source.write_text("1 2 3\n")
  reference.write_text("1 2 3\n")
  (tmp_path / "link").symlink_to("ref")
  command = ["--workdir", str(run), "--source", str(source)]
  command += ["--reference", str(reference)]
  for flags in (
    ["--output", str(reference)],
    ["--json", str(tmp_path / "link")],
    ["--output", str(run / "config.json")],
    ["--output", str(tmp_path / "x"), "--json", str(tmp_path / "x")],
  ):
    before = (run / "config.json").read_bytes()
    with pytest.raises(types.UserError, match="choose another file"):
      evaluate.main([*command, *flags])
    assert reference.read_text() == "1 2 3\n"
    assert (run / "config.json").read_bytes() == before
    assert not (tmp_path / "x").exists()
