"""Heads against the papers' distributions in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.models import (
  attention,
  copying,
  decoder,
  heads,
  layers,
  seq2seq,
)
from seq2seq_jax.models import head as head_lib
from tests.helpers import oracle_models as oracle
from tests.helpers.numeric import (
  DENSE,
  close,
  compiled,
  double,
  normal,
  scattered,
  trees_close,
)
from tests.helpers.oracle_decoder import (
  BASE,
  VOCAB,
  a_batch,
  check_decoder,
  modelled,
  slow_rows,
)

pytestmark = pytest.mark.usefixtures("strict")
SIZE, WIDTH, STATE, MEMORY, READ = 7, 4, 3, 2, 5
TINY = 1e-30
# Sources of three rows: words twice, inside the vocabulary and beyond it.
SOURCE = np.array(
  [[SIZE + 1, 5, SIZE + 1, SIZE, 6], [4, 4, SIZE, 0, 0], [SIZE, 0, 0, 0, 0]],
  np.int32,
)
LENGTHS = np.array([5, 3, 1])
MASK = np.arange(5)[None] < LENGTHS[:, None]
STEPS = 4


def inputs_of_a_head(seed=0):
  """Everything that a head looks at, for three rows of four steps."""
  rng = np.random.default_rng(seed)
  scores = 2.0 * normal(rng, 3, STEPS, 5)
  weights = np.where(MASK[:, None], np.exp(scores), 0.0)
  weights /= np.sum(weights, axis=-1, keepdims=True)
  # Neither of two equal words has the most weight, both together have.
  weights[0, 0] = [0.3, 0.38, 0.3, 0.02, 0.0]
  return {
    "features": normal(rng, 3, STEPS, WIDTH),
    "state": normal(rng, 3, STEPS, STATE),
    "read": normal(rng, 3, STEPS, READ),
    "context": normal(rng, 3, STEPS, MEMORY),
    "weights": weights.astype(np.float32),
    "values": normal(rng, 3, 5, MEMORY) * MASK[..., None].astype(np.float32),
  }


def output_of(head, x):
  """A memory and what a step hands to the head."""
  memory = types.Memory(x["values"], MASK, (), None, SOURCE)
  memory = memory._replace(keys=decoder.Prepared(head=head.keys(memory)))
  hidden = {"state": x["state"], "read": x["read"]}
  attended = attention.Attended(x["context"], x["weights"])
  extra = head.extra(memory, hidden, attended)
  return memory, types.StepOutput(x["features"], x["weights"], extra)


def made(name, seed=1):
  """A head and scattered weights."""
  head = heads.HEADS[name](SIZE, WIDTH, STATE, MEMORY, READ, None, DENSE)
  x = inputs_of_a_head()

  def touch(head):
    return head.log_probs(*output_of(head, x))

  def init(key):
    return head.init(key, method=touch)

  shapes = jax.eval_shape(init, jax.random.key(0))
  return head, scattered(shapes, seed)["params"], x


def slow_probs(name, p, x):
  """[B, T, V + S'] by the papers' equations, a step at a time."""
  out = np.zeros((3, STEPS, SIZE + 5))
  for b, n in enumerate(LENGTHS):
    ids, values = SOURCE[b, :n], x["values"][b, :n]
    for t in range(STEPS):
      logits = x["features"][b, t] @ p["kernel"] + p["bias"]
      if name == "pointer":
        gate = oracle.p_gen(
          p["gate"]["kernel"],
          p["gate"]["bias"],
          x["context"][b, t],
          x["state"][b, t],
          x["read"][b, t],
        )
        words = np.exp(oracle.log_softmax(logits))
        out[b, t] = oracle.pointer(words, x["weights"][b, t, :n], ids, gate, 5)
      elif name == "readout_pointer":
        gate = oracle.readout_gate(p["gate"], x["features"][b, t])
        words = np.exp(oracle.log_softmax(logits))
        out[b, t] = oracle.pointer(words, x["weights"][b, t, :n], ids, gate, 5)
      else:
        copy = {"copy": p["copy"]["kernel"]}
        scores = oracle.copy_scores(copy, values, x["state"][b, t])
        out[b, t] = oracle.copynet(logits, scores, ids, 5)
  return out


def targets_for(probs):
  """Words of all kinds: of the vocabulary, copied, both, and the best one."""
  targets = np.argmax(probs, axis=-1).astype(np.int32)
  targets[0, 1:] = [6, SIZE + 1, types.EOS]  # both, copied twice, vocabulary
  targets[1, 1:] = [4, SIZE, 5]  # both twice, copied, vocabulary
  targets[2, 2:] = [types.UNK, SIZE + 3]  # and a word that is nowhere
  return targets


@pytest.mark.quick
@pytest.mark.parametrize("name", ["pointer", "copynet", "readout_pointer"])
def test_copying_head_equals_its_equations(name):
  head, params, x = made(name)
  if name != "copynet":
    params["gate"]["bias"] -= 1.0  # copies more than it makes
  want = slow_probs(name, double(params), double(x))
  targets = targets_for(want)
  pull = np.random.default_rng(2).uniform(0.5, 1.5, targets.shape)

  def run(head, x):
    memory, output = output_of(head, x)
    terms = head.losses(
      memory,
      output,
      jnp.asarray(targets),
      jnp.asarray(pull, jnp.float32),
      0.0,
      "uniform",
    )
    return terms, head.log_probs(memory, output)

  def total(params, x):
    terms, log_probs = head.apply({"params": params}, x, method=run)
    return terms[0], (terms, log_probs)

  grads, out = compiled(jax.grad(total, (0, 1), has_aux=True))(params, x)
  (loss, nll, correct), log_probs = out
  assert log_probs.shape == (3, STEPS, SIZE + 5)
  close(np.exp(log_probs), want)
  # A sentence has as many ids beyond the vocabulary as words of its own.
  own = (
    np.arange(SIZE + 5)[None] <= np.maximum(SOURCE.max(1), SIZE - 1)[:, None]
  )
  own = np.broadcast_to(own[:, None], want.shape)
  close(np.asarray(log_probs)[own], np.log(np.maximum(want, TINY))[own])
  assert np.all(np.asarray(log_probs)[~own] == -np.inf) and not own.all()
  close(np.sum(np.exp(log_probs), axis=-1), np.ones((3, STEPS)))

  def likelihood(probs):
    gold = np.take_along_axis(probs, targets[..., None], axis=-1)[..., 0]
    return -np.log(np.maximum(gold, TINY))

  close(nll, likelihood(want))
  close(loss, np.sum(pull * likelihood(want)))
  best = np.argmax(want, axis=-1)
  assert np.array_equal(correct, best == targets)
  assert 0 < np.sum(correct) < correct.size
  if name == "pointer":
    # The sum over equal words decides, not the largest weight.
    assert np.argmax(x["weights"][0, 0]) == 1 and best[0, 0] == SIZE + 1
    assert correct[0, 0] == 1

  def slow(t):
    return np.sum(likelihood(slow_probs(name, t["p"], t["x"])) * pull)

  wanted = oracle.difference(slow, {"p": params, "x": x})
  trees_close({"p": grads[0], "x": grads[1]}, wanted)


@pytest.mark.quick
@pytest.mark.parametrize("name", ["pointer", "copynet"])
def test_long_sides_are_scored_in_parts_and_without_squares(name, monkeypatch):
  head, params, x = made(name)
  rng = np.random.default_rng(3)
  targets = rng.integers(SIZE + 2, size=(3, STEPS)).astype(np.int32)
  weights = rng.random((3, STEPS)).astype(np.float32)

  def losses(head):
    memory, output = output_of(head, x)
    return head.losses(memory, output, targets, weights, 0.0, "uniform")

  def compute():
    return jax.jit(lambda p: head.apply({"params": p}, method=losses))(params)

  whole = compute()
  monkeypatch.setattr(copying, "COMPARED", 1)
  monkeypatch.setattr(copying, "AT_ONCE", 3 * (SIZE + SOURCE.shape[1]))
  parts = compute()
  for a, b in zip(whole, parts, strict=True):
    np.testing.assert_allclose(b, a, rtol=1e-5)


@pytest.mark.quick
def test_losses_see_the_best_token_wherever_it_is():
  """Correct is 1 exactly for the most probable of all V + S' tokens."""
  for name in ("pointer", "copynet", "readout_pointer"):
    head, params, _ = made(name)

    def run(head, x, targets):
      memory, output = output_of(head, x)
      weights = jnp.ones(targets.shape)
      terms = head.losses(memory, output, targets, weights, 0.0, "uniform")
      return terms[1], terms[2], head.log_probs(memory, output)

    apply = compiled(
      lambda x, targets, head=head, params=params, run=run: head.apply(
        {"params": params}, x, targets, method=run
      )
    )
    for seed in range(3, 8):
      x = inputs_of_a_head(seed)
      probs = slow_probs(name, double(params), double(x))
      for kind in range(SIZE + 5):
        targets = np.full((3, STEPS), kind, np.int32)
        nll, correct, log_probs = apply(x, targets)
        assert np.array_equal(correct, np.argmax(probs, axis=-1) == kind)
        close(nll, -log_probs[..., kind])


@pytest.mark.quick
def test_generation_probability_of_the_pointer():
  head, params, x = made("pointer")

  def gate(head, x):
    return output_of(head, x)[1].extra["gate"]

  apply = compiled(lambda p, x: head.apply({"params": p}, x, method=gate))
  got = oracle.sigmoid(apply(params, x))
  assert got.shape == (3, STEPS, 1)
  p = double(params["gate"])
  for b, t in np.ndindex(3, STEPS):
    parts = (x[k][b, t] for k in ("context", "state", "read"))
    want = oracle.p_gen(p["kernel"], p["bias"], *parts)
    close(got[b, t, 0], want)


@pytest.mark.quick
def test_copynet_reads_what_was_copied():
  head, params, x = made("copynet")
  scores = 3.0 * normal(np.random.default_rng(3), 3, 6, 5)
  tokens = np.array(
    [
      [SIZE + 1, SIZE, 5, 6, 0, types.EOS],
      [4, SIZE, 0, 5, SIZE + 1, types.UNK],
      [SIZE, 0, 4, types.BOS, SIZE + 4, types.PAD],
    ],
    np.int32,
  )
  pull = normal(np.random.default_rng(4), 3, 6, MEMORY)

  def read(values, scores):
    memory = types.Memory(values, MASK, (), None, SOURCE)
    return head.apply({"params": params}, memory, scores, tokens, method="read")

  def total(values, scores):
    got = read(values, scores)
    return jnp.sum(got * pull), got

  def slow(tree):
    out = np.zeros((3, 6, MEMORY))
    for b, n in enumerate(LENGTHS):
      for k, token in enumerate(tokens[b]):
        out[b, k] = oracle.selective_read(
          tree["s"][b, k, :n], SOURCE[b, :n], token, tree["v"][b, :n]
        )
    return out

  run = compiled(jax.grad(total, (0, 1), has_aux=True))
  grads, got = run(x["values"], scores)
  tree = double({"v": x["values"], "s": scores})
  want = slow(tree)
  close(got, want)
  # A token that is not in the source reads nothing, padding least of all.
  assert np.array_equal(np.any(got != 0, -1), np.any(want != 0, -1))
  assert not np.any(got[tokens == types.PAD])
  wanted = oracle.difference(lambda t: np.sum(slow(t) * pull), tree)
  trees_close({"v": grads[0], "s": grads[1]}, wanted)


DECODERS = {
  "see": {
    "head": "pointer",
    "attention.score": "coverage",
    "decoder.feed": "context",
    "readout.kind": "linear",
  },
  "pointer_gru": {
    "head": "pointer",
    "encoder.cell": "gru",
    "decoder.placement": "bahdanau",
    "decoder.input_feeding": False,
  },
  "pointer_all_at_once": {
    "head": "pointer",
    "decoder.input_feeding": False,
    "decoder.layers": 2,
    "residual": "add",
  },
  "opennmt": {"head": "readout_pointer", "decoder.layers": 2},
  "gu": {
    "head": "copynet",
    "encoder.cell": "gru",
    "attention.score": "additive",
    "decoder.placement": "bahdanau",
    "decoder.input_feeding": False,
    "readout.kind": "linear",
    "readout.inputs": "all",
  },
  "copynet_feeding": {"head": "copynet", "decoder.layers": 2},
  "copynet_bottom": {
    "head": "copynet",
    "decoder.placement": "gnmt_v2",
    "decoder.layers": 2,
    "decoder.feed": "context",
  },
}


@pytest.mark.parametrize("name", DECODERS)
def test_copying_decoder_equals_a_loop(name):
  check_decoder(slopes=name in ("see", "gu"), **DECODERS[name])


@pytest.mark.parametrize("head", ["pointer", "copynet"])
def test_losses_of_a_model_that_copies(head):
  """References and inputs are of the extended vocabulary."""
  batch, m = a_batch(copies=True), config.replace(BASE, {"head": head})
  module, variables = modelled(batch, head=head)

  def run(module):
    terms = module.losses(batch)
    memory = module.encode(batch.src, batch.src_len, None, batch.src_ext)
    return terms, memory._replace(keys=())

  terms, memory = compiled(lambda v: module.apply(v, method=run))(variables)
  memory = jax.tree.map(np.asarray, memory)
  tokens = np.asarray(seq2seq.shifted(jnp.asarray(batch.tgt_ext)))
  assert np.max(tokens) >= VOCAB  # an own word is fed, as unknown
  p = double(variables["params"]["decoder"])
  log_probs, _ = slow_rows(m, p, memory, tokens)
  ids = batch.tgt_ext[..., None]
  gold = np.take_along_axis(log_probs, ids, axis=-1)[..., 0]
  real = np.arange(4)[None] < batch.tgt_len[:, None]
  close(terms["nll"], np.where(real, -gold, 0.0))
  close(terms["loss"], np.sum(terms["nll"]))
  best = np.argmax(log_probs, axis=-1) == batch.tgt_ext
  assert np.array_equal(terms["correct"], best & real)


@pytest.mark.quick
@pytest.mark.parametrize("width", [WIDTH, 3])
@pytest.mark.parametrize("form", ["uniform", "others"])
def test_softmax_head_equals_its_equations(form, width):
  """Tied; with an adapter where the embedding's width is another one."""
  table = layers.Embed(SIZE, width)
  head = head_lib.Softmax(SIZE, WIDTH, STATE, MEMORY, READ, table, DENSE)
  x = inputs_of_a_head()["features"]
  targets = np.random.default_rng(5).integers(0, SIZE, (3, STEPS))
  targets = targets.astype(np.int32)
  pull = normal(np.random.default_rng(6), 3, STEPS)

  def output(x):
    return types.StepOutput(x, None, {})

  def run(head, x):
    terms = head.losses(
      None, output(x), jnp.asarray(targets), jnp.asarray(pull), 0.1, form
    )
    return terms, head.log_probs(None, output(x))

  shapes = jax.eval_shape(
    lambda key: head.init(key, x, method=run), jax.random.key(0)
  )
  params = scattered(shapes)["params"]
  assert ("adapter" in params) == (width != WIDTH)
  assert params["tied"]["table"].shape == (SIZE, width)

  def logits(tree):
    x = tree["x"]
    if "adapter" in tree["p"]:
      x = x @ tree["p"]["adapter"]["kernel"]
    return x @ tree["p"]["tied"]["table"].T + tree["p"]["bias"]

  def slow(tree, smoothing):
    rows = logits(tree)
    out = np.zeros((3, STEPS))
    for at in np.ndindex(3, STEPS):
      out[at] = oracle.smoothed_cross_entropy(
        rows[at], targets[at], smoothing, form
      )
    return out

  def total(params, x):
    terms, log_probs = head.apply({"params": params}, x, method=run)
    return terms[0], (terms, log_probs)

  targets[0, 0] = np.argmax(logits({"p": params, "x": x})[0, 0])
  grads, out = compiled(jax.grad(total, (0, 1), has_aux=True))(params, x)
  (loss, nll, correct), log_probs = out
  tree = double({"p": params, "x": x})
  close(loss, np.sum(slow(tree, 0.1) * pull))
  close(nll, slow(tree, 0.0))
  assert np.array_equal(correct, np.argmax(logits(tree), -1) == targets)
  for at in np.ndindex(3, STEPS):
    close(log_probs[at], oracle.log_softmax(logits(tree)[at]))
  wanted = oracle.difference(lambda t: np.sum(slow(t, 0.1) * pull), tree)
  trees_close({"p": grads[0], "x": grads[1]}, wanted)
