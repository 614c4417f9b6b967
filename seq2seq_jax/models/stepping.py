"""What every decoder shares, whatever its step is made of."""

import flax.linen as nn

from seq2seq_jax import types


class Stepping(nn.Module):
  """A head, and what search may ask for.

  A decoder has `start`, `embed`, `advance` and a `head`.
  """

  def gates_of_words(self):
    """What search may look up instead of making it each step: nothing."""

  def log_probs(self, memory, output: types.StepOutput):
    """[B, K, D] -> [B, K, V + X]."""
    return self.head.log_probs(memory, output)

  def losses(self, memory, output, targets, weights, smoothing, form):
    """The weighted sum of losses [], nll and correctness [B, T]."""
    return self.head.losses(memory, output, targets, weights, smoothing, form)
