"""The public way to a trained model: same results as the commands."""

import concurrent.futures
import json
import re

import numpy as np
import pytest

import seq2seq_jax
from seq2seq_jax import decode, evaluate, types
from seq2seq_jax.inference import text as inference_text
from tests.helpers.tiny_runs import tiny

TEXTS = ["1 2 3", "", "2 2", "4 0 1"]


def _decoded(whole, tmp_path, *flags):
  """What the command writes for `TEXTS`."""
  (tmp_path / "in").write_text("".join(f"{text}\n" for text in TEXTS))
  out = tmp_path / "out"
  command = ["--workdir", str(whole), "--input", str(tmp_path / "in")]
  assert decode.main([*command, "--output", str(out), *flags]) == 0
  return out.read_text().split("\n")[:-1]


def test_texts_are_those_of_the_command(model, whole, tmp_path, capsys):
  texts = model.translate(TEXTS, beam_size=3)
  assert texts == _decoded(whole, tmp_path, "--beam-size", "3")
  assert texts[1] == "" and all(texts[i] for i in (0, 2, 3))
  two = model.translate(TEXTS, beam_size=3, n_best=2)
  lines = _decoded(whole, tmp_path, "--beam-size", "3", "--n-best", "2")
  assert [best + [""] * (2 - len(best)) for best in two] == [
    lines[i : i + 2] for i in range(0, 8, 2)
  ]
  assert capsys.readouterr().out == "", "it prints unasked"


def test_scores_and_attention_are_those_of_the_command(model, whole, tmp_path):
  lines = _decoded(whole, tmp_path, "--format", "jsonl", "--attention")
  records = model.translate(TEXTS, attention=True)
  assert records[1] is None
  for line, record in zip(map(json.loads, lines), records):
    if record is None:
      assert line["hypotheses"] == []
      continue
    assert isinstance(record, inference_text.Translation)
    assert record.to_json() == line["hypotheses"][0]
    assert record.source_tokens == line["source_tokens"]
    shape = len(record.tokens), len(record.source_tokens)
    assert record.attention.shape == shape
  plain = model.translate(TEXTS[:1], scores=True)[0]
  assert plain.attention is None and plain.text == records[0].text
  # With attention it is another program, whose last bits may differ.
  assert plain.score == pytest.approx(records[0].score, rel=1e-5)
  assert repr(plain) == f"Translation({plain.text!r}, score={plain.score:.4f})"


def test_any_field_of_the_search_can_be_given(model):
  plain, other = (
    model.translate(["1 2 3"], scores=True, **decode)[0]
    for decode in ({}, {"length_rule": "none"})
  )
  assert other.score == pytest.approx(other.log_prob) != plain.score
  with pytest.raises(types.UserError, match=r"width: .* no such field"):
    model.translate(["1"], width=3)
  with pytest.raises(types.UserError, match="beam_size"):
    model.translate(["1"], beam_size=0)


def test_what_cannot_be_given_is_refused(model):
  for arguments, message in (
    ({"n_best": 4, "beam_size": 3}, "between 1 and the beam size"),
    ({"oracle_length": True}, "there are no references"),
    ({"exact": 5, "attention": True}, "leave n_best and attention out"),
  ):
    with pytest.raises(types.UserError, match=message):
      model.translate(["1"], **arguments)
  with pytest.raises(types.UserError, match=r"write \[text\]"):
    model.translate("1 2 3")


def test_scores_of_targets_are_those_of_the_command(
  model, whole, tmp_path, capsys
):
  targets = ["1 2 3", "0", "2 2"]
  sources = ["1 2 3", "4", "2 2"]
  (tmp_path / "src").write_text("".join(f"{text}\n" for text in sources))
  (tmp_path / "ref").write_text("".join(f"{text}\n" for text in targets))
  command = ["--workdir", str(whole), "--source", str(tmp_path / "src")]
  command += ["--reference", str(tmp_path / "ref"), "--score"]
  assert evaluate.main(command) == 0
  printed = [float(line) for line in capsys.readouterr().out.split()]
  scores = model.score(sources, targets)
  np.testing.assert_allclose(scores, printed, atol=1e-6)
  tokens = model.score(sources, targets, tokens=True)
  assert [len(t) for t in tokens] == [4, 2, 3]
  np.testing.assert_allclose([t.sum() for t in tokens], scores, rtol=1e-6)
  with pytest.raises(types.UserError, match="3 sources but 2 targets"):
    model.score(sources, targets[:2])
  with pytest.raises(types.UserError, match="a source is needed"):
    model.score(targets=targets)


def test_evaluation_equals_the_command(model, whole, tmp_path):
  out = tmp_path / "scores.json"
  command = ["--workdir", str(whole), "--split", "valid", "--json", str(out)]
  assert evaluate.main([*command, "--metric", "wer"]) == 0
  written = json.loads(out.read_text())
  results = [
    model.evaluate("valid", metrics=["wer"]),
    seq2seq_jax.evaluate(whole, "valid", metrics=["wer"]),
  ]
  for result in (written, *results):
    assert result.pop("seconds") > 0
  assert results == [written, written]
  pairs = [("1 2 3", "1 2 3"), ("2", "2")]
  assert model.evaluate(pairs)["sentences"] == 2
  with pytest.raises(types.UserError, match="metric blue: there are loss"):
    model.evaluate(pairs, metrics=["blue"])
  with pytest.raises(types.UserError, match="every reference needs a source"):
    model.evaluate([(None, "1")])


def test_several_runs_are_an_ensemble(model, whole):
  """Twice the same model is the model, to rounding."""
  both = seq2seq_jax.load([whole, str(whole)])
  assert len(both.members) == 2
  assert both.translate(TEXTS, beam_size=2) == model.translate(
    TEXTS, beam_size=2
  )
  np.testing.assert_allclose(
    both.score(["1 2"], ["1 2"]), model.score(["1 2"], ["1 2"]), rtol=1e-5
  )
  assert re.search(r"2 runs|steps \d+, \d+", repr(both))


def test_any_thread_may_ask(model):
  expected = model.translate(TEXTS)
  with concurrent.futures.ThreadPoolExecutor(2) as pool:
    answers = [pool.submit(model.translate, TEXTS) for _ in range(4)]
    assert [answer.result() for answer in answers] == [expected] * 4


def test_what_is_loaded(model, whole, tmp_path):
  step = model.members[0].step
  assert f"step {step}" in repr(model) and str(whole) in repr(model)
  assert seq2seq_jax.load(whole, checkpoint=step).members[0].step == step
  with pytest.raises(types.UserError, match="holds no run"):
    seq2seq_jax.load(tmp_path)
  with pytest.raises(types.UserError, match="no run to load"):
    seq2seq_jax.load([])


def test_a_split_that_is_not_what_it_was_is_told(model, monkeypatch, caplog):
  from seq2seq_jax.inference import loading

  monkeypatch.setattr(loading, "recorded_checksum", lambda *a: "another")
  model.split("valid")
  assert "valid data is not what this run had" in caplog.text


def test_the_training_split_is_without_what_is_left_out(model):
  limited = model.with_config(tiny(data={"limit": 7}))
  assert len(limited.split("train")) == 7
