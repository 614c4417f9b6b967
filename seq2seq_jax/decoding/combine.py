"""Step functions made of step functions: ensembles, mixtures, constraints.

Search is handed one `contracts.StepFn` and never sees what it is made of. The
memory and the carry of a combined step are tuples with an entry a member; its
attention is that of the first member. Members share one output vocabulary.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from seq2seq_jax import contracts


def ensemble(step_fns: Sequence[contracts.StepFn]) -> contracts.StepFn:
  """The mean of the members' probabilities at every step."""

  def mean(log_probs: list[jax.Array]) -> jax.Array:
    if len(log_probs) == 1:
      return log_probs[0]
    stacked = jnp.stack(log_probs)
    return jax.nn.logsumexp(stacked, axis=0) - math.log(len(log_probs))

  return _joined(step_fns, mean)


def combine(
  step_fns: Sequence[contracts.StepFn], weights: Sequence[float]
) -> "Combined":
  """The weighted sum of the members' log-probabilities, not normalised.

  Shallow fusion of a model and a language model (Gulcehre et al. 2015,
  arXiv 1503.03535, section 4.1) is `combine([model, lm], [1.0, 0.3])`; joint
  search of attention and CTC (Watanabe et al. 2017, eq. 44) is
  `combine([model, ctc], [0.7, 0.3])`. A word that any member of a weight other
  than 0 gives no probability has none.

  Raises:
    ValueError: there is not one weight for each member.
  """
  if len(step_fns) != len(weights):
    raise ValueError(f"{len(step_fns)} step functions, {len(weights)} weights")
  return Combined(tuple(step_fns), tuple(weights))


@dataclasses.dataclass(frozen=True)
class Combined:
  """A step function whose search also sums up what each member gives.

  See `combine` and `stepfn.InParts`.
  """

  step_fns: tuple[contracts.StepFn, ...]
  weights: tuple[float, ...]

  def __call__(
    self, memory: Any, carry: Any, tokens: Int[jax.Array, "B K"]
  ) -> tuple[Any, Float[jax.Array, "B K V"], Float[jax.Array, "B K M"] | None]:
    carry, log_probs, attention = self.in_parts(memory, carry, tokens)
    return carry, self.total(log_probs), attention

  def in_parts(
    self, memory: Any, carry: Any, tokens: Int[jax.Array, "B K"]
  ) -> tuple[
    Any, tuple[Float[jax.Array, "B K V"], ...], Float[jax.Array, "B K M"] | None
  ]:
    """The step with each member's log-probabilities."""
    carry, log_probs, attention = _advance(self.step_fns, memory, carry, tokens)
    return carry, tuple(log_probs), attention

  def total(
    self, log_probs: tuple[Float[jax.Array, "B K V"], ...]
  ) -> Float[jax.Array, "B K V"]:
    """The weighted sum of what `in_parts` gives."""
    # A weight of 0 leaves its member out: 0 times -inf would be NaN.
    return sum(
      (w * x for w, x in zip(self.weights, log_probs) if w),
      start=jnp.zeros_like(log_probs[0]),
    )


def forbid(
  step_fn: contracts.StepFn, ids: int | Sequence[int]
) -> contracts.StepFn:
  """The same step, but these ids are never chosen.

  The probabilities of others stay as they are.
  """
  index = jnp.asarray(ids, jnp.int32)

  def step(
    memory: Any, carry: Any, tokens: Int[jax.Array, "B K"]
  ) -> tuple[Any, Float[jax.Array, "B K V"], Float[jax.Array, "B K M"] | None]:
    carry, log_probs, attention = step_fn(memory, carry, tokens)
    return carry, log_probs.at[..., index].set(-jnp.inf), attention

  return step


def _joined(
  step_fns: Sequence[contracts.StepFn],
  join: Callable[[list[jax.Array]], jax.Array],
) -> contracts.StepFn:
  """Steps every member and joins their log-probabilities, [B, K, V] each."""

  def step(
    memory: Any, carry: Any, tokens: Int[jax.Array, "B K"]
  ) -> tuple[Any, Float[jax.Array, "B K V"], Float[jax.Array, "B K M"] | None]:
    carry, log_probs, attention = _advance(step_fns, memory, carry, tokens)
    return carry, join(log_probs), attention

  return step


def _advance(
  step_fns: Sequence[contracts.StepFn],
  memory: Any,
  carry: Any,
  tokens: Int[jax.Array, "B K"],
) -> tuple[Any, list[jax.Array], Float[jax.Array, "B K M"] | None]:
  """Carries and log-probabilities of all members, the first one's attention."""
  outputs = [
    step_fn(member_memory, member_carry, tokens)
    for step_fn, member_memory, member_carry in zip(
      step_fns, memory, carry, strict=True
    )
  ]
  carries, log_probs, attention = zip(*outputs)
  return carries, list(log_probs), attention[0]
