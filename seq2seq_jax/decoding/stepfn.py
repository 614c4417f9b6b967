"""What a search starts from, and operations on the carries of its step.

Search sees a model only as a `contracts.StepFn`. Every leaf of its memory is
[B, ...], shared by the K hypotheses of a source; every leaf of its carry is
[B, K, ...], so that any carry can be repeated, reordered and frozen here
without knowing what is in it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from seq2seq_jax import contracts, types


class Sources(NamedTuple):
  """The sources of a search, encoded, and the lengths their outputs may have.

  `B` of them in a program that gives each a row of its own; where rows are
  handed on from finished sources to waiting ones (`slots.run`), as many as
  there are.
  """

  memory: Any
  """Leaves [B, ...]."""
  carry: Any
  """Before the first step; leaves [B, 1, ...]."""
  min_len: Int[jax.Array, " B"]
  """Shortest output, EOS included."""
  max_len: Int[jax.Array, " B"]
  """Longest output, EOS included; 0: a filler row, which has no output."""
  mask: Bool[jax.Array, "B M"] | None = None
  """Source positions that a coverage penalty counts."""


@runtime_checkable
class InParts(Protocol):
  """A step function that is a weighted sum of others (`combine.Combined`)."""

  weights: tuple[float, ...]
  """Of the parts."""

  def in_parts(
    self, memory: Any, carry: Any, tokens: Int[jax.Array, "B K"]
  ) -> tuple[
    Any, tuple[Float[jax.Array, "B K V"], ...], Float[jax.Array, "B K M"] | None
  ]:
    """The step with each part's log-probabilities."""
    ...

  def total(
    self, log_probs: tuple[Float[jax.Array, "B K V"], ...]
  ) -> Float[jax.Array, "B K V"]:
    """The log-probabilities of the step, of those of its parts."""
    ...


class Advanced(NamedTuple):
  """The results of a step."""

  carry: Any
  log_probs: Float[jax.Array, "B K V"]
  attention: Float[jax.Array, "B K M"] | None
  parts: tuple[Float[jax.Array, "B K V"], ...]
  """Of each part; empty if the step is not made of parts."""


def advance(
  step_fn: contracts.StepFn,
  memory: Any,
  carry: Any,
  tokens: Int[jax.Array, "B K"],
) -> Advanced:
  """One step, with what its parts give."""
  if not isinstance(step_fn, InParts):
    return Advanced(*step_fn(memory, carry, tokens), ())
  carry, parts, attention = step_fn.in_parts(memory, carry, tokens)
  return Advanced(carry, step_fn.total(parts), attention, parts)


def part_sums(
  step_fn: contracts.StepFn, rows: int, width: int
) -> Float[jax.Array, "B K P"] | None:
  """Zeros, to sum up what each of P parts gives; None without parts."""
  if not isinstance(step_fn, InParts):
    return None
  return jnp.zeros((rows, width, len(step_fn.weights)), jnp.float32)


def repeat_hypotheses(carry: Any, width: int) -> Any:
  """Repeats axis 1 of every leaf. [B, 1, ...] -> [B, K, ...]."""
  return jax.tree.map(lambda x: jnp.repeat(x, width, axis=1), carry)


def reorder(tree: Any, index: Int[jax.Array, "B N"]) -> Any:
  """Takes `index` on axis 1 of every leaf. [B, K, ...] -> [B, N, ...]."""

  def take(x: jax.Array) -> jax.Array:
    shape = index.shape + (1,) * (x.ndim - 2)
    return jnp.take_along_axis(x, index.reshape(shape), axis=1)

  return jax.tree.map(take, tree)


def chosen(
  log_probs: Float[jax.Array, "B K V"],
  parent: Int[jax.Array, "B N"],
  token: Int[jax.Array, "B N"],
) -> Float[jax.Array, "B N"]:
  """The entries of these hypotheses and tokens."""
  flat = parent * log_probs.shape[-1] + token
  rows = log_probs.reshape(log_probs.shape[0], -1)
  return jnp.take_along_axis(rows, flat, axis=1)


def attention_buffers(
  step_fn: contracts.StepFn,
  sources: Sources,
  carry: Any,
  tokens: Int[jax.Array, "B K"],
  max_steps: int,
  *,
  history: bool,
  total: bool,
) -> tuple[
  Float[jax.Array, "B K T M"] | None, Float[jax.Array, "B K M"] | None
]:
  """Zeros to hold attention weights: of every step, and summed over steps.

  Args:
    step_fn: whose attention it is.
    sources: of the search.
    carry: of the first step.
    tokens: of the first step.
    max_steps: T.
    history: the weights of every step are returned with the hypotheses.
    total: a coverage penalty needs their sum.

  Returns:
    Each is None unless it is asked for. Without attention there is no history.

  Raises:
    ValueError: a total is asked for and the step does not attend.
  """
  if not history and not total:
    return None, None
  weights = jax.eval_shape(step_fn, sources.memory, carry, tokens)[2]
  if weights is None and total:
    raise ValueError("a coverage penalty needs a step that attends")
  if weights is None:
    return None, None
  rows, k, size = weights.shape
  return (
    jnp.zeros((rows, k, max_steps, size), jnp.float32) if history else None,
    jnp.zeros((rows, k, size), jnp.float32) if total else None,
  )


def write_step(
  x: jax.Array, step: Int[jax.Array, " B"], value: jax.Array
) -> jax.Array:
  """`x` [B, K, T, ...] with `value` [B, K, ...] at each row's own step."""
  steps = jnp.arange(x.shape[2], dtype=jnp.int32)
  at_step = steps[None] == step[:, None]  # [B, T]
  at_step = at_step.reshape(at_step.shape[0], 1, -1, *(1,) * (x.ndim - 3))
  return jnp.where(at_step, value[:, :, None], x)


def freeze_rows(frozen: Bool[jax.Array, " B"], old: Any, new: Any) -> Any:
  """`old` in the rows that are frozen, `new` in others. Leaves [B, ...]."""

  def pick(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.where(frozen.reshape((-1,) + (1,) * (a.ndim - 1)), a, b)

  return jax.tree.map(pick, old, new)


def is_forbidden(
  ids: Int[jax.Array, "#B I"],
  length: Int[jax.Array, "#B"] | int,
  min_len: Int[jax.Array, " B"],
  eos: int,
) -> Bool[jax.Array, "B I"]:
  """True for pad and bos, and for EOS if the output would be too short.

  `length` counts the output's tokens with the one that is chosen now.
  """
  too_short = (length < min_len)[:, None] & (ids == eos)
  return (ids == types.PAD) | (ids == types.BOS) | too_short


def mask_forbidden(
  log_probs: Float[jax.Array, "B K V"],
  length: Int[jax.Array, "#B"] | int,
  min_len: Int[jax.Array, " B"],
  eos: int,
) -> Float[jax.Array, "B K V"]:
  """Log-probabilities with -inf for the ids that are forbidden."""
  return mask_ids(
    log_probs, lambda ids: is_forbidden(ids, length, min_len, eos)
  )


def mask_ids(
  log_probs: Float[jax.Array, "B K V"],
  masked: Callable[[Int[jax.Array, "1 V"]], Bool[jax.Array, "#B V"]],
) -> Float[jax.Array, "B K V"]:
  """Log-probabilities with -inf for the ids of which `masked` is true."""
  ids = jnp.arange(log_probs.shape[-1], dtype=jnp.int32)[None]
  return jnp.where(masked(ids)[:, None], -jnp.inf, log_probs)
