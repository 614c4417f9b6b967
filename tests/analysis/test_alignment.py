"""Alignment error rates of small cases done by hand."""

import json

import numpy as np
import pytest

from seq2seq_jax.analysis import alignment

pytestmark = pytest.mark.quick


def test_error_rate_by_hand():
  sure = [{(0, 0), (1, 1)}, {(0, 1)}]
  found = [{(0, 0), (1, 2)}, {(0, 1), (1, 0)}]
  possible = [{(1, 2)}, set()]
  assert alignment.error_rate(sure, sure) == 0.0
  assert alignment.error_rate(found, sure) == pytest.approx(1 - 4 / 7)
  assert alignment.error_rate(found, sure, possible) == pytest.approx(1 - 5 / 7)


def test_file_of_decode_against_known_order(tmp_path, capsys):
  n = 4
  copy, back = np.eye(n), np.eye(n)[[2, 1, 0, 3]]
  soft = 0.6 * back + 0.1
  file = tmp_path / "a.jsonl"
  for weights, order, rate, share in (
    (copy, "copy", 0.0, 1.0),
    (copy, "reverse", 0.5, 0.5),
    (soft, "reverse", 0.0, 0.7),
  ):
    line = {"hypotheses": [{"attention": weights.tolist()}]}
    file.write_text(json.dumps(line) + "\n")
    assert alignment.main([str(file), "--order", order]) == 0
    out = capsys.readouterr().out
    assert f"alignment_error_rate: {rate:.4f}" in out
    assert f"attention_on_links: {share:.4f}" in out
  (tmp_path / "links").write_text("2-0 1-1 0-2 3-3\n")
  assert alignment.main([str(file), "--links", str(tmp_path / "links")]) == 0
  assert "alignment_error_rate: 0.0000" in capsys.readouterr().out
  file.write_text('{"hypotheses": [{}]}\n')
  assert alignment.main([str(file), "--order", "copy"]) == 2
  assert "line 1: no hypothesis with attention" in capsys.readouterr().err


def _decoded(folder, *matrices):
  """A JSONL file with the attention of these sentences."""
  path = folder / "decoded.jsonl"
  lines = [{"hypotheses": [{"attention": m.tolist()}]} for m in matrices]
  path.write_text("".join(json.dumps(line) + "\n" for line in lines))
  return path


def test_wrong_files_of_links_are_named(tmp_path, capsys):
  file, links = _decoded(tmp_path, np.eye(2), np.eye(2)), tmp_path / "links"
  for text, message in (
    ("0-0 1-1\n", "has 2 lines, but"),
    ("0-0 1-1\n0-0 1\n", "links, line 2: links must be pairs such as 0-0"),
    ("0-0\n0-x\n", "links, line 2"),
  ):
    links.write_text(text)
    assert alignment.main([str(file), "--links", str(links)]) == 2
    assert message in capsys.readouterr().err


def test_blank_lines_are_left_out(tmp_path, capsys):
  file = _decoded(tmp_path, np.eye(2))
  blank = json.dumps({"source": " ", "hypotheses": []}) + "\n"
  file.write_text(blank + file.read_text())
  (tmp_path / "links").write_text("\n0-0 1-1\n")
  for known in (["--order", "copy"], ["--links", str(tmp_path / "links")]):
    assert alignment.main([str(file), *known]) == 0
    assert "sentences: 1\n" in capsys.readouterr().out
  file.write_text(blank)
  assert alignment.main([str(file), "--order", "copy"]) == 2
  assert "there is no sentence in it" in capsys.readouterr().err
