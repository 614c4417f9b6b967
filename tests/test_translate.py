"""Decoding and evaluating with a trained model, end to end."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

from seq2seq_jax import decode, evaluate, metrics, types
from seq2seq_jax.data import sides, sources
from seq2seq_jax.inference import evaluator as evaluator_lib
from seq2seq_jax.inference import text as inference_text
from seq2seq_jax.inference import translator as translation
from tests.helpers.tiny_runs import tiny

SCRIPT = pathlib.Path(__file__).parent / "helpers" / "same_bits.py"


def test_same_bits_for_any_batch_size_order_and_devices(whole):
  env = dict(os.environ)
  del env["JAX_DISABLE_MOST_OPTIMIZATIONS"]
  flags = env.get("XLA_FLAGS", "").split()
  env["XLA_FLAGS"] = " ".join(f for f in flags if "xla_cpu" not in f)
  done = subprocess.run(
    [sys.executable, str(SCRIPT), str(whole)],
    env=env,
    capture_output=True,
    text=True,
    timeout=600,
  )
  assert "the same bits for 70 sentences" in done.stdout, done.stderr


def test_pools_of_long_sources_take_no_more_room(translator):
  translator, _ = translator
  options = translation.Options(3, 2, "none", 0.0, False)
  parts = {n: translator._parts(options, n) for n in (24, 64, 192, 10_000)}
  pool = translator.decode.pool_batches
  assert parts == {24: pool, 64: pool, 192: pool // 3, 10_000: 1}
  assert translator._parts(options._replace(attention=True), 24) == 1


def test_scores_of_search_equal_scores_of_given_targets(translator):
  translator, loaded = translator
  ids = [
    loaded.vocabularies.source.encode(t) for t in ("1 2 3", "4 0", "2 2 2 2")
  ]
  options = translation.Options(3, 2, "none", 0.0, False)
  found = translator.search((loaded.params,), ids, options)
  scorer = evaluator_lib.Scorer(
    [loaded.model], loaded.vocabularies, 16, translator.mapper
  )
  for source, h in zip(ids, found):
    for n in range(2):
      length = int(h.length[n])
      if not h.finished[n]:
        continue
      target = types.EncodedSide(h.tokens[n, :length])
      pair = types.EncodedPair(source, target)
      scored = scorer.score((loaded.params,), [pair])[0]
      np.testing.assert_allclose(
        scored[0], h.token_log_probs[n, :length], rtol=1e-4, atol=1e-5
      )


def test_coverage_penalty_of_a_model(translator):
  """The score is log P plus the penalty of the attention that is returned."""
  translator, loaded = translator
  ids = [
    loaded.vocabularies.source.encode(t) for t in ("1 2 3", "4 0", "2 2 2 2")
  ]
  options = translation.Options(3, 2, "none", 0.0, True, coverage=0.5)
  penalties = []
  for source, h in zip(ids, translator.search((loaded.params,), ids, options)):
    for n in range(2):
      given = h.attention[n, : h.length[n], : len(source.values)].sum(axis=0)
      penalty = 0.5 * np.sum(np.log(np.clip(given, 1e-10, 1.0)))
      penalties.append(penalty)
      np.testing.assert_allclose(h.score[n], h.log_prob[n] + penalty, rtol=1e-5)
  assert min(penalties) < -0.01


def test_exact_search_of_a_model(translator):
  translator, loaded = translator
  ids = [
    loaded.vocabularies.source.encode(t) for t in ("1 2 3", "4 0", "2 2 2 2")
  ]
  beam = translation.Options(3, 1, "none", 0.0, False)
  search = lambda how: translator.search((loaded.params,), ids, how)
  first, best = search(beam), search(beam._replace(exact=3000))
  assert all(b.proven for b in best)
  for a, b in zip(first, best):
    assert b.score[0] >= a.score[0]
    assert bool(b.improved) == (b.tokens.tolist() != a.tokens.tolist())
  found = evaluator_lib.of_search(best)
  assert found["proven"] == 100.0 and 0 <= found["search_errors"] <= 100
  assert list(evaluator_lib.of_search(first)) == ["cut"]


def test_exact_search_refuses_what_it_cannot_give(whole):
  command = ["--workdir", str(whole), "--decode.exact", "5"]
  for flags in (["--n-best", "2"], ["--attention", "--format", "jsonl"]):
    with pytest.raises(types.UserError, match="leave --n-best and --attention"):
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


def test_evaluate_answers_a_blank_source_with_a_blank(whole, tmp_path):
  (tmp_path / "in").write_text("1 2 3\n\n2 2\n")
  (tmp_path / "ref").write_text("1 2 3\nx\n2 2\n")
  files = ["--source", str(tmp_path / "in"), "--reference"]
  command = ["--workdir", str(whole), *files, str(tmp_path / "ref")]
  args, _ = evaluate.parser().parse_known_args(command)
  found = evaluate.run([str(whole)], args)
  assert found["sentences"] == 3
  assert found["exact_match"] in (100 * n / 3 for n in range(3))
  (tmp_path / "ref").write_text("\n\n\n")
  with pytest.raises(types.UserError, match="no reference with text"):
    evaluate.run([str(whole)], args)


def test_evaluate_knows_the_training_part(whole, tmp_path):
  args, _ = evaluate.parser().parse_known_args(
    ["--workdir", "x", "--split", "train"]
  )
  conf = tiny(data={"limit": 7})
  side = sides.NoSource()
  assert len(evaluate._pairs(args, conf, side)) == 7


def test_an_ensemble_has_no_token_accuracy(translator):
  translator, loaded = translator
  vocabularies = loaded.vocabularies
  pair = vocabularies.encode(("1 2 3", "1 2 3"))
  one, two = (
    evaluator_lib.Scorer(
      [loaded.model] * n, vocabularies, 16, translator.mapper
    ).score((loaded.params,) * n, [pair])
    for n in (1, 2)
  )
  alone, both = (
    evaluator_lib.model_metrics(one),
    evaluator_lib.model_metrics(two),
  )
  assert "token_accuracy" in alone and "token_accuracy" not in both
  np.testing.assert_allclose(both["loss"], alone["loss"], rtol=1e-5)
  with pytest.raises(types.UserError, match="not of an ensemble"):
    metrics.METRICS["token_accuracy"].sentence_sums(two)


def test_outputs_are_lines_and_positions_are_what_is_attended_to(translator):
  assert inference_text.lines(["a\nb\r\nc"], 2) == "a b  c\n\n"
  _, loaded = translator
  conf = tiny(model={"encoder.layers": 2, "encoder.reductions": 1})
  reader = inference_text.Reader(None, loaded.vocabularies, conf)
  assert [p.split() for p in reader.positions("1 2 3 4")] == [
    ["1", "2"],
    ["3", "4"],
    loaded.vocabularies.source.tokenizer.tokens([types.EOS]),
  ]


def test_evaluate_scores_the_same_however_many_at_a_time(whole, tmp_path):
  found = []
  for flags in ((), ("--batch-size", "3")):
    out = tmp_path / "scores.json"
    command = ["--workdir", str(whole), "--split", "valid", "--json", str(out)]
    assert evaluate.main([*command, *flags]) == 0
    found.append(json.loads(out.read_text()))
    del found[-1]["seconds"]
  assert found[0] == found[1] and found[0]["sentences"] > 3


def test_hypotheses_are_made_into_what_is_asked_for(translator):
  """In the order of the sources, each once, and counted to the last."""
  translator, loaded = translator
  texts = ["1 2 3", "2", "3 3 3 3 3 3 3 3 3 3", "1"]
  ids = [loaded.vocabularies.source.encode(text) for text in texts]
  options = translation.Options(2, 1, "none", 0.0, False)
  counts, seen = [], []

  def made(i, hypothesis):
    seen.append(i)
    return i, hypothesis.tokens.tolist()

  params = (loaded.params,)
  found = translator.search(params, ids, options, counts.append, made=made)
  plain = translator.search(params, ids, options)
  assert found == [(i, h.tokens.tolist()) for i, h in enumerate(plain)]
  assert sorted(seen) == [0, 1, 2, 3]
  assert counts[0] == 0 and counts[-1] == 4 and counts == sorted(counts)


def test_an_output_is_compared_with_the_closest_alternative(translator):
  translator, loaded = translator
  conf = tiny(data={"alternatives": True})
  split = sources.Pairs(
    [("1 2 3", "3 3 3"), ("2 2", "2"), ("1 2 3", "1 2 3"), ("2 2", "2 2 2")]
  )
  evaluator = evaluator_lib.Evaluator(
    conf, loaded.vocabularies, [loaded.model], split, translator.mapper
  )
  assert evaluator.sources == ["1 2 3", "2 2"]
  assert len(evaluator.encoded) == 4  # the loss is of all of them
  texts = ["1 2 3", "2 2 2 2"]
  assert evaluator.compared(texts) == ["1 2 3", "2 2 2"]
  scores = evaluator.score_texts(texts, ["exact_match", "wer"])
  assert scores["exact_match"] == 50
  assert scores["wer"] == pytest.approx(100 / 6)
  assert scores["sentences"] == 2


def test_evaluate_writes_its_outputs_and_tells_of_other_data(
  whole, tmp_path, caplog
):
  run = tmp_path / "run"
  shutil.copytree(whole, run)
  record = json.loads((run / "run.json").read_text())
  record["data"]["valid"] = "another"
  (run / "run.json").write_text(json.dumps(record))
  out, scores = tmp_path / "out.txt", tmp_path / "scores.json"
  command = ["--workdir", str(run), "--split", "valid", "--output", str(out)]
  command += ["--json", str(scores), "--metric", "empty"]
  assert evaluate.main(command) == 0
  found = json.loads(scores.read_text())
  lines = out.read_text().splitlines()
  assert len(lines) == found["sentences"] > 3
  assert found["empty"] == 100 * sum(not x for x in lines) / len(lines)
  assert 0 <= found["cut"] <= 100
  assert "valid data is not what this run had" in caplog.text
  with pytest.raises(types.UserError, match="--metric blue: there are loss"):
    evaluate.main([*command, "--metric", "blue"])
  with pytest.raises(types.UserError, match="--output: --score translates"):
    evaluate.main([*command, "--score"])


def test_the_unknown_word_can_be_forbidden(translator):
  translator, loaded = translator
  size = loaded.vocabularies.target.vocab_size

  def favoured(path, leaf):
    """The softmax's bias for the unknown word raised above all others."""
    if leaf.shape[-1:] != (size,) or "bias" not in str(path[-1]):
      return leaf
    return leaf.at[..., types.UNK].add(30.0)

  params = (jax.tree_util.tree_map_with_path(favoured, loaded.params),)
  ids = [loaded.vocabularies.source.encode(t) for t in ("1 2 3", "4 0")]
  options = translation.Options(2, 1, "none", 0.0, False)
  unknown = lambda h: types.UNK in h.tokens[0, : h.length[0]]
  assert all(map(unknown, translator.search(params, ids, options)))
  options = options._replace(forbid_unknown=True)
  assert not any(map(unknown, translator.search(params, ids, options)))


def test_outputs_have_the_length_of_their_references(translator):
  """By the oracle, and as in search without it where they have it anyway."""
  translator, loaded = translator
  conf = tiny(decode={"oracle_length": True, "beam_size": 1})
  pairs = [("1 2 3", "1 2 3 4 0"), ("4 0", "1"), ("2", "2")]
  evaluator = evaluator_lib.Evaluator(
    conf,
    loaded.vocabularies,
    [loaded.model],
    sources.Pairs(pairs),
    translator.mapper,
  )
  options = translation.options_of(conf.decode)
  _, texts = evaluator.translate((loaded.params,), options)
  assert [len(t.split()) for t in texts] == [5, 1, 1]
  ids = [loaded.vocabularies.source.encode(source) for source, _ in pairs]
  free = translator.search((loaded.params,), ids, options)
  lengths = [int(h.length[0]) - 1 for h in free]
  forced = translator.search((loaded.params,), ids, options, lengths=lengths)
  for a, b in zip(free, forced):
    assert a.finished[0] and not b.finished[0]
    assert a.tokens[0, : b.length[0]].tolist() == (
      b.tokens[0, : b.length[0]].tolist()
    )
  with pytest.raises(types.UserError, match="one reference for every source"):
    tiny(decode={"oracle_length": True}, data={"alternatives": True})
