"""Models against PyTorch, plain NumPy loops, and properties of the maths."""

import functools

import jax
import jax.numpy as jnp
import numeric
import numpy as np
import pytest
from numeric import leaves_close, scattered
from small_models import CONFIGS, VOCAB, example, made

from seq2seq_jax import types
from seq2seq_jax.models import (
  cells,
  encoders,
  layers,
  noise,
  seq2seq,
  softmax,
)

pytestmark = pytest.mark.usefixtures("strict")

close = functools.partial(numeric.close, tolerance=1e-5)


def encoder(cell, **changes):
  """An encoder with scattered weights."""
  fields = dict(
    embed=encoders.Tokens(layers.Embed(VOCAB, 5)),
    cell=cells.CELLS[cell],
    cell_args={},
    features=3,
    depth=1,
    direction="forward",
    stacking="joint",
    residual="none",
    residual_start=2,
    reduction="concat",
    reductions=0,
    dropout=layers.Dropout(),
  )
  model = encoders.Encoder(**(fields | changes))
  batch = example()
  shapes = jax.eval_shape(
    model.init, jax.random.key(0), batch.src, batch.src_len
  )
  return model, scattered(shapes)


# Recurrent cells and encoders.


def torch_twin(torch, cell, params, layers, bidirectional):
  """The PyTorch module, in float64, with the weights of an encoder."""
  kind = torch.nn.LSTM if cell == "lstm" else torch.nn.GRU
  twin = kind(
    5, 3, layers, batch_first=True, bidirectional=bidirectional
  ).double()
  to = lambda a: torch.tensor(np.asarray(a, np.float64))
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


# The whole model.


def losses_and_grads(model):
  """Of variables and a batch: gradients and terms."""

  def total(variables, batch):
    what = seq2seq.Losses(smoothing=0.1)
    terms = model.apply(variables, batch, None, what, method="losses")
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
  fill = lambda a, n: np.concatenate([a, np.full_like(a[:1], n)])
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
    return module.decoder.log_probs(memory, output), output.attention

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

  apply = lambda method: jax.jit(
    lambda v, *args: model.apply(v, *args, method=method)
  )
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
  if CONFIGS[name].get("attention") != "none":
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


# Softmax and losses.


def plain_losses(x, kernel, bias, targets, smoothing, form):
  """Cross-entropy with the smoothed distribution written out, in float64."""
  x, kernel, bias = (np.asarray(a, np.float64) for a in (x, kernel, bias))
  size, out = len(bias), []
  for row, gold in zip(x, targets):
    logits = row @ kernel + bias
    log_p = logits - np.max(logits)
    log_p = log_p - np.log(np.sum(np.exp(log_p)))
    if form == "uniform":
      q = np.full(size, smoothing / size)
      q[gold] += 1 - smoothing
    else:
      q = np.full(size, smoothing / (size - 1))
      q[gold] = 1 - smoothing
    out.append((-q @ log_p, -log_p[gold], float(np.argmax(logits) == gold)))
  return tuple(np.array(a) for a in zip(*out))


def softmax_losses(*args):
  terms = softmax.losses(*args, jnp.float32)
  return terms[0], terms


@pytest.mark.quick
@pytest.mark.parametrize("chunk", [2**24, 2 * VOCAB], ids=["whole", "chunks"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("form", ["uniform", "others"])
def test_losses_equal_the_plain_formula(form, smoothing, chunk, monkeypatch):
  monkeypatch.setattr(softmax, "CHUNK", chunk)
  rng = np.random.default_rng(6)
  x = rng.normal(size=(7, 4)).astype(np.float32)
  kernel = rng.normal(size=(4, VOCAB)).astype(np.float32)
  bias = rng.normal(size=VOCAB).astype(np.float32)
  targets = rng.integers(0, VOCAB, 7).astype(np.int32)
  targets[0] = np.argmax(x[0] @ kernel + bias)
  weight = rng.normal(size=7).astype(np.float32)

  @jax.jit
  def run(*args):
    def total(*args):
      return softmax_losses(*args, targets, weight, smoothing, form)

    return jax.grad(total, (0, 1, 2), has_aux=True)(*args)

  grads, (total, *terms) = run(x, kernel, bias)
  want = plain_losses(x, kernel, bias, targets, smoothing, form)
  close(total, np.sum(weight * want[0]))
  for got, one in zip(terms, want[1:]):
    close(got, one)
  args = [np.asarray(a, np.float64) for a in (x, kernel, bias)]
  for i, grad in enumerate(grads):
    close(grad, difference(args, i, targets, weight, smoothing, form))


def difference(args, i, targets, weight, smoothing, form, step=1e-5):
  """Central differences of the weighted loss for argument `i`."""
  total = lambda: np.sum(
    weight * plain_losses(*args, targets, smoothing, form)[0]
  )
  grad = np.zeros_like(args[i])
  for at in np.ndindex(grad.shape):
    kept = args[i][at]
    args[i][at] = kept + step
    above = total()
    args[i][at] = kept - step
    grad[at] = (above - total()) / (2 * step)
    args[i][at] = kept
  return grad


@pytest.mark.quick
def test_losses_hold_for_large_logits():
  x = jnp.array([[1.0], [1.0]], jnp.float32)
  kernel = jnp.array([[1e4, -1e4, 0.0]], jnp.float32)
  targets = np.array([0, 1], np.int32)
  args = kernel, jnp.zeros(3), targets, jnp.ones(2), 0.0, "uniform"
  loss, nll, correct = jax.jit(lambda x: softmax.losses(x, *args, jnp.float32))(
    x
  )
  close(loss, 2e4)
  close(nll, [0.0, 2e4])
  assert np.array_equal(correct, [1, 0])


# Noise.

WIDTHS = (("embed", 5, 0.2), ("layer_0", 8, 0.0), ("readout", 64, 0.5))


@functools.partial(jax.jit, static_argnums=(0, 1))
def draw(length, widths, step, rows):
  return noise.draw(noise.row_keys(7, step, rows), length, widths)


def drawn(rows, length, widths=WIDTHS, step=3):
  return draw(length, widths, step, np.asarray(rows, np.int32))


@pytest.mark.quick
def test_masks_depend_on_their_row_alone():
  masks = drawn([0, 1, 2, 3], 4)
  assert set(masks) == {"embed", "readout"}
  for name, mask in masks.items():
    assert np.array_equal(drawn([0, 1, 2, 3], 9)[name][:4], mask)
    some = drawn([3, 8, 1], 4)[name]  # another batch around rows 3 and 1
    assert np.array_equal(some[:, [0, 2]], mask[:, [3, 1]])
  wide = masks["readout"]
  assert not np.array_equal(wide[:, 0], wide[:, 1])
  assert not np.array_equal(wide[0], wide[1])
  other = drawn([0, 1, 2, 3], 4, step=4)["readout"]
  assert not np.array_equal(other, wide)


@pytest.mark.quick
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_masks_keep_the_mean(rate):
  mask = np.asarray(drawn(range(50), 20, (("x", 101, rate),))["x"], np.float64)
  assert mask.shape == (20, 50, 101)
  assert len(np.unique(mask)) == 2 and np.min(mask) == 0
  close(np.max(mask), 1 / (1 - rate), tolerance=1e-4)
  deviation = np.sqrt(rate / (1 - rate))  # of one unit
  assert abs(np.mean(mask) - 1) < 5 * deviation / np.sqrt(mask.size)
  for axis in ((0, 1), (1, 2), (0, 2)):
    part = np.mean(mask, axis=axis)
    count = mask.size / part.size
    assert np.max(np.abs(part - 1)) < 6 * deviation / np.sqrt(count)
