"""Encoders and their masks against loops in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.models import (
  build,
  cells,
  dropout_masks,
  encoders,
  frontends,
  layers,
)
from tests.helpers import oracle_models as oracle
from tests.helpers.numeric import (
  close,
  compiled,
  double,
  drawn_for,
  normal,
  scattered,
  slopes_close,
  trees_close,
)
from tests.helpers.oracle_decoder import BASE, DROPOUTS, VOCAB
from tests.helpers.small_models import encoder_fields

pytestmark = pytest.mark.usefixtures("strict")

SOURCE = 7
LENGTHS = np.array([7, 5, 1, 2, 6], np.int32)


def slow_pairs(x, how):
  """Real positions two by two; the odd one beside zeros, or alone."""
  out = []
  for j in range(0, len(x), 2):
    two = x[j : j + 2]
    if how == "concat":
      last = two[1] if len(two) == 2 else np.zeros_like(two[0])
      out.append(np.concatenate([two[0], last]))
    else:
      out.append(np.max(two, axis=0))
  return np.array(out)


def slow_direction(m, p, name, x, masks):
  """One layer's last carry and outputs, in one direction."""
  kind = next(k for k, v in cells.CELLS.items() if v is m.cell_class)
  depth = m.cell_args.get("depth", 1)
  zoneout = m.cell_args.get("zoneout", 0.0)
  carry = (np.zeros(m.features),) * m.cell_class.leaves
  out = [None] * len(x)
  steps = range(len(x))
  if name.startswith("backward"):
    steps = reversed(steps)
  for j in steps:
    own = {k.split("/")[1]: v[j] for k, v in masks.items() if name + "/" in k}
    for k in own:
      if k.startswith("zone"):
        own[k] = (own[k] > 0).astype(np.float64)
    carry = oracle.deep(kind, p[name], x[j], carry, depth, (), own, zoneout)
    out[j] = carry[-1]
  return carry, np.array(out)


def slow_encoder(m, p, x, masks=None):
  """Values [n', D] and states of one sentence, x [n, D] embedded."""
  masks = masks or {}

  def drop(x, name):
    return x * masks[name][: len(x)] if name in masks else x

  x = drop(drop(x, "embed"), "word")
  streams, read, states = {"forward": x, "backward": x}, [], []
  for i in range(m.depth):
    if 1 <= i <= m.reductions:
      streams = {k: slow_pairs(v, m.reduction) for k, v in streams.items()}
      read = []
    names = [m.direction]
    if m.direction == "both":
      names = ["forward", "backward"]
    if m.stacking == "gnmt" and i > 0:
      names = ["forward"]
    ran = [
      slow_direction(m, p, f"{name}_{i}", streams[name], masks)
      for name in names
    ]
    states.append(
      tuple(np.concatenate(leaves) for leaves in zip(*(c for c, _ in ran)))
    )
    joined = np.concatenate([y for _, y in ran], axis=1)
    joined = drop(joined, f"layer_{i}")
    if m.stacking == "separate":
      half = m.features
      new = {"forward": joined[:, :half], "backward": joined[:, half:]}
    else:
      new = {"forward": joined, "backward": joined}
    if m.residual != "none" and i + 1 >= m.residual_start:
      read.append(streams)
      for name in new:
        for inputs in read if m.residual == "dense" else read[-1:]:
          new[name] = new[name] + inputs[name]
    streams = new
  if m.stacking == "separate":
    return np.concatenate(list(streams.values()), axis=1), states
  return streams["forward"], states


ENCODERS = {
  "forward": ("lstm", 2, {}),
  "backward": ("gru", 2, {"direction": "backward"}),
  "joint": ("rnmt_lstm", 2, {"direction": "both"}),
  "separate": (
    "gru",
    3,
    {"direction": "both", "stacking": "separate", "residual": "add"},
  ),
  "separate_dense": (
    "elman",
    3,
    {"direction": "both", "stacking": "separate", "residual": "dense"},
  ),
  "gnmt": (
    "lstm",
    4,
    {
      "direction": "both",
      "stacking": "gnmt",
      "residual": "add",
      "residual_start": 3,
    },
  ),
  "first_layer_too": ("gru", 2, {"residual": "dense", "residual_start": 1}),
  "joint_dense": ("gru", 3, {"direction": "both", "residual": "dense"}),
  "pyramid": ("lstm", 3, {"direction": "both", "reductions": 2}),
  "pyramid_max": (
    "gru",
    4,
    {
      "direction": "both",
      "reduction": "max",
      "reductions": 2,
      "residual": "dense",
    },
  ),
  "deep_zoneout": (
    "gru",
    2,
    {"direction": "both", "cell_args": {"depth": 2, "zoneout": 0.3}},
  ),
}
GRADED = ("separate", "pyramid", "pyramid_max")


def encoding(name, **changes):
  """An encoder of random vectors, its weights and its input."""
  cell, depth, fields = ENCODERS[name]
  plain = encoder_fields(
    embed=frontends.Frames(3), cell_class=cells.CELLS[cell], depth=depth
  )
  model = encoders.Encoder(**(plain | fields | changes))
  src = normal(np.random.default_rng(5), len(LENGTHS), SOURCE, 3)
  shapes = jax.eval_shape(model.init, jax.random.key(0), src, LENGTHS)
  return model, scattered(shapes), src


def check_encoder(model, variables, src, masks=None, graded=False):
  rng = np.random.default_rng(6)
  masks = masks or {}

  def memory(variables, src):
    found = model.apply(variables, src, LENGTHS, masks)
    return found.values, found.mask, found.state

  shapes = jax.eval_shape(memory, variables, src)
  pulls = jax.tree.map(lambda a: normal(rng, *a.shape), (shapes[0], shapes[2]))

  def total(variables, src):
    out = memory(variables, src)
    each = jax.tree.map(lambda a, b: jnp.sum(a * b), (out[0], out[2]), pulls)
    return sum(jax.tree.leaves(each)), out

  run = jax.grad(total, (0, 1), has_aux=True)
  if not graded:

    def run(*args):
      return ((), memory(*args))

  grads, (values, mask, state) = compiled(run)(variables, src)
  theirs = double(masks)

  def slow(tree):
    out = []
    for b, n in enumerate(LENGTHS):
      own = {k: v[:, b] for k, v in theirs.items()}
      out.append(slow_encoder(model, tree[0], tree[1][b, :n], own))
    return out

  params = variables["params"]
  for b, (want, states) in enumerate(slow(double((params, src)))):
    n = len(want)
    close(values[b, :n], want)
    assert not np.any(values[b, n:])
    assert np.array_equal(mask[b], np.arange(values.shape[1]) < n)
    assert len(state) == len(states) == model.depth
    for layer, loop in zip(state, states):
      for leaf, expected in zip(layer, loop, strict=True):
        close(leaf[b], expected)
  if not graded:
    return

  def value(tree):
    out = 0.0
    for b, (want, states) in enumerate(slow(tree)):
      out += np.sum(want * pulls[0][b, : len(want)])
      for layer, pull in zip(states, pulls[1]):
        out += sum(np.sum(a * w[b]) for a, w in zip(layer, pull))
    return out

  slopes_close((grads[0]["params"], grads[1]), value, (params, src))


@pytest.mark.parametrize("name", ENCODERS)
def test_encoder_equals_a_loop(name):
  model, variables, src = encoding(name)
  check_encoder(model, variables, src, graded=name in GRADED)


RATES = {"embed": 0.3, "word": 0.3, "rnn": 0.3, "state": 0.3, "update": 0.3}


@pytest.mark.parametrize("name", ["joint", "gnmt", "separate", "pyramid"])
def test_encoder_with_masks_equals_a_loop(name):
  zoneout = {"zoneout": 0.25} if name == "joint" else {}
  model, variables, src = encoding(
    name, dropout=layers.Dropout(**RATES), cell_args=zoneout
  )
  masks = drawn_for(model, SOURCE)
  last = f"forward_{model.depth - 1}"
  assert {"embed", "word", "layer_0", f"{last}/state"} <= set(masks)
  assert (f"{last}/zone_1" in masks) == bool(zoneout)
  check_encoder(model, variables, src, masks)


@pytest.mark.quick
@pytest.mark.parametrize("stride", [1, 4])
def test_masks_are_drawn_at_the_rate_of_their_layer(stride):
  """No mask is drawn for positions that its layer does not have."""
  front = frontends.Convolution(3, 2) if stride == 4 else frontends.Frames(3)
  model, _, _ = encoding(
    "pyramid", embed=front, dropout=layers.Dropout(**RATES)
  )
  specs = model.mask_specs()
  assert {spec.name for spec in specs if spec.shared} == {
    f"{direction}_{i}/state"
    for direction in ("forward", "backward")
    for i in range(3)
  }
  keys = dropout_masks.row_keys(0, 1, np.arange(2, dtype=np.int32))
  masks = jax.eval_shape(lambda: dropout_masks.draw(keys, 37, specs))
  frames = -(-37 // stride)
  assert masks["embed"].shape[0] == masks["word"].shape[0] == frames
  for i, steps in enumerate((frames, -(-frames // 2), -(-frames // 4))):
    parts = ("state", "update")
    names = [f"{d}_{i}/{p}" for d in ("forward", "backward") for p in parts]
    for name in (f"layer_{i}", *names):
      assert masks[name].shape[0] == steps, name


@pytest.mark.quick
def test_which_masks_are_shared_by_all_steps():
  """Gal's are, word dropout and zoneout are not, the state's always is."""
  keys = dropout_masks.row_keys(0, 1, np.arange(9, dtype=np.int32))

  def draw(masks):
    return compiled(lambda keys: dropout_masks.draw(keys, 40, masks))(keys)

  def always(name):
    return name.endswith("/state")

  def never(name):
    return name == "word" or "/zone" in name

  for shared in (False, True):
    drop = layers.Dropout(**RATES, shared=shared)
    encoder, _, _ = encoding(
      "joint", dropout=drop, features=16, cell_args={"zoneout": 0.3}, depth=1
    )
    changes = DROPOUTS | {"dropout.variational": shared, "dropout.zoneout": 0.3}
    module = build.build(config.replace(BASE, changes), VOCAB, VOCAB)
    specs = {mask.name: mask.shared for mask in module.decoder.mask_specs()}
    names = {"embed", "word", "layer_0", "layer_0/state", "layer_0/update"}
    assert set(specs) == names | {"readout", "layer_0/zone_0", "layer_0/zone_1"}
    for name, same in specs.items():
      assert same == (always(name) or (shared and not never(name))), name
    masks = draw(encoder.mask_specs())
    for name in ("embed", "word", "layer_0"):
      assert name in masks
    for name in ("state", "update", "zone_0", "zone_1"):
      assert f"forward_0/{name}" in masks and f"backward_0/{name}" in masks
    for name, mask in masks.items():
      same = np.all(mask == mask[:1])
      assert same == (always(name) or (shared and not never(name))), name
      assert np.any(mask[:, :1] != mask[:, 1:]), name  # of several rows


@pytest.mark.quick
@pytest.mark.parametrize("last", [True, False])
def test_which_outputs_of_layers_are_dropped(last):
  """With `dropout.last` off, those between layers alone, as PyTorch does it."""
  m = config.replace(
    BASE,
    {
      "encoder.layers": 3,
      "decoder.layers": 2,
      "dropout.rnn": 0.3,
      "dropout.last": last,
    },
  )
  module = build.build(m, VOCAB, VOCAB)

  def top(i):
    return {f"layer_{i}"} if last else set()

  for part, wanted in [
    (module.encoder, {"layer_0", "layer_1"} | top(2)),
    (module.decoder, {"layer_0"} | top(1)),
  ]:
    assert {mask.name for mask in part.mask_specs() if mask.rate} == wanted


@pytest.mark.quick
def test_word_masks_drop_whole_embeddings():
  m = config.replace(BASE, {"dropout.word": 0.4, "encoder.layers": 1})
  module = build.build(m, VOCAB, VOCAB)
  src = np.random.default_rng(2).integers(4, VOCAB, (5, 30)).astype(np.int32)
  full = np.full(5, 30, np.int32)
  rows = np.arange(5, dtype=np.int32)
  batch = types.Batch(src, full, src[:, :3], full, rows)

  def init(key):
    return module.init(key, batch, method="initialize")

  variables = scattered(jax.eval_shape(init, jax.random.key(0)))
  keys = dropout_masks.row_keys(0, 1, batch.row)
  draw = compiled(
    lambda keys: dropout_masks.draw(keys, 30, module.encoder.mask_specs())
  )
  masks = draw(keys)
  assert set(masks) == {"word"} == set(drawn_for(module.decoder, 30))
  mask = masks["word"]
  assert mask.shape == (30, 5, 1)
  dropped = mask[..., 0].T == 0
  assert 0.2 < np.mean(dropped) < 0.6

  def values(module, src, noise):
    return module.encoder(src, full, noise).values

  run = compiled(lambda *a: module.apply(*a, method=values))
  got = run(variables, src, masks)
  # The same as other words in those places: what they were is not seen.
  other = np.where(dropped, 4 + (src - 3) % (VOCAB - 4), src)
  assert np.array_equal(got, run(variables, other, masks))
  assert not np.array_equal(
    got, run(variables, np.where(dropped, src, 4), masks)
  )

  def inputs(module, noise):
    return module.decoder.embed(
      src, {k: m.swapaxes(0, 1) for k, m in noise.items()}
    ).gates

  gates = compiled(lambda *a: module.apply(*a, method=inputs))(variables, masks)
  bias = variables["params"]["decoder"]["layer_0"]["bias"]
  same = np.all(gates == bias, axis=-1)
  assert np.array_equal(same, dropped)


# The convolutional front end.

BINS, CHANNELS = 5, 2
FRAMES = np.array([9, 6, 1, 4], np.int32)


def slow_convolution(p, x):
  """Two layers of stride 2 over one utterance [n, F] of real frames."""
  x = x[..., None]
  for i in range(2):
    kernel, norm = p[f"kernel_{i}"], p[f"norm_{i}"]
    size, bins = (len(x) + 1) // 2, (x.shape[1] + 1) // 2
    out = np.zeros((size, bins, kernel.shape[-1]))
    for t, f, a, b in np.ndindex(size, bins, 3, 3):
      s, g = 2 * t + a - 1, 2 * f + b - 1
      if 0 <= s < len(x) and 0 <= g < x.shape[1]:
        out[t, f] += x[s, g] @ kernel[a, b]
    for t in range(size):
      flat = oracle.layer_norm(out[t].reshape(-1))
      flat = flat * norm["scale"] + norm["bias"]
      out[t] = np.maximum(flat, 0.0).reshape(bins, -1)
    x = out
  return x.reshape(len(x), -1)


def test_convolution_equals_a_loop_and_ignores_padding():
  model = frontends.Convolution(BINS, CHANNELS)
  rng = np.random.default_rng(7)
  src = normal(rng, len(FRAMES), 9, BINS)
  shapes = jax.eval_shape(model.init, jax.random.key(0), src, FRAMES)
  params = scattered(shapes)["params"]
  pull = normal(rng, len(FRAMES), 3, model.features)

  def total(params, src):
    values, lengths = model.apply({"params": params}, src, FRAMES)
    return jnp.sum(values[:, :3] * pull), (values, lengths)

  run = compiled(jax.grad(total, (0, 1), has_aux=True))
  grads, (values, lengths) = run(params, src)
  assert np.array_equal(lengths, [3, 2, 1, 1])
  assert values.shape == pull.shape

  def slow(tree):
    return [slow_convolution(tree[0], x[:n]) for x, n in zip(tree[1], FRAMES)]

  for b, want in enumerate(slow(double((params, src)))):
    close(values[b, : len(want)], want)
    assert not np.any(values[b, len(want) :])

  def value(tree):
    return sum(np.sum(y * w[: len(y)]) for y, w in zip(slow(tree), pull))

  slopes_close(grads, value, (params, src))
  for b, n in enumerate(FRAMES):
    assert not np.any(grads[1][b, n:])
  padded = np.arange(9)[None] >= FRAMES[:, None]
  noisy = np.where(padded[..., None], 9.0 * normal(rng, *src.shape), src)
  for size in (9, 10, 11, 14):
    longer = np.pad(noisy, ((0, 0), (0, size - 9), (0, 0)), constant_values=3.0)
    more, (seen, ends) = run(params, longer)
    assert seen.shape[1] == (size + 3) // 4
    assert np.array_equal(ends, lengths)
    close(seen[:, :3], values)
    assert not np.any(seen[:, 3:])
    trees_close(more[0], grads[0])
    close(more[1][:, :9], grads[1])
    assert not np.any(more[1][:, 9:])


@pytest.mark.parametrize("kind", ["rnn", "transformer"])
def test_dropout_behind_the_front_end(kind):
  m = config.replace(
    BASE,
    {
      "encoder.kind": kind,
      "encoder.features": BINS,
      "encoder.front_end": "convolution",
      "encoder.front_end_channels": CHANNELS,
      "transformer.dim": 4,
      "transformer.heads": 2,
      "transformer.layers": 1,
      "dropout.embed": 0.3,
      "dropout.word": 0.3,
    },
  )
  module = build.build(m, VOCAB, VOCAB)
  src = normal(np.random.default_rng(1), len(FRAMES), 9, BINS)
  tgt = np.full((len(FRAMES), 2), types.EOS, np.int32)
  rows = np.arange(len(FRAMES), dtype=np.int32)
  batch = types.Batch(src, FRAMES, tgt, np.full(4, 2, np.int32), rows)

  def run(key):
    variables = module.init(key, batch, method="initialize")
    keys = dropout_masks.row_keys(0, 0, rows)
    return module.apply(variables, batch, keys, method="losses")

  assert jax.eval_shape(run, jax.random.key(0))["nll"].shape == tgt.shape


def test_residual_over_concatenated_pairs_is_refused():
  changes = {"encoder.reductions": 1, "residual": "add", "encoder.layers": 2}
  with pytest.raises(types.UserError, match="residual"):
    config.replace(BASE, changes)
