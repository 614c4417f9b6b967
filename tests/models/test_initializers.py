"""Initial weights against what PyTorch's modules draw."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax.models import attention_scores, cells, initializers, layers

RNG = jax.random.key(0)
ARGS = {"init_kind": "pytorch", "recurrent_init": "auto", "forget_bias": 0.0}


def _same_spread(ours, theirs):
  """One distribution, seen from its deviation and its tail."""
  ours, theirs = np.asarray(ours), theirs.detach().numpy()
  np.testing.assert_allclose(ours.std(), theirs.std(), rtol=0.1)

  def tail(x):
    return np.quantile(abs(x), 0.98)

  np.testing.assert_allclose(tail(ours), tail(theirs), rtol=0.1)


def _init(module, x, method):
  init = jax.jit(lambda rng: module.init(rng, x, method=method))
  return init(RNG)["params"]


def _params(cell):
  return _init(cell, jnp.zeros((1, cell.inputs)), "project")


@pytest.mark.parametrize("shape", [(12, 12), (12, 5), (5, 12), (3, 2, 4)])
def test_orthogonal_is_what_qr_gives(shape):
  theirs = nn.initializers.orthogonal()(RNG, shape)
  np.testing.assert_allclose(
    initializers.orthogonal(RNG, shape), theirs, atol=1e-5
  )


def test_orthogonal_leaves_lapack_alone():
  def draw(init):
    return jax.jit(lambda rng: init(rng, (4, 4))).lower(RNG)

  assert "lapack" in draw(nn.initializers.orthogonal()).as_text()
  assert (
    "lapack" not in draw(initializers.recurrent("xavier", 0, "auto")).as_text()
  )


def test_orthogonal_stays_so_at_size():
  q = np.asarray(initializers.orthogonal(RNG, (256, 256)), np.float64)
  np.testing.assert_allclose(q.T @ q, np.eye(256), atol=1e-6)


def test_lstm():
  torch = pytest.importorskip("torch")
  torch.manual_seed(0)
  theirs = torch.nn.LSTM(40, 160)
  ours = _params(cells.LSTM(160, 40, **ARGS))
  _same_spread(ours["kernel"], theirs.weight_ih_l0)
  _same_spread(ours["recurrent"], theirs.weight_hh_l0)
  _same_spread(ours["bias"], theirs.bias_ih_l0 + theirs.bias_hh_l0)


def test_gru_has_one_bias_of_two_and_one_inside_of_the_reset():
  torch = pytest.importorskip("torch")
  torch.manual_seed(0)
  theirs = torch.nn.GRU(40, 300)
  ours = _params(cells.GRU(300, 40, **ARGS))
  outer, inner = theirs.bias_ih_l0, theirs.bias_hh_l0
  _same_spread(ours["bias"][:600], outer[:600] + inner[:600])
  _same_spread(ours["bias"][600:], outer[600:])
  _same_spread(ours["bias_hn"], inner[600:])


def test_linear_and_embedding():
  torch = pytest.importorskip("torch")
  torch.manual_seed(0)
  theirs = torch.nn.Linear(50, 300)
  dense = layers.Dense(50, 300, init_kind="pytorch")
  ours = _init(dense, jnp.zeros((1, 50)), "__call__")
  _same_spread(ours["kernel"], theirs.weight)
  _same_spread(ours["bias"], theirs.bias)
  table = initializers.table("pytorch", 0.0, 80)(RNG, (300, 80))
  _same_spread(table, torch.nn.Embedding(300, 80).weight)


def test_forget_bias_is_added():
  plain, forgetting = (
    _params(cells.LSTM(16, 8, **(ARGS | {"forget_bias": b})))["bias"]
    for b in (0.0, 1.0)
  )
  ones = np.zeros(64)
  ones[16:32] = 1
  np.testing.assert_allclose(forgetting - plain, ones, atol=1e-6)


def test_additive_attention_has_a_bias_by_its_values():
  score = attention_scores.Additive(8, 200, 400, init_kind="pytorch")
  values = jnp.zeros((1, 3, 200))
  keys = _init(score, values, "keys")
  assert 0.9 * 200**-0.5 < abs(keys["bias"]).max() <= 200**-0.5
