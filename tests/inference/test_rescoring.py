"""Rescoring against a ranking by hand; `test_rescored_search.py` searches."""

import itertools

import numpy as np
import pytest

from seq2seq_jax import metrics
from seq2seq_jax.decoding import length_rules
from seq2seq_jax.inference import nbest, rescoring
from tests.helpers import nbest_lists

pytestmark = pytest.mark.quick

SEARCHES = [
  ({"attention": 0.7, "ctc": 0.3}, (0.3, 0.0)),
  ({"attention": 1.0, "lm": 0.4}, (0.0, 0.4)),
  ({"ctc": 1.0, "lm": 0.25}, (1.0, 0.25)),
  ({"attention": 0.5, "ctc": 0.5, "lm": 1.5}, (0.5, 1.5)),
]
RULES = [
  ("none", 0.0),
  ("average", 1.0),
  ("gnmt", 0.6),
  ("word_reward", 0.35),
  ("word_reward", -0.5),
]


def read(tmp_path, *args, **more):
  lines, references = nbest_lists.lists(*args, **more)
  path = nbest_lists.write(tmp_path / "n.jsonl", lines)
  return lines, references, nbest.read(path)


@pytest.mark.parametrize(("weights", "wanted"), SEARCHES)
@pytest.mark.parametrize(("rule", "alpha"), RULES)
def test_the_search_s_own_settings_and_ranking_come_back(
  weights, wanted, rule, alpha, tmp_path
):
  _, _, lists = read(tmp_path, weights, rule, alpha)
  search = rescoring.search_of(lists)
  assert search == (*wanted, rule, alpha)
  score = search.score(lists)
  np.testing.assert_allclose(score, lists.score, rtol=1e-5, atol=1e-5)
  assert (np.argsort(-score, axis=1) == np.arange(score.shape[1])).all()
  assert not rescoring.best(score).any()


def test_all_length_rules_are_known():
  from seq2seq_jax import rescore

  assert set(rescore.RULES) == set(length_rules.RULES)


def test_a_penalty_is_no_length_rule(tmp_path):
  lines, _ = nbest_lists.lists({"attention": 0.5, "ctc": 0.5}, "gnmt", 0.6)
  for line in lines:
    for n, hypothesis in enumerate(line["hypotheses"]):
      hypothesis["score"] -= 0.1 * n
  lists = nbest.read(nbest_lists.write(tmp_path / "n.jsonl", lines))
  assert rescoring.rule_of(lists) is None
  assert rescoring.weights_of(lists) == (0.5, 0.0)
  lines[3]["hypotheses"][2]["log_prob"] -= 1
  lists = nbest.read(nbest_lists.write(tmp_path / "n.jsonl", lines))
  assert rescoring.weights_of(lists) is None
  assert rescoring.search_of(lists) is None


@pytest.mark.parametrize("name", ["wer", "bleu", "exact_match"])
def test_every_combination_is_ranked_as_by_hand(name, tmp_path):
  """Also of metrics without statistics of sentences, and of empty lists."""
  lines, references = nbest_lists.lists(nbest_lists.weights(0.3, 0.5))
  lines[4]["hypotheses"] = []
  del lines[7]["hypotheses"][2:]
  lists = nbest.read(nbest_lists.write(tmp_path / "n.jsonl", lines))
  comparison = metrics.Comparison(tokenize="none")
  rescorer = rescoring.Rescorer(
    lists, references, metrics.METRICS[name], comparison
  )
  alphas = (0.0, 0.5, 1.0)
  found = [
    rescorer.score(search)
    for search in rescoring.grid((0, 0.5, 1), (0, 2), "average", alphas)
  ]
  values = []
  for ctc, lm, alpha in itertools.product((0, 0.5, 1), (0, 2), alphas):
    outputs = []
    for line in lines:

      def rank(h, ctc=ctc, lm=lm, alpha=alpha):
        part = h["parts"]
        total = (1 - ctc) * part["attention"] + ctc * part["ctc"]
        return (total + lm * part["lm"]) / len(h["tokens"]) ** alpha

      best = max(line["hypotheses"], key=rank, default={"text": ""})
      outputs.append(best["text"])
    values.append(metrics.score([name], outputs, references, comparison)[name])
  np.testing.assert_allclose([s.value for s in found], values, rtol=1e-9)
  assert len(set(values)) > 3
  lower = metrics.METRICS[name].lower_is_better
  first = values.index(min(values) if lower else max(values))
  assert found.index(rescorer.best(found)) == first
  own = [line["hypotheses"][:1] for line in lines]
  outputs = [h[0]["text"] if h else "" for h in own]
  wanted = metrics.score([name], outputs, references, comparison)[name]
  assert rescorer.as_searched() == pytest.approx(wanted)


def test_ties_go_to_the_first():
  score = np.array([[-1.0, -1.0 + 1e-6], [-2.0, -1.0], [-np.inf, -np.inf]])
  assert rescoring.best(score).tolist() == [0, 1, 0]
