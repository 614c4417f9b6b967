"""Heads: from a step's features to log-probabilities and to losses.

A head has `log_probs(memory, output) -> [B, K, V + X]` and `losses(memory,
output, targets, weights, smoothing, form)`: the weighted sum of losses, and for
each token [B, T] the negative log-likelihood, and 1 where the reference is the
most probable one.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from seq2seq_jax import types
from seq2seq_jax.models import initializers, layers, recurrence, softmax

TINY = 1e-30  # added to probabilities whose logarithm is taken


class Softmax(nn.Module):
  """A linear softmax, its matrix that of the target embeddings where tied.

  Where the widths differ, a tied head first projects to the embedding's (Press
  & Wolf 2017).
  """

  vocab_size: int
  inputs: int  # width of the features
  state_dim: int  # of the decoder's state
  memory_dim: int
  read_dim: int  # of what the state was read from: embedding, fed context
  tied: Any  # the embedding, or None
  args: dict  # init, init_scale, dtype

  copies = False  # whether the source's words are outputs, with X = S'
  reads = False  # whether what was copied is fed to the next step (CopyNet)

  def setup(self):
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
    self.own()

  def own(self):
    """Declares further parameters."""

  def matrix(self):
    return self.kernel if self.tied is None else self.tied.table.T

  def adapted(self, features):
    return self.adapter(features) if self.adapter else features

  def logits(self, features):
    dtype = dict(self.args)["dtype"]
    x = recurrence.product(self.adapted(features), self.matrix(), dtype)
    return recurrence.add_bias(x, self.bias)

  def keys(self, memory):
    """What depends on the source alone (`Prepared.head`)."""
    del memory

  def extra(self, memory, hidden, attended) -> dict:
    """What `log_probs` and `losses` need beside the features. [B, K, ...]."""
    del memory, hidden, attended
    return {}

  def log_probs(self, memory, output: types.StepOutput):
    """[B, K, D] -> [B, K, V]."""
    del memory
    return jax.nn.log_softmax(self.logits(output.features), axis=-1)

  def losses(self, memory, output, targets, weights, smoothing, form):
    """The sum of losses [], nll and correctness [B, T]."""
    del memory
    x = self.adapted(output.features)
    total, *terms = softmax.losses(
      x.reshape(-1, x.shape[-1]),
      self.matrix(),
      self.bias,
      targets.reshape(-1),
      weights.reshape(-1),
      smoothing,
      form,
      dict(self.args)["dtype"],
    )
    return total, *(t.reshape(targets.shape) for t in terms)


class Copying(Softmax):
  """What copying heads share: probabilities over V words and S' positions.

  `Memory.source` [B, S'] holds the ids of the source's words in the extended
  vocabulary: those of the target vocabulary, and from V on one for each other
  word of the sentence.
  """

  copies = True

  def split(self, memory, output):
    """Log-probabilities of words [B, K, V] and of positions [B, K, S']."""
    raise TypeError("a copying head defines its split")

  def log_probs(self, memory, output):
    """[B, K, D] -> [B, K, V + S']."""
    words, positions = self.split(memory, output)
    rows, queries, _ = words.shape
    size = positions.shape[-1]
    probs = jnp.pad(jnp.exp(words), ((0, 0), (0, 0), (0, size)))
    row = jnp.arange(rows, dtype=jnp.int32)[:, None, None]
    query = jnp.arange(queries, dtype=jnp.int32)[None, :, None]
    probs = probs.at[row, query, memory.source[:, None]].add(jnp.exp(positions))
    return jnp.log(jnp.maximum(probs, TINY))

  def losses(self, memory, output, targets, weights, smoothing, form):
    del smoothing, form  # refused by the config
    words, positions = self.split(memory, output)
    inside = targets < self.vocab_size
    ids = jnp.where(inside, targets, 0)[..., None]
    made = jnp.exp(jnp.take_along_axis(words, ids, axis=-1)[..., 0])
    here = memory.source[:, None] == targets[..., None]  # [B, T, S']
    copied = jnp.sum(jnp.where(here, jnp.exp(positions), 0.0), axis=-1)
    prob = jnp.where(inside, made, 0.0) + copied
    nll = -jnp.log(jnp.maximum(prob, TINY))
    best = self.best(memory.source, words, positions)
    correct = (prob >= best * (1.0 - 1e-6)).astype(jnp.float32)
    return jnp.sum(weights * nll), nll, correct

  def best(self, source, words, positions):
    """Probability of the most probable token. [B, T]."""
    same = source[:, :, None] == source[:, None]  # [B, S', S']
    copied = jnp.einsum(
      "bts,bsj->btj", jnp.exp(positions), same.astype(jnp.float32)
    )
    ids = jnp.where(source < self.vocab_size, source, 0)[:, None]
    ids = jnp.broadcast_to(ids, positions.shape)
    made = jnp.exp(jnp.take_along_axis(words, ids, axis=-1))
    made = jnp.where((source < self.vocab_size)[:, None], made, 0.0)
    alone = jnp.max(jnp.exp(words), axis=-1)
    return jnp.maximum(alone, jnp.max(made + copied, axis=-1))


class Pointer(Copying):
  """Pointer-generator (See et al. 2017): p_gen P_vocab + (1 - p_gen) α.

  p_gen = σ(w^T [c; s; x] + b), s the whole carry of the top layer ([c; h] of an
  LSTM) and x the embedding, with the fed context beside it, as in the authors'
  code.
  """

  def own(self):
    width = self.memory_dim + self.state_dim + self.read_dim
    self.gate = layers.Dense(width, 1, **dict(self.args))

  def extra(self, memory, hidden, attended):
    del memory
    parts = [attended.context, hidden["state"], hidden["read"]]
    return {"gate": self.gate(jnp.concatenate(parts, axis=-1))}

  def split(self, memory, output):
    del memory
    words = jax.nn.log_softmax(self.logits(output.features), axis=-1)
    gate = output.extra["gate"]
    weights = jnp.log(jnp.maximum(output.attention, TINY))
    return (
      words + jax.nn.log_sigmoid(gate),
      weights + jax.nn.log_sigmoid(-gate),
    )


class CopyNet(Copying):
  """CopyNet (Gu et al. 2016): one softmax over words and source positions.

  ψ_c(x_j) = tanh(h_j^T W_c) s_t; what was copied is read selectively by the
  next step.
  """

  reads = True

  def own(self):
    self.copy = layers.Dense(
      self.memory_dim, self.state_dim, use_bias=False, **dict(self.args)
    )

  def keys(self, memory):
    return jnp.tanh(self.copy(memory.values))  # [B, S', H]

  def extra(self, memory, hidden, attended):
    del attended
    keys = memory.keys.head
    scores = jnp.einsum("bsd,bkd->bks", keys, hidden["state"])
    low = jnp.finfo(scores.dtype).min
    return {"copy": jnp.where(memory.mask[:, None], scores, low)}

  def split(self, memory, output):
    del memory
    words, positions = self.logits(output.features), output.extra["copy"]
    both = jnp.concatenate([words, positions], axis=-1)
    norm = jax.nn.logsumexp(both, axis=-1, keepdims=True)
    return words - norm, positions - norm

  def read(self, memory, scores, tokens):
    """ζ, the source vectors that the last token was copied from. [B, K, D].

    Args:
      scores: the last step's copy scores [B, K, S'].
      tokens: the last step's tokens, in the extended vocabulary [B, K].
    """
    here = (memory.source[:, None] == tokens[..., None]) & memory.mask[:, None]
    low = jnp.finfo(scores.dtype).min
    weights = jax.nn.softmax(jnp.where(here, scores, low), axis=-1)
    weights = jnp.where(here, weights, 0.0)
    return jnp.einsum("bks,bsd->bkd", weights, memory.values)


HEADS = {"softmax": Softmax, "pointer": Pointer, "copynet": CopyNet}
