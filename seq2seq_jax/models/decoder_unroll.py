"""All steps of a recurrent decoder with given inputs, as training makes them.

Only those layers are scanned over time that are fed with what the step before
computed (`decoder_fields.py`, `layers_in_scan`). The layers above them are run
one by one, their inputs' products computed for all steps at once; so are
attention and readout where nothing of them is fed back. The result equals T
calls of `Decoder.advance` (a test holds the two against each other).
"""

from typing import TYPE_CHECKING, Any

import jax

from seq2seq_jax import types
from seq2seq_jax.models import attention, cell, dropout_masks, recurrence

if TYPE_CHECKING:
  from seq2seq_jax.models import decoder as decoder_module

Masks = dropout_masks.Masks


def unroll(
  decoder: "decoder_module.Decoder",
  memory: types.Memory,
  tokens: types.Array,
  masks: Masks,
) -> types.StepOutput:
  """Tokens [B, T], masks [T, B, D] -> StepOutput of T steps."""
  # Time first from the start, [T, B]: to transpose the gates would cost more.
  inputs = decoder.embed(tokens.swapaxes(0, 1), masks, together=True)
  masks = {k: v for k, v in masks.items() if k not in ("embed", "word")}
  carry = decoder.start(memory)
  if decoder.feeds_back():
    outputs = scan_steps(decoder, memory, carry, inputs, masks, "advance")
    return jax.tree.map(single_batch_major, outputs)
  # The readout and its masks are applied after the scan, to all steps at once.
  top = f"layer_{decoder.depth - 1}"
  outer = {k: masks[k] for k in (top, "readout") if k in masks}
  inner = {k: v for k, v in masks.items() if k not in outer}
  if decoder.layers_in_scan() == decoder.depth:
    steps = scan_steps(decoder, memory, carry, inputs, inner, "recurrent_step")
    hidden, attended = jax.tree.map(single_batch_major, steps)
  else:
    hidden, attended = layer_by_layer(decoder, memory, carry, inputs, inner)
  embedded = inputs.embedded
  if embedded is not None:
    embedded = embedded.swapaxes(0, 1)
  outer = {k: v.swapaxes(0, 1) for k, v in outer.items()}
  return decoder.readout(memory, hidden, attended, embedded, outer)


def scan_steps(
  decoder: "decoder_module.Decoder",
  memory: types.Memory,
  carry: Any,
  inputs: Any,
  masks: Masks,
  method: str,
) -> Any:
  """Scans `method` over time; what it returns beside the carry.

  Leaves are [T, B, 1, ...]: a step has one hypothesis.
  """
  module, variables = decoder.unbind()

  def body(carry: Any, xs: Any) -> tuple[Any, Any]:
    carry, *y = module.apply(variables, memory, carry, *xs, method=method)
    return carry, y if len(y) > 1 else y[0]

  xs = jax.tree.map(lambda a: a[:, :, None], (inputs, masks))
  return recurrence.scan(body, carry, xs)[1]


def layer_by_layer(
  decoder: "decoder_module.Decoder",
  memory: types.Memory,
  carry: Any,
  inputs: Any,
  masks: Masks,
) -> tuple[dict[str, Any], attention.Attended]:
  """The layers one after the other, each over all steps.

  The first one may have to be scanned together with the attention
  (`layers_in_scan` is 1); if not (0), attention too takes all steps at once.

  Returns:
    `head_inputs` [B, T, ...], and what was attended to.
  """
  states: dict[int, cell.Carry] = {}  # of each layer, leaves [T, B, H]

  def run(i: int, gates: types.Array) -> types.Array:
    layer_masks = dropout_masks.subset(masks, f"layer_{i}")
    states[i] = scan_layer(decoder.stack[i], carry.cells[i], gates, layer_masks)
    return states[i][-1]

  attended = None
  if decoder.layers_in_scan():
    # Also those of `layer_0_context`, the second cell of a conditional layer.
    first_masks = {
      k: v for k, v in masks.items() if k.startswith(("layer_0/", "layer_0_"))
    }
    steps = scan_steps(
      decoder, memory, carry, inputs, first_masks, "first_layer"
    )
    x, attended = jax.tree.map(lambda y: y[:, :, 0], steps)
    attended = batch_major(attended)
  else:
    gates = inputs.gates
    if memory.keys.gates is not None:
      gates = gates + memory.keys.gates.swapaxes(0, 1)
    x = run(0, gates)
    if decoder.placement.query == "first":
      _, attended = decoder.attend(memory, carry, x.swapaxes(0, 1))
  context = None
  if attended is not None:
    context = attended.context.swapaxes(0, 1)

  def layer(
    i: int, x: types.Array, extra: tuple[types.Array, ...]
  ) -> types.Array:
    return run(i, decoder.stack[i].project_all(x, extra))

  x = decoder.upper_layers(x, context, masks, layer)
  if attended is None:
    _, attended = decoder.attend(memory, carry, x.swapaxes(0, 1))
  # A readout that sees the state before goes with a query of the state before,
  # and then all layers are scanned: there is no `previous` here.
  hidden = decoder.head_inputs(x, None, states[decoder.depth - 1])
  return batch_major(hidden), attended


def scan_layer(
  layer: cell.Cell, carry: cell.Carry, gates: types.Array, masks: Masks
) -> cell.Carry:
  """A layer over all steps. Gates [T, B, G] -> its carries [T, B, H]."""

  def body(carry: Any, xs: Any) -> tuple[Any, Any]:
    carry, _ = layer.advance(carry, xs[0], (), xs[1])
    return carry, carry

  carry = jax.tree.map(lambda leaf: leaf[:, 0], carry)
  return recurrence.scan(body, carry, (gates, masks))[1]


def single_batch_major(y: types.Array) -> types.Array:
  """[T, B, 1, ...] -> [B, T, ...]."""
  return y[:, :, 0].swapaxes(0, 1)


def batch_major(tree: Any) -> Any:
  """Leaves [T, B, ...] -> [B, T, ...]."""
  return jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), tree)
