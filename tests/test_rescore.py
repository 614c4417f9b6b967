"""The command that tries weights on n-best lists."""

import json

import pytest

from seq2seq_jax import metrics, rescore, types
from tests.helpers import nbest_lists

pytestmark = pytest.mark.quick

SEARCH = nbest_lists.weights(0.3, 0.5)


@pytest.fixture
def lists(tmp_path):
  """Lists of all three parts, and their references."""
  lines, references = nbest_lists.lists(SEARCH, "word_reward", 0.2)
  (tmp_path / "ref").write_text("\n".join(references) + "\n")
  path = nbest_lists.write(tmp_path / "n.jsonl", lines)
  return [str(path), "--reference", str(tmp_path / "ref")]


def test_the_table_its_file_and_the_outputs(lists, tmp_path, capsys):
  table, outputs = tmp_path / "t.json", tmp_path / "out"
  words = ["--ctc-weight", "0,.3,1", "--lm-weight", "0,.5", "--alpha", "0,.2"]
  words += ["--json", str(table), "--output", str(outputs)]
  assert rescore.main([*lists, *words]) == 0
  found = json.loads(table.read_text())
  assert len(found["rows"]) == 12 and found["sentences"] == 20
  best = min(found["rows"], key=lambda row: row["wer"])
  assert found["best"] == best
  own = found["as_searched"]
  assert own in found["rows"]  # with the same outputs, so the same rate
  assert [own[k] for k in ("ctc_weight", "lm_weight", "alpha")] == [
    0.3,
    0.5,
    0.2,
  ]
  references = (tmp_path / "ref").read_text().splitlines()
  texts = outputs.read_text().splitlines()
  assert metrics.score(["wer"], texts, references)["wer"] == best["wer"]
  printed = capsys.readouterr().out
  head, *rows = printed.split("\n\n")[1].splitlines()
  assert head.split() == ["ctc_weight", "lm_weight", "alpha", "WER"]
  assert (
    len(rows) == 12 and len({len(r.removesuffix("  best")) for r in rows}) == 1
  )
  (marked,) = [row for row in rows if row.endswith("best")]
  assert float(marked.split()[-2]) == pytest.approx(best["wer"], abs=1e-4)
  assert "development set" in printed


def test_without_weights_the_search_s_own_are_tried(lists, capsys):
  assert rescore.main([*lists, "--metric", "chrf"]) == 0
  _, own, _, _, row, *_ = capsys.readouterr().out.splitlines()
  assert own.startswith(
    "as searched (length_rule word_reward, ctc_weight 0.3, lm_weight 0.5, "
    "alpha 0.2): chrF "
  )
  assert row.split()[:3] == ["0.3", "0.5", "0.2"]
  assert row.split()[3] == own.split()[-1]


@pytest.mark.parametrize(
  ("words", "message"),
  [
    (["--ctc-weight", "0,x"], "'x' is no number"),
    (["--ctc-weight", "1.5"], "'1.5' is not from 0 to 1"),
    (["--lm-weight", "nan"], "'nan' is no number"),
    (["--lm-weight", "0,,1"], "'' is no number"),
    (["--alpha", "1e999"], "is not from -100 to 100"),
    (["--length-rule", "none", "--alpha", "1"], "none has no parameter"),
    (["--length-rule", "gnmt"], "gnmt: give its --alpha"),
    (["--metric", "loss"], "metric loss: is not one of outputs"),
    (["--metric", "blue"], "metric blue: there are"),
    (["--lm-wieght", "1"], "no such flag; nearest: --lm-weight"),
    (["--train.steps", "1"], "unrecognized arguments"),
    (
      ["--lm-weight", ",".join(map(str, range(101))), "--alpha"]
      + [",".join(map(str, range(100)))],
      "10,100 combinations are more than 10,000",
    ),
  ],
)
def test_wrong_flags(words, message, lists):
  with pytest.raises(types.UserError, match=message):
    rescore.main([*lists, *words])


@pytest.mark.parametrize(
  ("parts", "words", "message"),
  [
    (
      {"attention": 0.7, "ctc": 0.3},
      ["--lm-weight", "0,1"],
      "no language model",
    ),
    ({"attention": 1, "lm": 0.3}, ["--ctc-weight", "0,.1"], "only be 0"),
    ({"ctc": 1, "lm": 0.3}, ["--ctc-weight", "1,.1"], "only be 1"),
  ],
  ids=["no lm", "no ctc", "no attention"],
)
def test_parts_that_are_not_there(parts, words, message, tmp_path, capsys):
  lines, _ = nbest_lists.lists(parts, reference="a")
  path = nbest_lists.write(tmp_path / "n.jsonl", lines)
  with pytest.raises(types.UserError, match=message):
    rescore.main([str(path), *words])
  assert rescore.main([str(path), "--length-rule", "none"]) == 0
  head = capsys.readouterr().out.split("\n\n")[1].splitlines()[0].split()
  assert head == ["lm_weight" if "lm" in parts else "ctc_weight", "WER"]


def test_settings_that_cannot_be_found_must_be_given(lists, tmp_path, capsys):
  lines, _ = nbest_lists.lists(SEARCH, reference="a b")
  lines[0]["hypotheses"][0]["score"] -= 1
  path = str(nbest_lists.write(tmp_path / "n.jsonl", lines))
  with pytest.raises(types.UserError, match="give --length-rule"):
    rescore.main([path])
  assert rescore.main([path, "--length-rule", "none"]) == 0
  assert "\nas searched: WER" in capsys.readouterr().out
  lines[0]["hypotheses"][0]["log_prob"] -= 1
  nbest_lists.write(tmp_path / "n.jsonl", lines)
  with pytest.raises(types.UserError, match="give --ctc-weight and --lm-weigh"):
    rescore.main([path, "--ctc-weight", "0"])
  assert rescore.main([path, "--ctc-weight", "0", "--lm-weight", "0"]) == 0


def test_no_output_replaces_what_is_read(lists, tmp_path):
  before = (tmp_path / "n.jsonl").read_bytes()
  for flag, name in (("--output", "n.jsonl"), ("--json", "ref")):
    with pytest.raises(types.UserError, match="choose another file"):
      rescore.main([*lists, flag, str(tmp_path / name)])
  assert (tmp_path / "n.jsonl").read_bytes() == before
