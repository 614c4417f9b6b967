"""Every cell against the equations in float64, values and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax.models import cells
from tests.helpers import oracle_models as oracle
from tests.helpers.numeric import close, trees_close

pytestmark = pytest.mark.usefixtures("strict")
H, D, FEEDS = 4, 3, (2, 5)
DEEP = [name for name in cells.CELLS if name != "sru"]


def made(name, **fields):
  """A cell and scattered weights."""
  cell = cells.CELLS[name](H, D, FEEDS, **fields)

  def touch(cell, x, feeds):
    return cell.advance(cell.zero_carry(1), cell.project(x), feeds)

  x = jnp.zeros((1, D))
  feeds = tuple(jnp.zeros((1, n)) for n in FEEDS)
  shapes = jax.eval_shape(
    lambda key: cell.init(key, x, feeds, method=touch), jax.random.key(0)
  )
  rng = np.random.default_rng(0)

  def draw(a):
    return rng.uniform(-0.8, 0.8, a.shape).astype(np.float32)

  return cell, jax.tree.map(draw, shapes)["params"]


def drawn(cell, masks, rows=2):
  """Inputs, feeds, carry and masks of two rows."""
  rng = np.random.default_rng(1)

  def draw(*s):
    return rng.normal(size=s).astype(np.float32)

  x, feeds = draw(rows, D), tuple(draw(rows, n) for n in FEEDS)
  carry = tuple(draw(rows, H) for _ in range(cell.leaves))
  noise = {
    name: (rng.random((rows, H)) < 0.6).astype(np.float32) / np.float32(0.6)
    for name in masks
  }
  return x, feeds, carry, noise


def ours(cell, x, feeds, noise):
  """The new carry as a function of parameters and carry."""

  def step(module, carry):
    return module.advance(carry, module.project(x), feeds, noise)[0]

  return lambda p, carry: cell.apply({"params": p}, carry, method=step)


def theirs(name, cell, x, feeds, noise):
  def step(p, carry):
    rows = []
    for b in range(len(x)):
      masks = {
        # An oracle's zone mask is 0 or 1.
        k: m[b] * (1 - cell.zoneout if k[:4] == "zone" else 1)
        for k, m in noise.items()
      }
      rows.append(
        oracle.deep(
          name,
          p,
          x[b],
          tuple(leaf[b] for leaf in carry),
          cell.depth,
          [f[b] for f in feeds],
          masks,
          cell.zoneout,
        )
      )
    return [np.stack(leaf) for leaf in zip(*rows)]

  return step


CASES = {
  "plain": ({}, ()),
  "masks": ({}, ("state", "update")),
  "zoneout": ({"zoneout": 0.4}, ("zone_0", "zone_1")),
  "zoneout_expected": ({"zoneout": 0.4}, ()),
}


@pytest.mark.quick
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", cells.CELLS)
def test_cell_equals_its_equations(name, case):
  check(name, *CASES[case])


@pytest.mark.parametrize("name", DEEP)
def test_deep_transition_equals_its_equations(name):
  check(name, {"depth": 3, "zoneout": 0.4}, ("state", "update", "zone_0"))


def check(name, fields, masks):
  cell, params = made(name, **fields)
  masks = [m for m in masks if m[-1] != "1" or cell.leaves == 2]
  x, feeds, carry, noise = drawn(cell, masks)
  for k in noise:
    if k.startswith("zone"):
      noise[k] = (noise[k] > 0) / np.float32(1 - cell.zoneout)
  run = ours(cell, x, feeds, noise)
  slow = theirs(name, cell, x, feeds, noise)
  for got, want in zip(jax.jit(run)(params, carry), slow(params, carry)):
    close(got, want)
  weight = [np.random.default_rng(2).normal(size=c.shape) for c in carry]

  def total(p, c):
    return sum(
      jnp.sum(y * w.astype(np.float32)) for y, w in zip(run(p, c), weight)
    )

  grads = jax.jit(jax.grad(total, (0, 1)))(params, carry)
  tree = jax.tree.map(
    lambda a: np.asarray(a, np.float64),
    {"p": params, "c": dict(enumerate(carry))},
  )
  wanted = oracle.difference(
    lambda t: sum(
      np.sum(y * w)
      for y, w in zip(slow(t["p"], tuple(t["c"].values())), weight)
    ),
    tree,
  )
  trees_close(grads[0], wanted["p"])
  for i, leaf in enumerate(grads[1]):
    close(leaf, wanted["c"][i], 1e-4, 1e-2)


@pytest.mark.quick
def test_tensorflow_gates_come_in_our_order():
  """BasicLSTMCell: (i, j, f, o), and a forget bias added at run time."""
  rng = np.random.default_rng(3)
  kernel = rng.normal(size=(D + H, 4 * H)).astype(np.float32)
  bias = rng.normal(size=4 * H).astype(np.float32)
  x, c, h = (rng.normal(size=(2, n)).astype(np.float32) for n in (D, H, H))
  i, j, f, o = np.split(np.concatenate([x, h], 1) @ kernel + bias, 4, axis=1)

  def sig(a):
    return 1 / (1 + np.exp(-a))

  want_c = sig(f + 1.0) * c + sig(i) * np.tanh(j)
  want_h = sig(o) * np.tanh(want_c)
  ordered = cells.reorder_gates(jnp.asarray(kernel), "tensorflow")
  ours = np.array(cells.reorder_gates(jnp.asarray(bias), "tensorflow"))
  ours[H : 2 * H] += 1.0
  cell = cells.LSTM(H, D)
  params = {"kernel": ordered[:D], "recurrent": ordered[D:], "bias": ours}

  def step(m, x, carry):
    return m.advance(carry, m.project(x))[0]

  got = cell.apply({"params": params}, x, (c, h), method=step)
  close(got[0], want_c)
  close(got[1], want_h)
