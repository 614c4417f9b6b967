"""Reading n-best lists: what is read, and what is said of bad lines."""

import copy
import json

import numpy as np
import pytest

from seq2seq_jax import types
from seq2seq_jax.inference import nbest
from tests.helpers import nbest_lists

pytestmark = pytest.mark.quick

LINES, REFERENCES = nbest_lists.lists(nbest_lists.weights(0.3, 0.5), count=3)


def written(tmp_path, lines):
  return nbest_lists.write(tmp_path / "n.jsonl", lines)


def test_what_a_line_holds(tmp_path):
  lines = [*copy.deepcopy(LINES), {"source": "", "hypotheses": [], "more": 1}]
  del lines[1]["hypotheses"][3:]
  lists = nbest.read(written(tmp_path, lines))
  assert lists.sources == ["s-0", "s-1", "s-2", ""]
  assert lists.exists.sum(axis=1).tolist() == [6, 3, 6, 0]
  for i, line in enumerate(lines):
    assert lists.texts[i] == [h["text"] for h in line["hypotheses"]]
    for n, hypothesis in enumerate(line["hypotheses"]):
      assert lists.score[i, n] == hypothesis["score"]
      assert lists.log_prob[i, n] == hypothesis["log_prob"]
      assert lists.length[i, n] == len(hypothesis["tokens"])
      for name, value in hypothesis["parts"].items():
        assert lists.parts[name][i, n] == value
  assert np.isfinite(lists.log_prob).all()


def at(*path, value):
  """A change of LINES' second line; None takes a key away."""

  def change(lines):
    place = lines[1]
    for key in path[:-1]:
      place = place[key]
    if value is None:
      del place[path[-1]]
    else:
      place[path[-1]] = value

  return change


FIRST = ("hypotheses", 0)
BAD = [
  (at("hypotheses", value=None), "an object with 'hypotheses'"),
  (at("hypotheses", value=3), "hypotheses must be a list"),
  (at(*FIRST, value="x"), r"hypotheses\[0\] must be an object"),
  (at(*FIRST, "text", value=None), r"hypotheses\[0\] lacks the field 'text'"),
  (at(*FIRST, "text", value=7), r"hypotheses\[0\].text must be a text"),
  (at(*FIRST, "text", value="\ud800"), "a text holds half of a character"),
  (at(*FIRST, "score", value="1"), r"hypotheses\[0\].score must be a number"),
  (at(*FIRST, "score", value=10**400), r"hypotheses\[0\].score is no sum"),
  (at(*FIRST, "log_prob", value=float("nan")), "is not valid JSON: NaN"),
  (at(*FIRST, "token_log_probs", value=[]), "token_log_probs is empty"),
  (at(*FIRST, "parts", value=None), r"hypotheses\[0\] has no 'parts'"),
  (at(*FIRST, "parts", "ctc", value=None), r"\].parts are attention, lm, but"),
  (at(*FIRST, "parts", "lm", value=True), r"parts\['lm'\] must be a number"),
  (at(*FIRST, "parts", "hmm", value=0.0), r"\].parts has 'hmm'; there are"),
  (at("reference", value=1), "reference must be a text or null"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=range(len(BAD)))
def test_a_bad_line_is_named(change, message, tmp_path):
  lines = copy.deepcopy(LINES)
  change(lines)
  path = written(tmp_path, lines)
  with pytest.raises(types.UserError, match=message) as e:
    nbest.read(path)
  assert str(e.value).startswith(f"{path}, line 2")
  assert "\n" not in str(e.value) and len(str(e.value)) < 300


def test_bad_files(tmp_path):
  path = tmp_path / "n.jsonl"
  with pytest.raises(types.UserError, match="no such file"):
    nbest.read(path)
  path.write_text(json.dumps(LINES[0]) + "\nx\n")
  with pytest.raises(types.UserError, match="line 2 is not valid JSON"):
    nbest.read(path)
  for text in ("", '{"hypotheses": []}\n'):
    path.write_text(text)
    with pytest.raises(types.UserError, match="no line has two hypotheses"):
      nbest.read(path)


def test_references_are_lines_a_manifest_or_inside(tmp_path):
  lines = copy.deepcopy(LINES)
  path = written(tmp_path, lines)
  lists = nbest.read(path)
  with pytest.raises(types.UserError, match="line 1: has no 'reference'"):
    nbest.references(path, None, lists)
  text = tmp_path / "ref.txt"
  text.write_text("\n".join(REFERENCES) + "\n")
  assert nbest.references(path, text, lists) == REFERENCES
  text.write_text("a\n")
  with pytest.raises(types.UserError, match=r"n.jsonl has 3 lines and .* 1;"):
    nbest.references(path, text, lists)
  manifest = tmp_path / "m.jsonl"
  rows = [
    {"id": f"s-{n}", "audio": "x.wav", "text": REFERENCES[n]}
    for n in (2, 0, 3, 1)[:4]
    if n < 3
  ]
  nbest_lists.write(manifest, rows)
  assert nbest.references(path, manifest, lists) == REFERENCES
  nbest_lists.write(manifest, rows[:2])
  with pytest.raises(types.UserError, match="line 2: the source 's-1' is no"):
    nbest.references(path, manifest, lists)
  for line, reference in zip(lines, REFERENCES):
    line["reference"] = reference
  lists = nbest.read(written(tmp_path, lines))
  assert nbest.references(path, None, lists) == REFERENCES
