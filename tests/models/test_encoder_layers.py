"""Stacks of LSTM and GRU layers against PyTorch and plain NumPy loops."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax.models import cells, encoders, frontends, layers
from tests.helpers import numeric
from tests.helpers.numeric import scattered
from tests.helpers.small_models import VOCAB, encoder_fields, example

pytestmark = pytest.mark.usefixtures("strict")

close = functools.partial(numeric.close, tolerance=1e-5)


def encoder(cell, **changes):
  """An encoder with scattered weights."""
  embed = frontends.Tokens(layers.Embed(VOCAB, 5))
  fields = encoder_fields(embed=embed, cell_class=cells.CELLS[cell], **changes)
  model = encoders.Encoder(**fields)
  batch = example()
  shapes = jax.eval_shape(
    model.init, jax.random.key(0), batch.src, batch.src_len
  )
  return model, scattered(shapes)


def torch_twin(torch, cell, params, layers, bidirectional):
  """The PyTorch module, in float64, with the weights of an encoder."""
  kind = torch.nn.LSTM if cell == "lstm" else torch.nn.GRU
  twin = kind(
    5, 3, layers, batch_first=True, bidirectional=bidirectional
  ).double()

  def to(a):
    return torch.tensor(np.asarray(a, np.float64))

  with torch.no_grad():
    for name, layer, end in places(layers, bidirectional):
      p = params[name]
      hidden = np.zeros_like(p["bias"])
      if cell == "gru":
        hidden[6:] = p["bias_hn"]
      getattr(twin, f"weight_ih_{layer}{end}").copy_(to(p["kernel"].T))
      getattr(twin, f"weight_hh_{layer}{end}").copy_(to(p["recurrent"].T))
      getattr(twin, f"bias_ih_{layer}{end}").copy_(to(p["bias"]))
      getattr(twin, f"bias_hh_{layer}{end}").copy_(to(hidden))
  return twin


def places(layers, bidirectional):
  """Names of a layer here and in PyTorch."""
  for i in range(layers):
    yield f"forward_{i}", f"l{i}", ""
    if bidirectional:
      yield f"backward_{i}", f"l{i}", "_reverse"


@pytest.mark.quick
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_encoder_equals_torch(cell, bidirectional):
  torch = pytest.importorskip("torch", reason="PyTorch is the oracle here")
  depth, directions = 2, 2 if bidirectional else 1
  model, variables = encoder(
    cell, depth=depth, direction="both" if bidirectional else "forward"
  )
  params = variables["params"]
  rng = np.random.default_rng(1)
  rows, length = 6, 9
  src = rng.integers(4, VOCAB, (rows, length)).astype(np.int32)
  src_len = rng.integers(1, length + 1, rows).astype(np.int32)
  src_len[0] = length
  weight = rng.normal(size=(rows, length, 3 * directions)).astype(np.float32)
  leaves = 2 if cell == "lstm" else 1
  shape = (depth, leaves, rows, 3 * directions)
  state_weight = rng.normal(size=shape).astype(np.float32)

  @jax.jit
  def run(variables):
    def total(variables):
      memory = model.apply(variables, src, src_len)
      state = jnp.stack([jnp.stack(leaf) for leaf in memory.state])
      value = jnp.sum(memory.values * weight) + jnp.sum(state * state_weight)
      return value, (memory.values, state)

    return jax.grad(total, has_aux=True)(variables)

  grads, (values, state) = run(variables)
  grads = grads["params"]

  twin = torch_twin(torch, cell, params, depth, bidirectional)
  table = torch.tensor(
    np.asarray(params["embed"]["table"]["table"], np.float64),
    requires_grad=True,
  )
  packed = torch.nn.utils.rnn.pack_padded_sequence(
    table[torch.tensor(src.astype(np.int64))],
    torch.tensor(src_len.astype(np.int64)),
    batch_first=True,
    enforce_sorted=False,
  )
  out, last = twin(packed)
  out, _ = torch.nn.utils.rnn.pad_packed_sequence(out, batch_first=True)
  last = (last[1], last[0]) if cell == "lstm" else (last,)
  # [layers * directions, B, H] -> [layers, B, directions * H]
  last = torch.stack(
    [
      leaf.reshape(depth, directions, rows, 3)
      .transpose(1, 2)
      .reshape(depth, rows, -1)
      for leaf in last
    ],
    dim=1,
  )
  total = (out * torch.tensor(weight)).sum()
  total = total + (last * torch.tensor(state_weight)).sum()
  total.backward()

  close(values, out.detach())
  close(state, last.detach())
  close(grads["embed"]["table"]["table"], table.grad)
  for name, layer, end in places(depth, bidirectional):
    g, at = grads[name], f"{layer}{end}"
    close(g["kernel"], getattr(twin, f"weight_ih_{at}").grad.T)
    close(g["recurrent"], getattr(twin, f"weight_hh_{at}").grad.T)
    close(g["bias"], getattr(twin, f"bias_ih_{at}").grad)
    if cell == "gru":
      close(g["bias_hn"], getattr(twin, f"bias_hh_{at}").grad[6:])


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def lstm_loop(p, xs):
  """c and h of every step, unit by unit from the published formulae."""
  features = p["recurrent"].shape[0]
  w, u, b = (
    np.asarray(p[k], np.float64) for k in ("kernel", "recurrent", "bias")
  )
  c, h, out = np.zeros(features), np.zeros(features), []
  for x in xs:
    c_new, h_new = np.zeros(features), np.zeros(features)
    for k in range(features):
      at = [k + n * features for n in range(4)]
      i, f, g, o = (x @ w[:, j] + h @ u[:, j] + b[j] for j in at)
      c_new[k] = sigmoid(f) * c[k] + sigmoid(i) * np.tanh(g)
      h_new[k] = sigmoid(o) * np.tanh(c_new[k])
    c, h = c_new, h_new
    out.append(h)
  return (c, h), np.array(out)


def gru_loop(p, xs):
  """h of every step; the reset stands behind the recurrent product."""
  features = p["recurrent"].shape[0]
  w, u, b, b_hn = (
    np.asarray(p[k], np.float64)
    for k in ("kernel", "recurrent", "bias", "bias_hn")
  )
  h, out = np.zeros(features), []
  for x in xs:
    new = np.zeros(features)
    for k in range(features):
      at_r, at_z, at_n = k, k + features, k + 2 * features
      r = sigmoid(x @ w[:, at_r] + b[at_r] + h @ u[:, at_r])
      z = sigmoid(x @ w[:, at_z] + b[at_z] + h @ u[:, at_z])
      inner = r * (h @ u[:, at_n] + b_hn[k])
      n = np.tanh(x @ w[:, at_n] + b[at_n] + inner)
      new[k] = (1 - z) * n + z * h[k]
    h = new
    out.append(h)
  return (h,), np.array(out)


@pytest.mark.quick
@pytest.mark.parametrize("stacking", ["joint", "separate"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_encoder_equals_a_loop(cell, stacking):
  model, variables = encoder(cell, depth=2, direction="both", stacking=stacking)
  p, batch = variables["params"], example()
  memory = jax.jit(model.apply)(variables, batch.src, batch.src_len)
  loop = lstm_loop if cell == "lstm" else gru_loop
  for row, length in enumerate(batch.src_len):
    x = np.asarray(p["embed"]["table"]["table"], np.float64)[
      batch.src[row, :length]
    ]
    ahead, back = x, x
    for i in range(2):
      state, ahead = loop(p[f"forward_{i}"], ahead)
      state_back, back = loop(p[f"backward_{i}"], back[::-1])
      back = back[::-1]
      both = np.concatenate([ahead, back], axis=-1)
      for leaf, (a, b) in zip(memory.state[i], zip(state, state_back)):
        close(leaf[row], np.concatenate([a, b]))
      if stacking == "joint":
        ahead, back = both, both
    close(memory.values[row, :length], both)
    assert not np.any(memory.values[row, length:])
    assert np.array_equal(
      memory.mask[row], np.arange(batch.src.shape[1]) < length
    )
