"""Scheduled sampling: whose token is the next input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.models import build, dropout_masks, scheduled_sampling, seq2seq
from tests.helpers import oracle_models as oracle
from tests.helpers.numeric import FAST, close, compiled, drawn_for, scattered
from tests.helpers.oracle_decoder import BASE, DROPOUTS, VOCAB, decoding
from tests.helpers.small_models import example, made

pytestmark = pytest.mark.usefixtures("strict")


@pytest.mark.quick
def test_schedules_of_scheduled_sampling():
  schedules = (
    ("linear", 0.9, 0.2, 0.01, (0.9, 0.01, 0.2)),
    ("exponential", 0.0, 0.0, 0.97, (0.97,)),
    ("inverse_sigmoid", 0.0, 0.0, 20.0, (20.0,)),
  )
  steps = np.array([0, 1, 7, 40, 69, 70, 71, 150, 5000], np.int32)
  for schedule, rate, low, k, args in schedules:
    run = compiled(
      lambda i, c=schedule, a=(rate, low, k): (
        scheduled_sampling.reference_probability(c, i, *a)
      )
    )
    for i in steps:
      want = oracle.gold_probability(schedule, int(i), *args)
      np.testing.assert_allclose(run(i), want, rtol=2e-5, atol=1e-7)
  assert (
    scheduled_sampling.reference_probability("constant", 9, 0.25, 0.0, 0.0)
    == 0.25
  )
  assert (
    scheduled_sampling.reference_probability(
      "inverse_sigmoid", 10**6, 1, 0, 1.0
    )
    == 0
  )


@pytest.mark.quick
def test_uniform_numbers_are_those_of_their_granularity():
  folded = jax.jit(lambda rows: dropout_masks.row_keys(3, 5, rows))

  def keys(rows):
    return folded(np.array(rows, np.int32))

  shared = dropout_masks.batch_key(3, 5)
  for unit in ("token", "sequence", "step"):
    draw = jax.jit(
      lambda keys, n=6, unit=unit: scheduled_sampling.uniform(
        unit, shared, keys, n
      ),
      static_argnums=1,
      compiler_options=FAST,
    )
    uniform = np.asarray(draw(keys([0, 1, 2, 3])))
    assert uniform.shape == (6, 4)
    assert np.all((uniform >= 0) & (uniform < 1))
    over_time = np.all(uniform == uniform[:1])
    over_rows = np.all(uniform == uniform[:, :1])
    assert over_time == (unit == "sequence")
    assert over_rows == (unit == "step")
    alone = np.asarray(draw(keys([7, 2, 0])))
    assert np.array_equal(alone[:, 1:], uniform[:, [2, 0]])
    assert np.array_equal(draw(keys([0, 1, 2, 3]), 9)[:6], uniform)
    if unit == "token":
      assert len(np.unique(uniform)) == uniform.size
  other = scheduled_sampling.uniform(
    "step", dropout_masks.batch_key(3, 6), keys([0]), 6
  )
  assert not np.any(other[:, 0] == uniform[:, 0])


SAMPLED = {
  "luong": {"decoder.layers": 2},
  "all_at_once": {"decoder.input_feeding": False, "decoder.layers": 2},
  "copynet": {"head": "copynet"},
  "transformer": {
    "encoder.kind": "rnn",
    "decoder.kind": "transformer",
    "transformer.dim": 4,
    "transformer.heads": 2,
    "transformer.layers": 2,
    "transformer.hidden": 6,
  },
}


@pytest.mark.parametrize("name", SAMPLED)
def test_sampled_inputs_are_the_models_own(name):
  """Gold, greedy and mixed inputs against search's steps."""
  m = config.replace(BASE, {**SAMPLED[name], **DROPOUTS})
  module, variables, memory, _ = decoding(m)
  rng = np.random.default_rng(4)
  steps, rows = 5, len(memory.mask)
  given = rng.integers(4, VOCAB, (rows, steps)).astype(np.int32)
  given[:, 0] = types.BOS
  uniform = rng.random((steps, rows)).astype(np.float32)
  masks = drawn_for(module.decoder, steps, rows)
  assert "embed" in masks

  @compiled
  def run(variables, gold, uniform):
    def both(module):
      ready = module.decoder.prepare(memory)
      sampled = scheduled_sampling.Sampled(gold, uniform, None)
      plain = []
      for noise in (None, masks):
        inputs = scheduled_sampling.inputs_of(
          module, ready, jnp.asarray(given), noise or {}, sampled
        )
        plain.append(module.unroll(ready, inputs, noise))
      return [module.decoder.head.log_probs(ready, output) for output in plain]

    return module.apply(variables, method=both)

  @compiled
  def forced(variables, inputs):
    def both(module):
      ready = module.decoder.prepare(memory)
      plain = [module.unroll(ready, inputs, noise) for noise in (None, masks)]
      return [module.decoder.head.log_probs(ready, output) for output in plain]

    return module.apply(variables, method=both)

  def inputs_of(gold, noisy):
    """What the model chooses, found by feeding longer and longer prefixes."""
    fed = given.copy()
    for t in range(1, steps):
      found = forced(variables, fed)[noisy][:, t - 1].astype(np.float64)
      found[:, [types.PAD, types.BOS]] = -np.inf
      fed[:, t] = np.where(uniform[t] < gold, given[:, t], np.argmax(found, 1))
    return fed

  for gold in (1.0, 0.5, 0.0):
    got = run(variables, np.float32(gold), uniform)
    for noisy in (0, 1):
      fed = inputs_of(gold, noisy)
      assert np.array_equal(fed, given) == (gold == 1.0)
      want = forced(variables, fed)[noisy]
      close(np.exp(got[noisy]), np.exp(want))


def test_drawn_inputs_depend_on_their_row_alone():
  m = config.replace(BASE, {"head": "pointer"})
  module, variables, memory, given = decoding(m, rows=4)
  base = dropout_masks.row_keys(0, 0, np.arange(4, dtype=np.int32))

  @compiled
  def run(variables, memory, given, keys):
    def sampled(module):
      ready = module.decoder.prepare(memory)
      uniform = scheduled_sampling.uniform(
        "token", None, seq2seq.fold(keys, 2), 3
      )
      own = scheduled_sampling.Sampled(
        np.float32(0.1), uniform, seq2seq.fold(keys, 3)
      )
      inputs = scheduled_sampling.inputs_of(module, ready, given, {}, own)
      output = module.unroll(ready, inputs)
      return module.decoder.head.log_probs(ready, output)

    return module.apply(variables, method=sampled)

  found = run(variables, memory, given, base)
  order = np.array([2, 0, 3])
  some = jax.tree.map(lambda a: a[order], memory)
  again = run(variables, some, given[order], base[order])
  close(np.exp(again), np.exp(found)[order])
  other = run(variables, memory, given, base[np.array([1, 0, 3, 2])])
  assert not np.allclose(np.exp(other[:, 1:]), np.exp(found[:, 1:]), atol=1e-4)


@pytest.mark.quick
def test_drawn_tokens_follow_the_distribution():
  log_probs = np.log(np.array([0.3, 0.2, 0.1, 0.1, 0.3], np.float32))
  keys = dropout_masks.row_keys(0, 0, np.arange(4000, dtype=np.int32))
  own = scheduled_sampling.Sampled(0.0, None, keys)
  wide = np.broadcast_to(log_probs, (4000, 5))
  run = compiled(lambda t: scheduled_sampling.pick(own, wide, t))
  drawn = run(0)
  share = np.bincount(drawn, minlength=5) / 4000
  close(share[:2], [0, 0])  # neither pad nor bos
  np.testing.assert_allclose(share[2:], [0.2, 0.2, 0.6], atol=0.035)
  assert np.mean(drawn == run(1)) < 0.6


def test_losses_sample_by_the_course():
  """At probability 1 the plain losses; validation never samples."""
  m = config.replace(BASE, {"dropout.rnn": 0.2})
  module = build.build(m, VOCAB, VOCAB)
  rng = np.random.default_rng(1)
  rows = np.arange(3, dtype=np.int32)
  length = np.array([5, 3, 4], np.int32)
  ids = rng.integers(4, VOCAB, (3, 5)).astype(np.int32)
  batch = types.Batch(ids, length, ids, length, rows)

  def init(key):
    return module.init(key, batch, method="initialize")

  variables = scattered(jax.eval_shape(init, jax.random.key(0)))
  linear = seq2seq.TrainOptions(schedule="linear", rate=1.0, k=0.1)
  options = [
    seq2seq.TrainOptions(),
    seq2seq.TrainOptions(schedule="constant", rate=1.0),
    linear._replace(granularity="step"),
    linear._replace(pick="sample"),
  ]

  @compiled
  def run(variables, step):
    keys = dropout_masks.row_keys(0, 7, rows)
    shared = dropout_masks.batch_key(0, 7)
    out = [
      module.apply(variables, batch, keys, w, shared, step, method="losses")
      for w in options
    ]
    silent = module.apply(
      variables, batch, None, options[2], None, step, method="losses"
    )
    plain = module.apply(variables, batch, None, method="losses")
    return [o["loss"] for o in out], silent["loss"], plain["loss"]

  losses, silent, plain = run(variables, np.int32(0))
  for loss in losses[1:]:
    close(loss, losses[0])
  close(silent, plain)
  losses, silent, plain = run(variables, np.int32(10))
  close(losses[1], losses[0])
  close(silent, plain)
  assert not np.allclose(losses[2], losses[0], atol=1e-4)
  assert not np.allclose(losses[3], losses[0], atol=1e-4)


@pytest.mark.parametrize("tie", ["none", "all"])
def test_losses_of_a_whole_model(tie):
  """Also where both sides share a table; of gold alone it is the plain loss."""
  model, variables = made(
    tie=tie, **{"dropout.embed": 0.2, "dropout.readout": 0.2}
  )
  batch = example()
  keys = dropout_masks.row_keys(0, 0, np.arange(4, dtype=np.int32))

  @compiled
  def run(variables, rate):
    def loss(variables, options):
      terms = model.apply(
        variables,
        batch,
        keys,
        options,
        dropout_masks.batch_key(0, 0),
        method="losses",
      )
      return terms["loss"]

    sampled = seq2seq.TrainOptions(schedule="linear", rate=rate)
    both = [seq2seq.TrainOptions(), sampled]
    return [jax.value_and_grad(loss)(variables, options) for options in both]

  (want, slopes), (got, same) = run(variables, np.float32(1.0))
  close(got, want)
  jax.tree.map(close, same, slopes)
  other, changed = run(variables, np.float32(0.2))[1]
  assert np.isfinite(other) and abs(other - want) > 1e-4 * want

  def kernel(grads):
    return grads["params"]["decoder"]["layer_0"]["recurrent"]

  assert np.max(np.abs(kernel(changed) - kernel(slopes))) > 0


def test_a_row_ends_before_the_step_that_is_fed_its_own_eos():
  inputs = np.array([[1, 5, 2, 6, 2], [1, 2, 5, 6, 7], [1, 5, 6, 7, 8]])
  assert types.BOS == 1 and types.EOS == 2
  assert scheduled_sampling.before_own_end(inputs).tolist() == [
    [1, 1, 0, 0, 0],
    [1, 0, 0, 0, 0],
    [1, 1, 1, 1, 1],
  ]


def test_with_its_own_end_a_row_that_ends_at_once_learns_one_step():
  """Only where it feeds itself; what is shown stays that of all tokens."""
  model, variables = made()
  head = variables["params"]["decoder"]["head"]
  head["bias"][types.EOS] = 50.0
  batch = example()
  keys = dropout_masks.row_keys(0, 0, np.arange(4, dtype=np.int32))

  def run(**options):
    return model.apply(
      variables,
      batch,
      keys,
      seq2seq.TrainOptions(schedule="constant", **options),
      dropout_masks.batch_key(0, 0),
      method="losses",
    )

  own = run(rate=0.0, own_end=True)
  close(own["loss"], np.sum(own["nll"][:, 0]))
  whole = run(rate=0.0)
  close(own["nll"], whole["nll"])
  close(whole["loss"], np.sum(whole["nll"]))
  assert whole["loss"] > 2 * own["loss"]
  close(run(rate=1.0, own_end=True)["loss"], run(rate=1.0)["loss"])
