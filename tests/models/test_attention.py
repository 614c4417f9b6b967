"""Every score, window and normalisation against loops in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.models import attention, attention_scores
from tests.helpers import oracle_models as oracle
from tests.helpers.numeric import close, trees_close

pytestmark = pytest.mark.usefixtures("strict")
Q, V, A, S = 4, 6, 8, 7
LENGTHS = np.array([7, 3, 1])
ROWS, QUERIES = 3, 2


def made(name, **fields):
  score = attention_scores.SCORES[name]
  width = Q if name in ("dot", "scaled_dot") else V
  args = {
    "query_dim": Q,
    "value_dim": width,
    "dim": A,
    "heads": 2,
    "positions": S - 1,
    "filters": (2, 3),
    "init_kind": "xavier",
    "init_scale": 0.1,
    "dtype": jnp.float32,
  }
  module = attention.Attention(score, args, **fields)
  rng = np.random.default_rng(0)

  def draw(*s):
    return rng.normal(size=s).astype(np.float32)

  inputs = {
    "query": draw(ROWS, QUERIES, Q),
    "values": draw(ROWS, S, width),
    "state": rng.random((ROWS, QUERIES, S)).astype(np.float32),
  }
  real = np.arange(S)[None] < LENGTHS[:, None]
  inputs["state"] *= real[:, None]
  run = runner(module, real)
  shapes = jax.eval_shape(
    lambda key: module.init(key, inputs, method=run), jax.random.key(0)
  )
  weights = jax.tree.map(
    lambda a: rng.uniform(-0.9, 0.9, a.shape).astype(np.float32), shapes
  )
  return module, weights.get("params", {}), inputs, real, run


STEP = np.array([[0, 4]], np.int32)


def runner(module, real):
  """Context, weights and the next state, of parameters and inputs."""

  def run(m, inputs):
    memory = types.Memory(inputs["values"], real, ())
    keys = m.keys(inputs["values"])
    state = inputs["state"] if m.remembers() else None
    attended = m(inputs["query"], memory, keys, state, STEP)
    new = m.next_state(state, attended, keys) if m.remembers() else None
    return attended.context, attended.weights, new

  return run


def slow(name, module, params, inputs):
  """The same by loops."""
  p = dict(params.get("score", {}))
  pw = None
  if "window_v" in params:
    pw = {"weight": params["window_weight"], "v": params["window_v"]}
  for vector in ("coverage", "feedback"):
    if vector in p:
      p[vector] = p[vector][:, 0]
  context = np.zeros((ROWS, QUERIES, inputs["values"].shape[-1]))
  weights, new = np.zeros((2, ROWS, QUERIES, S))
  # location has no weight for the positions behind its table
  lengths = np.minimum(LENGTHS, S - 1) if name == "location" else LENGTHS
  for b, n in enumerate(lengths):
    values = inputs["values"][b, :n]
    for q in range(QUERIES):
      past = inputs["state"][b, q, :n]
      c, w = oracle.attend(
        name,
        p,
        inputs["query"][b, q],
        values,
        past if module.remembers() else None,
        module.norm,
        None if module.window == "none" else module.window,
        int(STEP[0, q]),
        module.window_size,
        pw,
        2 if name.startswith("multi_head") else 1,
      )
      context[b, q], weights[b, q, :n] = c, w
      if module.remembers():
        new[b, q, :n] = oracle.remember(name, p, past, w, values)
  return context, weights, new


CASES = {
  "plain": {},
  "sparsemax": {"norm": "sparsemax"},
  "monotonic": {"window": "monotonic", "window_size": 2},
  "predictive": {"window": "predictive", "window_size": 2},
}


@pytest.mark.quick
def test_names_are_those_of_the_config():
  assert {"none", *attention_scores.SCORES} == set(config.SCORES)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", attention_scores.SCORES)
def test_attention_equals_its_equations(name, case):
  module, params, inputs, real, run = made(name, **CASES[case])

  def apply(p, x):
    return module.apply({"params": p}, x, method=run)

  context, weights, new = jax.jit(apply)(params, inputs)
  want = slow(name, module, params, inputs)
  close(context, want[0])
  close(weights, want[1])
  if module.remembers():
    close(np.asarray(new) * real[:, None], want[2])
  assert np.all(np.asarray(weights)[~real[:, None].repeat(QUERIES, 1)] == 0)
  if case != "predictive":
    close(np.sum(weights, axis=-1), np.ones((ROWS, QUERIES)))
  if case == "sparsemax":
    return  # a kink lies near every difference
  weight = np.random.default_rng(2).normal(size=context.shape)

  def total(p, x):
    return jnp.sum(apply(p, x)[0] * weight.astype(np.float32))

  grads = jax.jit(jax.grad(total, (0, 1)))(params, inputs)
  double = jax.tree.map(
    lambda a: np.asarray(a, np.float64), {"p": dict(params), "x": inputs}
  )
  wanted = oracle.difference(
    lambda t: np.sum(slow(name, module, t["p"], t["x"])[0] * weight), double
  )
  trees_close(flat(grads[0]), flat(wanted["p"]))
  for key in ("query", "values"):
    close(grads[1][key], wanted["x"][key], 1e-4, 0.1)


@pytest.mark.quick
@pytest.mark.parametrize("name", attention_scores.SCORES)
def test_keys_have_a_row_for_every_sentence(name):
  """A search takes single sentences out of a memory and puts others in."""
  module, params, inputs, _, _ = made(name)
  keys = jax.eval_shape(
    lambda p, v: module.apply({"params": p}, v, method="keys"),
    params,
    inputs["values"],
  )
  assert {k.shape[0] for k in jax.tree.leaves(keys)} == {ROWS}


def flat(tree):
  return {
    jax.tree_util.keystr(k): v
    for k, v in jax.tree_util.tree_leaves_with_path(tree)
  }


@pytest.mark.quick
def test_sparsemax_gradient():
  """Away from kinks: 1 / n of the support, minus the mean over it."""
  scores = jnp.array([[0.1, 0.9, 0.7, -3.0, 0.5]], jnp.float32)
  allowed = jnp.array([[True, True, True, True, False]])
  weights = attention.sparsemax(scores, allowed)
  close(weights, [[0.0, 0.6, 0.4, 0.0, 0.0]])
  jacobian = jax.jacobian(attention.sparsemax)(scores, allowed)[0, :, 0]
  want = np.zeros((5, 5))
  want[1:3, 1:3] = np.eye(2) - 0.5
  close(jacobian, want)


@pytest.mark.quick
def test_masked_scores_have_no_weight_however_large():
  scores = jnp.array([[[-3e38, 1e30, 5.0]], [[-1e30, 3e38, 1e4]]], jnp.float32)
  mask = np.array([[True, False, False], [True, False, True]])
  for norm in attention.NORMS.values():
    weights = jax.jit(norm)(scores, mask[:, None])
    assert np.array_equal(weights[:, 0], [[1, 0, 0], [0, 0, 1]])


def attend_by_location(norm="softmax", **window):
  """Weights of a source of 6 under a table of 4, at steps 0 and 4."""
  args = {
    "query_dim": 1,
    "value_dim": 2,
    "dim": 1,
    "positions": 4,
    "init_kind": "xavier",
    "init_scale": 0.1,
  }
  location = attention_scores.SCORES["location"]
  module = attention.Attention(location, args, norm=norm, **window)
  memory = types.Memory(
    np.ones((1, 6, 2), np.float32), np.ones((1, 6), bool), ()
  )
  table = np.log([[1.0, 2.0, 3.0, 4.0]]).astype(np.float32)
  params = {"score": {"weight": table}}

  def run(m):
    query = np.ones((1, 2, 1), np.float32)
    return m(query, memory, m.keys(memory.values), None, STEP).weights

  return module.apply({"params": params}, method=run)[0]


@pytest.mark.quick
def test_location_gives_no_weight_behind_its_table():
  """By hand: the table's weights are 1, 2, 3, 4 tenths."""
  close(attend_by_location(), [[0.1, 0.2, 0.3, 0.4, 0, 0]] * 2)
  # The table ends at 3, so the window of step 4 lies around there.
  monotonic = attend_by_location(window="monotonic", window_size=1)
  third = [1 / 3, 2 / 3, 0, 0, 0, 0]
  close(monotonic, [third, [0, 0, 0, 1, 0, 0]])
  wide = attend_by_location("sparsemax")
  assert np.all(np.asarray(wide)[:, 4:] == 0)
  close(np.sum(wide, axis=-1), [1, 1])


class Cosine(attention_scores.Score):
  """The cosine of s and W h, as a user may write it."""

  def setup(self):
    self.key = self.matrix("key", (self.value_dim, self.query_dim))

  def keys(self, values):
    keys = self.product(values, self.key)
    return keys / jnp.linalg.norm(keys, axis=-1, keepdims=True)

  def __call__(self, query, keys, state=None):
    query = query / jnp.linalg.norm(query, axis=-1, keepdims=True)
    return jnp.einsum("bqd,bsd->bqs", query, keys)


@pytest.mark.quick
@pytest.mark.parametrize("init", ["xavier", "bahdanau"])
@pytest.mark.parametrize("name", [*attention_scores.SCORES, "cosine"])
def test_zeros_at_padding_leave_the_gradient_finite(name, init):
  """Vectors of padding are 0 throughout, and so is a first state."""
  score = attention_scores.SCORES.get(name, Cosine)
  args = {
    "query_dim": Q,
    "value_dim": Q,
    "dim": A,
    "heads": 2,
    "positions": S,
    "filters": (2, 3),
    "init_kind": init,
    "init_scale": 0.1,
  }
  module = attention.Attention(score, args)
  real = np.arange(S)[None] < LENGTHS[:, None]
  rng = np.random.default_rng(0)
  values = rng.normal(size=(ROWS, S, Q)).astype(np.float32)
  query = rng.normal(size=(ROWS, QUERIES, Q)).astype(np.float32)
  query[:, 0] = 0
  inputs = {
    "values": values * real[..., None],
    "query": query,
    "state": np.zeros((ROWS, QUERIES, S), np.float32),
  }
  run = runner(module, real)
  params = module.init(jax.random.key(0), inputs, method=run)

  def total(p, x):
    return jnp.sum(module.apply(p, x, method=run)[0])

  value, grads = jax.value_and_grad(total, (0, 1))(params, inputs)
  assert np.isfinite(value)
  assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(grads))
