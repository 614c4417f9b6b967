"""Scores of references and of outputs, on a trained model."""

import copy

import numpy as np
import pytest

from seq2seq_jax import config, metrics, types
from seq2seq_jax.data import sources
from seq2seq_jax.inference import details
from seq2seq_jax.inference import evaluator as evaluation
from seq2seq_jax.inference import scorer as scoring
from seq2seq_jax.inference import text as inference_text
from tests.helpers.tiny_runs import tiny


def _evaluator(model, pairs, conf=None):
  return model.with_config(conf or model.config).evaluator(sources.Pairs(pairs))


def test_an_ensemble_has_no_token_accuracy(model):
  pair = model.vocabularies.encode(("1 2 3", "1 2 3"))
  member = model.members[0].model
  one, two = (
    scoring.Scorer([member] * n, model.vocabularies, model.mapper).score(
      model.params * n, [pair], 16
    )
    for n in (1, 2)
  )
  alone, both = (metrics.values("model", (), s) for s in (one, two))
  assert "token_accuracy" in alone and "token_accuracy" not in both
  np.testing.assert_allclose(both["loss"], alone["loss"], rtol=1e-5)
  with pytest.raises(types.UserError, match="not of an ensemble"):
    metrics.METRICS["token_accuracy"].sentence_sums(two)


def test_the_split_is_encoded_once(model, monkeypatch):
  pairs = [("1 2 3", "3 3"), ("2 2", "2"), ("", "1")]
  texts = []
  for side in (model.vocabularies.source, model.vocabularies.target):

    def encode(text, *rest, encode=side.encode):
      texts.append(text)
      return encode(text, *rest)

    monkeypatch.setattr(side, "encode", encode)
  evaluator = _evaluator(model, pairs)
  evaluator.token_scores(model.params)
  evaluator.model_scores(model.params)
  _, outputs = evaluator.translate(model.params)
  evaluator.text_scores(outputs, metrics.METRICS.values())
  assert sorted(texts) == sorted(text for pair in pairs for text in pair)


def test_outputs_come_in_the_order_of_the_sources(model):
  texts = ["1 2 3", "", "3 3 3 3 3 3 3 3 3 3", "1"]
  evaluator = _evaluator(model, [(text, text or "0") for text in texts])
  counts = []
  hypotheses, outputs = evaluator.translate(
    model.params, progress=lambda *n: counts.append(n)
  )
  assert outputs == model.translate(texts) and outputs[1] == ""
  assert len(hypotheses) == 3
  assert counts[0] == (0, 3) and counts[-1] == (3, 3)
  assert counts == sorted(counts)
  few = evaluator.translate(model.params, batch_size=2)
  assert few[1] == outputs


def test_an_output_is_compared_with_the_closest_alternative(model):
  pairs = [
    ("1 2 3", "3 3 3"),
    ("2 2", "2"),
    ("1 2 3", "1 2 3"),
    ("2 2", "2 2 2"),
  ]
  evaluator = _evaluator(model, pairs, tiny(data={"alternatives": True}))
  assert evaluator.sources == ["1 2 3", "2 2"]
  assert len(evaluator.encoded) == 4  # the loss is of all of them
  texts = ["1 2 3", "2 2 2 2"]
  assert evaluator.closest_references(texts) == ["1 2 3", "2 2 2"]
  chosen = [metrics.METRICS[name] for name in ("exact_match", "wer", "loss")]
  scores = evaluator.text_scores(texts, chosen)
  assert scores["exact_match"] == 50
  assert scores["wer"] == pytest.approx(100 / 6)
  assert scores["sentences"] == 2


def test_outputs_have_the_length_of_their_references(model):
  conf = tiny(decode={"oracle_length": True, "beam_size": 1})
  pairs = [("1 2 3", "1 2 3 4 0"), ("4 0", "1"), ("2", "2")]
  evaluator = _evaluator(model, pairs, conf)
  hypotheses, texts = evaluator.translate(model.params)
  assert [len(t.split()) for t in texts] == [5, 1, 1]
  assert not details.search_diagnostics(hypotheses, oracle_length=True)
  with pytest.raises(types.UserError, match="one reference for every source"):
    tiny(decode={"oracle_length": True}, data={"alternatives": True})


def test_nothing_to_score_is_refused(model):
  with pytest.raises(
    types.UserError, match=r"every reference of this split is empty \(the fir"
  ):
    _evaluator(model, [("1", ""), ("2", " ")])


def test_details_hold_what_the_scores_are_made_of(model):
  pairs = [(text, text) for text in ("1 2 3", "2 2", "4", "0 1 2 3")]
  evaluator = _evaluator(model, pairs)
  for metric in ("loss", "exact_match", "wer"):
    found = details.score_with_details(
      evaluator, model.params, [metric], metric, examples=2
    )
    total = found.sentences.score(found.sentences.rows.sum(axis=0))
    assert total == pytest.approx(found.scores[metric], rel=1e-6)
    assert len(found.sentences.rows) == 4
  assert [o["length"] for o in found.outputs] == [3, 2, 1, 4]
  assert [o["hypothesis"] for o in found.outputs] == model.translate(
    [source for source, _ in pairs]
  )
  assert found.parameters == model.parameters
  assert 1 <= len(found.attention) <= 2
  for example in found.attention:
    assert len(example["weights"]) == len(example["target"])
    assert len(example["weights"][0]) == len(example["source"])


def test_outputs_are_lines_and_positions_are_what_is_attended_to(model):
  assert inference_text.lines(["a\nb\r\nc"], 2) == "a b  c\n\n"
  conf = tiny(model={"encoder.layers": 2, "encoder.reductions": 1})
  translator = inference_text.TextTranslator(None, model.vocabularies, conf)
  assert [p.split() for p in translator.positions("1 2 3 4")] == [
    ["1", "2"],
    ["3", "4"],
    model.vocabularies.source.tokenizer.tokens([types.EOS]),
  ]


def test_a_metric_of_the_users_own(model, tmp_path):
  """By a function or a record in a file: scored, and drawn by sentences."""
  (tmp_path / "mine.py").write_text(
    "from seq2seq_jax import metrics\n"
    "def lengths_agree(outputs, references, comparison):\n"
    "  pairs = zip(outputs, references)\n"
    "  same = [len(a.split()) == len(b.split()) for a, b in pairs]\n"
    "  return 100 * sum(same) / len(same)\n"
    "ERROR = metrics.Metric('length_error', lambda *args:\n"
    "  100 - lengths_agree(*args), lower_is_better=True)\n"
  )
  agree, error = (
    f"{tmp_path / 'mine.py'}:{name}" for name in ("lengths_agree", "ERROR")
  )
  conf = tiny(train={"metric": error, "metrics": (agree, "bleu")})
  first, *others = evaluation.metrics_of(conf)
  assert first.name == "length_error" and first.lower_is_better
  assert [metric.name for metric in others] == ["lengths_agree", "bleu"]
  pairs = [("1 2 3", "3 3"), ("2 2", "2 2"), ("4", "4"), ("0 1", "1 0")]
  scores = model.with_config(conf).evaluate(pairs)
  assert scores["lengths_agree"] + scores["length_error"] == 100
  found = details.score_with_details(
    _evaluator(model, pairs), model.params, [agree], agree
  )
  total = found.sentences.score(found.sentences.rows.sum(axis=0))
  assert total == pytest.approx(scores["lengths_agree"])
  with pytest.raises(types.UserError, match="or one of your own"):
    evaluation.find_metric("blue")


RECORDS = """
from seq2seq_jax import metrics
def bleu(outputs, references, comparison): return 1.0
def mine(outputs, references, comparison): return "1.0"
COUNT = metrics.Metric("sentences", mine)
OTHER = metrics.Metric("mine", mine, lower_is_better=True)
NUMBER = 5
class Kind: pass
"""


@pytest.mark.quick
@pytest.mark.parametrize(
  ("name", "message"),
  [
    ("bleu", "py:bleu: its metric is called 'bleu', a name that is taken"),
    ("COUNT", "its metric is called 'sentences', a name that is taken"),
    ("NUMBER", r"py:NUMBER: must be a metrics\.Metric, or a function"),
    ("Kind", r"py:Kind: must be a metrics\.Metric, or a function"),
  ],
)
def test_what_is_no_metric_or_hides_another_is_refused(name, message, tmp_path):
  (tmp_path / "mine.py").write_text(RECORDS)
  with pytest.raises(types.UserError, match=message):
    evaluation.find_metric(f"{tmp_path}/mine.py:{name}")


@pytest.mark.quick
def test_two_metrics_of_one_name_are_refused(tmp_path):
  (tmp_path / "mine.py").write_text(RECORDS)
  names = tuple(f"{tmp_path}/mine.py:{name}" for name in ("mine", "OTHER"))
  conf = tiny(train={"metrics": names})
  with pytest.raises(types.UserError, match="another metric is called 'mine'"):
    evaluation.metrics_of(conf)
  (only,) = evaluation.metrics_of(conf.__class__(), names[:1])[1:]
  with pytest.raises(
    types.UserError, match=r"mine: .* number or None, not str"
  ):
    metrics.score([only], ["a"], ["a"])
  whole = metrics.Metric("whole", lambda *args: 3)
  scores = metrics.score([whole], ["a"], ["a"])
  # As a float, which is what a validation writes; and no empty signature.
  assert scores == {"whole": 3.0, "signature": {}, "sentences": 1}
  assert isinstance(scores["whole"], float)


def test_a_metric_that_cannot_decide_is_told_or_refused(model, caplog):
  short = _evaluator(model, [("1 2 3 4", "1 2 3")])
  chosen = [metrics.METRICS[name] for name in ("bleu", "exact_match")]
  assert short.text_scores(["1 2 3"], chosen)["exact_match"] == 100
  assert "BLEU: no reference has four tokens" in caplog.text
  for name, text in (("bleu", "1 2 3"), ("rouge2", "1")):
    refused = copy.copy(short)
    refused.references = [[text]]
    refused.conf = config.replace(model.config, {"train.metric": name})
    with pytest.raises(types.UserError, match=f"train.metric {name}: no ref"):
      refused.check_decides()
    refused.references = [[text], [f"{text} 4"]]
    refused.check_decides()
