"""Weight gradients formed behind the loop equal those of a plain scan."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from seq2seq_jax.models import deferred_scan, recurrence, seq2seq
from tests.helpers.numeric import close, leaves_close
from tests.helpers.small_models import CONFIGS, example, made

pytestmark = pytest.mark.usefixtures("strict")


def plain(body, carry, inputs, *, reverse=False):
  return jax.lax.scan(body, carry, inputs, reverse=reverse)


def gradients(scan, model, variables, batch, monkeypatch):
  monkeypatch.setattr(recurrence, "scan", scan)
  options = seq2seq.TrainOptions(smoothing=0.1)

  @jax.jit
  def run(variables):
    def total(variables):
      terms = model.apply(variables, batch, None, options, method="losses")
      return jnp.sum(terms["loss"])

    return jax.grad(total)(variables)

  return run(variables)


CASES = CONFIGS | {
  "coverage": {"attention.score": "coverage", "decoder.input_feeding": False},
  "location_aware": {
    "attention.score": "location_aware",
    "dropout.zoneout": 0.2,
  },
  "conditional": {"decoder.placement": "cgru", "encoder.cell": "gru_bahdanau"},
  "gnmt": {
    "decoder.placement": "gnmt_v2",
    "encoder.layers": 3,
    "decoder.layers": 3,
    "encoder.stacking": "gnmt",
    "residual": "add",
    "residual_start": 3,
  },
  "normalised": {"encoder.cell": "ln_lstm"},
  "deep_transition": {"encoder.cell": "ln_gru", "transition_depth": 2},
}


# What another case holds as well.
SLOW = {
  *("none_start", "none_every_step", "none_all_start", "none_feeding_gru"),
  *("luong_without_feeding", "luong_dot", "luong_linear", "deep_dot"),
  *("general_before", "additive_after", "bahdanau", "bahdanau_feeding"),
  *("location_aware", "conditional", "deep_transition"),
  *("tie_decoder", "tie_all", "tie_decoder_projected", "none_all_both"),
}


@pytest.mark.parametrize(
  "name",
  [
    pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
    for name in CASES
  ],
)
def test_gradients_of_models(name, monkeypatch):
  model, variables = made(**CASES[name])
  batch = example()
  want = gradients(plain, model, variables, batch, monkeypatch)
  got = gradients(deferred_scan.scan, model, variables, batch, monkeypatch)
  top = max(float(jnp.max(jnp.abs(a))) for a in jax.tree.leaves(want))
  jax.tree.map(lambda a, b: close(a, b, 1e-5, 0.1 * top), got, want)


def body_and_arguments():
  """A body with all that the mechanism treats in its own way."""
  rng = np.random.default_rng(0)

  def draw(*s):
    return jnp.asarray(rng.normal(size=s), jnp.float32)

  w, u, keys = 0.4 * draw(4, 4), draw(4, 4), 0.4 * draw(8, 5, 4)

  def run(scan, w, u, keys, carry, xs):
    mix = jax.jit(lambda a, k: jnp.einsum("bs,bsd->bd", a, k))

    def body(carry, x):
      (h, n) = carry
      x, given = x
      z = jnp.tanh(h @ w + x @ (2.0 * u) + h * w[:1])  # w in two roles
      scores = jnp.einsum("bd,bsd->bs", z, keys)
      z = z + mix(jax.nn.softmax(scores), keys) + mix(scores, keys)
      z = jnp.where(given[:, None] > 0, z, h)
      return (jax.nn.relu(z), n + 1), (z @ w, n)

    return scan(body, carry, xs)

  carry = draw(8, 4), jnp.int32(0)
  xs = draw(6, 8, 4), jnp.asarray(rng.integers(0, 2, (6, 8)), jnp.int32)
  return run, (w, u, keys), carry, xs


def value(scan, run, weights, carry, xs):
  (h, n), (ys, counts) = run(scan, *weights, carry, xs)
  del n, counts
  return jnp.sum(h**2) + jnp.sum(jnp.sin(ys))


@pytest.mark.quick
@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_of_a_body(reverse):
  run, weights, carry, xs = body_and_arguments()
  outs = []
  for scan in (plain, deferred_scan.scan):
    scan = functools.partial(scan, reverse=reverse)

    def f(weights, h, x, scan=scan):
      return value(scan, run, weights, (h, carry[1]), (x, xs[1]))

    both = jax.jit(jax.value_and_grad(f, (0, 1, 2)))
    outs.append(both(weights, carry[0], xs[0]))
  leaves_close(outs[1], outs[0], 1e-5)
  counts = run(deferred_scan.scan, *weights, carry, xs)[1][1]
  assert np.array_equal(counts, np.arange(6))


@pytest.mark.quick
def test_gradients_under_vmap_pmap_and_shard_map():
  run, weights, carry, xs = body_and_arguments()

  def rows(scan):
    return lambda weights, h, keys, x, given: jax.grad(
      lambda ws: value(scan, run, (*ws, keys), (h, carry[1]), (x, given))
    )(weights)

  def split(a, axis):
    return jnp.stack(jnp.split(a, 8, axis))

  pieces = (
    split(carry[0], 0),
    split(weights[2], 0),
    split(xs[0], 1),
    split(xs[1], 1),
  )
  two = weights[:2]
  axes = (None, 0, 0, 0, 0)
  want = jax.jit(jax.vmap(rows(plain), in_axes=axes))(two, *pieces)
  one = rows(deferred_scan.scan)
  leaves_close(jax.jit(jax.vmap(one, in_axes=axes))(two, *pieces), want, 1e-5)
  leaves_close(jax.pmap(one, in_axes=axes)(two, *pieces), want, 1e-5)
  mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))

  def inner(two, *p):
    return jax.vmap(one, in_axes=axes)(two, *p)

  mapped = jax.shard_map(
    inner,
    mesh=mesh,
    in_specs=(P(), *[P("data")] * 4),
    out_specs=P("data"),
    check_vma=False,
  )
  leaves_close(jax.jit(mapped)(two, *pieces), want, 1e-5)


@pytest.mark.quick
def test_no_weight_gradient_is_added_inside_the_loop():
  """The loops of the gradient hold no product that makes a [D, D] matrix."""
  w, x = jnp.ones((7, 7)), jnp.ones((5, 3, 7))

  def total(scan, w):
    def body(h, x):
      return (jnp.tanh(h @ w + x), None)

    return jnp.sum(scan(body, jnp.ones((3, 7)), x)[0])

  def products(jaxpr, inside):
    """Shapes of the products in loops of a jaxpr."""
    for eqn in jaxpr.eqns:
      if inside and eqn.primitive.name == "dot_general":
        yield eqn.outvars[0].aval.shape
      for value in eqn.params.values():
        inner = getattr(value, "jaxpr", None)
        if inner is not None:
          yield from products(inner, inside or eqn.primitive.name == "scan")

  def made_in_loops(scan):
    traced = jax.make_jaxpr(jax.grad(functools.partial(total, scan)))(w)
    return (7, 7) in products(traced.jaxpr, False)

  assert made_in_loops(plain)
  assert not made_in_loops(deferred_scan.scan)
