"""CTC as a step function: how probable is each next label of a prefix.

Connectionist temporal classification (Graves et al. 2006) gives a label to
every position of the encoder, blanks and repetitions included. The probability
that a labelling starts with a prefix follows from two variables for each
prefix (Watanabe et al. 2017, IEEE JSTSP 11(8), section II.C). Here a step
scores all V continuations at once and carries nothing of size V.

For a prefix h and positions t = 0 .. S, with p_t(c) the probability of label c
at position t, n_t(h) and b_t(h) are the probabilities that positions 1 .. t
give h and end in a label, or in a blank; position 0 is virtual, with
b_0(empty) = 1 and all else 0. With

    phi_t(h, c) = b_t(h) if c is the last label of h, else n_t(h) + b_t(h)

they are extended by a label c as

    n_t(hc) = (n_{t-1}(hc) + phi_{t-1}(h, c)) p_t(c)
    b_t(hc) = (b_{t-1}(hc) + n_{t-1}(hc)) p_t(blank)

and the probability that a labelling starts with hc is the sum over t of
phi_{t-1}(h, c) p_t(c): for all c together one product [K, S] x [S, V], of
which the column of the last label is put right. With P(h) = n_S(h) + b_S(h)
for the end of the sentence these sum to the probability of the prefix h, so
that a step is a distribution and the steps of a whole output multiply to P.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from seq2seq_jax import types

# In place of log 0: sums of many of them stay finite in float32.
NEVER = -1e30
# A continuation whose probability is smaller, compared with the prefix's most
# probable position, counts as this: it is never chosen, and stays finite.
SMALLEST = 1e-37
BLANK = types.PAD


class Memory(NamedTuple):
  """Label probabilities of every position, blank behind the end."""

  log_probs: Float[jax.Array, "B S V"]
  probs: Float[jax.Array, "B S V"]


class Carry(NamedTuple):
  """The variables of each prefix, without the token that comes in next."""

  label: Float[jax.Array, "B K S1"]
  """log n_t for t = 0 .. S."""
  blank: Float[jax.Array, "B K S1"]
  """log b_t."""
  last: Int[jax.Array, "B K"]
  """The last label; BOS if the prefix is empty."""


def prepare(
  logits: Float[jax.Array, "B S V"],
  mask: Bool[jax.Array, "B S"],
  never: Sequence[int] = (types.BOS, types.EOS),
) -> Memory:
  """The memory of a search over these positions.

  Args:
    logits: of the labels, blank at the id of pad.
    mask: True at real positions.
    never: labels that no position has; the others share their probability.
  """
  ids = jnp.arange(logits.shape[-1], dtype=jnp.int32)[None, None]
  excluded = jnp.isin(ids, jnp.asarray(never, jnp.int32))
  logits = jnp.where(excluded, NEVER, logits.astype(jnp.float32))
  log_probs = jnp.maximum(jax.nn.log_softmax(logits), NEVER)
  silent = jnp.where(ids == BLANK, 0.0, NEVER)
  log_probs = jnp.where(mask[..., None], log_probs, silent)
  return Memory(log_probs, jnp.exp(log_probs))


def start(memory: Memory) -> Carry:
  """The carry of the empty prefix, with K = 1."""
  log_probs = memory.log_probs[:, None, :, BLANK]  # [B, 1, S]
  zero = jnp.zeros_like(log_probs[..., :1])
  blank = jnp.concatenate([zero, jnp.cumsum(log_probs, axis=-1)], axis=-1)
  last = jnp.full(blank.shape[:2], types.BOS, jnp.int32)
  return Carry(jnp.full_like(blank, NEVER), jnp.maximum(blank, NEVER), last)


def step(
  memory: Memory,
  carry: Carry,
  tokens: Int[jax.Array, "B K"],
  associative: bool = False,
) -> tuple[Carry, Float[jax.Array, "B K V"], None]:
  """Extends each prefix by its token and scores all continuations.

  A `contracts.StepFn` without attention. The distribution is over the labels
  and EOS; blank and BOS have none of it.

  Args:
    memory: of `prepare`.
    carry: of the prefixes without `tokens`.
    tokens: the labels to append; BOS appends nothing.
    associative: sum over positions in parallel, for devices on which a loop
      over positions is slow.
  """
  carry = extend(memory, carry, tokens, associative)
  before = jnp.logaddexp(carry.label, carry.blank)  # [B, K, S + 1]
  largest = jnp.max(before[..., :-1], axis=-1, keepdims=True)
  weights = jnp.exp(before[..., :-1] - largest)
  highest = jax.lax.Precision.HIGHEST
  sums = jnp.einsum("bks,bsv->bkv", weights, memory.probs, precision=highest)
  # The last label again needs a blank before it.
  after_blank = jnp.exp(carry.blank[..., :-1] - largest)
  again = jnp.sum(after_blank * _of(memory.probs, carry.last), axis=-1)
  ids = jnp.arange(sums.shape[-1], dtype=jnp.int32)[None, None]
  sums = jnp.where(ids == carry.last[..., None], again[..., None], sums)
  scores = largest + jnp.log(jnp.maximum(sums, SMALLEST))
  floor = largest + jnp.log(SMALLEST)
  end = jnp.maximum(before[..., -1:], floor)
  scores = jnp.where(ids == types.EOS, end, scores)
  impossible = (ids == BLANK) | (ids == types.BOS)
  scores = jnp.where(impossible, -jnp.inf, scores)
  return carry, jax.nn.log_softmax(scores), None


def extend(
  memory: Memory,
  carry: Carry,
  tokens: Int[jax.Array, "B K"],
  associative: bool = False,
) -> Carry:
  """The carry of each prefix with its token appended; BOS appends nothing."""
  repeats = (tokens == carry.last)[..., None]
  either = jnp.logaddexp(carry.label, carry.blank)
  before = jnp.where(repeats, carry.blank, either)[..., :-1]  # phi
  here = _of(memory.log_probs, tokens)  # [B, K, S]
  recur = _recur_associative if associative else _recur
  label = recur(here, before + here)
  blank_here = jnp.broadcast_to(memory.log_probs[:, None, :, BLANK], here.shape)
  blank = recur(blank_here, label[..., :-1] + blank_here)
  same = (tokens == types.BOS)[..., None]
  return Carry(
    jnp.where(same, carry.label, label),
    jnp.where(same, carry.blank, blank),
    jnp.where(same[..., 0], carry.last, tokens),
  )


class Prefixes(NamedTuple):
  """Log-probabilities of all prefixes of some labels, the empty one first."""

  starts: Float[jax.Array, "B L1"]
  """That a labelling starts with the prefix."""
  ends: Float[jax.Array, "B L1"]
  """That it is the prefix."""


def prefixes(memory: Memory, labels: Int[jax.Array, "B L"]) -> Prefixes:
  """The prefixes of given labels, in one pass over the positions.

  It agrees with `step` along the labels. What stands behind a row's own labels
  changes none of their prefixes.
  """
  rows, size = labels.shape
  repeats = labels == jnp.pad(labels, ((0, 0), (1, 0)))[:, :-1]
  here = jnp.take_along_axis(memory.log_probs, labels[:, None], axis=-1)
  label = jnp.full((rows, size + 1), NEVER, jnp.float32)
  blank = label.at[:, 0].set(0.0)

  def body(
    state: tuple[jax.Array, jax.Array, jax.Array],
    log_probs: tuple[jax.Array, jax.Array],
  ) -> tuple[tuple[jax.Array, jax.Array, jax.Array], None]:
    label, blank, starts = state
    of_label, of_blank = log_probs
    either = jnp.logaddexp(label, blank)
    before = jnp.where(repeats, blank[:, :-1], either[:, :-1])  # phi
    starts = jnp.logaddexp(starts, before + of_label)
    label = jnp.logaddexp(label[:, 1:], before) + of_label
    label = jnp.pad(label, ((0, 0), (1, 0)), constant_values=NEVER)
    blank = either + of_blank[:, None]
    floor = functools.partial(jnp.maximum, NEVER)
    return (floor(label), floor(blank), floor(starts)), None

  steps = (here.swapaxes(0, 1), memory.log_probs[..., BLANK].swapaxes(0, 1))
  first = (label, blank, jnp.full((rows, size), NEVER, jnp.float32))
  (label, blank, starts), _ = jax.lax.scan(body, first, steps)
  return Prefixes(
    jnp.pad(starts, ((0, 0), (1, 0))), jnp.logaddexp(label, blank)
  )


def best_path(
  logits: Float[jax.Array, "B S V"],
  mask: Bool[jax.Array, "B S"],
  never: Sequence[int] = (types.BOS, types.EOS),
) -> Int[jax.Array, "B S"]:
  """The most probable label of each position, as the first of its run.

  Repetitions and blanks are 0: what is left is the output of greedy decoding.
  """
  best = jnp.argmax(prepare(logits, mask, never).log_probs, axis=-1)
  before = jnp.pad(best, ((0, 0), (1, 0)), constant_values=BLANK)[:, :-1]
  return jnp.where(best == before, BLANK, best).astype(jnp.int32)


def _of(
  values: Float[jax.Array, "B S V"], ids: Int[jax.Array, "B K"]
) -> Float[jax.Array, "B K S"]:
  """Each hypothesis' column of `values`."""
  columns = jnp.take_along_axis(values, ids[:, None], axis=-1)  # [B, S, K]
  return columns.swapaxes(1, 2)


def _recur(
  factor: Float[jax.Array, "B K S"], term: Float[jax.Array, "B K S"]
) -> Float[jax.Array, "B K S1"]:
  """log x_t of x_t = factor_t x_{t-1} + term_t with x_0 = 0; logs come in."""

  def body(
    before: jax.Array, inputs: tuple[jax.Array, jax.Array]
  ) -> tuple[jax.Array, jax.Array]:
    a, c = inputs
    now = jnp.maximum(jnp.logaddexp(before + a, c), NEVER)
    return now, now

  first = jnp.full_like(term[..., 0], NEVER)
  inputs = jax.tree.map(lambda x: jnp.moveaxis(x, -1, 0), (factor, term))
  _, rest = jax.lax.scan(body, first, inputs)
  return jnp.concatenate([first[..., None], jnp.moveaxis(rest, 0, -1)], -1)


def _recur_associative(
  factor: Float[jax.Array, "B K S"], term: Float[jax.Array, "B K S"]
) -> Float[jax.Array, "B K S1"]:
  """The same as `_recur`, in log2 S rounds."""

  def join(
    left: tuple[jax.Array, jax.Array], right: tuple[jax.Array, jax.Array]
  ) -> tuple[jax.Array, jax.Array]:
    factor = jnp.maximum(left[0] + right[0], NEVER)
    term = jnp.logaddexp(right[0] + left[1], right[1])
    return factor, jnp.maximum(term, NEVER)

  _, sums = jax.lax.associative_scan(join, (factor, term), axis=-1)
  first = jnp.full_like(sums[..., :1], NEVER)
  return jnp.concatenate([first, sums], axis=-1)
