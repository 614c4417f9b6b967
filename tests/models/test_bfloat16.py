"""bfloat16 products against float32, of whole models.

A product's operands are rounded to 8 bits, so each is off by at most 2^-8; sums
and states stay float32. Bounds: the loss within 0.5 %, the whole gradient
within 2 % of its norm, and the backward loop that defers weight gradients no
further off than plain reverse mode by half.
"""

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax.models import deferred_scan, recurrence, seq2seq
from tests.helpers.small_models import example, made

pytestmark = pytest.mark.usefixtures("strict")
CASES = {
  "luong": {},
  "bahdanau": {
    "encoder.cell": "gru",
    "attention.score": "additive",
    "decoder.placement": "bahdanau",
    "decoder.input_feeding": False,
    "decoder.bridge": "mean",
  },
  "all_at_once": {"attention.score": "dot", "decoder.input_feeding": False},
  "transformer": {
    "encoder.kind": "transformer",
    "decoder.kind": "transformer",
    "transformer.dim": 8,
  },
}
WIDTHS = {
  "embed_dim": 16,
  "encoder.dim": 16,
  "decoder.dim": 32,
  "readout.dim": 16,
  "attention.dim": 16,
  "transformer.heads": 2,
  "transformer.hidden": 16,
  "transformer.layers": 2,
}


def plain(body, carry, inputs, *, reverse=False):
  return jax.lax.scan(body, carry, inputs, reverse=reverse)


def loss_and_gradient(model, variables):
  """The loss and the gradient as one vector, in float64."""
  options = seq2seq.TrainOptions(smoothing=0.1)

  def total(variables):
    terms = model.apply(variables, example(), None, options, method="losses")
    return jnp.sum(terms["loss"])

  loss, grads = jax.jit(jax.value_and_grad(total))(variables)
  assert all(g.dtype == jnp.float32 for g in jax.tree.leaves(grads))
  flat = [np.ravel(np.asarray(g, np.float64)) for g in jax.tree.leaves(grads)]
  return float(loss), np.concatenate(flat)


def dots(jaxpr):
  """Operand dtypes of every product, those of inner programs too."""
  for eqn in jaxpr.eqns:
    if eqn.primitive.name == "dot_general":
      yield tuple(str(v.aval.dtype) for v in eqn.invars)
    for inner in jex.jaxprs_in_params(eqn.params):
      yield from dots(inner)


@pytest.mark.quick
def test_products_of_the_backward_loop_are_as_narrow():
  """A float32 cotangent would widen two of three products."""
  w = jnp.ones((4, 4), jnp.float32)

  def total(w, xs):
    def body(carry, x):
      carry = jnp.tanh(recurrence.product(carry, w, jnp.bfloat16) + x)
      return carry, carry

    return jnp.sum(deferred_scan.scan(body, jnp.zeros((2, 4)), xs)[1])

  found = jax.make_jaxpr(jax.grad(total))(w, jnp.ones((3, 2, 4)))
  assert list(dots(found.jaxpr)) == [("bfloat16", "bfloat16")] * 3


def _marked():
  """Those of the widest reach always run, the others with the slow tests."""
  for name in CASES:
    marks = [] if name in ("luong", "transformer") else [pytest.mark.slow]
    yield pytest.param(name, marks=marks)


@pytest.mark.parametrize("name", list(_marked()))
def test_whole_models(name, monkeypatch):
  fields = WIDTHS | CASES[name]
  full, variables = made(**fields)
  half, _ = made(**fields, dtype="bfloat16")
  loss, gradient = loss_and_gradient(full, variables)
  off = {}
  for scan in (deferred_scan.scan, plain):
    monkeypatch.setattr(recurrence, "scan", scan)
    rough, rounded = loss_and_gradient(half, variables)
    assert abs(rough - loss) < 0.005 * loss
    off[scan] = np.linalg.norm(rounded - gradient) / np.linalg.norm(gradient)
  assert 0 < off[deferred_scan.scan] < 0.02
  assert off[deferred_scan.scan] < 1.5 * off[plain]
