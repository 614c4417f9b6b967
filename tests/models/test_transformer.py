"""The Transformer against PyTorch's, and the properties of its steps."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.models import (
  build,
  dropout_masks,
  frontends,
  heads,
  layers,
  transformer,
  transformer_layers,
)
from tests.helpers.numeric import close, compiled, drawn_for, normal, scattered

pytestmark = pytest.mark.usefixtures("strict")
VOCAB, WIDTH, HEADS, HIDDEN, DEPTH = 9, 8, 2, 12, 2
SOURCE, TARGET = 6, 5
SRC_LEN = np.array([6, 3, 1, 5], np.int32)
ARGS = {"init_kind": "xavier", "init_scale": 0.1, "dtype": jnp.float32}
BASE = config.Model(
  embed_dim=WIDTH,
  encoder=config.Encoder(kind="transformer"),
  decoder=config.Decoder(kind="transformer"),
  transformer=config.Transformer(
    dim=WIDTH,
    layers=DEPTH,
    heads=HEADS,
    hidden=HIDDEN,
    max_positions=SOURCE - 1,
  ),
)


def pytorch():
  return pytest.importorskip("torch", reason="PyTorch is the oracle here")


def shape_of(norm, positions="sinusoidal"):
  return transformer_layers.Shape(
    WIDTH, DEPTH, HEADS, HIDDEN, norm, positions, SOURCE - 1
  )


def slow_sinusoids(size, width):
  out = np.zeros((size, width))
  for place in range(size):
    for j in range(width):
      angle = place / 10000 ** (2 * (j // 2) / width)
      out[place, j] = math.cos(angle) if j % 2 else math.sin(angle)
  return out


@pytest.mark.quick
@pytest.mark.parametrize("width", [2, 7, 16])
def test_sinusoids_equal_their_formula(width):
  places = np.arange(400, dtype=np.int32).reshape(2, 200)
  got = compiled(lambda p: transformer_layers.sinusoids(p, width))(places)
  want = slow_sinusoids(400, width).reshape(2, 200, width)
  np.testing.assert_allclose(got, want, atol=5e-5)


# Weights of a layer here and in PyTorch.


def attention_pairs(ours, theirs):
  """Yields our array, PyTorch's parameter, and its part that equals ours."""
  for i, name in enumerate(("query", "key", "value")):
    rows = slice(i * WIDTH, (i + 1) * WIDTH)
    yield ours[name]["kernel"].T, theirs.in_proj_weight, rows
    yield ours[name]["bias"], theirs.in_proj_bias, rows
  yield from dense_pairs(ours["out"], theirs.out_proj)


def dense_pairs(ours, theirs):
  yield ours["kernel"].T, theirs.weight, slice(None)
  yield ours["bias"], theirs.bias, slice(None)


def norm_pairs(ours, theirs):
  yield ours["scale"], theirs.weight, slice(None)
  yield ours["bias"], theirs.bias, slice(None)


def stack_pairs(ours, theirs):
  """Of all layers and the last norm."""
  for i, layer in enumerate(theirs.layers):
    p = ours[f"layer_{i}"]
    norms = ["attention_norm", "feed_norm"]
    yield from attention_pairs(p["attention"], layer.self_attn)
    if hasattr(layer, "multihead_attn"):
      norms.insert(1, "cross_norm")
      yield from attention_pairs(p["cross"], layer.multihead_attn)
    for n, name in enumerate(norms):
      yield from norm_pairs(p[name], getattr(layer, f"norm{n + 1}"))
    yield from dense_pairs(p["feed"]["up"], layer.linear1)
    yield from dense_pairs(p["feed"]["down"], layer.linear2)
  assert ("norm" in ours) == (theirs.norm is not None)
  if "norm" in ours:
    yield from norm_pairs(ours["norm"], theirs.norm)


def twin(torch, norm, crossed):
  """PyTorch's stack in float64."""
  args = (WIDTH, HEADS, HIDDEN)
  fields = {"dropout": 0.0, "activation": "relu", "batch_first": True}
  fields["norm_first"] = norm == "pre"
  last = torch.nn.LayerNorm(WIDTH) if norm == "pre" else None
  if crossed:
    layer = torch.nn.TransformerDecoderLayer(*args, **fields)
    stack = torch.nn.TransformerDecoder(layer, DEPTH, last)
  else:
    layer = torch.nn.TransformerEncoderLayer(*args, **fields)
    stack = torch.nn.TransformerEncoder(
      layer, DEPTH, last, enable_nested_tensor=False
    )
  return stack.double().eval()


def tensor(torch, a, grad=False):
  return torch.tensor(np.asarray(a, np.float64), requires_grad=grad)


def copy_weights(torch, pairs):
  with torch.no_grad():
    for ours, theirs, part in pairs:
      theirs[part].copy_(tensor(torch, ours))


def gradients_close(pairs, tolerance=2e-5):
  """Relative to the leaf, with a floor relative to all: keys' biases are 0."""
  pairs = [(ours, theirs.grad[part]) for ours, theirs, part in pairs]
  floor = 0.1 * max(float(theirs.abs().max()) for _, theirs in pairs)
  for ours, theirs in pairs:
    close(ours, theirs, tolerance, floor)


@pytest.mark.quick
def test_multi_head_attention_equals_torch():
  torch = pytorch()
  rng = np.random.default_rng(0)
  x = normal(rng, 4, TARGET, WIDTH)
  memory = normal(rng, 4, SOURCE, WIDTH)
  own = normal(rng, 4, TARGET, SOURCE, WIDTH)  # a memory for each query
  mask = np.arange(SOURCE)[None] < SRC_LEN[:, None]
  pull = normal(rng, 4, TARGET, WIDTH)
  module = transformer_layers.MultiHead(WIDTH, HEADS, ARGS)

  def run(module, x, memory, own):
    each = module(x, module.keys(own), mask[:, None])
    return module(x, module.keys(memory), mask[:, None]), each

  def init(key):
    return module.init(key, x, memory, own, method=run)

  params = scattered(jax.eval_shape(init, jax.random.key(0)))["params"]

  def total(params, x, memory):
    out, each = module.apply({"params": params}, x, memory, own, method=run)
    return jnp.sum(out[0] * pull), (out, each)

  fast = compiled(jax.grad(total, (0, 1, 2), has_aux=True))
  grads, ((got, weights), (each, each_weights)) = fast(params, x, memory)

  theirs = torch.nn.MultiheadAttention(WIDTH, HEADS, batch_first=True).double()
  copy_weights(torch, attention_pairs(params, theirs))
  padding = torch.tensor(~mask)
  q, m = tensor(torch, x, True), tensor(torch, memory, True)
  want, want_weights = theirs(q, m, m, key_padding_mask=padding)
  (want * tensor(torch, pull)).sum().backward()
  close(got, want.detach())
  close(weights, want_weights.detach())
  assert not np.any(weights[~mask[:, None].repeat(TARGET, 1)])
  gradients_close(
    [
      *attention_pairs(grads[0], theirs),
      (grads[1], q, slice(None)),
      (grads[2], m, slice(None)),
    ]
  )
  for t in range(TARGET):
    m = tensor(torch, own[:, t])
    want, want_weights = theirs(q[:, t : t + 1], m, m, key_padding_mask=padding)
    close(each[:, t : t + 1], want.detach())
    close(each_weights[:, t : t + 1], want_weights.detach())


@pytest.mark.parametrize("entry", [False, True])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_encoder_equals_torch(norm, entry):
  """With and without a layer between embeddings of another width."""
  torch = pytorch()
  rng = np.random.default_rng(1)
  embed = 5 if entry else WIDTH
  table = frontends.Tokens(layers.Embed(VOCAB, embed))
  positions = "learned" if entry else "sinusoidal"
  module = transformer.Encoder(
    table, shape_of(norm, positions), layers.Dropout(), ARGS
  )
  src = rng.integers(4, VOCAB, (4, SOURCE)).astype(np.int32)
  pull = normal(rng, 4, SOURCE, WIDTH)
  state_pull = normal(rng, 4, WIDTH)
  shapes = jax.eval_shape(module.init, jax.random.key(0), src, SRC_LEN)
  params = scattered(shapes)["params"]

  def total(params):
    memory = module.apply({"params": params}, src, SRC_LEN)
    (state,) = memory.state[-1]
    value = jnp.sum(memory.values * pull) + jnp.sum(state * state_pull)
    return value, memory

  grads, memory = compiled(jax.grad(total, has_aux=True))(params)

  stack = twin(torch, norm, False)
  copy_weights(torch, stack_pairs(params, stack))
  words = tensor(torch, params["embed"]["table"]["table"], True)
  x = words[torch.tensor(src.astype(np.int64))]
  extra = [(grads["embed"]["table"]["table"], words, slice(None))]
  if entry:
    kernel = tensor(torch, params["entry"]["kernel"], True)
    bias = tensor(torch, params["entry"]["bias"], True)
    x = x @ kernel + bias
    extra.append((grads["entry"]["kernel"], kernel, slice(None)))
    extra.append((grads["entry"]["bias"], bias, slice(None)))
  if positions == "learned":
    places = tensor(torch, params["places"]["table"], True)
    # One position more than the table has: it shares the last.
    vectors = places[[*range(SOURCE - 1), SOURCE - 2]]
    extra.append((grads["places"]["table"], places, slice(None)))
  else:
    vectors = tensor(torch, slow_sinusoids(SOURCE, WIDTH))
  x = x * math.sqrt(WIDTH) + vectors
  real = np.arange(SOURCE)[None] < SRC_LEN[:, None]
  want = stack(x, src_key_padding_mask=torch.tensor(~real))
  want = want * torch.tensor(real)[..., None]
  state = want.sum(1) / tensor(torch, SRC_LEN)[:, None]
  loss = (want * tensor(torch, pull)).sum()
  (loss + (state * tensor(torch, state_pull)).sum()).backward()

  close(memory.values, want.detach())
  assert np.array_equal(memory.mask, real)
  assert not np.any(memory.values[~real])
  assert len(memory.state) == 1
  close(memory.state[0][0], state.detach())
  gradients_close([*stack_pairs(grads, stack), *extra])


def decoder(memory_dim=WIDTH, embed=WIDTH, head="softmax", **fields):
  """A decoder alone, and a memory with rubbish behind its ends."""
  shape = shape_of(**({"norm": "pre"} | fields))
  module = transformer.Decoder(
    layers.Embed(VOCAB, embed),
    heads.HEADS[head],
    VOCAB,
    memory_dim,
    shape,
    False,
    layers.Dropout(),
    ARGS,
  )
  rng = np.random.default_rng(2)
  values = normal(rng, 4, SOURCE, memory_dim)
  mask = np.arange(SOURCE)[None] < SRC_LEN[:, None]
  source = rng.integers(4, VOCAB + 2, (4, SOURCE)).astype(np.int32)
  if not memory_dim:
    mask, values = mask[:, :1], values[:, :1]
  memory = types.Memory(values, mask, (), None, source if memory_dim else None)
  tokens = rng.integers(1, VOCAB, (4, TARGET)).astype(np.int32)

  def touch(module):
    ready = module.prepare(memory)
    carry = module.start(ready)
    output = module.advance(ready, carry, module.embed(tokens[:, :1]))[1]
    return module.head.log_probs(ready, output)

  def init(key):
    return module.init(key, method=touch)

  return (
    module,
    scattered(jax.eval_shape(init, jax.random.key(0))),
    memory,
    tokens,
  )


CASES = {
  "pre": {"norm": "pre"},
  "post": {"norm": "post"},
  "entries": {"norm": "pre", "memory_dim": 6, "embed": 5},
  "language_model": {"norm": "post", "memory_dim": 0},
  "learned": {"norm": "pre", "positions": "learned"},
}


@pytest.mark.parametrize("name", ["pre", "post", "entries", "language_model"])
def test_decoder_equals_torch(name):
  torch = pytorch()
  module, variables, memory, tokens = decoder(**CASES[name])
  crossed, norm = name != "language_model", CASES[name]["norm"]
  params = variables["params"]
  pull = normal(np.random.default_rng(3), 4, TARGET, WIDTH)

  def run(module, values):
    ready = module.prepare(memory._replace(values=values))
    return module.unroll(ready, jnp.asarray(tokens))

  def total(params, values):
    output = module.apply({"params": params}, values, method=run)
    return jnp.sum(output.features * pull), output

  fast = compiled(jax.grad(total, (0, 1), has_aux=True))
  (grads, to_values), output = fast(params, memory.values)

  stack = twin(torch, norm, crossed)
  copy_weights(torch, stack_pairs(params, stack))
  leaves = {}

  def leaf(*path):
    """A further parameter of ours, for PyTorch to differentiate by."""
    ours, grad = params, grads
    for key in path:
      ours, grad = ours[key], grad[key]
    leaves[path] = (grad, tensor(torch, ours, True), slice(None))
    return leaves[path][1]

  x = leaf("embed_table", "table")[torch.tensor(tokens.astype(np.int64))]
  values = tensor(torch, memory.values, True)
  source = values
  if name == "entries":
    x = x @ leaf("entry", "kernel") + leaf("entry", "bias")
    source = source @ leaf("memory_entry", "kernel")
    source = source + leaf("memory_entry", "bias")
  x = x * math.sqrt(WIDTH) + tensor(torch, slow_sinusoids(TARGET, WIDTH))
  causal = torch.nn.Transformer.generate_square_subsequent_mask(
    TARGET, dtype=torch.float64
  )
  if crossed:
    seen = []
    last = stack.layers[-1].multihead_attn
    last.register_forward_pre_hook(lambda m, args: seen.append(args))
    padding = torch.tensor(~memory.mask)
    want = stack(x, source, causal, memory_key_padding_mask=padding)
    query, key, value = seen[0]
    _, weights = last(query, key, value, key_padding_mask=padding)
    close(output.attention, weights.detach())
    assert not np.any(output.attention[~memory.mask[:, None].repeat(TARGET, 1)])
  else:
    want = stack(x, causal)
    assert output.attention is None
  (want * tensor(torch, pull)).sum().backward()
  close(output.features, want.detach())
  pairs = [*stack_pairs(grads, stack), *leaves.values()]
  if crossed:
    pairs.append((to_values, values, slice(None)))
    assert not np.any(to_values[~memory.mask])
  gradients_close(pairs)


def other_words(tokens):
  """Another word for each, none of the special ones."""
  return (4 + (tokens - 3) % (VOCAB - 4)).astype(np.int32)


def unrolled(module):
  """Log-probabilities and weights of all steps at once."""

  def run(module, memory, tokens):
    ready = module.prepare(memory)
    output = module.unroll(ready, tokens)
    return module.head.log_probs(ready, output), output.attention

  return compiled(lambda v, *args: module.apply(v, *args, method=run))


def stepped(module, room=TARGET):
  """The same step by step, for K hypotheses: tokens [B, K, T]."""

  def run(variables, memory, tokens):
    ready = module.apply(variables, memory, method="prepare")
    carry = module.apply(variables, ready, room, method="start")
    count = tokens.shape[1]
    wide = jax.tree.map(lambda a: jnp.repeat(a, count, axis=1), carry)

    def step(module, carry, tokens):
      carry, output = module.advance(ready, carry, module.embed(tokens))
      return carry, (module.head.log_probs(ready, output), output.attention)

    def body(carry, tokens):
      return module.apply(variables, carry, tokens, method=step)

    return jax.lax.scan(body, wide, jnp.moveaxis(tokens, 2, 0))[1]

  fast = compiled(run)

  # [T, B, K, ...] -> [B, K, T, ...]
  def behind(a):
    return np.moveaxis(a, 0, 2)

  return lambda *args: jax.tree.map(behind, fast(*args))


@pytest.mark.parametrize(
  "name,head",
  [("entries", "softmax"), ("language_model", "softmax"), ("post", "pointer")],
)
def test_cached_steps_equal_all_at_once(name, head):
  """Also where the cache has more room; log-probabilities sum to 1."""
  module, variables, memory, tokens = decoder(**CASES[name], head=head)
  log_probs, weights = unrolled(module)(variables, memory, tokens)
  size = VOCAB + (SOURCE if head == "pointer" else 0)
  assert log_probs.shape == (4, TARGET, size)
  close(np.sum(np.exp(log_probs), axis=-1), np.ones((4, TARGET)))
  steps = stepped(module, TARGET + 2)
  got, seen = steps(variables, memory, tokens[:, None])
  close(np.exp(got[:, 0]), np.exp(log_probs))
  if weights is not None:
    close(seen[:, 0], weights)


@pytest.mark.parametrize("name", ["pre", "post"])
def test_hypotheses_of_a_source_do_not_meet(name):
  """Each one's log-probabilities are those of its own tokens alone."""
  module, variables, memory, _ = decoder(**CASES[name])
  rng = np.random.default_rng(5)
  tokens = rng.integers(4, VOCAB, (4, 3, TARGET)).astype(np.int32)
  run, steps = unrolled(module), stepped(module)
  got, seen = steps(variables, memory, tokens)
  for k in range(3):
    want, weights = run(variables, memory, tokens[:, k])
    close(got[:, k], want)
    close(seen[:, k], weights)
  other = tokens.copy()
  other[:, 1] = other_words(tokens[:, 1])
  again, _ = steps(variables, memory, other)
  assert np.array_equal(again[:, ::2], got[:, ::2])
  assert np.all(np.any(again[:, 1] != got[:, 1], axis=(1, 2)))


def model(**changes):
  """Encoder and decoder, weights, source and inputs."""
  module = build.build(config.replace(BASE, changes), VOCAB, VOCAB)
  rng = np.random.default_rng(6)
  src = rng.integers(4, VOCAB, (4, SOURCE)).astype(np.int32)
  src[np.arange(SOURCE)[None] >= SRC_LEN[:, None]] = types.PAD
  tgt = rng.integers(4, VOCAB, (4, TARGET)).astype(np.int32)
  tgt_len = np.array([5, 1, 3, 4], np.int32)
  tgt[np.arange(TARGET)[None] >= tgt_len[:, None]] = types.PAD
  row = np.arange(4, dtype=np.int32)
  batch = types.Batch(src, SRC_LEN, tgt, tgt_len, row)

  def init(key):
    return module.init(key, batch, method="initialize")

  return module, scattered(jax.eval_shape(init, jax.random.key(0))), batch


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
def test_steps_of_search_equal_unrolling(norm, positions):
  module, variables, batch = model(
    **{"transformer.norm": norm, "transformer.positions": positions}
  )
  tokens = np.random.default_rng(7).integers(1, VOCAB, (4, TARGET))
  tokens = tokens.astype(np.int32)

  @compiled
  def run(variables):
    def apply(*args, method):
      return module.apply(variables, *args, method=method)

    memory = apply(batch.src, batch.src_len, method="encode")
    output = apply(memory, jnp.asarray(tokens), method="unroll")
    whole = apply(
      lambda m: m.decoder.head.log_probs(memory, output),
      method=lambda m, f: f(m),
    )

    def step(carry, tokens):
      carry, *found = apply(memory, carry, tokens[:, None], method="step")
      return carry, found

    start = apply(memory, TARGET, method="start")
    steps = jax.lax.scan(step, start, jnp.asarray(tokens.T))[1]
    return whole, output.attention, steps

  whole, weights, steps = run(variables)
  for want, got in zip((whole, weights), steps):
    close(np.moveaxis(got[:, :, 0], 0, 1), want)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_padding_changes_nothing(norm):
  """Neither what stands in it nor how much there is, in values or gradients."""
  module, variables, batch = model(
    **{"transformer.norm": norm, "transformer.layers": 1}
  )

  def total(variables, batch):
    terms = module.apply(variables, batch, method="losses")
    return jnp.sum(terms["loss"]), terms

  run = compiled(jax.grad(total, has_aux=True))
  rng = np.random.default_rng(8)

  def padded(batch, source, target):
    src = np.pad(batch.src, ((0, 0), (0, source)))
    tgt = np.pad(batch.tgt, ((0, 0), (0, target)))
    for ids, ends in ((src, batch.src_len), (tgt, batch.tgt_len)):
      behind = np.arange(ids.shape[1])[None] >= ends[:, None]
      ids[behind] = rng.integers(0, VOCAB, np.sum(behind))
    return batch._replace(src=src, tgt=tgt)

  grads, terms = run(variables, batch)
  floor = 0.1 * max(np.max(np.abs(a)) for a in jax.tree.leaves(grads))
  behind = np.arange(TARGET)[None] >= batch.tgt_len[:, None]
  loss = terms.pop("loss")
  for name in terms:
    assert not np.any(terms[name][behind])
  assert loss > 0
  for source, target in ((0, 0), (3, 2)):
    more, found = run(variables, padded(batch, source, target))
    close(found.pop("loss"), loss)
    for name, want in terms.items():
      close(found[name][:, :TARGET], want)
      assert not np.any(found[name][:, TARGET:])
      if source == 0:
        assert np.array_equal(found[name], want)
    jax.tree.map(lambda a, b: close(a, b, 2e-5, floor), more, grads)


@pytest.mark.parametrize("name", ["pre", "post", "language_model"])
def test_no_step_sees_a_later_token(name):
  """By gradients, and exactly by changing what is fed."""
  module, variables, memory, tokens = decoder(**CASES[name])

  def run(module, embedded):
    ready = module.prepare(memory)
    inputs = module.embed(jnp.asarray(tokens))
    steps = jnp.arange(TARGET, dtype=jnp.int32)
    allowed = (steps[None] <= steps[:, None])[None]
    inputs = inputs._replace(embedded=inputs.embedded + embedded)
    x = module.places(inputs.embedded, steps[None])

    def own(i, layer):
      return layer.attention.keys

    return module.run(ready, x, own, allowed, inputs, {}).features

  def one(embedded, t):
    features = module.apply(variables, embedded, method=run)
    return jnp.sum(jnp.square(features[:, t]))

  slopes = compiled(jax.vmap(jax.grad(one), (None, 0)))
  zeros = np.zeros((4, TARGET, WIDTH), np.float32)
  slopes = slopes(zeros, np.arange(TARGET))  # [T, B, T, D]
  sees = np.any(slopes != 0, axis=(1, 3))
  if name != "post":  # a normed vector's squares have a fixed sum
    assert np.array_equal(sees, np.tril(np.ones((TARGET, TARGET), bool)))
  assert not np.any(np.triu(sees, 1))
  fast = unrolled(module)
  log_probs, _ = fast(variables, memory, tokens)
  for t in range(1, TARGET):
    later = tokens.copy()
    later[:, t:] = other_words(tokens[:, t:])
    other, _ = fast(variables, memory, later)
    assert np.array_equal(other[:, :t], log_probs[:, :t])
    assert np.all(np.any(other[:, t] != log_probs[:, t], axis=-1))


def test_padding_of_the_memory_is_not_seen():
  module, variables, memory, tokens = decoder(norm="post", head="pointer")
  run = unrolled(module)
  want, weights = run(variables, memory, tokens)
  rng = np.random.default_rng(9)
  noisy = np.where(
    memory.mask[..., None],
    memory.values,
    50 * normal(rng, *memory.values.shape),
  ).astype(np.float32)
  got, seen = run(variables, memory._replace(values=noisy), tokens)
  assert np.array_equal(got, want)
  assert np.array_equal(seen, weights)
  assert not np.any(seen[~memory.mask[:, None].repeat(TARGET, 1)])


@pytest.mark.parametrize("crossed", [True, False])
def test_masks_reach_every_part(crossed):
  """With all parts dropped only embeddings and places are left."""
  dropout = layers.Dropout(embed=0.2, word=0.2, rnn=0.4)
  module, variables, memory, tokens = decoder(
    memory_dim=WIDTH if crossed else 0
  )
  module = dataclasses.replace(module, dropout=dropout)
  specs = {mask.name: mask.shared for mask in module.mask_specs()}
  parts = ["attention", "feed"] + ["cross"] * crossed
  inner = {f"layer_{i}/{part}" for i in range(DEPTH) for part in parts}
  assert set(specs) == inner | {"embed", "word"}
  masks = drawn_for(module, TARGET, 4)

  @compiled
  def run(variables, masks):
    def both(module):
      ready = module.prepare(memory)
      one = module.unroll(ready, jnp.asarray(tokens), masks)
      carry, steps = module.start(ready, TARGET), []
      for t in range(TARGET):
        own = {k: m[t][:, None] for k, m in masks.items()}
        inputs = module.embed(tokens[:, t : t + 1], own)
        own = {k: m for k, m in own.items() if k not in ("embed", "word")}
        carry, output = module.advance(ready, carry, inputs, own)
        steps.append(output.features)
      return (
        one.features,
        jnp.concatenate(steps, axis=1),
        module.norm(
          module.places(
            module.embed(
              tokens, {k: m.swapaxes(0, 1) for k, m in masks.items()}
            ).embedded,
            jnp.arange(TARGET, dtype=jnp.int32)[None],
          )
        ),
      )

    return module.apply(variables, method=both)

  whole, steps, bare = run(variables, masks)
  close(whole, steps)
  for name in masks:
    plain = masks | {name: np.ones_like(masks[name])}
    assert not np.allclose(run(variables, plain)[0], whole, atol=1e-3), name
  none = masks | {k: np.zeros_like(masks[k]) for k in inner}
  whole, _, bare = run(variables, none)
  close(whole, bare)


def test_encoder_masks_are_those_of_its_length():
  """A row's dropout does not depend on the padded length."""
  module, variables, batch = model(
    **{"dropout.rnn": 0.3, "dropout.embed": 0.3, "dropout.word": 0.2}
  )

  def values(variables, src):
    keys = dropout_masks.row_keys(0, 0, batch.row)
    masks = dropout_masks.draw(keys, src.shape[1], module.encoder.mask_specs())
    names = {
      f"layer_{i}/{n}" for i in range(DEPTH) for n in ("attention", "feed")
    }
    assert set(masks) == names | {"embed", "word"}

    def run(module):
      return module.encoder(src, batch.src_len, masks).values

    return module.apply(variables, method=run)

  run = compiled(values)
  want = run(variables, batch.src)
  got = run(variables, np.pad(batch.src, ((0, 0), (0, 3))))
  close(got[:, :SOURCE], want)

  def quiet(v):
    return module.apply(
      v, method=lambda m: m.encoder(batch.src, batch.src_len).values
    )

  assert not np.allclose(compiled(quiet)(variables), want, atol=1e-2)
