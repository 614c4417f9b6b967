"""Every part of the zoo with every other: built, stepped, trained, searched."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.decoding import greedy, stepfn
from seq2seq_jax.models import build, dropout_masks, seq2seq
from tests.helpers import covering

pytestmark = pytest.mark.usefixtures("strict")
CASES = covering.stored()
# Each case has one score.
ALWAYS = len(config.SCORES) + 1
VOCAB, SOURCE, TARGET = 9, 6, 5
# These programs run for milliseconds: fast compilation matters more.
FAST = {"xla_backend_optimization_level": 0}


def batch_of_copies(rows=8, seed=0) -> types.Batch:
  """Short sequences of symbols to copy, some of them unknown words."""
  rng = np.random.default_rng(seed)
  length = rng.integers(2, TARGET + 1, rows).astype(np.int32)
  src = np.zeros((rows, SOURCE), np.int32)
  for row, n in enumerate(length):
    src[row, : n - 1] = rng.integers(4, VOCAB + 2, n - 1)
    src[row, n - 1] = types.EOS
  inside = np.where(src < VOCAB, src, types.UNK)
  row = np.arange(rows, dtype=np.int32)
  return types.Batch(
    inside, length, inside[:, :TARGET], length, row, src, src[:, :TARGET]
  )


def first_weights(module, batch):
  """As wide as one would draw them; to compile the drawing takes seconds."""
  rng = np.random.default_rng(0)

  def draw(path, leaf):
    if path[-1].key == "scale":
      return np.ones(leaf.shape, leaf.dtype)
    inputs = math.prod(leaf.shape[:-1]) if leaf.ndim > 1 else math.inf
    return rng.normal(0.0, inputs**-0.5, leaf.shape).astype(leaf.dtype)

  def init(key):
    return module.init(key, batch, method="initialize")

  shapes = jax.eval_shape(init, jax.random.key(0))
  return jax.tree_util.tree_map_with_path(draw, shapes)


def everything(module, batch, steps: int):
  """Both ways of scoring, training and search, as one program."""
  optimizer = optax.adam(1e-2)
  tokens = seq2seq.shifted(seq2seq.references(batch))

  def forced(m):
    memory = m.encode(batch.src, batch.src_len, None, batch.src_ext)
    output = m.unroll(memory, jnp.asarray(tokens))
    return memory, m.decoder.head.log_probs(memory, output)

  def stepper(params, memory):
    def step(carry, tokens):
      return module.apply(params, memory, carry, tokens, method="step")

    return step

  def loss(params, step):
    keys = dropout_masks.row_keys(0, step, batch.row)
    terms = module.apply(params, batch, keys, method="losses")
    return jnp.sum(terms["loss"]) / jnp.sum(batch.tgt_len).astype(jnp.float32)

  def update(state, step):
    params, opt = state
    value, grads = jax.value_and_grad(loss)(params, step)
    with jax.numpy_dtype_promotion("standard"):
      updates, opt = optimizer.update(grads, opt)
      return (optax.apply_updates(params, updates), opt), value

  def run(params):
    memory, log_probs = module.apply(params, method=forced)
    start = module.apply(params, memory, TARGET, method="start")

    def one(carry, tokens):
      carry, log_probs, _ = stepper(params, memory)(carry, tokens[:, None])
      return carry, log_probs[:, 0]

    stepped = jax.lax.scan(one, start, jnp.asarray(tokens).swapaxes(0, 1))[1]
    with jax.numpy_dtype_promotion("standard"):
      state = (params, optimizer.init(params))
    (params, _), curve = jax.lax.scan(
      update, state, jnp.arange(steps, dtype=jnp.int32)
    )
    memory = module.apply(
      params, batch.src, batch.src_len, None, batch.src_ext, method="encode"
    )
    sentences = stepfn.Sources(
      memory,
      module.apply(params, memory, TARGET, method="start"),
      jnp.zeros(8, jnp.int32),
      jnp.full(8, TARGET, jnp.int32),
    )
    found = greedy.search(
      lambda memory, *args: stepper(params, memory)(*args),
      sentences,
      eos=types.EOS,
      bos=types.BOS,
      max_steps=TARGET,
    )
    return log_probs, stepped.swapaxes(0, 1), curve, found

  return run


def name_of(case):
  return "-".join(str(v) for v in case.values())


def _marked(cases):
  """Those that meet most always run, the rest with the slow tests."""
  for i, case in enumerate(cases):
    marks = [pytest.mark.slow] if i >= ALWAYS else []
    yield pytest.param(case, marks=marks, id=name_of(case))


@pytest.mark.parametrize("case", list(_marked(CASES)))
def test_builds_steps_trains_and_decodes(case):
  copies = case["head"] != "softmax"
  batch = batch_of_copies()
  if not copies:
    batch = batch._replace(src_ext=None, tgt_ext=None)
  module = build.build(covering.model(case), VOCAB, VOCAB)
  run = jax.jit(everything(module, batch, 15), compiler_options=FAST)
  log_probs, stepped, curve, found = run(first_weights(module, batch))
  sums = np.sum(np.exp(np.asarray(log_probs, np.float64)), axis=-1)
  np.testing.assert_allclose(sums, 1.0, atol=2e-5)
  np.testing.assert_allclose(
    np.exp(log_probs), np.exp(stepped), rtol=1e-4, atol=1e-6
  )
  assert np.all(np.isfinite(curve))
  assert curve[-1] < curve[0] - 0.05
  assert np.all(np.isfinite(found.score[:, 0]))
  assert np.all(found.length[:, 0] >= 1)


def test_every_pair_meets():
  """As many as some config allows, in no more cases than time allows.

  In those that always run, every choice and more than half of the pairs.
  """
  # Scores and bridges have the most choices, and each two of them meet.
  least = len(config.SCORES) * len(covering.FACTORS["decoder.bridge"])
  assert len(CASES) <= 1.25 * least
  often, all_ = covering.met(CASES[:ALWAYS]), covering.met(CASES)
  assert {choice for pair in often for choice in pair} == set(covering.NAMES)
  assert len(often) > 0.5 * len(all_)


@pytest.mark.slow
def test_stored_cases_are_those_of_the_factors():
  """Else: python -m tests.helpers.covering"""
  assert covering.most_first(covering.cases()) == CASES
