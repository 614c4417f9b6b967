"""Scheduled sampling (Bengio et al. 2015): whose token is the next input."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from seq2seq_jax import types
from seq2seq_jax.models import dropout_masks


class Sampled(NamedTuple):
  """Where the reference of a batch is fed, and how the others are chosen."""

  reference: Any
  """Probability of the reference token, a scalar."""
  uniform: Any
  """[T, B] uniform numbers; the reference goes in where one is below it."""
  keys: Any
  """[B] to sample with, or None for the most probable token."""


def reference_probability(
  schedule: str,
  step: Any,
  rate: float | types.Array,
  low: float | types.Array,
  k: float | types.Array,
) -> types.Array:
  """Probability of feeding the reference at an update, counted from 0.

  constant: `rate`; linear: max(low, rate - k i); exponential: k^i;
  inverse_sigmoid: k / (k + exp(i / k)) (Bengio et al. 2015, section 2.4).
  """
  i = jnp.asarray(step).astype(jnp.float32)
  if schedule == "constant":
    return jnp.float32(rate)
  if schedule == "linear":
    return jnp.maximum(low, rate - k * i)
  if schedule == "exponential":
    return jnp.exp(i * math.log(k))
  # k / (k + exp(i / k)), in a form that does not overflow at large i.
  return 1.0 / (1.0 + jnp.exp(i / k - math.log(k)))


def uniform(
  granularity: str, batch_key: Any, keys: types.Array, length: int
) -> Float[types.Array, "T B"]:
  """Uniform numbers: one a token, a sequence, or a step of the batch.

  A row's numbers depend on its own key alone, those of a `step` on the
  batch's.

  Args:
    granularity: token, sequence or step.
    batch_key: key of the update, for `step`.
    keys: the rows' keys [B].
    length: steps T.
  """
  rows = keys.shape[0]
  if granularity == "step":
    # No row has this number: its key is that of the batch as a whole.
    key = jax.random.fold_in(batch_key, 2**31 - 1)
    column = jax.random.uniform(key, (length, 1))
    return jnp.broadcast_to(column, (length, rows))
  size = length if granularity == "token" else 1

  def row(key: types.Array) -> types.Array:
    return jax.random.uniform(key, (size,))

  return jnp.broadcast_to(jax.vmap(row, out_axes=1)(keys), (length, rows))


def pick(
  sampled: Sampled, log_probs: Float[types.Array, "B VX"], t: Any
) -> Int[types.Array, " B"]:
  """The model's own token of step t; never pad or bos."""
  ids = jnp.arange(log_probs.shape[-1], dtype=jnp.int32)
  never = (ids == types.PAD) | (ids == types.BOS)
  log_probs = jnp.where(never[None], -jnp.inf, log_probs)
  if sampled.keys is None:
    return jnp.argmax(log_probs, axis=-1).astype(jnp.int32)

  def draw(key: types.Array, row: types.Array) -> types.Array:
    return jax.random.categorical(jax.random.fold_in(key, t), row)

  return jax.vmap(draw)(sampled.keys, log_probs).astype(jnp.int32)


def before_own_end(
  inputs: Int[types.Array, "B T"],
) -> Float[types.Array, "B T"]:
  """1 up to the step at which a row feeds itself EOS, and 0 from there on.

  The reference's EOS is its last output and never an input, so an EOS among
  the inputs is the model's own. The step that chose it still counts.
  """
  ended = jnp.cumsum(inputs == types.EOS, axis=1) > 0
  return 1.0 - ended.astype(jnp.float32)


def inputs_of(
  model: Any,
  memory: types.Memory,
  tokens: Int[types.Array, "B T"],
  masks: dropout_masks.Masks,
  sampled: Sampled,
) -> Int[types.Array, "B T"]:
  """The tokens, some replaced by the model's choice of the step before.

  No gradient runs through a choice, so the steps are computed twice: here, as
  in search and no further than to the last choice that is fed, and then like
  all others, with these inputs.

  Args:
    model: a bound `seq2seq.Seq2Seq`.
    memory: prepared.
    tokens: the references.
    masks: [T, B, D].
    sampled: where the reference goes in.
  """
  module, variables = model.unbind()
  variables, memory = jax.lax.stop_gradient((variables, memory))
  references = tokens.swapaxes(0, 1)
  masks = jax.tree.map(jnp.asarray, masks)
  # Steps that at least one row takes from the model: none follows the last.
  chosen_steps = jnp.any(sampled.uniform >= sampled.reference, axis=1)  # [T]
  steps = jnp.arange(len(chosen_steps), dtype=jnp.int32)

  def step(
    model: Any, carry: Any, tokens: types.Array, step_masks: dropout_masks.Masks
  ) -> tuple[Any, types.Array]:
    inputs = model.decoder.embed(tokens, step_masks)
    inner = {k: v for k, v in step_masks.items() if k not in ("embed", "word")}
    carry, output = model.decoder.advance(memory, carry, inputs, inner)
    return carry, model.decoder.head.log_probs(memory, output)

  def body(t: Any, state: Any) -> tuple[Any, types.Array]:
    carry, fed = state
    step_masks = {k: v[t][:, None] for k, v in masks.items()}
    carry, log_probs = module.apply(
      variables, carry, fed[t][:, None], step_masks, method=step
    )
    is_reference = sampled.uniform[t + 1] < sampled.reference
    choice = pick(sampled, log_probs[:, 0], t)
    token = jnp.where(is_reference, references[t + 1], choice)
    return carry, fed.at[t + 1].set(token)

  start = module.apply(variables, memory, len(chosen_steps), method="start")
  last = jnp.max(jnp.where(chosen_steps, steps, 0))
  _, fed = jax.lax.fori_loop(0, last, body, (start, references))
  return fed.swapaxes(0, 1)
