"""Whole models: padding, and unrolling against the steps of search."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax import types
from seq2seq_jax.models import seq2seq
from tests.helpers import numeric
from tests.helpers.numeric import leaves_close
from tests.helpers.small_models import CONFIGS, VOCAB, example, made

pytestmark = pytest.mark.usefixtures("strict")

close = functools.partial(numeric.close, tolerance=1e-5)


def losses_and_grads(model):
  """Of variables and a batch: gradients and terms."""

  def total(variables, batch):
    options = seq2seq.TrainOptions(smoothing=0.1)
    terms = model.apply(variables, batch, None, options, method="losses")
    return jnp.sum(terms["loss"]), terms

  return jax.jit(jax.grad(total, has_aux=True))


def garbage(batch, seed=3):
  """The batch with other ids in its padding."""
  rng = np.random.default_rng(seed)
  src, tgt = batch.src.copy(), batch.tgt.copy()
  for ids, lengths in ((src, batch.src_len), (tgt, batch.tgt_len)):
    pad = np.arange(ids.shape[1])[None] >= lengths[:, None]
    ids[pad] = rng.integers(0, VOCAB, np.sum(pad))
  return batch._replace(src=src, tgt=tgt)


def longer(batch, source=3, target=2):
  """The batch with more padding."""
  return batch._replace(
    src=np.pad(batch.src, ((0, 0), (0, source))),
    tgt=np.pad(batch.tgt, ((0, 0), (0, target))),
  )


PADDED = ["luong", "bahdanau", "none_all_start"]


@pytest.mark.parametrize("name", PADDED)
def test_padding_changes_nothing(name):
  model, variables = made(**CONFIGS[name])
  run, batch = losses_and_grads(model), example()
  grads, terms = run(variables, batch)
  assert np.all(np.asarray(terms["nll"])[batch.tgt == types.PAD] == 0)
  loss = terms.pop("loss")
  assert loss > 0
  more, more_terms = run(variables, garbage(batch))
  assert more_terms["loss"] == loss
  for key, value in terms.items():
    assert np.array_equal(value, more_terms[key]), key
  leaves_close(more, grads)
  more, more_terms = run(variables, garbage(filled(longer(batch))))
  close(more_terms.pop("loss"), loss)
  for key, value in terms.items():
    close(more_terms[key][:4, : value.shape[1]], value)
    assert not np.any(more_terms[key][:4, value.shape[1] :])
    assert not np.any(more_terms[key][4])
  leaves_close(more, grads)


def filled(batch):
  """The batch with one filler row behind."""

  def fill(a, n):
    return np.concatenate([a, np.full_like(a[:1], n)])

  return types.Batch(
    fill(batch.src, types.PAD),
    fill(batch.src_len, 1),
    fill(batch.tgt, types.PAD),
    fill(batch.tgt_len, 0),
    fill(batch.row, 4),
  )


def unrolled(model):
  """Log-probabilities and attention of all steps at once, as a function."""

  def whole(module, src, src_len, tokens):
    memory = module.encode(src, src_len)
    output = module.unroll(memory, tokens)
    return module.decoder.head.log_probs(memory, output), output.attention

  return jax.jit(
    lambda v, batch, tokens: model.apply(
      v, batch.src, batch.src_len, tokens, method=whole
    )
  )


def stepped(model, variables, batch, tokens):
  """The same, token by token."""

  def begin(module, src, src_len):
    memory = module.encode(src, src_len)
    return memory, module.start(memory)

  def apply(method):
    return jax.jit(lambda v, *args: model.apply(v, *args, method=method))

  memory, carry = apply(begin)(variables, batch.src, batch.src_len)
  step = apply("step")
  log_probs, weights = [], []
  for t in range(tokens.shape[1]):
    carry, lp, a = step(variables, memory, carry, tokens[:, t : t + 1])
    log_probs.append(lp)
    weights.append(a)
  if weights[0] is None:
    return jnp.concatenate(log_probs, 1), None
  return jnp.concatenate(log_probs, 1), jnp.concatenate(weights, 1)


@pytest.mark.parametrize("name", list(CONFIGS))
def test_unroll_equals_steps_and_sees_no_later_token(name):
  model, variables = made(**CONFIGS[name])
  batch = example()
  tokens = np.random.default_rng(4).integers(1, VOCAB, (4, 5)).astype(np.int32)
  run = unrolled(model)
  log_probs, weights = run(variables, batch, tokens)
  want, want_weights = stepped(model, variables, batch, tokens)
  close(log_probs, want)
  close(jnp.sum(jnp.exp(log_probs), axis=-1), np.ones((4, 5)))
  if CONFIGS[name].get("attention.score") != "none":
    close(weights, want_weights)
    close(jnp.sum(weights, axis=-1), np.ones((4, 5)))
    pad = np.arange(6)[None] >= batch.src_len[:, None]
    assert np.all(np.asarray(weights)[pad[:, None].repeat(5, 1)] == 0)
  else:
    assert weights is None and want_weights is None
  later = tokens.copy()
  later[:, 2:] = 4 + (tokens[:, 2:] + 1) % (VOCAB - 4)
  other, _ = run(variables, batch, later)
  assert np.array_equal(other[:, :2], log_probs[:, :2])
  assert np.all(np.any(other[:, 2:] != log_probs[:, 2:], axis=-1))


@pytest.mark.parametrize("name", ["luong", "none_every_step"])
def test_hypotheses_of_a_source_do_not_meet(name):
  model, variables = made(**CONFIGS[name])
  batch = example()
  tokens = np.random.default_rng(5).integers(4, VOCAB, (4, 3)).astype(np.int32)

  def begin(module, src, src_len):
    memory = module.encode(src, src_len)
    return memory, module.start(memory)

  run = jax.jit(lambda v, *a: model.apply(v, *a, method=begin))
  memory, carry = run(variables, batch.src, batch.src_len)
  step = jax.jit(lambda v, *a: model.apply(v, *a, method="step"))
  wide = jax.tree.map(lambda a: jnp.repeat(a, 3, axis=1), carry)
  for _ in range(2):  # the second step starts from unlike carries
    wide, got, _ = step(variables, memory, wide, tokens)
  for k in range(3):
    one = carry
    for _ in range(2):
      one, want, _ = step(variables, memory, one, tokens[:, k : k + 1])
    close(got[:, k : k + 1], want)
