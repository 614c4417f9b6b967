"""Placements are records of facts: any consistent record makes a decoder."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax import config
from seq2seq_jax.models import build, placements
from tests.helpers.numeric import close, compiled, scattered
from tests.helpers.small_models import SMALL, VOCAB, example

pytestmark = pytest.mark.usefixtures("strict")

Placement = placements.Placement
# One a query that no paper names.
UNNAMED = {
  "above_from_previous_top": Placement("top_previous", feeds_above=True),
  "readout_from_previous_first": Placement("first_previous"),
  "all_from_previous_top": Placement("top_previous", True, True),
  "conditional_and_above": Placement("first", False, True, conditional=True),
}


@pytest.mark.quick
@pytest.mark.parametrize(
  ("facts", "reason"),
  [
    ({"query": "last"}, "query 'last': is one of top, first, top_previous"),
    ({"query": "first", "feeds_first": True}, "feeds_first: query first is"),
    ({"query": "top", "feeds_above": True}, "feeds_above: query top is known"),
    ({"query": "top", "conditional": True}, "the query is first, not top"),
    ({"query": "first_previous", "conditional": True}, "is first, not first_p"),
  ],
)
def test_a_record_of_what_no_step_can_do_refuses_itself(facts, reason):
  with pytest.raises(ValueError, match=reason):
    Placement(**facts)


@pytest.mark.parametrize(
  "name,feed", list(itertools.product(UNNAMED, ("none", "context", "readout")))
)
def test_a_new_placement_is_a_record(name, feed, monkeypatch):
  """Steps equal unrolling, and every parameter has a gradient."""
  monkeypatch.setitem(placements.PLACEMENTS, "luong", UNNAMED[name])
  fields = {"decoder.layers": 2, "decoder.input_feeding": feed != "none"}
  fields |= {"decoder.feed": "readout" if feed == "none" else feed}
  model = build.build(config.replace(SMALL, fields), VOCAB, VOCAB)
  batch = example()

  def init(key):
    return model.init(key, batch, method="initialize")

  variables = scattered(jax.eval_shape(init, jax.random.key(0)))
  tokens = np.random.default_rng(4).integers(1, VOCAB, (4, 5)).astype(np.int32)

  def both(module):
    memory = module.encode(batch.src, batch.src_len)
    unrolled = module.decoder.head.log_probs(
      memory, module.unroll(memory, jnp.asarray(tokens))
    )
    carry, steps = module.start(memory), []
    for t in range(tokens.shape[1]):
      step = module.step(memory, carry, jnp.asarray(tokens[:, t : t + 1]))
      carry, log_probs, _ = step
      steps.append(log_probs)
    return unrolled, jnp.concatenate(steps, axis=1)

  @compiled
  def run(variables):
    def loss(variables):
      return model.apply(variables, batch, method="losses")["loss"]

    return model.apply(variables, method=both), jax.grad(loss)(variables)

  (unrolled, steps), grads = run(variables)
  close(unrolled, steps)
  assert all(np.any(np.asarray(g)) for g in jax.tree.leaves(grads))
