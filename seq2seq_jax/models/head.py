"""The linear softmax, and what a head tells the decoder.

`contracts.Head` says what a head promises. A head tells the decoder what it
needs by class attributes and two static methods, so that no decoder has to know
which head it carries. Heads that copy are in `heads.py`.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
from jaxtyping import Float, Int

from seq2seq_jax import types
from seq2seq_jax.models import (
  attention,
  initializers,
  layers,
  recurrence,
  softmax,
)

# The sum of weighted losses [], and nll and correctness of each token [B, T].
Losses = tuple[
  Float[types.Array, ""], Float[types.Array, "B T"], Float[types.Array, "B T"]
]


class Softmax(nn.Module):
  """A linear softmax, its matrix that of the target embeddings where tied.

  Where the widths differ, a tied head first projects to the embedding's (Press
  & Wolf 2017).
  """

  vocab_size: int
  inputs: int  # width of the features
  state_dim: int  # of what `state_of` gives
  memory_dim: int
  read_dim: int  # of the step's input: the embedding, with a fed context
  tied: Any  # the embedding module, or None
  args: Mapping[str, Any]  # init, init_scale, dtype

  copies = False
  """True if the source's words are outputs too: then X = M."""
  sees_input = False
  """True if `extra` looks at the step's input (`read`), so the decoder has to
  keep it."""
  feeds_back_copies = False
  """True if a step's copy scores are an input of the next step (`read`)."""

  @staticmethod
  def state_width(features: int, leaves: int) -> int:
    """Width of `state_of`, for a cell of so many leaves of so many features."""
    del leaves
    return features

  @staticmethod
  def state_of(
    output: types.Array, carry: tuple[types.Array, ...]
  ) -> types.Array:
    """What the head sees of the top layer: its output."""
    del carry
    return output

  def setup(self) -> None:
    args = dict(self.args)
    self.adapter = None
    if self.tied is None:
      init = initializers.weights(args["init_kind"], args["init_scale"])
      self.kernel = self.param("kernel", init, (self.inputs, self.vocab_size))
    elif self.tied.features != self.inputs:
      self.adapter = layers.Dense(
        self.inputs, self.tied.features, use_bias=False, **args
      )
    init = initializers.bias(args["init_kind"], self.inputs)
    self.bias = self.param("bias", init, (self.vocab_size,))
    self.declare_params()

  def declare_params(self) -> None:
    """Declares a derived head's parameters."""

  def matrix(self) -> Float[types.Array, "R V"]:
    """The output matrix."""
    return self.kernel if self.tied is None else self.tied.table.T

  def adapted(self, features: types.Array) -> types.Array:
    """Features in the width of the output matrix."""
    return self.adapter(features) if self.adapter else features

  def logits(
    self, features: Float[types.Array, "B K R"]
  ) -> Float[types.Array, "B K V"]:
    """Unnormalised scores of the V words."""
    dtype = dict(self.args)["dtype"]
    x = recurrence.product(self.adapted(features), self.matrix(), dtype)
    return recurrence.add_bias(x, self.bias)

  def keys(self, memory: types.Memory) -> Any:
    """What depends on the source alone (`memory.keys.head`)."""
    del memory

  def extra(
    self,
    memory: types.Memory,
    inputs: dict[str, Any],
    attended: attention.Attended,
  ) -> dict[str, types.Array]:
    """What `log_probs` and `losses` need beside the features. [B, K, ...].

    Args:
      memory: prepared.
      inputs: `state`, what `state_of` gives, if the head copies; `read`, the
        step's input, if it sees the input.
      attended: context and weights of the step.
    """
    del memory, inputs, attended
    return {}

  def log_probs(
    self, memory: types.Memory | None, output: types.StepOutput
  ) -> Float[types.Array, "B K VX"]:
    """Normalised log-probabilities of V words, and of X of the source."""
    del memory
    return jax.nn.log_softmax(self.logits(output.features), axis=-1)

  def losses(
    self,
    memory: types.Memory | None,
    output: types.StepOutput,
    targets: Int[types.Array, "B T"],
    weights: Float[types.Array, "B T"],
    smoothing: float,
    smoothing_kind: str,
  ) -> Losses:
    """The weighted sum of losses [], and two terms a token [B, T].

    The terms are the negative log-likelihood, and 1 where the reference is the
    most probable token; gradients flow through the sum alone.

    Args:
      memory: prepared.
      output: of T steps.
      targets: references; ids >= V are the sentence's own words.
      weights: of each token's loss, 0 over padding.
      smoothing: probability moved away from the reference token.
      smoothing_kind: see `softmax.smoothing_weights`.
    """
    del memory
    x = self.adapted(output.features)
    total, nll, correct = softmax.losses(
      x.reshape(-1, x.shape[-1]),
      self.matrix(),
      self.bias,
      targets.reshape(-1),
      weights.reshape(-1),
      smoothing,
      smoothing_kind,
      dict(self.args)["dtype"],
    )
    return total, nll.reshape(targets.shape), correct.reshape(targets.shape)
