"""Protocols of functions: a step of a search, and a term of the loss."""

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float, Int

from seq2seq_jax import types


@runtime_checkable
class StepFn(Protocol):
  """One decoder step of K hypotheses a source: all that search sees of a model.

  A recurrent model, a Transformer, an ensemble and a model with a language
  model fused in are all the same to search.
  """

  def __call__(
    self, memory: Any, carry: Any, tokens: Int[types.Array, "B K"]
  ) -> tuple[
    Any, Float[types.Array, "B K V"], Float[types.Array, "B K M"] | None
  ]:
    """The carry after the step, log-probabilities and attention weights.

    Args:
      memory: leaves [B, ...], shared by the hypotheses of a source.
      carry: leaves [B, K, ...], which search may reorder on axis 1.
      tokens: of the step before, BOS at first.

    V counts the words that a copying model takes from the source. Attention is
    None if the model does not attend.
    """


class Objective(Protocol):
  """A term of the training loss; `training/objectives.py` lists them."""

  def __call__(
    self, outputs: types.Outputs, memory: types.Memory, batch: types.Batch
  ) -> dict[str, tuple[types.Array, types.Array]]:
    """Sums that enter the loss, by name, each with the weight that divides it.

    Both are scalars over the rows given: they are added up over devices and
    parts of a batch. The loss is a weighted sum of the sums; the mean, sum over
    weight, is only shown. Filler rows (`tgt_len` 0) and padding must add 0.
    """
