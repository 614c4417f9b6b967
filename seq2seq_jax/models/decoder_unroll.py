"""All steps of a recurrent decoder with given inputs, as training makes them.

In time go only those layers that are fed with what the step before has found
(`Decoder.looped`). The layers above them are run one by one, their inputs'
products made for all steps at once; so are attention and readout where nothing
of them is fed back.
"""

import jax

from seq2seq_jax import types
from seq2seq_jax.models import dropout_masks, recurrence


def steps(decoder, memory, tokens, noise: dict) -> types.StepOutput:
  """Tokens [B, T], masks [T, B, D] -> StepOutput of T steps."""
  # By step from the start, [T, B]: to turn the gates would cost more.
  inputs = decoder.embed(tokens.swapaxes(0, 1), noise, together=True)
  noise = {k: v for k, v in noise.items() if k not in ("embed", "word")}
  carry = decoder.start(memory)
  together = decoder.looped()
  if decoder.reads_inside():
    return jax.tree.map(
      rows_first, loop(decoder, memory, carry, inputs, noise, "advance")
    )
  top = f"layer_{decoder.layers - 1}"
  after = {k: noise[k] for k in (top, "readout") if k in noise}
  inner = {k: v for k, v in noise.items() if k not in after}
  if together == decoder.layers:
    found = loop(decoder, memory, carry, inputs, inner, "recur")
    hidden, attended = jax.tree.map(rows_first, found)
  else:
    hidden, attended = stacked(decoder, memory, carry, inputs, inner, together)
  embedded = inputs.embedded
  if embedded is not None:
    embedded = embedded.swapaxes(0, 1)
  after = {k: v.swapaxes(0, 1) for k, v in after.items()}
  return decoder.read(memory, hidden, attended, embedded, after)


def loop(decoder, memory, carry, inputs, noise, method: str):
  """Steps `method` through time; what it returns, leaves [T, B, 1, ...]."""
  module, variables = decoder.unbind()

  def body(carry, xs):
    carry, *y = module.apply(variables, memory, carry, *xs, method=method)
    return carry, y if len(y) > 1 else y[0]

  xs = jax.tree.map(lambda a: a[:, :, None], (inputs, noise))
  return recurrence.scan(body, carry, xs)[1]


def stacked(decoder, memory, carry, inputs, noise, together: int):
  """The layers one by one, behind `together` (0 or 1) that attend in time.

  Returns:
    hidden [B, T, ...], and what was attended to.
  """
  states = {}  # of each layer that is run here, leaves [T, B, H]

  def run(i, gates):
    masks = dropout_masks.part(noise, f"layer_{i}")
    states[i] = whole(decoder.stack[i], carry.cells[i], gates, masks)
    return states[i][-1]

  attended = None
  if together:
    low = {
      k: v for k, v in noise.items() if k.startswith(("layer_0/", "layer_0_"))
    }
    found = loop(decoder, memory, carry, inputs, low, "lowest")
    x, attended = jax.tree.map(lambda y: y[:, :, 0], found)
    attended = by_rows(attended)
  else:
    gates = inputs.gates
    if memory.keys.gates is not None:
      gates = gates + memory.keys.gates.swapaxes(0, 1)
    x = run(0, gates)
    if decoder.placement == "nvidia_gnmt":
      _, attended = decoder.attend(memory, carry, x.swapaxes(0, 1))
  context = None
  if attended is not None:
    context = attended.context.swapaxes(0, 1)
  x = decoder.climb(
    x,
    context,
    noise,
    lambda i, x, feeds: run(i, decoder.stack[i].project_all(x, feeds)),
  )
  if attended is None:
    _, attended = decoder.attend(memory, carry, x.swapaxes(0, 1))
  # The state before is read under placement `before` alone, which loops.
  hidden = decoder.hidden(x, None, states[decoder.layers - 1])
  return by_rows(hidden), attended


def whole(cell, carry, gates, noise):
  """A layer over all steps. Gates [T, B, G] -> its carries [T, B, H]."""

  def body(carry, xs):
    carry, _ = cell.advance(carry, xs[0], (), xs[1])
    return carry, carry

  carry = jax.tree.map(lambda leaf: leaf[:, 0], carry)
  return recurrence.scan(body, carry, (gates, noise))[1]


def rows_first(y):
  """[T, B, 1, ...] -> [B, T, ...]."""
  return y[:, :, 0].swapaxes(0, 1)


def by_rows(tree):
  """Leaves [T, B, ...] -> [B, T, ...]."""
  return jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), tree)
