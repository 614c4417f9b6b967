"""Scheduled sampling (Bengio et al. 2015): whose token is the next input."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from seq2seq_jax import types


class Sampled(NamedTuple):
  """Of a batch: where gold tokens go in, and how the others are chosen."""

  gold: Any  # probability of a gold token, a scalar
  coins: Any  # [T, B] uniform; gold goes in where a coin is below `gold`
  keys: Any  # [B] to sample with, or None for the most probable token


def gold_probability(course: str, step, rate: float, low: float, k: float):
  """Probability of the gold token at an update, counted from 0.

  constant: `rate`; linear: max(low, rate - k i); exponential: k^i;
  inverse_sigmoid: k / (k + exp(i / k)) (Bengio et al. 2015, section 2.4).
  """
  i = jnp.asarray(step).astype(jnp.float32)
  if course == "constant":
    return jnp.float32(rate)
  if course == "linear":
    return jnp.maximum(low, rate - k * i)
  if course == "exponential":
    return jnp.exp(i * math.log(k))
  return 1.0 / (1.0 + jnp.exp(i / k - math.log(k)))


def coins(unit: str, batch_key, keys, length: int):
  """Uniform numbers [T, B]: one a token, a sequence, or a step of the batch.

  A row's coins depend on its own key alone, those of a `step` on the batch's.
  """
  rows = keys.shape[0]
  if unit == "step":
    key = jax.random.fold_in(batch_key, 2**31 - 1)
    column = jax.random.uniform(key, (length, 1))
    return jnp.broadcast_to(column, (length, rows))
  size = length if unit == "token" else 1
  drawn = jax.vmap(lambda k: jax.random.uniform(k, (size,)), out_axes=1)(keys)
  return jnp.broadcast_to(drawn, (length, rows))


def choose(sampled: Sampled, log_probs, t):
  """The model's own token. [B, V] -> [B]."""
  ids = jnp.arange(log_probs.shape[-1], dtype=jnp.int32)
  never = (ids == types.PAD) | (ids == types.BOS)
  log_probs = jnp.where(never[None], -jnp.inf, log_probs)
  if sampled.keys is None:
    return jnp.argmax(log_probs, axis=-1).astype(jnp.int32)
  draw = lambda key, row: jax.random.categorical(
    jax.random.fold_in(key, t), row
  )
  return jax.vmap(draw)(sampled.keys, log_probs).astype(jnp.int32)


def inputs_of(model, memory, tokens, noise: dict, sampled: Sampled):
  """Tokens [B, T], some replaced by the model's choice of the step before.

  No gradient runs through a choice, so the steps are made twice: here, as in
  search and no further than to the last choice that is fed, and then like all
  others, with these inputs.

  Args:
    model: a bound `seq2seq.Seq2Seq`.
    memory: prepared.
    tokens: the gold ones.
    noise: masks [T, B, D].
    sampled: where gold goes in.
  """
  module, variables = model.unbind()
  variables, memory = jax.lax.stop_gradient((variables, memory))
  given, noise = tokens.swapaxes(0, 1), jax.tree.map(jnp.asarray, noise)
  own = jnp.any(sampled.coins >= sampled.gold, axis=1)  # [T]
  steps = jnp.arange(len(own), dtype=jnp.int32)

  def step(model, carry, tokens, masks):
    inputs = model.decoder.embed(tokens, masks)
    inner = {k: v for k, v in masks.items() if k not in ("embed", "word")}
    carry, output = model.decoder.advance(memory, carry, inputs, inner)
    return carry, model.decoder.log_probs(memory, output)

  def body(t, state):
    carry, fed = state
    masks = {k: v[t][:, None] for k, v in noise.items()}
    carry, log_probs = module.apply(
      variables, carry, fed[t][:, None], masks, method=step
    )
    gold = sampled.coins[t + 1] < sampled.gold
    chosen = choose(sampled, log_probs[:, 0], t)
    return carry, fed.at[t + 1].set(jnp.where(gold, given[t + 1], chosen))

  start = module.apply(variables, memory, len(own), method="start")
  last = jnp.max(jnp.where(own, steps, 0))
  _, fed = jax.lax.fori_loop(0, last, body, (start, given))
  return fed.swapaxes(0, 1)
