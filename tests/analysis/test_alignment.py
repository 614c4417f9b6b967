"""Alignment error rates of small cases done by hand."""

import json
import os

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


def _refused(capsys, *words):
  """The one line of a refusal."""
  assert alignment.main([str(word) for word in words]) == 2
  error = capsys.readouterr().err
  assert error.startswith("error: ") and error.count("\n") == 1
  return error


@pytest.mark.parametrize(
  ("attention", "message"),
  [
    ("null", "attention must be a list, but is null"),
    ("[[0.5, null]]", r"attention[0][1] must be a number, but is null"),
    ("[[0.5, 0.5], [1]]", "rows of one length"),
    ("[]", "rows of one length"),
    ("[[]]", "rows of one length"),
    ("[[1.5]]", "between 0 and 1"),
    ("[[NaN]]", "NaN is no number"),
    ("[" * 20_000, "nested too deep"),
  ],
)
def test_attention_of_another_shape_is_named(
  tmp_path, capsys, attention, message
):
  file = _decoded(tmp_path, np.eye(2))
  with file.open("a") as f:
    f.write(f'{{"hypotheses": [{{"attention": {attention}}}]}}\n')
  error = _refused(capsys, file, "--order", "copy")
  assert f"{file}, line 2" in error and message in error


@pytest.mark.parametrize("content", [b"\xff\n", b"[1]\n", b'{"a": 1}\n'])
def test_other_files_are_refused(tmp_path, capsys, content):
  file = tmp_path / "decoded.jsonl"
  file.write_bytes(content)
  assert f"{file}, line 1" in _refused(capsys, file, "--order", "copy")


def test_pipes_and_devices_are_refused_at_once(tmp_path, capsys):
  file, pipe = _decoded(tmp_path, np.eye(2)), tmp_path / "pipe"
  os.mkfifo(pipe)
  for path in (pipe, "/dev/zero"):
    assert "cannot read" in _refused(capsys, path, "--order", "copy")
    assert "cannot read" in _refused(capsys, file, "--links", path)


def test_links_lie_inside_of_the_source(tmp_path, capsys):
  file, links = _decoded(tmp_path, np.eye(2)), tmp_path / "links"
  links.write_text("0-0 2-1\n")
  assert "line 1: links source position 2" in _refused(
    capsys, file, "--links", links
  )
  for text in ("٣-0\n", "-1-0\n", "99999999999-0\n"):
    links.write_text(text)
    assert "links must be pairs" in _refused(capsys, file, "--links", links)
