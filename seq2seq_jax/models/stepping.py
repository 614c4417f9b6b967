"""What every decoder shares, whatever its step is made of."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from seq2seq_jax import types
from seq2seq_jax.models import recurrence, sampling


class Stepping(nn.Module):
  """A head, and steps fed with their own tokens.

  A decoder has `start`, `embed`, `advance` and a `head`.
  """

  def unroll_sampled(self, memory, tokens, noise, sampled: sampling.Sampled):
    """Scheduled sampling (Bengio et al. 2015): some inputs are its own."""
    decoder, variables = self.unbind()

    def body(carry, xs):
      carry, last = carry
      given, coin, t, noise = xs
      mixed = jnp.where(coin < sampled.gold, given, last)[:, None]
      noise = {k: v[:, None] for k, v in noise.items()}
      inputs = decoder.apply(variables, mixed, noise, method="embed")
      inner = {k: v for k, v in noise.items() if k not in ("embed", "word")}
      carry, output = decoder.apply(
        variables, memory, carry, inputs, inner, method="advance"
      )
      log_probs = decoder.apply(variables, memory, output, method="log_probs")
      return (carry, sampling.choose(sampled, log_probs[:, 0], t)), output

    steps = jnp.arange(tokens.shape[1], dtype=jnp.int32)
    xs = (tokens.swapaxes(0, 1), sampled.coins, steps, noise)
    first = (self.start(memory, tokens.shape[1]), tokens[:, 0])
    _, outputs = recurrence.scan(body, first, xs)
    return jax.tree.map(lambda y: y[:, :, 0].swapaxes(0, 1), outputs)

  def gates_of_words(self):
    """What search may look up instead of making it each step: nothing."""

  def log_probs(self, memory, output: types.StepOutput):
    """[B, K, D] -> [B, K, V + X]."""
    return self.head.log_probs(memory, output)

  def losses(self, memory, output, targets, weights, smoothing, form):
    """The weighted sum of losses [], nll and correctness [B, T]."""
    return self.head.losses(memory, output, targets, weights, smoothing, form)
