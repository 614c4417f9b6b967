"""One table for several uses: its gradients, and words that it lacks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax import types
from seq2seq_jax.models import layers, seq2seq
from tests.helpers.numeric import close, compiled, normal
from tests.helpers.oracle_decoder import BASE, VOCAB, a_batch, modelled

pytestmark = pytest.mark.usefixtures("strict")


def total_loss(module, batch):
  def total(params):
    variables = {"params": params}
    options = seq2seq.TrainOptions(smoothing=0.1)
    terms = module.apply(variables, batch, None, options, method="losses")
    return jnp.sum(terms["loss"]), terms

  return compiled(jax.grad(total, has_aux=True))


def tables(params):
  """Paths of all arrays that have a row or column for each word."""
  return {
    jax.tree_util.keystr(path, simple=True, separator="/")
    for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    if VOCAB in leaf.shape and leaf.ndim == 2
  }


@pytest.mark.parametrize(
  "tie,readout_dim", [("decoder", 3), ("decoder", 5), ("all", 5)]
)
def test_tied_table_gets_the_gradients_of_all_its_uses(tie, readout_dim):
  batch = a_batch()
  size = {"readout.dim": readout_dim}
  module, variables = modelled(batch, tie=tie, **size)
  apart, others = modelled(batch, **size)
  params, free = variables["params"], others["params"]
  table = source = params["encoder"]["embed"]["table"]["table"]
  expected = {"encoder/embed/table/table"}
  if tie == "decoder":
    table = params["decoder"]["embed_table"]["table"]
    expected.add("decoder/embed_table/table")
  assert tables(params) == expected
  assert len(tables(free)) == 3
  adapter = np.eye(3, dtype=np.float32)
  if readout_dim != BASE.embed_dim:
    adapter = params["decoder"]["head"]["adapter"]["kernel"]
  assert len(params["decoder"]["head"]) == (1 if readout_dim == 3 else 2)
  # The same model with a matrix for each use.
  free = jax.tree.map(np.copy, free)
  for side in ("encoder", "decoder"):
    for name in free[side]:
      if name not in ("head", "embed_table", "embed"):
        free[side][name] = params[side][name]
  free["encoder"]["embed"]["table"]["table"] = source
  free["decoder"]["embed_table"]["table"] = table
  free["decoder"]["head"] = {
    "kernel": adapter @ table.T,
    "bias": params["decoder"]["head"]["bias"],
  }
  grads, terms = total_loss(module, batch)(params)
  parted, want = total_loss(apart, batch)(free)
  for name in terms:
    close(terms[name], want[name])
  through = parted["decoder"]["head"]["kernel"]
  target = parted["decoder"]["embed_table"]["table"]
  source = parted["encoder"]["embed"]["table"]["table"]
  for part in (through, target, source):
    assert np.any(part)
  want = through.T @ adapter + target
  got = grads["encoder"]["embed"]["table"]["table"]
  if tie == "all":
    want = want + source
  else:
    close(got, source, 1e-4)
    got = grads["decoder"]["embed_table"]["table"]
  close(got, want, 1e-4)
  if readout_dim != 3:
    got = grads["decoder"]["head"]["adapter"]["kernel"]
    close(got, through @ table, 1e-4)


@pytest.mark.parametrize("head", ["softmax", "pointer"])
def test_changing_a_tied_table_changes_its_uses(head):
  """Embeddings of source and target, and the matrix of the softmax."""
  batch = a_batch(copies=head != "softmax")
  module, variables = modelled(batch, tie="all", head=head)

  def uses(module):
    source, _ = module.encoder.embed(batch.src, batch.src_len)
    target = module.decoder.embed_table(batch.tgt)
    return source, target, module.decoder.head.matrix()

  run = compiled(lambda v: module.apply(v, method=uses))
  moved = jax.tree.map(np.copy, variables)
  moved["params"]["encoder"]["embed"]["table"]["table"][5] += 1.0
  before, after = run(variables), run(moved)
  for ids, old, new in zip((batch.src, batch.tgt), before, after):
    assert np.any(ids == 5)
    changed = new - old
    close(changed, np.broadcast_to((ids == 5)[..., None], old.shape))
  changed = after[2] - before[2]
  close(changed, np.broadcast_to(np.arange(VOCAB) == 5, changed.shape))


@pytest.mark.quick
def test_words_beyond_the_table_are_unknown():
  embed = layers.Embed(5, 3)
  table = normal(np.random.default_rng(0), 5, 3)
  ids = np.array([[0, 4, 5, 11, types.UNK]], np.int32)

  def total(table):
    return jnp.sum(embed.apply({"params": {"table": table}}, ids))

  got = embed.apply({"params": {"table": table}}, ids)
  assert np.array_equal(got[0], table[[0, 4, 3, 3, 3]])
  uses = compiled(jax.grad(total))(table)[:, 0]
  assert np.array_equal(uses, [1, 0, 0, 3, 1])
