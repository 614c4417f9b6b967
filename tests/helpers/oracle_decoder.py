"""A decoder of any config, sentence by sentence, and its comparison."""

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax import config, types
from seq2seq_jax.models import (
  build,
)
from tests.helpers import oracle_models as oracle
from tests.helpers.numeric import (
  close,
  compiled,
  double,
  drawn_for,
  leaves_of,
  normal,
  scattered,
  slopes_close,
  some_memory,
)

VOCAB, EMBED = 7, 3
BASE = config.Model(
  embed_dim=EMBED,
  encoder=config.Encoder(dim=2),
  decoder=config.Decoder(
    dim=4,
    context_length=3,
  ),
  attention=config.Attention(
    dim=6,
    heads=2,
    window_size=1,
    filters=2,
    filter_width=3,
    positions=4,
  ),
  readout=config.Readout(dim=5),
)

DROPOUTS = {
  "dropout.embed": 0.3,
  "dropout.word": 0.3,
  "dropout.rnn": 0.3,
  "dropout.state": 0.3,
  "dropout.update": 0.3,
  "dropout.readout": 0.3,
}


def a_batch(copies=False, size=VOCAB):
  """Three rows; copies: some words are beyond the vocabulary."""
  rng = np.random.default_rng(7)
  src_len, tgt_len = np.array([[5, 3, 1], [4, 2, 3]], np.int32)
  src = rng.integers(4, size + 2, (3, 5)).astype(np.int32)
  tgt = rng.integers(4, size, (3, 4)).astype(np.int32)
  src[0, 3] = src[0, 1]
  tgt[0, :2] = src[0, 1], size + 1
  tgt[2, 1] = src[2, 0]
  src[np.arange(5)[None] >= src_len[:, None]] = types.PAD
  tgt[np.arange(4)[None] >= tgt_len[:, None]] = types.PAD

  def inside(ids):
    return np.where(ids < size, ids, types.UNK).astype(np.int32)

  extended = (src, tgt) if copies else (None, None)
  row = np.arange(3, dtype=np.int32)
  return types.Batch(inside(src), src_len, inside(tgt), tgt_len, row, *extended)


def modelled(batch, **changes):
  """A model and scattered weights."""
  module = build.build(config.replace(BASE, changes), VOCAB, VOCAB)

  def init(key):
    return module.init(key, batch, method="initialize")

  return module, scattered(jax.eval_shape(init, jax.random.key(0)))


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
    m.attention.score,
    score,
    query,
    source["values"],
    s["past"],
    m.attention.norm,
    None if m.attention.window == "none" else m.attention.window,
    s["t"],
    m.attention.window_size,
    window,
    m.attention.heads if m.attention.score.startswith("multi_head") else 1,
  )
  if remembers(m.attention.score):
    s["past"] = oracle.remember(
      m.attention.score, score, s["past"], weights, source["values"]
    )
  return context, weights


def slow_fixed(m, source):
  """The fixed vector: the last state, or all outputs side by side."""
  if m.decoder.context == "last":
    return source["state"][-1][-1]
  width = source["values"].shape[1]
  out = np.zeros(m.decoder.context_length * width)
  for j, value in enumerate(source["values"][: m.decoder.context_length]):
    out[j * width : (j + 1) * width] = value
  return out


def slow_start(m, p, source):
  """What a sentence's first step starts from."""
  leaves = leaves_of(m.cells()[1])
  states, kind = source["state"], m.decoder.bridge
  if (
    m.attention.score == "none"
    and m.decoder.context == "all"
    and m.decoder.context_at != ("every_step")
  ):
    states = [(slow_fixed(m, source),) * leaves]
  if kind == "zero":
    cells = [(np.zeros(m.decoder.dim),) * leaves] * m.decoder.layers
  else:
    cells = oracle.bridge(
      kind,
      p.get("start_bridge", {}),
      states,
      source["values"],
      m.decoder.layers,
      leaves,
      m.decoder.dim,
    )
  size = len(source["values"])
  past = np.zeros(size)
  if m.attention.location_start == "uniform":
    past = np.full(size, 1 / size)
  width = source["values"].shape[1]
  read = p["head"]["kernel"].shape[0]
  return {
    "cells": cells,
    "read": np.zeros(read),  # the last readout
    "context": np.zeros(width),
    "past": past if remembers(m.attention.score) else None,
    "copied": np.zeros(size),
    "t": 0,
  }


def slow_step(m, p, source, s, token, masks=None):
  """One step: log-probabilities, weights, and the next step's start."""
  # After: Luong et al. 2015; before: Bahdanau et al. 2015; between: Sennrich et
  # al. 2017; bottom_previous: Wu et al. 2016; bottom: tf/nmt's gnmt_v2;
  # bottom_unfed: NVIDIA's GNMT, whose lowest layer sees words alone.
  masks, s, old = masks or {}, dict(s), s["cells"]

  def drop(x, name):
    return x * masks.get(name, 1.0)

  feeding = m.decoder.feed if m.decoder.input_feeding else "none"

  def cell(name, x, carry, feeds):
    own = {
      k.split("/")[1]: v for k, v in masks.items() if k.startswith(name + "/")
    }
    for k in own:
      if k.startswith("zone"):  # an oracle's zone mask is 0 or 1
        own[k] = (own[k] > 0).astype(np.float64)
    kind, depth = m.cells()[1], m.transition_depth
    return oracle.deep(
      kind, p[name], x, carry, depth, feeds, own, m.dropout.zoneout
    )

  table = p["embed_table"]["table"]
  x = table[token if token < len(table) else types.UNK]
  x = embedded = drop(drop(x, "embed"), "word")
  context = weights = None
  feeds, above = [], []  # of the lowest layer, of those above it
  if m.decoder.placement == "bahdanau":
    context, weights = slow_attend(m, p, old[-1][-1], source, s)
    feeds.append(context)
  if m.decoder.placement == "gnmt":
    context, weights = slow_attend(m, p, old[0][-1], source, s)
    feeds.append(context)
    above.append(context)
  beside = []
  if feeding == "readout":
    feeds.append(s["read"])
  elif feeding == "context":
    feeds.append(s["context"])
    beside = [s["context"]]
  elif m.decoder.placement == "gnmt_v2":
    feeds.append(s["context"])
  if m.head == "copynet":
    ids, values = source["ids"], source["values"]
    feeds.append(oracle.selective_read(s["copied"], ids, token, values))
  if m.attention.score == "none" and m.decoder.context_at != "start":
    context = slow_fixed(m, source)
    kernel = {f"feed_{len(feeds)}": p["context_gates"]["kernel"]}
    p = p | {"layer_0": p["layer_0"] | kernel}
    feeds.append(context)

  carry = cell("layer_0", x, old[0], feeds)
  if m.decoder.placement == "cgru":
    context, weights = slow_attend(m, p, carry[-1], source, s)
    carry = cell("layer_0_context", context, carry, [])
  if m.decoder.placement in ("gnmt_v2", "nvidia_gnmt"):
    context, weights = slow_attend(m, p, carry[-1], source, s)
    above.append(context)
  new, top, inputs = [carry], carry[-1], []
  for i in range(1, m.decoder.layers):
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
  if m.decoder.placement == "luong" and m.attention.score != "none":
    context, weights = slow_attend(m, p, top, source, s)

  state = old[-1][-1] if m.readout.state == "previous" else top
  read = oracle.readout(
    m.readout.kind,
    p.get("readout_layer"),
    drop(state, f"layer_{m.decoder.layers - 1}"),
    None if m.readout.inputs == "state" else context,
    embedded if m.readout.inputs == "all" else None,
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
  if m.head in ("pointer", "readout_pointer"):
    gate = (
      oracle.readout_gate(head["gate"], drop(read, "readout"))
      if m.head == "readout_pointer"
      else oracle.p_gen(
        head["gate"]["kernel"],
        head["gate"]["bias"],
        context,
        np.concatenate(carry),
        np.concatenate([embedded, *beside]),
      )
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
  memory = some_memory(rng, m.encoder.layers, leaves, width, rows, size)
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

  def init(key):
    return module.init(key, method=touch)

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


def check_decoder(slopes=False, masks=None, **changes):
  """Steps, unrolling and (slopes) gradients of a config against the loop."""
  m = config.replace(BASE, changes)
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
    log_probs = module.decoder.head.log_probs(ready, output)
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
  if m.attention.score != "none":
    close(out[1], weights)
    assert not np.any(out[1][weights == 0])
  else:
    assert out[1] is None
  if masks:
    log_probs, weights = slow_rows(m, p, memory, tokens)
  close(np.exp(steps[0]), np.exp(log_probs))
  if m.attention.score != "none":
    close(steps[1], weights)
  if not slopes:
    return

  def slow(tree):
    moved = memory._replace(values=tree[1], state=tree[2])
    return np.sum(slow_rows(m, tree[0], moved, tokens, theirs)[0] * pull)

  tree = (variables["params"]["decoder"], memory.values, memory.state)
  slopes_close((grads[0]["params"]["decoder"], *grads[1:]), slow, tree)
