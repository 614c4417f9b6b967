"""Bridges against their equations in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seq2seq_jax.models import (
  bridges,
  cells,
)
from tests.helpers import oracle_models as oracle
from tests.helpers.numeric import (
  DENSE,
  close,
  compiled,
  double,
  leaves_of,
  normal,
  scattered,
  some_memory,
  trees_close,
)

pytestmark = pytest.mark.usefixtures("strict")

DEPTHS = ((1, 1), (2, 1), (1, 3), (3, 2))
PAIRS = (("lstm", "lstm"), ("gru", "gru"), ("lstm", "gru"), ("gru", "lstm"))


def slow_bridge(kind, p, memory, row, depth, leaves, features, half):
  """First carries of one row."""
  if kind == "zero":
    return [(np.zeros(features),) * leaves] * depth
  states = [tuple(leaf[row] for leaf in layer) for layer in memory.state]
  values = memory.values[row][memory.mask[row]]
  if kind == "backward":
    # s_0 = tanh(W h_1 of the backward direction): Bahdanau et al. 2015.
    states, kind = [(states[-1][-1][half:],) * leaves], "dense"
  return oracle.bridge(kind, p, states, values, depth, leaves, features)


@pytest.mark.quick
@pytest.mark.parametrize("kind", list(bridges.BRIDGES))
def test_bridge_equals_its_equations(kind):
  features = 4
  width = {"last": 4, "relu_rows": 4, "top": 8}.get(kind, 6)
  rng = np.random.default_rng(0)
  modules, memories, params, pulls = {}, {}, {}, {}
  for above, below in DEPTHS:
    for source, target in PAIRS:
      name = f"{source}{above}_{target}{below}"
      memory = some_memory(rng, above, leaves_of(source), width)
      cell = cells.CELLS[target](features, 1)
      make = bridges.BRIDGES[kind]
      module = make(cell, below, features, width // 2, DENSE)

      def init(key, module=module, memory=memory):
        return module.init(key, memory, None)

      shapes = jax.eval_shape(init, jax.random.key(0))
      modules[name], memories[name] = module, memory
      params[name] = scattered(shapes, len(params)).get("params", {})
      pulls[name] = normal(rng, below, leaves_of(target), 2, 1, features)

  def parts(memory):
    return (memory.values, memory.state)

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
          module.depth,
          leaves,
          features,
          width // 2,
        )
        for b in range(2)
      ]
      return np.array(rows).transpose(1, 2, 0, 3)[:, :, :, None]

    def state(states):
      return {
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
