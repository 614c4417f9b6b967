"""Objectives against slow versions, and their weighted sum."""

import inspect
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax import config, contracts, types
from seq2seq_jax.models import build
from seq2seq_jax.training import loop, objectives, optim, step
from tests.helpers import oracle_models as oracle
from tests.helpers import tiny_runs
from tests.helpers.numeric import (
  close,
  compiled,
  double,
  normal,
  scattered,
  slopes_close,
  trees_close,
)
from tests.helpers.oracle_decoder import BASE, VOCAB, a_batch, modelled

pytestmark = pytest.mark.usefixtures("strict")


@pytest.mark.quick
def test_coverage_loss_equals_its_sum():
  mask = np.arange(5)[None] < np.array([5, 3, 1])[:, None]
  steps = 4
  rng = np.random.default_rng(0)
  weights = np.where(mask[:, None], rng.uniform(0.1, 1.0, (3, steps, 5)), 0.0)
  weights = weights.astype(np.float32)
  weights /= np.sum(weights, axis=-1, keepdims=True)
  pull = np.random.default_rng(1).uniform(0.5, 1.5, (3, steps))

  def total(weights):
    terms = objectives.coverage_losses(weights)
    return jnp.sum(terms * pull.astype(np.float32)), terms

  def slow(weights):
    out = np.zeros((3, steps))
    for b, t in np.ndindex(3, steps):
      before = oracle.coverage_loss(weights[b, :t]) if t else 0.0
      out[b, t] = oracle.coverage_loss(weights[b, : t + 1]) - before
    return out

  grads, terms = compiled(jax.grad(total, has_aux=True))(weights)
  close(terms, slow(weights))
  assert not np.any(terms[:, 0])
  expected = oracle.difference(
    lambda w: np.sum(slow(w) * pull), double(weights)
  )
  close(np.where(mask[:, None], grads, 0), np.where(mask[:, None], expected, 0))


LABELS = 5


def test_ctc_equals_the_sum_over_alignments():
  m = config.replace(BASE, {"encoder.dim": 2})
  module = build.build(m, LABELS, LABELS, ctc=True)
  rng = np.random.default_rng(8)
  targets = (
    [3, 4],
    [],
    [4, 4],
    [3, 3, 4],
    [1, 3, 4, 3],
    [3, 3, 3],
    [],
    [3] * 5,
  )
  lengths = np.array([4, 3, 3, 4, 4, 4, 1, 4], np.int32)
  rows, size = len(targets), 4
  tgt = np.zeros((rows, 7), np.int32)
  for b, labels in enumerate(targets):
    tgt[b, : len(labels) + 1] = [*labels, types.EOS]
  tgt_len = np.array([len(t) + 1 for t in targets], np.int32)
  tgt_len[6] = 0  # a filler
  tgt[6] = types.PAD
  too_long = [5, 7]  # three equal labels need five positions
  values = normal(rng, rows, size, 4)
  mask = np.arange(size)[None] < lengths[:, None]
  batch = types.Batch(None, lengths, tgt, tgt_len, np.arange(rows))
  p = {
    "kernel": normal(rng, 4, LABELS),
    "bias": normal(rng, LABELS),
  }

  def losses(p, values):
    variables = {"params": {"ctc_head": p}}
    logits = module.apply(variables, values, method=lambda m, x: m.ctc_head(x))
    terms = objectives.ctc_losses(logits, mask, batch)
    return jnp.sum(terms), terms

  run = compiled(jax.grad(losses, (0, 1), has_aux=True))
  grads, terms = run(p, values)

  def slow(tree):
    out = np.zeros(rows)
    for b, n in enumerate(lengths):
      if b in too_long or tgt_len[b] == 0:
        continue
      logits = tree[1][b, :n] @ tree[0]["kernel"] + tree[0]["bias"]
      out[b] = oracle.ctc_nll(logits, targets[b])
    return out

  close(terms, slow(double((p, values))))
  assert np.array_equal(np.flatnonzero(terms == 0), [5, 6, 7])
  slopes_close(grads, lambda tree: np.sum(slow(tree)), (p, values))
  for b, n in enumerate(lengths):
    end = 0 if b in (5, 6, 7) else n
    assert not np.any(grads[1][b, end:])
  # What stands after EOS and after a source's end is not seen.
  other = tgt.copy()
  for b, n in enumerate(tgt_len):
    other[b, n:] = 3
  batch = batch._replace(tgt=other)
  noisy = np.where(mask[..., None], values, np.float32(5.0))
  more, seen = compiled(jax.grad(losses, (0, 1), has_aux=True))(p, noisy)
  assert np.array_equal(seen, terms)
  trees_close(more[0], grads[0])


@pytest.mark.quick
def test_every_name_of_the_config_has_a_function():
  assert tuple(objectives.OBJECTIVES) == config.OBJECTIVES


@pytest.mark.quick
@pytest.mark.parametrize(
  ("names", "reason"),
  [
    ((), "is empty; name at least one"),
    (("likelihood", "likelihood=0.5"), "names the same objective twice"),
    (("likelihod",), "nearest: likelihood"),
    (("likelihood=x",), "not NAME or NAME=WEIGHT"),
    (("likelihood=-1",), "positive weight"),
    (("likelihood=nan",), "positive weight"),
  ],
)
def test_what_is_no_objective_is_refused(names, reason):
  with pytest.raises(types.UserError, match=rf"optim\.objectives: .*{reason}"):
    config.Optim(objectives=names)


@pytest.mark.quick
def test_every_objective_has_the_contracts_signature():
  expected = inspect.signature(contracts.Objective.__call__).parameters
  names = [name for name in expected if name != "self"]
  for objective in objectives.OBJECTIVES.values():
    assert list(inspect.signature(objective).parameters) == names


def losses_of(module, batch, variables, *named):
  """Loss and terms of a model under each tuple of objectives."""
  seed, at = jnp.uint32(0), jnp.int32(0)
  return compiled(
    lambda v: [
      objectives.make_loss(module, config.Optim(**fields))(v, batch, seed, at)
      for fields in named
    ]
  )(variables)


def test_coverage_is_added_to_the_loss():
  batch = a_batch()
  module, variables = modelled(batch, **{"attention.score": "coverage"})
  plain, covered = losses_of(
    module, batch, variables, {}, {"objectives": ("likelihood", "coverage=0.7")}
  )
  attention = compiled(
    lambda v: module.apply(v, method=lambda m: m(batch)[1].attention)
  )(variables)
  missed = sum(
    oracle.coverage_loss(w[:n]) for w, n in zip(attention, batch.tgt_len)
  )
  close(covered[0] - plain[0], 0.7 * missed, 1e-4)
  close(covered[1]["coverage"][0], missed)
  assert np.array_equal(covered[1]["nll"][0], plain[1]["nll"][0])
  # A single objective is the loss itself and is not shown again.
  assert set(plain[1]) == {"nll"}
  assert set(covered[1]) == {"likelihood", "coverage", "nll"}


def a_ctc_model():
  module = build.build(BASE, VOCAB, VOCAB, ctc=True)
  rng = np.random.default_rng(9)
  src = rng.integers(4, VOCAB, (3, 6)).astype(np.int32)
  tgt = np.array([[4, 5, 2], [6, 2, 0], [2, 0, 0]], np.int32)
  tgt_len = np.array([3, 2, 1], np.int32)
  rows = np.arange(3, dtype=np.int32)
  batch = types.Batch(src, np.array([6, 4, 2], np.int32), tgt, tgt_len, rows)

  def init(key):
    return module.init(key, batch, method="initialize")

  return module, batch, scattered(jax.eval_shape(init, jax.random.key(0)))


def test_ctc_shares_the_loss():
  """(1 - w) of the decoder's and w of CTC's."""
  module, batch, variables = a_ctc_model()
  plain, shared = losses_of(
    module,
    batch,
    variables,
    {},
    {"objectives": ("likelihood=0.7", "ctc=0.3")},
  )
  terms = shared[1]
  close(terms["likelihood"][0], plain[0])
  close(shared[0], 0.7 * plain[0] + 0.3 * terms["ctc"][0])
  close(terms["nll"][0], plain[1]["nll"][0])
  assert terms["ctc"][0] > 0 and terms["ctc"][1] == 3
  assert [float(x) for x in terms["ctc_left_out"]] == [0, 3]
  # The first row has two labels and one position.
  short = batch._replace(src_len=np.array([1, 4, 2], np.int32))
  _, shared = losses_of(module, short, variables, {}, {"objectives": ("ctc",)})
  assert [float(x) for x in shared[1]["ctc_left_out"]] == [1, 3]


@pytest.mark.quick
def test_the_step_adds_up_whatever_it_is_given():
  """Terms of any name; the gradient is of the loss, divided once."""

  def loss_fn(params, batch, seed, at):
    del seed, at
    total = jnp.sum(params["w"] * batch.tgt_len.astype(jnp.float32))
    return total, {
      "mine": (total, objectives.sentence_count(batch)),
      "none": (jnp.float32(0.0), jnp.float32(0.0)),
    }

  conf = config.Optim(optimizer="sgd", clip_norm=0.0)
  optimizer = optim.optimizer(conf)
  params = {"w": jnp.float32(2.0)}
  state = step.init_state(params, optimizer, 0, False)
  ids = np.zeros((4, 3), np.int32)
  batch = types.Batch(
    None, None, ids, np.array([3, 2, 1, 0], np.int32), np.arange(4)
  )
  for parts in (1, 2):
    update = step.make_train_step(
      loss_fn, optimizer, lambda _: jnp.float32(0.1), accumulate=parts
    )
    new, metrics = jax.jit(update)(state, batch)
    close(new.params["w"], 2.0 - 0.1 * 6 / 6)
    close(metrics["loss"], 12.0 / 6)
    close(metrics["mine"], 12.0 / 3)
    assert metrics["none"] == 0


OWN = """
import jax.numpy as jnp


def confidence(outputs, memory, batch):
  probability = jnp.where(outputs.nll > 0, jnp.exp(-outputs.nll), 0.0)
  return {"confidence": (jnp.sum(probability), jnp.sum(batch.tgt_len) * 1.0)}
"""


def test_an_objective_of_the_users_own(tmp_path):
  """It is trained for, shown, and found again from the workdir's copy."""
  path = tmp_path / "own.py"
  path.write_text(OWN)
  names = ("likelihood", f"{path}:confidence=0.25")
  conf = tiny_runs.small(
    train={"steps": 4, "validate_every": 2, "log_every": 1},
    optim={"objectives": names},
  )
  with jax.numpy_dtype_promotion("standard"):
    loop.fit(conf, tmp_path / "run")
    path.unlink()
    stored = (tmp_path / "run" / "config.json").read_text()
    again = config.from_json(stored, str(tmp_path / "run" / "config.json"))
    run = loop.fit(again, tmp_path / "run")
  assert run.first_step == 4
  lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
  line = next(r for r in map(json.loads, lines) if r["split"] == "train")
  assert 0 < line["confidence"] < 1
  total = line["likelihood"] + 0.25 * line["confidence"]
  np.testing.assert_allclose(line["loss"], total, rtol=1e-5)


BAD = """
import jax.numpy as jnp
from seq2seq_jax.training import objectives
def again(outputs, memory, batch):
  return objectives.likelihood(outputs, memory, batch)
def nll(outputs, memory, batch):
  return {"nll": (outputs.loss, jnp.float32(1))}
def scalar(outputs, memory, batch):
  return outputs.loss
def alone(outputs, memory, batch):
  return {"alone": outputs.loss}
def each(outputs, memory, batch):
  return {"each": (outputs.nll, jnp.float32(1))}
def breaks(outputs, memory, batch):
  return {"breaks": outputs.nosuch}
NUMBER = 5
class Kind: pass
"""


@pytest.mark.quick
@pytest.mark.parametrize(
  ("name", "message"),
  [
    ("NUMBER", "bad.py:NUMBER: must be a function"),
    ("Kind", "bad.py:Kind: must be a function"),
    ("again", "again: returns a term 'likelihood', .* that likelihood uses"),
    ("nll", "bad.py:nll: returns a term 'nll', a name that every run uses"),
    ("scalar", r"py:scalar: must return \{name: \(sum, weight\)\}, not "),
    ("alone", "py:alone: its term 'alone' must be a pair of scalars"),
    ("each", "py:each: its term 'each' must be a pair of scalars"),
  ],
)
def test_an_objective_that_is_none_is_one_message(name, message, tmp_path):
  (tmp_path / "bad.py").write_text(BAD)
  module, batch, variables = a_ctc_model()
  conf = config.Optim(objectives=("likelihood", f"{tmp_path}/bad.py:{name}"))

  def loss(variables):
    return objectives.make_loss(module, conf)(variables, batch, 0, 0)

  with pytest.raises(types.UserError, match=message):
    jax.eval_shape(loss, variables)


@pytest.mark.quick
def test_an_error_in_a_users_file_is_told_by_its_line(tmp_path):
  # Equal contents are one module, the file that was read first.
  (tmp_path / "bad.py").write_text(f"{BAD}# {tmp_path}")
  module, batch, variables = a_ctc_model()
  conf = config.Optim(objectives=(f"{tmp_path}/bad.py:breaks",))

  def loss(variables):
    return objectives.make_loss(module, conf)(variables, batch, 0, 0)

  with pytest.raises(AttributeError) as caught:
    jax.eval_shape(loss, variables)
  told = str(config.extensions.blamed(caught.value))
  assert f"{tmp_path}/bad.py, line 15: AttributeError: " in told
  assert "\n" not in told
  assert config.extensions.blamed(ValueError("ours")) is None
