"""Training end to end: mappers, devices, resuming, what gets compiled."""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import flax
import jax
import numpy as np
import pytest

from seq2seq_jax import (
  config,
  decode,
  decode_load,
  decode_search,
  decode_text,
  evaluate,
  train,
  train_meter,
  train_run,
  types,
)
from seq2seq_jax.ablation import locks
from seq2seq_jax.data import tokenizers
from seq2seq_jax.models import build
from seq2seq_jax.training import checkpoint, parallel, pretrained

TINY = pathlib.Path(__file__).parent / "configs" / "tiny.py"


def tiny(**changes) -> config.Config:
  """The tiny config with fields changed: `train={"steps": 3}`."""
  conf = config.load(str(TINY))
  for section, fields in changes.items():
    part = dataclasses.replace(getattr(conf, section), **fields)
    conf = dataclasses.replace(conf, **{section: part})
  return conf


def small(train, **changes) -> config.Config:
  """One shape of batches, and no search in validation: less to compile."""
  return tiny(data={"buckets": 1}, train={"metric": "loss"} | train, **changes)


def state_of(workdir, step=None):
  """All arrays of a checkpoint."""
  store = checkpoint.Checkpoints(workdir, read_only=True)
  step = step or store.steps()[-1]
  tree = store.read(step)[0]
  store.close()
  return jax.tree.leaves(tree)


def curve(workdir, split="train"):
  lines = (workdir / "metrics.jsonl").read_text().splitlines()
  rows = [json.loads(line) for line in lines]
  return {r["step"]: r["loss"] for r in rows if r["split"] == split}


def same(a, b):
  return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
  """A finished run on eight devices."""
  workdir = tmp_path_factory.mktemp("whole")
  train.train(tiny(), workdir, live=False)
  return workdir


def test_three_mappers_give_the_same_curve(tmp_path):
  curves = {}
  for kind in ("pmap", "shard_map", "vmap"):
    conf = small(
      train={"steps": 10, "mapper": kind, "log_every": 1},
      optim={"optimizer": "sgd"},
    )
    train.train(conf, tmp_path / kind, live=False)
    curves[kind] = np.array(list(curve(tmp_path / kind).values()))
  np.testing.assert_allclose(curves["shard_map"], curves["pmap"], rtol=1e-5)
  np.testing.assert_allclose(curves["vmap"], curves["pmap"], rtol=1e-5)


def test_interrupted_run_ends_like_the_whole_one(whole, tmp_path, monkeypatch):
  """Stopped behind steps 20 and 45, with plateau, EMA and early stopping."""
  for last in (20, 45):
    loop = train.loop

    def stopping(run, out, stop, last=last, loop=loop):
      dispatched = train_meter.Meter.dispatched

      def counting(self, at, outputs):
        dispatched(self, at, outputs)
        if at == last:
          stop.signal = 15

      monkeypatch.setattr(train_meter.Meter, "dispatched", counting)
      try:
        return loop(run, out, stop)
      finally:
        monkeypatch.setattr(train_meter.Meter, "dispatched", dispatched)

    monkeypatch.setattr(train, "loop", stopping)
    with pytest.raises(SystemExit):
      train.train(tiny(), tmp_path, live=False)
    monkeypatch.setattr(train, "loop", loop)
  train.train(tiny(), tmp_path, live=False)
  assert same(state_of(tmp_path), state_of(whole))
  assert curve(tmp_path, "valid") == curve(whole, "valid")


def test_damaged_checkpoint_falls_back_to_the_one_before(whole, tmp_path):
  workdir = tmp_path / "run"
  shutil.copytree(whole, workdir)
  steps = checkpoint.Checkpoints(workdir, read_only=True).steps()
  folder = workdir / "checkpoints" / str(steps[-1]) / "state"
  # All of them: which of its files a checkpoint still reads is Orbax's choice.
  for path in folder.glob("**/d/*"):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  said = []
  run = train_run.Run(tiny(), workdir, said.append)
  assert run.first == steps[-2]
  assert any("damaged" in s for s in said)
  assert (workdir / "checkpoints-damaged" / str(steps[-1])).is_dir()
  run.checkpoints.close()


def test_other_config_is_refused_and_nothing_touched(whole):
  before = {p: p.stat().st_mtime_ns for p in whole.rglob("*") if p.is_file()}
  with pytest.raises(types.UserError, match=r"model\.embed_dim: 16 .* 32 now"):
    train.train(tiny(model={"embed_dim": 32}), whole, live=False)
  with pytest.raises(types.UserError, match=r"at step \d+, beyond train\.st"):
    train.train(tiny(train={"steps": 2}), whole, live=False)
  after = {p: p.stat().st_mtime_ns for p in whole.rglob("*") if p.is_file()}
  assert before == after


def test_no_process_writes_before_all_have_read(tmp_path, monkeypatch):
  class Met(Exception):
    pass

  def meet(where):
    raise Met(where)

  monkeypatch.setattr(parallel, "meet", meet)
  with pytest.raises(Met):
    train_run.Run(tiny(), tmp_path)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("section", ["train", "optim"])
def test_decisions_by_scores_need_a_validation_set(section, tmp_path):
  conf = tiny(
    data={"task": "scan", "name": "simple"},
    train={"patience": 2 * (section == "train"), "average": 0},
    optim={"schedule": "plateau" if section == "optim" else "constant"},
  )
  with pytest.raises(types.UserError, match=rf"{section}\..*data\.holdout"):
    train_run.Run(conf, tmp_path)
  assert not list(tmp_path.iterdir())


def test_frames_are_refused_before_anything_is_written(tmp_path):
  conf = tiny(model={"input_features": 8})
  with pytest.raises(types.UserError, match="no data task reads frames"):
    train_run.Run(conf, tmp_path)
  assert not list(tmp_path.iterdir())


def test_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(tmp_path):
  conf = small(
    train={"steps": 60, "validate_every": 10},
    optim={"optimizer": "sgd", "learning_rate": 3e38, "clip_norm": 0.0},
  )
  with pytest.raises(types.UserError, match=r"step \d+: the loss is"):
    train.train(conf, tmp_path, live=False)


def test_nothing_compiles_from_the_second_epoch_on(tmp_path, monkeypatch):
  """Every shape of batch exactly once before the first; a save, never."""
  compiled, saves = [], []
  jax.monitoring.register_event_duration_secs_listener(
    lambda name, secs, **_: (
      compiled.append(name)
      if name == "/jax/core/compile/backend_compile_duration"
      else None
    )
  )
  marks = {}
  read = train_meter.Meter._read

  def counting(self, at, outputs):
    marks[at] = len(compiled)
    read(self, at, outputs)

  monkeypatch.setattr(train_meter.Meter, "_read", counting)
  save = checkpoint.Checkpoints.save

  def saving(self, *args):
    before = len(compiled)
    save(self, *args)
    saves.append(len(compiled) - before)

  monkeypatch.setattr(checkpoint.Checkpoints, "save", saving)
  conf = tiny(train={"steps": 80, "validate_every": 10, "patience": 0})
  run = train.train(conf, tmp_path, live=False)
  epoch = len(run.train_data.plan)
  assert 10 < epoch < 30
  # Steps 2 to 9 meet every shape, and compile nothing.
  assert {run.train_data.bucket(s) for s in range(9)} == {0, 1}
  assert marks[9] == marks[2]
  assert marks[80] == marks[epoch + 10]
  assert saves and not any(saves)


def test_same_bits_for_any_batch_size_order_and_devices(whole):
  env = dict(os.environ)
  del env["JAX_DISABLE_MOST_OPTIMIZATIONS"]
  flags = env.get("XLA_FLAGS", "").split()
  env["XLA_FLAGS"] = " ".join(f for f in flags if "xla_cpu" not in f)
  done = subprocess.run(
    [sys.executable, str(TINY.parent.parent / "same_bits.py"), str(whole)],
    env=env,
    capture_output=True,
    text=True,
    timeout=600,
  )
  assert "the same bits for 70 sentences" in done.stdout, done.stderr


@pytest.fixture(scope="module")
def translator(whole):
  """A model ready for search, and its parameters."""
  mapper = parallel.Mapper("pmap", local=True)
  loaded = decode_load.load(whole, "best", mapper, print)
  translator = decode_search.Translator(
    [loaded.model], loaded.config.decode, mapper
  )
  return translator, loaded


def test_pools_of_long_sources_take_no_more_room(translator):
  translator, _ = translator
  options = decode_search.Options(3, 2, "none", 0.0, False)
  parts = {n: translator._parts(options, n) for n in (24, 64, 192, 10_000)}
  pool = translator.decode.pool
  assert parts == {24: pool, 64: pool, 192: pool // 3, 10_000: 1}
  assert translator._parts(options._replace(attention=True), 24) == 1


def test_scores_of_search_equal_scores_of_given_targets(translator):
  translator, loaded = translator
  ids = [loaded.toks.encode_source(t) for t in ("1 2 3", "4 0", "2 2 2 2")]
  options = decode_search.Options(3, 2, "none", 0.0, False)
  found = translator.search((loaded.params,), ids, options)
  scorer = evaluate.Scorer([loaded.model], 16, translator.mapper)
  for source, h in zip(ids, found):
    for n in range(2):
      length = int(h.length[n])
      if not h.finished[n]:
        continue
      pair = (source, h.tokens[n, :length])
      scored = scorer.score((loaded.params,), [pair])[0]
      np.testing.assert_allclose(
        scored[0], h.token_log_probs[n, :length], rtol=1e-4, atol=1e-5
      )


def test_coverage_penalty_of_a_model(translator):
  """The score is log P plus the penalty of the attention that is returned."""
  translator, loaded = translator
  ids = [loaded.toks.encode_source(t) for t in ("1 2 3", "4 0", "2 2 2 2")]
  options = decode_search.Options(3, 2, "none", 0.0, True, coverage=0.5)
  penalties = []
  for source, h in zip(ids, translator.search((loaded.params,), ids, options)):
    for n in range(2):
      given = h.attention[n, : h.length[n], : len(source)].sum(axis=0)
      penalty = 0.5 * np.sum(np.log(np.clip(given, 1e-10, 1.0)))
      penalties.append(penalty)
      np.testing.assert_allclose(h.score[n], h.log_prob[n] + penalty, rtol=1e-5)
  assert min(penalties) < -0.01


def test_exact_search_of_a_model(translator):
  translator, loaded = translator
  ids = [loaded.toks.encode_source(t) for t in ("1 2 3", "4 0", "2 2 2 2")]
  beam = decode_search.Options(3, 1, "none", 0.0, False)
  search = lambda how: translator.search((loaded.params,), ids, how)
  first, best = search(beam), search(beam._replace(exact=3000))
  assert all(b.proven for b in best)
  for a, b in zip(first, best):
    assert b.score[0] >= a.score[0]
    assert bool(b.improved) == (b.tokens.tolist() != a.tokens.tolist())
  found = evaluate.search_errors(best)
  assert found["proven"] == 100.0 and 0 <= found["search_errors"] <= 100
  assert evaluate.search_errors(first) == {}


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
    for form in ("text", "jsonl"):
      out = tmp_path / f"{name}.{form}"
      command = ["--workdir", str(whole), "--input", str(tmp_path / name)]
      command += ["--output", str(out), "--format", form]
      command += ["--attention"] if form == "jsonl" else []
      assert decode.main(command) == 0
      found[name, form] = out.read_text().split("\n")[:-1]
  answers = found["plain", "text"]
  assert found["blank", "text"] == ["", answers[0], "", answers[1], ""]
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
  assert len(evaluate._pairs(args, conf)) == 7


def test_an_ensemble_has_no_token_accuracy(translator):
  translator, loaded = translator
  pair = tuple(loaded.toks.encode_source(t) for t in ("1 2 3", "1 2 3"))
  one, two = (
    evaluate.Scorer([loaded.model] * n, 16, translator.mapper).score(
      (loaded.params,) * n, [pair]
    )
    for n in (1, 2)
  )
  alone, both = evaluate.model_metrics(one), evaluate.model_metrics(two)
  assert "token_accuracy" in alone and "token_accuracy" not in both
  np.testing.assert_allclose(both["loss"], alone["loss"], rtol=1e-5)
  with pytest.raises(types.UserError, match="not of an ensemble"):
    evaluate._token_sums(two, "token_accuracy")


def test_outputs_are_lines_and_positions_are_what_is_attended_to(translator):
  assert decode_text.one_line("a\nb\r\nc") == "a b  c"
  _, loaded = translator
  conf = tiny(model={"encoder_layers": 2, "reductions": 1})
  reader = decode_text.Reader(None, loaded.toks, conf)
  assert [p.split() for p in reader.positions("1 2 3 4")] == [
    ["1", "2"],
    ["3", "4"],
    loaded.toks.source.tokens([types.EOS]),
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
  ids = [loaded.toks.encode_source(text) for text in texts]
  options = decode_search.Options(2, 1, "none", 0.0, False)
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


def test_average_is_the_mean_of_its_checkpoints(whole):
  store = checkpoint.Checkpoints(whole, read_only=True)
  host = store.read(store.steps()[-1])[1]
  store.close()
  assert len(host["averaged"]) == 2
  mean = jax.tree.leaves(pretrained.load(whole, "average", print)[0])
  parts = [state_of(whole, s) for s in host["averaged"]]
  for m, a, b in zip(mean, *parts, strict=True):
    np.testing.assert_allclose(m, (a.astype(np.float64) + b) / 2, rtol=1e-6)


def test_init_from_takes_parameters_by_name(whole, tmp_path):
  conf = tiny(train={"init_from": str(whole), "steps": 1})
  said = []
  run = train_run.Run(conf, tmp_path, said.append)
  run.checkpoints.close()
  assert same(
    jax.tree.leaves(jax.device_get(run.state.params)),
    jax.tree.leaves(pretrained.load(whole, "best", print)[0]),
  )
  assert any("took" in s for s in said)


def test_init_from_a_run_with_other_words(whole, tmp_path):
  """Tables of as many rows, which stand for other words."""
  conf = tiny(train={"init_from": str(tmp_path / "old")})
  shutil.copytree(whole, tmp_path / "old")
  path = tmp_path / "old" / "tokenizers" / "target.json"
  words = tokenizers.train(["v w x y z"], kind="word", vocab_size=9)
  assert words.vocab_size == tokenizers.load(path).vocab_size
  words.save(path)
  run = train_run.Run(conf, tmp_path / "new", print)
  run.checkpoints.close()
  here = flax.traverse_util.flatten_dict(
    jax.device_get(run.state.params), sep="/"
  )
  there = flax.traverse_util.flatten_dict(
    pretrained.load(whole, "best", print)[0], sep="/"
  )
  left = {n for n in here if not np.array_equal(here[n], there[n])}
  of_words = {"embed_table/table", "head/bias", "head/kernel"}
  assert left == {f"params/decoder/{n}" for n in of_words}


def test_init_from_a_file(whole, tmp_path):
  best = pretrained.load(whole, "best", print)[0]
  flat = flax.traverse_util.flatten_dict(best, sep="/")
  np.savez(tmp_path / "some.npz", **flat)
  other = pretrained.load_any(str(tmp_path / "some.npz"), print)
  assert same(jax.tree.leaves(other), jax.tree.leaves(best))
  (tmp_path / "no.npz").write_bytes(b"PK and then nothing")
  for name, why in (("no.npz", "neither a workdir"), ("x.npz", "no such")):
    with pytest.raises(types.UserError, match=why):
      pretrained.load_any(str(tmp_path / name), print)


def test_accumulation_equals_the_whole_batch(tmp_path):
  curves = []
  for parts in (1, 4):
    conf = small(
      train={"steps": 8, "log_every": 1, "mapper": "vmap"},
      optim={"accumulate": parts, "optimizer": "sgd"},
    )
    train.train(conf, tmp_path / str(parts), live=False)
    curves.append(list(curve(tmp_path / str(parts)).values()))
  np.testing.assert_allclose(curves[0], curves[1], rtol=1e-5)


def test_frozen_parameters_stay(tmp_path):
  conf = small(
    train={"steps": 5}, optim={"freeze": ("encoder/",), "ema_decay": 0.0}
  )
  run = train.train(conf, tmp_path, live=False)
  first = train_run.initial_params(run.model, 0, build.example(False))["params"]
  last = jax.device_get(run.state.params)["params"]
  equal = jax.tree.map(np.array_equal, first, last)
  assert all(jax.tree.leaves(equal["encoder"]))
  assert not any(jax.tree.leaves(equal["decoder"]["layer_0"]))


def test_language_model_trains_the_decoder_alone(tmp_path):
  text = "".join(f"{i % 7} {(i + 1) % 7} {(i + 2) % 7}\n" for i in range(80))
  (tmp_path / "train.txt").write_text(text)
  (tmp_path / "valid.txt").write_text(text[:60])
  base = small({})
  conf = dataclasses.replace(
    base,
    data=dataclasses.replace(
      base.data,
      task="language_model",
      root=str(tmp_path),
      train=("train.txt",),
      valid=("valid.txt",),
    ),
    model=dataclasses.replace(base.model, attention="none"),
    train=dataclasses.replace(
      base.train, metric="perplexity", steps=80, patience=0
    ),
    optim=dataclasses.replace(base.optim, schedule="constant"),
  )
  run = train.train(conf, tmp_path / "run", live=False)
  assert run.histories[0]["best_score"] < 3.0


@pytest.mark.quick
def test_a_workdir_is_trained_by_one_process(tmp_path, monkeypatch):
  path = tmp_path / "lock"
  with (
    locks.claim(path),
    pytest.raises(types.UserError, match="being trained by process"),
    train._alone(tmp_path, print),
  ):
    pass
  with train._alone(tmp_path, print):
    assert locks.live(path)
  assert not path.exists()
  # Of another machine: refused while it beats, else taken once it expires.
  holder = {"token": "x", "host": "elsewhere", "process": 7, "born": "1"}
  path.write_text(json.dumps(holder))
  said = []
  monkeypatch.setattr(time, "sleep", lambda _: path.touch())
  with (
    pytest.raises(types.UserError, match="by process 7 on elsewhere"),
    train._alone(tmp_path, said.append),
  ):
    pass
  assert "waiting for a sign of life" in said[0]
  long_ago = time.time() - locks.EXPIRES - 5
  os.utime(path, (long_ago + locks.EXPIRES / 2,) * 2)
  monkeypatch.setattr(time, "sleep", lambda _: os.utime(path, (long_ago,) * 2))
  with train._alone(tmp_path, said.append):
    assert locks.read(path)["process"] == os.getpid()
