"""Training end to end: mappers, devices, resuming, what gets compiled."""

import contextlib
import dataclasses
import os
import shutil
import threading
import time
import types as types_

import flax
import jax
import numpy as np
import pytest

from seq2seq_jax import config, train, types
from seq2seq_jax.checkpoints import select
from seq2seq_jax.checkpoints import store as checkpoint_store
from seq2seq_jax.data import tokenizers
from seq2seq_jax.models import build
from seq2seq_jax.runtime import locks, processes
from seq2seq_jax.training import (
  loop,
  start,
  summary,
  throughput,
  transitions,
  warm_start,
)
from seq2seq_jax.training import run as training_run
from seq2seq_jax.training import workdir as workdir_lib
from tests.helpers import tiny_runs, tiny_speech
from tests.helpers.tiny_runs import (
  curve,
  metrics,
  same,
  small,
  state_of,
  tiny,
)


@pytest.mark.parametrize(
  ("kind", "mappers"),
  [
    ("text", ("pmap", "shard_map")),
    ("convolution", ("pmap",)),
    pytest.param("convolution", ("shard_map",), marks=pytest.mark.slow),
    pytest.param("pyramid", ("pmap", "shard_map"), marks=pytest.mark.slow),
  ],
)
def test_mappers_give_the_same_metrics(kind, mappers, tmp_path):
  """Those of training and of validation; speech is searched as well.

  Of eight devices, compared with `vmap`, which is one.
  """
  found = {}
  for mapper in (*mappers, "vmap"):
    conf = tiny_speech.SMALL[kind](
      train={"steps": 10, "mapper": mapper, "log_every": 1},
      optim={"optimizer": "sgd"},
    )
    loop.fit(conf, tmp_path / mapper)
    found[mapper] = [
      *metrics(tmp_path / mapper),
      *metrics(tmp_path / mapper, "valid"),
    ]
  assert len(found["vmap"]) == 11
  for mapper in mappers:
    for a, b in zip(found[mapper], found["vmap"], strict=True):
      assert a == pytest.approx(b, rel=1e-5)


def test_interrupted_run_ends_like_the_whole_one(whole, tmp_path, monkeypatch):
  """Stopped after steps 20 and 45, with plateau, EMA and early stopping."""
  for last in (20, 45):
    with _stopping_after(last, monkeypatch):
      run = loop.fit(tiny(), tmp_path)
    assert (run.interrupted, run.step, run.complete) == (15, last, False)
  run = loop.fit(tiny(), tmp_path)
  assert run.interrupted is None and run.complete
  assert same(state_of(tmp_path), state_of(whole))
  assert curve(tmp_path, "valid") == curve(whole, "valid")


@pytest.mark.parametrize(
  "kind", ["convolution", pytest.param("pyramid", marks=pytest.mark.slow)]
)
def test_interrupted_speech_ends_like_the_whole_run(
  kind, tmp_path, monkeypatch
):
  """In mid-epoch; masks and speeds do not depend on who loads a batch."""

  def conf(workers):
    return tiny_speech.SMALL[kind](
      train={"steps": 10, "validate_every": 5, "log_every": 1},
      data={"workers": workers},
    )

  whole, parts = tmp_path / "whole", tmp_path / "parts"
  run = loop.fit(conf(0), whole)
  assert len(run.data.plan) == 3
  with _stopping_after(4, monkeypatch):
    assert loop.fit(conf(2), parts).step == 4
  assert loop.fit(conf(0), parts).complete
  assert same(state_of(parts), state_of(whole))
  for split, lines in (("train", 10), ("valid", 2)):
    assert metrics(parts, split) == metrics(whole, split)
    assert len(metrics(whole, split)) == lines


@contextlib.contextmanager
def _stopping_after(last, monkeypatch):
  """Runs stop after a step, as by SIGTERM."""
  train_steps = loop.train_steps

  def stopping(run, writer, stop, lost):
    dispatched = throughput.Meter.dispatched

    def counting(self, step, metrics):
      if step == last:
        stop.signal = 15
      return dispatched(self, step, metrics)

    with monkeypatch.context() as patch:
      patch.setattr(throughput.Meter, "dispatched", counting)
      return train_steps(run, writer, stop, lost)

  with monkeypatch.context() as patch:
    patch.setattr(loop, "train_steps", stopping)
    yield


def test_fit_in_a_thread_gives_the_commands_bits(tmp_path, capfd):
  """Two at once, paths as text; they print nothing."""
  conf = small(train={"steps": 12, "validate_every": 6, "log_every": 3})
  runs = {}

  def fit(name):
    runs[name] = loop.fit(conf, str(tmp_path / name))

  threads = [threading.Thread(target=fit, args=(n,)) for n in "ab"]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert capfd.readouterr() == ("", "")
  assert [runs[n].step for n in "ab"] == [12, 12]
  text = repr(runs["a"])
  assert text.startswith(f"Run({str(tmp_path / 'a')!r}, step 12 of 12, best")
  command = tmp_path / "command"
  flags = ["--data.buckets", "1", "--train.metric", "loss", "--train.steps"]
  flags += ["12", "--train.validate_every", "6", "--train.log_every", "3"]
  assert (
    train.main([str(tiny_runs.TINY), "--workdir", str(command), *flags]) == 0
  )
  out, err = capfd.readouterr()
  assert "next: python -m seq2seq_jax.evaluate" in out and "step 12/12" in err
  for name in "ab":
    assert same(state_of(tmp_path / name), state_of(command))
    assert curve(tmp_path / name) == curve(command)


def test_a_run_whose_lock_was_taken_stops_without_saving(tmp_path, monkeypatch):
  dispatched = throughput.Meter.dispatched
  claim_or_wait = locks.claim_or_wait
  handlers = []

  def claiming(path, on_lost, on_wait):
    handlers.append(on_lost)
    return claim_or_wait(path, on_lost, on_wait)

  def losing(self, step, metrics):
    handlers[0](tmp_path / "lock")
    return dispatched(self, step, metrics)

  monkeypatch.setattr(locks, "claim_or_wait", claiming)
  monkeypatch.setattr(throughput.Meter, "dispatched", losing)
  with pytest.raises(types.UserError, match="has taken the workdir; stopped"):
    loop.fit(small(train={"steps": 4, "validate_every": 2}), tmp_path)
  assert not (tmp_path / "checkpoints").exists()


def test_damaged_checkpoint_falls_back_to_the_one_before(
  whole, tmp_path, caplog
):
  workdir = tmp_path / "run"
  shutil.copytree(whole, workdir)
  steps = checkpoint_store.Checkpoints(workdir, read_only=True).steps()
  folder = workdir / "checkpoints" / str(steps[-1]) / "state"
  # All of them: which of its files a checkpoint still reads is Orbax's choice.
  for path in folder.glob("**/d/*"):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  # Those before it are still to be had, though it is the last one that tells
  # which of them is the best.
  assert select.load(workdir, str(steps[-2]))[1] == steps[-2]
  with pytest.raises(types.UserError, match=f"{steps[-1]} is damaged"):
    select.load(workdir, "last")
  run = training_run.Run(tiny(), workdir)
  assert run.first_step == steps[-2]
  assert "is damaged" in caplog.text
  assert (workdir / "checkpoints-damaged" / str(steps[-1])).is_dir()
  run.checkpoints.close()


def test_other_config_is_refused_and_nothing_touched(whole):
  before = {p: p.stat().st_mtime_ns for p in whole.rglob("*") if p.is_file()}
  with pytest.raises(types.UserError, match=r"model\.embed_dim: 16 .* 32 now"):
    loop.fit(tiny(model={"embed_dim": 32}), whole)
  with pytest.raises(types.UserError, match=r"at step \d+, beyond train\.st"):
    loop.fit(tiny(train={"steps": 2}), whole)
  after = {p: p.stat().st_mtime_ns for p in whole.rglob("*") if p.is_file()}
  assert before == after


def test_no_process_writes_before_all_have_read(tmp_path, monkeypatch):
  class Met(Exception):
    pass

  def check_same(what, value):
    if what == "data":
      raise Met(value)

  monkeypatch.setattr(processes, "check_same", check_same)
  with pytest.raises(Met):
    training_run.Run(tiny(), tmp_path)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("section", ["train", "optim"])
def test_decisions_by_scores_need_a_validation_set(section, tmp_path):
  conf = tiny(
    data={"task": "scan", "name": "simple"},
    train={"patience": 2 * (section == "train"), "average": 0},
    optim={"schedule": "plateau" if section == "optim" else "constant"},
  )
  with pytest.raises(types.UserError, match=rf"{section}\..*data\.holdout"):
    training_run.Run(conf, tmp_path)
  assert not list(tmp_path.iterdir())


def test_frames_are_refused_before_anything_is_written(tmp_path):
  conf = tiny(model={"encoder.features": 8})
  with pytest.raises(
    types.UserError, match=r"model\.encoder\.features is 8.*hold no frames"
  ):
    training_run.Run(conf, tmp_path)
  assert not list(tmp_path.iterdir())


def test_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(
  tmp_path, monkeypatch
):
  windows = throughput.Meter._windows

  def spoiled(self, at, metrics):
    if at == 15:
      metrics = metrics | {"loss": metrics["loss"] * np.nan}
    return windows(self, at, metrics)

  monkeypatch.setattr(throughput.Meter, "_windows", spoiled)
  conf = small(train={"steps": 60, "validate_every": 10})
  with pytest.raises(
    types.Diverged, match=r"step 15: the loss is nan.*is from"
  ):
    loop.fit(conf, tmp_path)
  assert select.load(tmp_path, "last")[1] == 10


@pytest.mark.quick
@pytest.mark.parametrize(
  ("start", "values", "told"),
  [
    (5, {"loss": np.nan, "grad_norm": 1.0}, "step 6: .*learning_rate .*help"),
    (0, {"loss": 2.0, "grad_norm": np.nan}, "no learning rate is the cause: a"),
    (
      0,
      {"loss": np.inf, "grad_norm": np.nan, "coverage": np.inf, "nll": 1.0},
      "no learning rate is the cause: coverage of the first batch is not fin",
    ),
    (0, {"loss": np.nan, "grad_norm": 1.0}, "the loss of the first batch is"),
  ],
)
def test_the_cause_of_a_loss_that_is_not_finite(start, values, told):
  run = types_.SimpleNamespace(
    selection=[types_.SimpleNamespace(stopped=False, diverged=None)],
    running=lambda: [0],
  )
  arrays = {name: np.full((1, 1), value) for name, value in values.items()}
  window = throughput.Window(start, start + 1, arrays)
  with pytest.raises(types.Diverged, match=told):
    transitions.stop_diverged(run, [window])


@pytest.mark.quick
@pytest.mark.parametrize("field", ["train.init_from", "model.init"])
def test_parameters_that_are_not_finite_are_named(field):
  params = {"params": {"a": np.ones(2), "b": np.array([1.0, np.nan])}}
  with pytest.raises(types.UserError, match=f"{field}: params/b holds values"):
    start.check_finite(params, field)


def test_a_run_shorter_than_log_every_writes_its_last_step(tmp_path, caplog):
  conf = small(train={"steps": 3, "log_every": 100, "validate_every": 100})
  conf = config.replace(conf, {"optim.warmup_steps": 3})
  loop.fit(conf, str(tmp_path / "run"))
  assert "optim.warmup_steps 3 is not below train.steps 3" in caplog.text
  assert list(curve(tmp_path / "run")) == [3]


@pytest.mark.parametrize(
  "kind",
  ["text", "convolution", pytest.param("pyramid", marks=pytest.mark.slow)],
)
def test_nothing_compiles_from_the_second_epoch_on(kind, tmp_path, monkeypatch):
  """Every shape of batch exactly once before the first; a save, never.

  Nor does the second validation, of whatever it searches.
  """
  compiled, saves = [], []
  jax.monitoring.register_event_duration_secs_listener(
    lambda name, secs, **_: (
      compiled.append(name)
      if name == "/jax/core/compile/backend_compile_duration"
      else None
    )
  )
  marks = {}
  windows = throughput.Meter._windows

  def counting(self, at, metrics):
    marks[at] = len(compiled)
    return windows(self, at, metrics)

  monkeypatch.setattr(throughput.Meter, "_windows", counting)
  save = checkpoint_store.Checkpoints.save

  def saving(self, *args):
    before = len(compiled)
    save(self, *args)
    saves.append(len(compiled) - before)

  monkeypatch.setattr(checkpoint_store.Checkpoints, "save", saving)
  train = {"steps": 80, "validate_every": 10, "patience": 0}
  conf = tiny(train=train)
  if kind != "text":
    train = {"steps": 31, "validate_every": 10}
    two = {"buckets": 2, "batch_size": 8}
    conf = tiny_speech.SMALL[kind](train=train, data=two)
  run = loop.fit(conf, tmp_path)
  epoch, steps = len(run.data.plan), conf.train.steps
  assert 5 < epoch < 30
  # Steps 2 to 9 meet every shape, and compile nothing.
  assert {run.data.bucket(s) for s in range(9)} == {0, 1}
  assert marks[9] == marks[2]
  assert marks[steps] == marks[epoch + 10]
  assert saves and not any(saves)


def test_average_is_the_mean_of_its_checkpoints(whole):
  store = checkpoint_store.Checkpoints(whole, read_only=True)
  host = store.latest_host()
  store.close()
  assert len(host["averaged"]) == 2
  mean = jax.tree.leaves(select.load(whole, "average")[0])
  parts = [state_of(whole, s) for s in host["averaged"]]
  for m, a, b in zip(mean, *parts, strict=True):
    np.testing.assert_allclose(m, (a.astype(np.float64) + b) / 2, rtol=1e-6)


def test_init_from_takes_parameters_by_name(whole, tmp_path, caplog):
  conf = tiny(train={"init_from": str(whole), "steps": 1})
  caplog.set_level("INFO", "seq2seq_jax")
  run = training_run.Run(conf, tmp_path)
  run.checkpoints.close()
  assert same(
    jax.tree.leaves(jax.device_get(run.state.params)),
    jax.tree.leaves(select.load(whole, "best")[0]),
  )
  assert "init_from: took" in caplog.text


def test_init_from_a_run_with_other_words(whole, tmp_path):
  """Tables of as many rows, which stand for other words."""
  conf = tiny(
    train={"init_from": str(whole)}, data={"vocabulary": str(tmp_path / "old")}
  )
  shutil.copytree(whole / "tokenizers", tmp_path / "old" / "tokenizers")
  path = tmp_path / "old" / "tokenizers" / "target.json"
  words = tokenizers.train(["v w x y z"], kind="word", vocab_size=9)
  assert words.vocab_size == tokenizers.load(path).vocab_size
  path.write_bytes(words.dump())
  run = training_run.Run(conf, tmp_path / "new")
  run.checkpoints.close()
  here = flax.traverse_util.flatten_dict(
    jax.device_get(run.state.params), sep="/"
  )
  there = flax.traverse_util.flatten_dict(
    select.load(whole, "best")[0], sep="/"
  )
  left = {n for n in here if not np.array_equal(here[n], there[n])}
  of_words = {"embed_table/table", "head/bias", "head/kernel"}
  assert left == {f"params/decoder/{n}" for n in of_words}


def test_init_from_a_file(whole, tmp_path):
  best = select.load(whole, "best")[0]
  flat = flax.traverse_util.flatten_dict(best, sep="/")
  np.savez(tmp_path / "some.npz", **flat)
  other = warm_start.load_params(str(tmp_path / "some.npz"))
  assert same(jax.tree.leaves(other), jax.tree.leaves(best))
  (tmp_path / "no.npz").write_bytes(b"PK and then nothing")
  for name, why in (("no.npz", "neither a workdir"), ("x.npz", "no such")):
    with pytest.raises(types.UserError, match=why):
      warm_start.load_params(str(tmp_path / name))


def test_accumulation_equals_the_whole_batch(tmp_path):
  curves = []
  for parts in (1, 4):
    conf = small(
      train={"steps": 8, "log_every": 1, "mapper": "vmap"},
      optim={"accumulate": parts, "optimizer": "sgd"},
    )
    loop.fit(conf, tmp_path / str(parts))
    curves.append(list(curve(tmp_path / str(parts)).values()))
  np.testing.assert_allclose(curves[0], curves[1], rtol=1e-5)


def test_frozen_parameters_stay(tmp_path):
  conf = small(
    train={"steps": 5}, optim={"freeze": ("encoder/",), "ema_decay": 0.0}
  )
  run = loop.fit(conf, tmp_path)
  first = start.initial_params(run.model, 0, build.example(False))["params"]
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
    model=config.replace(base.model, {"attention.score": "none"}),
    train=dataclasses.replace(
      base.train, metric="perplexity", steps=80, patience=0
    ),
    optim=dataclasses.replace(base.optim, schedule="constant"),
  )
  run = loop.fit(conf, tmp_path / "run")
  assert run.selection[0].best_score < 3.0


@pytest.mark.quick
def test_a_workdir_is_trained_by_one_process(tmp_path, monkeypatch, caplog):
  caplog.set_level("INFO", "seq2seq_jax")
  path = tmp_path / "lock"
  with (
    locks.claim(path),
    pytest.raises(types.UserError, match="being trained by process"),
    workdir_lib.holding(tmp_path),
  ):
    pass
  with workdir_lib.holding(tmp_path):
    assert locks.is_live(path)
  assert not path.exists()


@pytest.mark.quick
def test_a_workdir_locked_by_another_host_is_waited_for(
  tmp_path, monkeypatch, caplog
):
  """It is refused while its lock is refreshed, else taken once it expires."""
  caplog.set_level("INFO", "seq2seq_jax")
  monkeypatch.setattr(locks, "POLL_SECONDS", 0.02)
  monkeypatch.setattr(locks, "EXPIRY_SECONDS", 1.0)
  monkeypatch.setattr(locks, "HEARTBEAT_SECONDS", 0.1)
  path = tmp_path / "lock"
  path.write_text(
    "filelock/2\npid=7\nhost=elsewhere\nmode=lease\ntoken=x\nduration=1.0\n"
  )
  sleep = time.sleep

  def refresh(seconds):
    path.touch()
    sleep(seconds)

  with monkeypatch.context() as refreshed:
    refreshed.setattr(time, "sleep", refresh)
    with (
      pytest.raises(types.UserError, match="by process 7 on elsewhere"),
      workdir_lib.holding(tmp_path),
    ):
      pass
  assert "waiting up to two minutes" in caplog.text
  with workdir_lib.holding(tmp_path):
    assert locks.holder(path).process == os.getpid()


@pytest.mark.quick
def test_targets_that_search_cannot_write_are_counted():
  lengths = np.array([[3, 16], [3, 17], [10, 30], [10, 31]])
  run = types_.SimpleNamespace(
    config=config.Config(decode=config.Decode(max_ratio=2.0, max_extra=10)),
    data=types_.SimpleNamespace(lengths=lengths),
  )
  assert summary.unreachable_targets(run) == 2
