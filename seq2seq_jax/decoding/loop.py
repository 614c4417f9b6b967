"""What beam and greedy search share: every row steps until it is done."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Int

from seq2seq_jax import types
from seq2seq_jax.decoding import slots, stepfn


@runtime_checkable
class Method(Protocol):
  """A way of searching. What a step changes is a tree of leaves [B, ...]."""

  @property
  def coverage(self) -> float:
    """Weight of the coverage penalty; 0: the sources' mask is not needed."""
    ...

  def start(self, sources: stepfn.Sources) -> Any:
    """What the first step changes."""
    ...

  def step(
    self, sources: stepfn.Sources, hypotheses: Any
  ) -> tuple[Any, Bool[jax.Array, " B"]]:
    """One step of every row, done or not, and which rows are done then.

    `sources` come without their carry.
    """
    ...

  def results(
    self, sources: stepfn.Sources, hypotheses: Any
  ) -> types.Hypotheses:
    """The hypotheses of rows that are done."""
    ...


class _State(NamedTuple):
  sources: stepfn.Sources
  hypotheses: Any
  done: Bool[jax.Array, " B"]


def run(
  method: Method,
  sources: stepfn.Sources,
  rows: int | None,
  total: int | Int[jax.Array, ""] | None,
) -> types.Hypotheses:
  """Searches the outputs of all sources.

  Args:
    method: beam or greedy search.
    sources: of the search.
    rows: rows computed at a time, see `slots.run`; by default one a source.
    total: sources that count; those after them have no outputs.
  """

  def start(sources: stepfn.Sources) -> _State:
    hypotheses = method.start(sources)
    constants = sources._replace(
      carry=(), mask=sources.mask if method.coverage else None
    )
    return _State(constants, hypotheses, sources.max_len < 1)

  def step(state: _State) -> _State:
    hypotheses, done = method.step(state.sources, state.hypotheses)
    # Done rows stay as they are, whatever their neighbours still need.
    hypotheses = stepfn.freeze_rows(state.done, state.hypotheses, hypotheses)
    return state._replace(hypotheses=hypotheses, done=state.done | done)

  return slots.run(
    start,
    step,
    lambda state: method.results(state.sources, state.hypotheses),
    sources,
    rows or jnp.shape(sources.max_len)[0],
    total,
  )
