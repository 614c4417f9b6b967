"""Bridges, decoders, encoders, CTC and sampling against loops in float64."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import oracle_models as oracle
import pytest
from test_cells import close, trees_close
from test_models import scattered

from seq2seq_jax import config, types
from seq2seq_jax.models import (
  bridges,
  build,
  cells,
  encoders,
  layers,
  noise,
  sampling,
  seq2seq,
)

pytestmark = pytest.mark.usefixtures("strict")
# These programs run for milliseconds: fast compilation matters more.
FAST = {
  "xla_backend_optimization_level": 0,
}
DENSE = {"init_kind": "xavier", "init_scale": 0.1, "dtype": jnp.float32}


def compiled(f):
  """f as one program whose results are NumPy's."""
  run = jax.jit(f, compiler_options=FAST)
  return lambda *args: jax.tree.map(np.asarray, run(*args))


def double(tree):
  return jax.tree.map(lambda a: np.asarray(a, np.float64), tree)


def normal(rng, *shape):
  return rng.normal(size=shape).astype(np.float32)


def slopes_close(grads, f, tree, step=1e-5, tolerance=1e-4):
  """Gradients against differences of f along one direction in each leaf."""
  leaves, structure = jax.tree.flatten(double(tree))
  assert jax.tree.structure(grads) == structure
  rng = np.random.default_rng(11)
  got, want = [], []
  for i, grad in enumerate(jax.tree.leaves(grads)):
    way = rng.normal(size=leaves[i].shape)
    near = []
    for side in (step, -step):
      moved = [*leaves[:i], leaves[i] + side * way, *leaves[i + 1 :]]
      near.append(f(structure.unflatten(moved)))
    want.append((near[0] - near[1]) / (2 * step))
    got.append(np.sum(np.asarray(grad, np.float64) * way))
  floor = 0.1 * np.max(np.abs(want))
  assert floor > 0
  for a, b in zip(got, want):
    close(a, b, tolerance, floor)


# Bridges.

DEPTHS = ((1, 1), (2, 1), (1, 3), (3, 2))
PAIRS = (("lstm", "lstm"), ("gru", "gru"), ("lstm", "gru"), ("gru", "lstm"))


def leaves_of(kind):
  return 2 if kind.endswith("lstm") or kind == "sru" else 1


def some_memory(rng, depth, leaves, width, rows=2, size=3):
  """Values, lengths and states of an encoder."""
  lengths = np.array([size, *rng.integers(1, size, rows - 1)], np.int32)
  mask = np.arange(size)[None] < lengths[:, None]
  values = normal(rng, rows, size, width) * mask[..., None]
  state = tuple(
    tuple(normal(rng, rows, width) for _ in range(leaves)) for _ in range(depth)
  )
  return types.Memory(values, mask, state)


def slow_bridge(kind, p, memory, row, depth, leaves, features, half):
  """First carries of one row."""
  if kind == "zero":
    return [(np.zeros(features),) * leaves] * depth
  states = [tuple(leaf[row] for leaf in layer) for layer in memory.state]
  values = memory.values[row][memory.mask[row]]
  if kind == "backward":
    # s_0 = tanh(W h_1 of the backward direction): Bahdanau et al. 2015.
    states, kind = [(states[-1][-1][half:],) * leaves], "dense"
  return oracle.bridge(kind, p, states, values, depth, leaves)


@pytest.mark.quick
@pytest.mark.parametrize("kind", ["zero", "last", "mean", "dense", "backward"])
def test_bridge_equals_its_equations(kind):
  features = 4
  width = features if kind == "last" else 6
  rng = np.random.default_rng(0)
  modules, memories, params, pulls = {}, {}, {}, {}
  for above, below in DEPTHS:
    for source, target in PAIRS:
      name = f"{source}{above}_{target}{below}"
      memory = some_memory(rng, above, leaves_of(source), width)
      cell = cells.CELLS[target](features, 1)
      module = bridges.Bridge(kind, cell, below, features, width // 2, DENSE)
      init = lambda key, module=module, memory=memory: module.init(
        key, memory, None
      )
      shapes = jax.eval_shape(init, jax.random.key(0))
      modules[name], memories[name] = module, memory
      params[name] = scattered(shapes, len(params)).get("params", {})
      pulls[name] = normal(rng, below, leaves_of(target), 2, 1, features)
  parts = lambda memory: (memory.values, memory.state)

  def total(params, inputs):
    out, value = {}, 0.0
    for name, module in modules.items():
      values, state = inputs[name]
      memory = memories[name]._replace(values=values, state=state)
      carries = module.apply({"params": params[name]}, memory, None)
      out[name] = jnp.stack([jnp.stack(carry) for carry in carries])
      value = value + jnp.sum(out[name] * pulls[name])
    return value, out

  run = compiled(jax.grad(total, (0, 1), has_aux=True))
  inputs = {name: parts(memory) for name, memory in memories.items()}
  grads, out = run(params, inputs)
  for name, module in modules.items():
    leaves = leaves_of(name.split("_")[1][:-1])

    def slow(tree, name=name, module=module, leaves=leaves):
      states = [tuple(layer.values()) for layer in tree["s"].values()]
      memory = memories[name]._replace(values=tree["v"], state=states)
      rows = [
        slow_bridge(
          kind,
          tree["p"],
          memory,
          b,
          module.layers,
          leaves,
          features,
          width // 2,
        )
        for b in range(2)
      ]
      return np.array(rows).transpose(1, 2, 0, 3)[:, :, :, None]

    state = lambda states: {
      str(i): {str(n): leaf for n, leaf in enumerate(layer)}
      for i, layer in enumerate(states)
    }
    tree = double(
      {
        "p": params[name],
        "v": memories[name].values,
        "s": state(memories[name].state),
      }
    )
    close(out[name], slow(tree))
    want = oracle.difference(
      lambda t, slow=slow, name=name: np.sum(slow(t) * pulls[name]), tree
    )
    got = {
      "p": grads[0][name],
      "v": grads[1][name][0],
      "s": state(grads[1][name][1]),
    }
    if kind == "zero":
      assert not any(np.any(leaf) for leaf in jax.tree.leaves((got, out)))
      continue
    trees_close(got, want)


# One step of a decoder, sentence by sentence.

VOCAB, EMBED = 7, 3
BASE = config.Model(
  embed_dim=EMBED,
  encoder_dim=2,
  decoder_dim=4,
  attention_dim=6,
  attention_heads=2,
  attention_window_size=1,
  attention_filters=2,
  attention_filter_width=3,
  attention_positions=4,
  context_length=3,
  readout_dim=5,
)


def remembers(name):
  return name in ("location_aware", "coverage", "feedback")


def slow_attend(m, p, query, source, s):
  """Context and weights of one query over the real positions."""
  ours = p.get("attention", {})
  score = dict(ours.get("score", {}))
  for vector in ("coverage", "feedback"):
    if vector in score:
      score[vector] = score[vector][:, 0]
  window = None
  if "window_v" in ours:
    window = {"weight": ours["window_weight"], "v": ours["window_v"]}
  context, weights = oracle.attend(
    m.attention,
    score,
    query,
    source["values"],
    s["past"],
    m.attention_norm,
    None if m.attention_window == "none" else m.attention_window,
    s["t"],
    m.attention_window_size,
    window,
    m.attention_heads if m.attention.startswith("multi_head") else 1,
  )
  if remembers(m.attention):
    s["past"] = oracle.remember(
      m.attention, score, s["past"], weights, source["values"]
    )
  return context, weights


def slow_fixed(m, source):
  """The fixed vector: the last state, or all outputs side by side."""
  if m.context == "last":
    return source["state"][-1][-1]
  width = source["values"].shape[1]
  out = np.zeros(m.context_length * width)
  for j, value in enumerate(source["values"][: m.context_length]):
    out[j * width : (j + 1) * width] = value
  return out


def slow_start(m, p, source):
  """What a sentence's first step starts from."""
  leaves = leaves_of(m.cells()[1])
  states, kind = source["state"], m.bridge
  if (
    m.attention == "none"
    and m.context == "all"
    and m.context_at != ("every_step")
  ):
    states = [(slow_fixed(m, source),) * leaves]
  if kind == "zero":
    cells = [(np.zeros(m.decoder_dim),) * leaves] * m.decoder_layers
  else:
    cells = oracle.bridge(
      kind,
      p["start_bridge"],
      states,
      source["values"],
      m.decoder_layers,
      leaves,
    )
  size = len(source["values"])
  width = source["values"].shape[1]
  read = p["head"]["kernel"].shape[0]
  return {
    "cells": cells,
    "read": np.zeros(read),  # the last readout
    "context": np.zeros(width),
    "past": np.zeros(size) if remembers(m.attention) else None,
    "copied": np.zeros(size),
    "t": 0,
  }


def slow_step(m, p, source, s, token, masks=None):
  """One step: log-probabilities, weights, and the next step's start."""
  # After: Luong et al. 2015; before: Bahdanau et al. 2015; between: Sennrich et
  # al. 2017; bottom_previous: Wu et al. 2016; bottom: tf/nmt's gnmt_v2.
  masks, s, old = masks or {}, dict(s), s["cells"]
  drop = lambda x, name: x * masks.get(name, 1.0)
  feeding = m.feed if m.input_feeding else "none"

  def cell(name, x, carry, feeds):
    own = {
      k.split("/")[1]: v for k, v in masks.items() if k.startswith(name + "/")
    }
    for k in own:
      if k.startswith("zone"):  # an oracle's zone mask is 0 or 1
        own[k] = (own[k] > 0).astype(np.float64)
    kind, depth = m.cells()[1], m.transition_depth
    return oracle.deep(kind, p[name], x, carry, depth, feeds, own, m.zoneout)

  table = p["embed_table"]["table"]
  x = table[token if token < len(table) else types.UNK]
  x = embedded = drop(drop(x, "embed"), "word")
  context = weights = None
  feeds, above = [], []  # of the lowest layer, of those above it
  if m.placement == "before":
    context, weights = slow_attend(m, p, old[-1][-1], source, s)
    feeds.append(context)
  if m.placement == "bottom_previous":
    context, weights = slow_attend(m, p, old[0][-1], source, s)
    feeds.append(context)
    above.append(context)
  beside = []
  if feeding == "readout":
    feeds.append(s["read"])
  elif feeding == "context":
    feeds.append(s["context"])
    beside = [s["context"]]
  elif m.placement == "bottom":
    feeds.append(s["context"])
  if m.head == "copynet":
    ids, values = source["ids"], source["values"]
    feeds.append(oracle.selective_read(s["copied"], ids, token, values))
  if m.attention == "none" and m.context_at != "start":
    context = slow_fixed(m, source)
    kernel = {f"feed_{len(feeds)}": p["context_gates"]["kernel"]}
    p = p | {"layer_0": p["layer_0"] | kernel}
    feeds.append(context)

  carry = cell("layer_0", x, old[0], feeds)
  if m.placement == "between":
    context, weights = slow_attend(m, p, carry[-1], source, s)
    carry = cell("layer_0_context", context, carry, [])
  if m.placement == "bottom":
    context, weights = slow_attend(m, p, carry[-1], source, s)
    above.append(context)
  new, top, inputs = [carry], carry[-1], []
  for i in range(1, m.decoder_layers):
    inputs.append(top)
    x = drop(top, f"layer_{i - 1}")
    carry = cell(f"layer_{i}", x, old[i], above)
    new.append(carry)
    top = carry[-1]
    if i + 1 >= m.residual_start:
      if m.residual == "add":
        top = top + inputs[-1]
      elif m.residual == "dense":
        top = top + sum(inputs)
  if m.placement == "after" and m.attention != "none":
    context, weights = slow_attend(m, p, top, source, s)

  state = old[-1][-1] if m.readout_state == "previous" else top
  read = oracle.readout(
    m.readout,
    p.get("readout_layer"),
    drop(state, f"layer_{m.decoder_layers - 1}"),
    None if m.readout_inputs == "state" else context,
    embedded if m.readout_inputs == "all" else None,
  )
  head = p["head"]
  logits = drop(read, "readout") @ head["kernel"] + head["bias"]
  log_probs = oracle.log_softmax(logits)
  if m.head == "copynet":
    scores = oracle.copy_scores(
      {"copy": head["copy"]["kernel"]}, source["values"], top
    )
    probs = oracle.copynet(logits, scores, source["ids"], source["room"])
    log_probs = np.log(np.maximum(probs, 1e-30))
    s["copied"] = scores
  if m.head == "pointer":
    gate = oracle.p_gen(
      head["gate"]["kernel"],
      head["gate"]["bias"],
      context,
      np.concatenate(carry),
      np.concatenate([embedded, *beside]),
    )
    probs = oracle.pointer(
      np.exp(log_probs), weights, source["ids"], gate, source["room"]
    )
    log_probs = np.log(np.maximum(probs, 1e-30))
  s |= {"cells": new, "read": read, "context": context, "t": s["t"] + 1}
  return log_probs, weights, s


def slow_rows(m, p, memory, tokens, masks=None):
  """All steps of all rows. [B, T, V + X], [B, T, S]."""
  rows, size = memory.mask.shape
  found, looked = [], np.zeros((*tokens.shape, size))
  for b in range(rows):
    n = int(np.sum(memory.mask[b]))
    source = {
      "values": memory.values[b, :n],
      "state": [tuple(leaf[b] for leaf in layer) for layer in memory.state],
      "ids": None if memory.source is None else memory.source[b, :n],
      "room": size,
    }
    s, out = slow_start(m, p, source), []
    for t, token in enumerate(tokens[b]):
      one = {k: mask[t, b] for k, mask in (masks or {}).items()}
      log_probs, weights, s = slow_step(m, p, source, s, int(token), one)
      out.append(log_probs)
      if weights is not None:
        looked[b, t, :n] = weights
    found.append(out)
  return np.array(found), looked


def decoding(m, rows=3, size=4, seed=0):
  """A model, its decoder's weights, a memory and inputs of three steps."""
  rng = np.random.default_rng(seed)
  copies = m.head != "softmax"
  module = build.build(m, VOCAB, VOCAB)
  leaves = leaves_of(m.cells()[0])
  width = m.encoder_widths()[-1]
  memory = some_memory(rng, m.encoder_layers, leaves, width, rows, size)
  ids = rng.integers(4, VOCAB + 2, (rows, size)).astype(np.int32)
  ids[:, 2] = ids[:, 0]  # a word twice
  if copies:
    source = np.where(memory.mask, ids, types.PAD).astype(np.int32)
    memory = memory._replace(source=source)
  tokens = rng.integers(4, VOCAB, (rows, 3)).astype(np.int32)
  tokens[:, 0] = types.BOS
  if copies:
    tokens[:, 1] = ids[:, 0]
    tokens[1, 2] = VOCAB + size - 1  # no word of this sentence

  def touch(module):
    ready = module.decoder.prepare(memory)
    return module.step(ready, module.start(ready), tokens[:, :1])

  init = lambda key: module.init(key, method=touch)
  shapes = jax.eval_shape(init, jax.random.key(0))
  return module, scattered(shapes), memory, tokens


def stepped(module, variables, memory, tokens):
  """Log-probabilities and weights of search's steps."""

  def step(carry, tokens):
    carry, *found = module.apply(
      variables, memory, carry, tokens[:, None], method="step"
    )
    return carry, jax.tree.map(lambda a: a[:, 0], found)

  start = module.apply(variables, memory, tokens.shape[1], method="start")
  _, found = jax.lax.scan(step, start, jnp.asarray(tokens).swapaxes(0, 1))
  return jax.tree.map(lambda a: a.swapaxes(0, 1), found)


def drawn_for(module, length, rows=5):
  """Masks as those of a batch of `rows` rows."""
  rng = np.random.default_rng(12)
  out = {}
  for mask in module.masks():
    shape = (1 if mask.shared else length, rows, mask.width)
    kept = (rng.random(shape) >= mask.rate) / np.float32(1 - mask.rate)
    if mask.rate:
      out[mask.name] = np.broadcast_to(kept, (length, *shape[1:]))
  return {k: v.astype(np.float32) for k, v in out.items()}


def check_decoder(slopes=False, masks=None, **changes):
  """Steps, unrolling and (slopes) gradients of a config against the loop."""
  m = dataclasses.replace(BASE, **changes)
  module, variables, memory, tokens = decoding(m)
  room = 0 if m.head == "softmax" else memory.mask.shape[1]
  pull = normal(np.random.default_rng(3), *tokens.shape, VOCAB + room)
  drawn = {}
  if masks:
    drawn = drawn_for(module.decoder, tokens.shape[1], len(tokens))
    assert masks <= set(drawn)

  def unrolled(module, values, state, noise):
    ready = memory._replace(values=values, state=state)
    ready = module.decoder.prepare(ready)
    output = module.unroll(ready, jnp.asarray(tokens), noise)
    log_probs = module.decoder.log_probs(ready, output)
    return jnp.sum(log_probs * pull), (ready, log_probs, output.attention)

  def total(*args):
    variables, *rest = args
    return module.apply(variables, *rest, method=unrolled)

  def run(*args):
    if slopes:
      grads, out = jax.grad(total, (0, 1, 2), has_aux=True)(*args)
    else:
      grads, out = (), total(*args)[1]
    return grads, out[1:], stepped(module, args[0], out[0], tokens)

  args = (variables, memory.values, memory.state, drawn)
  grads, out, steps = compiled(run)(*args)
  p = double(variables["params"]["decoder"])
  theirs = double(drawn)
  log_probs, weights = slow_rows(m, p, memory, tokens, theirs)
  close(np.exp(out[0]), np.exp(log_probs))
  if m.head == "softmax":
    close(out[0], log_probs)
  if m.attention != "none":
    close(out[1], weights)
    assert not np.any(out[1][weights == 0])
  else:
    assert out[1] is None
  if masks:
    log_probs, weights = slow_rows(m, p, memory, tokens)
  close(np.exp(steps[0]), np.exp(log_probs))
  if m.attention != "none":
    close(steps[1], weights)
  if not slopes:
    return

  def slow(tree):
    moved = memory._replace(values=tree[1], state=tree[2])
    return np.sum(slow_rows(m, tree[0], moved, tokens, theirs)[0] * pull)

  tree = (variables["params"]["decoder"], memory.values, memory.state)
  slopes_close((grads[0]["params"]["decoder"], *grads[1:]), slow, tree)


PLACES = ("after", "before", "between", "bottom", "bottom_previous")
FEEDS = ("none", "readout", "context")
READS = ("tanh", "maxout", "linear")
INPUTS = ("state", "state_context", "all")
# With cells and scores spread over them, and every readout with every input.
SPREAD = {
  "cell": ("lstm", "gru", "gru_bahdanau", "ln_lstm", "sru"),
  "attention": (
    "additive",
    "general",
    "location_aware",
    "multi_head_dot",
    "coverage",
    "scaled_general",
    "feedback",
  ),
}


@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("place", PLACES)
def test_decoder_equals_a_loop(place, feed):
  i, j = PLACES.index(place), FEEDS.index(feed)
  changes = {
    "placement": place,
    "input_feeding": feed != "none",
    "feed": "readout" if feed == "none" else feed,
    "readout": READS[(i + j) % 3],
    "readout_inputs": INPUTS[(i + 2 * j) % 3],
    "decoder_layers": 2 if place.startswith("bottom") else 1 + (i + j) % 3,
  }
  for name, choices in SPREAD.items():
    changes[name] = choices[(3 * i + j) % len(choices)]
  check_decoder(**changes)


GRADIENTS = {
  "luong": {"attention": "general"},
  "bahdanau": {
    "cell": "gru_bahdanau",
    "attention": "additive",
    "placement": "before",
    "input_feeding": False,
    "readout": "maxout",
    "readout_inputs": "all",
    "readout_state": "previous",
    "bridge": "mean",
  },
  "conditional_gru": {
    "cell": "gru",
    "attention": "additive",
    "placement": "between",
    "input_feeding": False,
    "readout_inputs": "all",
    "transition_depth": 2,
  },
  "gnmt": {
    "attention": "normed_additive",
    "placement": "bottom_previous",
    "input_feeding": False,
    "readout": "linear",
    "decoder_layers": 3,
    "residual": "add",
    "residual_start": 2,
  },
  "gnmt_v2": {
    "attention": "normed_additive",
    "placement": "bottom",
    "input_feeding": False,
    "readout": "linear",
    "readout_inputs": "state",
    "decoder_layers": 3,
    "residual": "add",
    "residual_start": 3,
  },
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_of_published_decoders(name):
  check_decoder(slopes=True, **GRADIENTS[name])


MORE = {
  "previous_tanh": {"readout_state": "previous", "placement": "before"},
  "previous_linear_deep": {
    "readout_state": "previous",
    "placement": "before",
    "readout": "linear",
    "readout_inputs": "all",
    "feed": "context",
    "decoder_layers": 2,
    "residual": "add",
  },
  "dense_residual": {
    "decoder_layers": 3,
    "residual": "dense",
    "residual_start": 2,
  },
  "monotonic_all_at_once": {
    "attention_window": "monotonic",
    "input_feeding": False,
  },
  "predictive_sparsemax": {
    "attention_window": "predictive",
    "attention_norm": "sparsemax",
    "placement": "between",
    "attention": "concat",
  },
  "none_start": {"attention": "none", "input_feeding": False},
  "none_every_step": {
    "attention": "none",
    "context_at": "every_step",
    "bridge": "zero",
    "cell": "ln_gru",
  },
  "none_all_start": {"attention": "none", "context": "all"},
  "none_all_both": {
    "attention": "none",
    "context": "all",
    "context_at": "both",
    "decoder_layers": 2,
    "readout": "linear",
    "readout_inputs": "all",
  },
  "mixed_cells": {
    "cell": "gru",
    "decoder_cell": "lstm",
    "encoder_layers": 2,
    "decoder_layers": 3,
  },
}


@pytest.mark.parametrize("name", MORE)
def test_other_decoders_equal_a_loop(name):
  check_decoder(**MORE[name])


DROPOUTS = {
  "dropout_embed": 0.3,
  "dropout_word": 0.3,
  "dropout_rnn": 0.3,
  "dropout_state": 0.3,
  "dropout_update": 0.3,
  "dropout_readout": 0.3,
}


@pytest.mark.parametrize("feeding", [False, True])
def test_decoder_with_masks_equals_a_loop(feeding):
  """Where all steps are read at once, and where they are looped over."""
  masks = {"embed", "word", "layer_0", "layer_1", "readout", "layer_1/state"}
  masks |= {"layer_0/update", "layer_1/zone_0", "layer_0/zone_1"}
  check_decoder(
    masks=masks,
    input_feeding=feeding,
    decoder_layers=2,
    zoneout=0.2,
    readout_inputs="all",
    **DROPOUTS,
  )


def test_conditional_gru_masks_both_cells():
  check_decoder(
    masks={"layer_0/state", "layer_0_context/state", "layer_0_context/update"},
    cell="gru",
    placement="between",
    **DROPOUTS,
  )


# Encoders.

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
  kind = next(k for k, v in cells.CELLS.items() if v is m.cell)
  depth = m.cell_args.get("depth", 1)
  zoneout = m.cell_args.get("zoneout", 0.0)
  carry = (np.zeros(m.features),) * m.cell.leaves
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
  drop = lambda x, name: x * masks[name][: len(x)] if name in masks else x
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
  fields = dict(
    embed=encoders.Frames(3),
    cell=cells.CELLS[cell],
    cell_args={},
    features=3,
    depth=depth,
    direction="forward",
    stacking="joint",
    residual="none",
    residual_start=2,
    reduction="concat",
    reductions=0,
    dropout=layers.Dropout(),
  ) | (fields | changes)
  model = encoders.Encoder(**fields)
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
    run = lambda *args: ((), memory(*args))
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
def test_which_masks_are_shared_by_all_steps():
  """Gal's are, word dropout and zoneout are not, the state's always is."""
  keys = noise.row_keys(0, 1, np.arange(9, dtype=np.int32))
  draw = lambda masks: compiled(lambda keys: noise.draw(keys, 40, masks))(keys)
  always = lambda name: name.endswith("/state")
  never = lambda name: name == "word" or "/zone" in name
  for shared in (False, True):
    drop = layers.Dropout(**RATES, shared=shared)
    encoder, _, _ = encoding(
      "joint", dropout=drop, features=16, cell_args={"zoneout": 0.3}, depth=1
    )
    changes = DROPOUTS | {"variational": shared, "zoneout": 0.3}
    module = build.build(dataclasses.replace(BASE, **changes), VOCAB, VOCAB)
    specs = {mask.name: mask.shared for mask in module.decoder.masks()}
    names = {"embed", "word", "layer_0", "layer_0/state", "layer_0/update"}
    assert set(specs) == names | {"readout", "layer_0/zone_0", "layer_0/zone_1"}
    for name, same in specs.items():
      assert same == (always(name) or (shared and not never(name))), name
    masks = draw(encoder.masks())
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
  """With `dropout_last` off, those between layers alone, as PyTorch does it."""
  m = dataclasses.replace(
    BASE,
    encoder_layers=3,
    decoder_layers=2,
    dropout_rnn=0.3,
    dropout_last=last,
  )
  module = build.build(m, VOCAB, VOCAB)
  top = lambda i: {f"layer_{i}"} if last else set()
  for part, wanted in [
    (module.encoder, {"layer_0", "layer_1"} | top(2)),
    (module.decoder, {"layer_0"} | top(1)),
  ]:
    assert {mask.name for mask in part.masks() if mask.rate} == wanted


@pytest.mark.quick
def test_word_masks_drop_whole_embeddings():
  m = dataclasses.replace(BASE, dropout_word=0.4, encoder_layers=1)
  module = build.build(m, VOCAB, VOCAB)
  src = np.random.default_rng(2).integers(4, VOCAB, (5, 30)).astype(np.int32)
  full = np.full(5, 30, np.int32)
  rows = np.arange(5, dtype=np.int32)
  batch = types.Batch(src, full, src[:, :3], full, rows)
  init = lambda key: module.init(key, batch, method="initialize")
  variables = scattered(jax.eval_shape(init, jax.random.key(0)))
  keys = noise.row_keys(0, 1, batch.row)
  draw = compiled(lambda keys: noise.draw(keys, 30, module.encoder.masks()))
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
  inputs = lambda module, noise: (
    module.decoder.embed(
      src, {k: m.swapaxes(0, 1) for k, m in noise.items()}
    ).gates
  )
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
  model = encoders.Convolution(BINS, CHANNELS)
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
  value = lambda tree: sum(
    np.sum(y * w[: len(y)]) for y, w in zip(slow(tree), pull)
  )
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


@pytest.mark.parametrize("kind", ["rnn", "transformer_rnn"])
def test_dropout_behind_the_front_end(kind):
  m = dataclasses.replace(
    BASE,
    architecture=kind,
    input_features=BINS,
    front_end="convolution",
    front_end_channels=CHANNELS,
    transformer_dim=4,
    transformer_heads=2,
    transformer_layers=1,
    dropout_embed=0.3,
    dropout_word=0.3,
  )
  module = build.build(m, VOCAB, VOCAB)
  src = normal(np.random.default_rng(1), len(FRAMES), 9, BINS)
  tgt = np.full((len(FRAMES), 2), types.EOS, np.int32)
  rows = np.arange(len(FRAMES), dtype=np.int32)
  batch = types.Batch(src, FRAMES, tgt, np.full(4, 2, np.int32), rows)

  def run(key):
    variables = module.init(key, batch, method="initialize")
    keys = noise.row_keys(0, 0, rows)
    return module.apply(variables, batch, keys, method="losses")

  assert jax.eval_shape(run, jax.random.key(0))["nll"].shape == tgt.shape


def test_residual_over_concatenated_pairs_is_refused():
  changes = {"reductions": 1, "residual": "add", "encoder_layers": 2}
  with pytest.raises(types.UserError, match="residual"):
    dataclasses.replace(BASE, **changes)


# Connectionist temporal classification.

LABELS = 5


def test_ctc_equals_the_sum_over_alignments():
  m = dataclasses.replace(BASE, encoder_dim=2)
  module = build.build(m, LABELS, LABELS, ctc=True)
  rng = np.random.default_rng(8)
  targets = (
    [3, 4],
    [],
    [4, 4],
    [3, 3, 4],
    [1, 3, 4, 3],
    [3, 3, 3],
    [],
    [3] * 5,
  )
  lengths = np.array([4, 3, 3, 4, 4, 4, 1, 4], np.int32)
  rows, size = len(targets), 4
  tgt = np.zeros((rows, 7), np.int32)
  for b, labels in enumerate(targets):
    tgt[b, : len(labels) + 1] = [*labels, types.EOS]
  tgt_len = np.array([len(t) + 1 for t in targets], np.int32)
  tgt_len[6] = 0  # a filler
  tgt[6] = types.PAD
  too_long = [5, 7]  # three equal labels need five positions
  values = normal(rng, rows, size, 4)
  mask = np.arange(size)[None] < lengths[:, None]
  batch = types.Batch(None, lengths, tgt, tgt_len, np.arange(rows))
  p = {
    "kernel": normal(rng, 4, LABELS),
    "bias": normal(rng, LABELS),
  }

  def losses(p, values):
    memory = types.Memory(values, mask, ())
    variables = {"params": {"ctc_head": p}}
    terms = module.apply(variables, memory, batch, method="ctc_losses")
    return jnp.sum(terms), terms

  run = compiled(jax.grad(losses, (0, 1), has_aux=True))
  grads, terms = run(p, values)

  def slow(tree):
    out = np.zeros(rows)
    for b, n in enumerate(lengths):
      if b in too_long or tgt_len[b] == 0:
        continue
      logits = tree[1][b, :n] @ tree[0]["kernel"] + tree[0]["bias"]
      out[b] = oracle.ctc_nll(logits, targets[b])
    return out

  close(terms, slow(double((p, values))))
  assert np.array_equal(np.flatnonzero(terms == 0), [5, 6, 7])
  slopes_close(grads, lambda tree: np.sum(slow(tree)), (p, values))
  for b, n in enumerate(lengths):
    end = 0 if b in (5, 6, 7) else n
    assert not np.any(grads[1][b, end:])
  # What stands behind EOS and behind a source's end is not seen.
  other = tgt.copy()
  for b, n in enumerate(tgt_len):
    other[b, n:] = 3
  batch = batch._replace(tgt=other)
  noisy = np.where(mask[..., None], values, np.float32(5.0))
  more, seen = compiled(jax.grad(losses, (0, 1), has_aux=True))(p, noisy)
  assert np.array_equal(seen, terms)
  trees_close(more[0], grads[0])


def test_ctc_shares_the_loss():
  """(1 - w) of the decoder's and w of CTC's."""
  module = build.build(BASE, VOCAB, VOCAB, ctc=True)
  rng = np.random.default_rng(9)
  src = rng.integers(4, VOCAB, (3, 6)).astype(np.int32)
  tgt = np.array([[4, 5, 2], [6, 2, 0], [2, 0, 0]], np.int32)
  tgt_len = np.array([3, 2, 1], np.int32)
  rows = np.arange(3, dtype=np.int32)
  batch = types.Batch(src, np.array([6, 4, 2], np.int32), tgt, tgt_len, rows)
  init = lambda key: module.init(key, batch, method="initialize")
  variables = scattered(jax.eval_shape(init, jax.random.key(0)))
  plain, shared = compiled(
    lambda v: [
      module.apply(v, batch, None, seq2seq.Losses(ctc=c), method="losses")
      for c in (0.0, 0.3)
    ]
  )(variables)
  close(shared["loss"], 0.7 * plain["loss"])
  close(shared["nll"], plain["nll"])
  both = lambda m: m.ctc_losses(m.encode(batch.src, batch.src_len), batch)
  ctc = compiled(lambda v: module.apply(v, method=both))(variables)
  assert np.all(ctc > 0) and "ctc" not in plain
  close(shared["ctc"], 0.3 * ctc)


# Scheduled sampling.


@pytest.mark.quick
def test_courses_of_scheduled_sampling():
  courses = (
    ("linear", 0.9, 0.2, 0.01, (0.9, 0.01, 0.2)),
    ("exponential", 0.0, 0.0, 0.97, (0.97,)),
    ("inverse_sigmoid", 0.0, 0.0, 20.0, (20.0,)),
  )
  steps = np.array([0, 1, 7, 40, 69, 70, 71, 150, 5000], np.int32)
  for course, rate, low, k, args in courses:
    run = compiled(
      lambda i, c=course, a=(rate, low, k): sampling.gold_probability(c, i, *a)
    )
    for i in steps:
      want = oracle.gold_probability(course, int(i), *args)
      np.testing.assert_allclose(run(i), want, rtol=2e-5, atol=1e-7)
  assert sampling.gold_probability("constant", 9, 0.25, 0.0, 0.0) == 0.25
  assert sampling.gold_probability("inverse_sigmoid", 10**6, 1, 0, 1.0) == 0


@pytest.mark.quick
def test_coins_are_those_of_their_unit():
  folded = jax.jit(lambda rows: noise.row_keys(3, 5, rows))
  keys = lambda rows: folded(np.array(rows, np.int32))
  shared = noise.batch_key(3, 5)
  for unit in ("token", "sequence", "step"):
    draw = jax.jit(
      lambda keys, n=6, unit=unit: sampling.coins(unit, shared, keys, n),
      static_argnums=1,
      compiler_options=FAST,
    )
    coins = np.asarray(draw(keys([0, 1, 2, 3])))
    assert coins.shape == (6, 4)
    assert np.all((coins >= 0) & (coins < 1))
    over_time = np.all(coins == coins[:1])
    over_rows = np.all(coins == coins[:, :1])
    assert over_time == (unit == "sequence")
    assert over_rows == (unit == "step")
    alone = np.asarray(draw(keys([7, 2, 0])))
    assert np.array_equal(alone[:, 1:], coins[:, [2, 0]])
    assert np.array_equal(draw(keys([0, 1, 2, 3]), 9)[:6], coins)
    if unit == "token":
      assert len(np.unique(coins)) == coins.size
  other = sampling.coins("step", noise.batch_key(3, 6), keys([0]), 6)
  assert not np.any(other[:, 0] == coins[:, 0])


SAMPLED = {
  "luong": {"decoder_layers": 2},
  "all_at_once": {"input_feeding": False, "decoder_layers": 2},
  "copynet": {"head": "copynet"},
  "transformer": {
    "architecture": "rnn_transformer",
    "transformer_dim": 4,
    "transformer_heads": 2,
    "transformer_layers": 2,
    "transformer_hidden": 6,
  },
}


@pytest.mark.parametrize("name", SAMPLED)
def test_sampled_inputs_are_the_models_own(name):
  """Gold, greedy and mixed inputs against search's steps."""
  m = dataclasses.replace(BASE, **SAMPLED[name], **DROPOUTS)
  module, variables, memory, _ = decoding(m)
  rng = np.random.default_rng(4)
  steps, rows = 5, len(memory.mask)
  given = rng.integers(4, VOCAB, (rows, steps)).astype(np.int32)
  given[:, 0] = types.BOS
  coins = rng.random((steps, rows)).astype(np.float32)
  masks = drawn_for(module.decoder, steps, rows)
  assert "embed" in masks

  @compiled
  def run(variables, gold, coins):
    def both(module):
      ready = module.decoder.prepare(memory)
      sampled = sampling.Sampled(gold, coins, None)
      plain = [
        module.unroll(ready, jnp.asarray(given), noise, sampled)
        for noise in (None, masks)
      ]
      return [module.decoder.log_probs(ready, output) for output in plain]

    return module.apply(variables, method=both)

  @compiled
  def forced(variables, inputs):
    def both(module):
      ready = module.decoder.prepare(memory)
      plain = [module.unroll(ready, inputs, noise) for noise in (None, masks)]
      return [module.decoder.log_probs(ready, output) for output in plain]

    return module.apply(variables, method=both)

  def inputs_of(gold, noisy):
    """What the model chooses, found by feeding longer and longer prefixes."""
    fed = given.copy()
    for t in range(1, steps):
      found = forced(variables, fed)[noisy][:, t - 1].astype(np.float64)
      found[:, [types.PAD, types.BOS]] = -np.inf
      fed[:, t] = np.where(coins[t] < gold, given[:, t], np.argmax(found, 1))
    return fed

  for gold in (1.0, 0.5, 0.0):
    got = run(variables, np.float32(gold), coins)
    for noisy in (0, 1):
      fed = inputs_of(gold, noisy)
      assert np.array_equal(fed, given) == (gold == 1.0)
      want = forced(variables, fed)[noisy]
      close(np.exp(got[noisy]), np.exp(want))


def test_drawn_inputs_depend_on_their_row_alone():
  m = dataclasses.replace(BASE, head="pointer")
  module, variables, memory, given = decoding(m, rows=4)
  base = noise.row_keys(0, 0, np.arange(4, dtype=np.int32))

  @compiled
  def run(variables, memory, given, keys):
    def sampled(module):
      ready = module.decoder.prepare(memory)
      coins = sampling.coins("token", None, seq2seq.fold(keys, 2), 3)
      own = sampling.Sampled(np.float32(0.1), coins, seq2seq.fold(keys, 3))
      output = module.unroll(ready, given, None, own)
      return module.decoder.log_probs(ready, output)

    return module.apply(variables, method=sampled)

  found = run(variables, memory, given, base)
  order = np.array([2, 0, 3])
  some = jax.tree.map(lambda a: a[order], memory)
  again = run(variables, some, given[order], base[order])
  close(np.exp(again), np.exp(found)[order])
  other = run(variables, memory, given, base[np.array([1, 0, 3, 2])])
  assert not np.allclose(np.exp(other[:, 1:]), np.exp(found[:, 1:]), atol=1e-4)


@pytest.mark.quick
def test_drawn_tokens_follow_the_distribution():
  log_probs = np.log(np.array([0.3, 0.2, 0.1, 0.1, 0.3], np.float32))
  keys = noise.row_keys(0, 0, np.arange(4000, dtype=np.int32))
  own = sampling.Sampled(0.0, None, keys)
  wide = np.broadcast_to(log_probs, (4000, 5))
  run = compiled(lambda t: sampling.choose(own, wide, t))
  drawn = run(0)
  share = np.bincount(drawn, minlength=5) / 4000
  close(share[:2], [0, 0])  # neither pad nor bos
  np.testing.assert_allclose(share[2:], [0.2, 0.2, 0.6], atol=0.035)
  assert np.mean(drawn == run(1)) < 0.6


def test_losses_sample_by_the_course():
  """At probability 1 the plain losses; validation never samples."""
  m = dataclasses.replace(BASE, dropout_rnn=0.2)
  module = build.build(m, VOCAB, VOCAB)
  rng = np.random.default_rng(1)
  rows = np.arange(3, dtype=np.int32)
  length = np.array([5, 3, 4], np.int32)
  ids = rng.integers(4, VOCAB, (3, 5)).astype(np.int32)
  batch = types.Batch(ids, length, ids, length, rows)
  init = lambda key: module.init(key, batch, method="initialize")
  variables = scattered(jax.eval_shape(init, jax.random.key(0)))
  what = [
    seq2seq.Losses(),
    seq2seq.Losses(course="constant", rate=1.0),
    seq2seq.Losses(course="linear", rate=1.0, k=0.1, unit="step"),
    seq2seq.Losses(course="linear", rate=1.0, k=0.1, choice="sample"),
  ]

  @compiled
  def run(variables, step):
    keys = noise.row_keys(0, 7, rows)
    shared = noise.batch_key(0, 7)
    out = [
      module.apply(variables, batch, keys, w, shared, step, method="losses")
      for w in what
    ]
    silent = module.apply(
      variables, batch, None, what[2], None, step, method="losses"
    )
    plain = module.apply(variables, batch, None, method="losses")
    return [o["loss"] for o in out], silent["loss"], plain["loss"]

  losses, silent, plain = run(variables, np.int32(0))
  for loss in losses[1:]:
    close(loss, losses[0])
  assert np.array_equal(silent, plain)
  losses, silent, plain = run(variables, np.int32(10))
  close(losses[1], losses[0])
  assert np.array_equal(silent, plain)
  assert not np.allclose(losses[2], losses[0], atol=1e-4)
  assert not np.allclose(losses[3], losses[0], atol=1e-4)
