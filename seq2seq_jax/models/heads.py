"""Heads: from a step's features to log-probabilities and to losses.

The softmax, with what all heads promise, is in `head.py`; here are those that
also copy words of the source. A new head is one class here, one line in
`HEADS`, and its name in the config.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from seq2seq_jax import types
from seq2seq_jax.models import attention, copying, head, layers

TINY = 1e-30  # added to probabilities whose logarithm is taken


class Copying(head.Softmax):
  """What copying heads share: probabilities over V words and M positions.

  `Memory.source` [B, M] holds the ids of the source's words in the extended
  vocabulary: those of the target vocabulary, and from V on one for each other
  word of the sentence. A word's probability is the sum of all ways to make it.

  The source's EOS is a position like others, so the end can be copied too; the
  sources of See et al. 2017 and Gu et al. 2016 have none.
  """

  copies = True

  def split(
    self, memory: types.Memory, output: types.StepOutput
  ) -> tuple[Float[types.Array, "B K V"], Float[types.Array, "B K M"]]:
    """Log-probabilities of generated words and of copied positions."""
    raise TypeError("a copying head defines its split")

  def log_probs(
    self, memory: types.Memory | None, output: types.StepOutput
  ) -> Float[types.Array, "B K VX"]:
    assert memory is not None and memory.source is not None
    words, positions = self.split(memory, output)
    rows, queries, _ = words.shape
    size = positions.shape[-1]
    probs = jnp.pad(jnp.exp(words), ((0, 0), (0, 0), (0, size)))
    row = jnp.arange(rows, dtype=jnp.int32)[:, None, None]
    query = jnp.arange(queries, dtype=jnp.int32)[None, :, None]
    # Positions with the same word add up; `add` does so for repeated ids.
    probs = probs.at[row, query, memory.source[:, None]].add(jnp.exp(positions))
    # Of the M ids beyond the vocabulary a sentence has as many as own words.
    ids = jnp.arange(probs.shape[-1], dtype=jnp.int32)[None, None]
    last = jnp.max(memory.source, axis=1)[:, None, None]
    exists = (ids < self.vocab_size) | (ids <= last)
    return jnp.where(exists, jnp.log(jnp.maximum(probs, TINY)), -jnp.inf)

  def losses(
    self,
    memory: types.Memory | None,
    output: types.StepOutput,
    targets: Int[types.Array, "B T"],
    weights: Float[types.Array, "B T"],
    smoothing: float,
    smoothing_kind: str,
  ) -> head.Losses:
    """As `Softmax.losses`, without ever making the V + M probabilities."""
    del smoothing, smoothing_kind  # refused by the config
    assert memory is not None and memory.source is not None

    def terms(
      output: types.StepOutput, targets: types.Array
    ) -> tuple[types.Array, types.Array]:
      return self._terms(memory, output, targets)

    size = max(1, copying.AT_ONCE // (self.vocab_size + memory.source.shape[1]))
    nll, correct = copying.in_parts(terms, size, output, targets)
    return jnp.sum(weights * nll), nll, correct

  def _terms(
    self,
    memory: types.Memory,
    output: types.StepOutput,
    targets: Int[types.Array, "B T"],
  ) -> tuple[Float[types.Array, "B T"], Float[types.Array, "B T"]]:
    """Negative log-likelihood and correctness of each token."""
    assert memory.source is not None
    words, positions = self.split(memory, output)
    in_vocabulary = targets < self.vocab_size
    ids = jnp.where(in_vocabulary, targets, 0)[..., None]
    generated = jnp.exp(jnp.take_along_axis(words, ids, axis=-1)[..., 0])
    match = memory.source[:, None] == targets[..., None]  # [B, T, M]
    copied = jnp.sum(jnp.where(match, jnp.exp(positions), 0.0), axis=-1)
    prob = jnp.where(in_vocabulary, generated, 0.0) + copied
    nll = -jnp.log(jnp.maximum(prob, TINY))
    best = self.best(memory.source, words, positions)
    # The two are summed in different orders, so equal ones may differ a little.
    correct = (prob >= best * (1.0 - 1e-6)).astype(jnp.float32)
    return nll, correct

  def best(
    self,
    source: Int[types.Array, "B M"],
    words: Float[types.Array, "B T V"],
    positions: Float[types.Array, "B T M"],
  ) -> Float[types.Array, "B T"]:
    """Probability of the most probable token.

    It is either a word that the source lacks, or that of some position: its
    probability is then its own and that of all equal positions.
    """
    if source.shape[1] <= copying.COMPARED:
      same = source[:, :, None] == source[:, None]  # [B, M, M]
      copied = jnp.einsum(
        "bts,bsj->btj", jnp.exp(positions), same.astype(jnp.float32)
      )
    else:
      copied = copying.sums_over_equal(source, jnp.exp(positions))
    ids = jnp.where(source < self.vocab_size, source, 0)[:, None]
    ids = jnp.broadcast_to(ids, positions.shape)
    generated = jnp.exp(jnp.take_along_axis(words, ids, axis=-1))
    in_vocabulary = (source < self.vocab_size)[:, None]
    generated = jnp.where(in_vocabulary, generated, 0.0)
    not_copied = jnp.max(jnp.exp(words), axis=-1)
    return jnp.maximum(not_copied, jnp.max(generated + copied, axis=-1))


def gated(
  words: Float[types.Array, "B K V"],
  attention: Float[types.Array, "B K M"] | None,
  gate: Float[types.Array, "B K 1"],
) -> tuple[Float[types.Array, "B K V"], Float[types.Array, "B K M"]]:
  """Words times p_gen = σ(gate) and weights times 1 - p_gen, as logarithms."""
  assert attention is not None
  weights = jnp.log(jnp.maximum(attention, TINY))
  return words + jax.nn.log_sigmoid(gate), weights + jax.nn.log_sigmoid(-gate)


class Pointer(Copying):
  """Pointer-generator (See et al. 2017): p_gen P_vocab + (1 - p_gen) α.

  p_gen = σ(w^T [c; s; x] + b), s the whole carry of the top layer ([c; h] of an
  LSTM) and x the embedding, with the fed context beside it, as in the authors'
  code.
  """

  sees_input = True

  @staticmethod
  def state_width(features: int, leaves: int) -> int:
    return features * leaves

  @staticmethod
  def state_of(
    output: types.Array, carry: tuple[types.Array, ...]
  ) -> types.Array:
    """The whole carry of the top layer, its leaves side by side."""
    del output
    return jnp.concatenate(carry, axis=-1)

  def declare_params(self) -> None:
    width = self.memory_dim + self.state_dim + self.read_dim
    self.gate = layers.Dense(width, 1, **dict(self.args))

  def extra(
    self,
    memory: types.Memory,
    inputs: dict[str, Any],
    attended: attention.Attended,
  ) -> dict[str, types.Array]:
    del memory
    parts = [attended.context, inputs["state"], inputs["read"]]
    return {"gate": self.gate(jnp.concatenate(parts, axis=-1))}

  def split(
    self, memory: types.Memory, output: types.StepOutput
  ) -> tuple[Float[types.Array, "B K V"], Float[types.Array, "B K M"]]:
    del memory
    words = jax.nn.log_softmax(self.logits(output.features), axis=-1)
    return gated(words, output.attention, output.extra["gate"])


class ReadoutPointer(Copying):
  """Pointer-generator whose gate sees the readout alone (OpenNMT-py).

  p_gen P_vocab + (1 - p_gen) α with p_gen = σ(w^T r + b), r the features that
  the softmax sees.
  """

  def declare_params(self) -> None:
    self.gate = layers.Dense(self.inputs, 1, **dict(self.args))

  def split(
    self, memory: types.Memory, output: types.StepOutput
  ) -> tuple[Float[types.Array, "B K V"], Float[types.Array, "B K M"]]:
    del memory
    words = jax.nn.log_softmax(self.logits(output.features), axis=-1)
    return gated(words, output.attention, self.gate(output.features))


class CopyNet(Copying):
  """CopyNet (Gu et al. 2016): one softmax over words and source positions.

  ψ_c(x_j) = tanh(h_j^T W_c) s_t; what was copied is read selectively by the
  next step.
  """

  feeds_back_copies = True

  def declare_params(self) -> None:
    # Linen modules have a method called `copy`.
    self.copy_layer = layers.Dense(
      self.memory_dim,
      self.state_dim,
      use_bias=False,
      name="copy",
      **dict(self.args),
    )

  def keys(self, memory: types.Memory) -> Float[types.Array, "B M D"]:
    return jnp.tanh(self.copy_layer(memory.values))

  def extra(
    self,
    memory: types.Memory,
    inputs: dict[str, Any],
    attended: attention.Attended,
  ) -> dict[str, types.Array]:
    """`copy`: the scores of all positions [B, K, M]."""
    del attended
    keys = memory.keys.head
    scores = jnp.einsum("bsd,bkd->bks", keys, inputs["state"])
    low = jnp.finfo(scores.dtype).min
    return {"copy": jnp.where(memory.mask[:, None], scores, low)}

  def split(
    self, memory: types.Memory, output: types.StepOutput
  ) -> tuple[Float[types.Array, "B K V"], Float[types.Array, "B K M"]]:
    del memory
    words, positions = self.logits(output.features), output.extra["copy"]
    both = jnp.concatenate([words, positions], axis=-1)
    norm = jax.nn.logsumexp(both, axis=-1, keepdims=True)
    return words - norm, positions - norm

  def read(
    self,
    memory: types.Memory,
    scores: Float[types.Array, "B K M"],
    tokens: Int[types.Array, "B K"],
  ) -> Float[types.Array, "B K E"]:
    """ζ, the mean of the source vectors that the last token was copied from.

    Args:
      memory: prepared.
      scores: the last step's copy scores.
      tokens: the last step's tokens, in the extended vocabulary.
    """
    assert memory.source is not None
    match = memory.source[:, None] == tokens[..., None]
    match &= memory.mask[:, None]
    low = jnp.finfo(scores.dtype).min
    weights = jax.nn.softmax(jnp.where(match, scores, low), axis=-1)
    # Where nothing matches the softmax is uniform: no position was copied.
    weights = jnp.where(match, weights, 0.0)
    return jnp.einsum("bks,bsd->bkd", weights, memory.values)


HEADS: dict[str, type[head.Softmax]] = {
  "softmax": head.Softmax,
  "pointer": Pointer,
  "readout_pointer": ReadoutPointer,
  "copynet": CopyNet,
}
