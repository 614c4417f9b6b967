"""Attention of queries [B, Q, D] over a memory [B, S, D'].

A score is a module with `keys(values)`, what depends on the source alone, and
`__call__(query, keys) -> scores [B, Q, S]`. Q is 1 in a training scan, the
number of hypotheses in a beam, and T where all steps are attended to at once.
A new score is one class and one line in `SCORES`.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from seq2seq_jax.models import cells, recurrence


class Score(nn.Module):
  """Widths that every score is given."""

  query_dim: int
  value_dim: int
  dim: int
  init: str = "xavier"
  init_scale: float = 0.08
  dtype: jnp.dtype = jnp.float32

  def matrix(self, name, shape):
    return self.param(name, cells.weights(self.init, self.init_scale), shape)


class Additive(Score):
  """v^T tanh(W s + U h) (Bahdanau et al. 2015, appendix A.1.2)."""

  def setup(self):
    self.query = self.matrix("query", (self.query_dim, self.dim))
    self.key = self.matrix("key", (self.value_dim, self.dim))
    self.bias = self.param("bias", nn.initializers.zeros, (self.dim,))
    self.v = self.matrix("v", (self.dim, 1))

  def keys(self, values):
    keys = recurrence.product(values, self.key, self.dtype)
    return recurrence.add_bias(keys, self.bias)

  def __call__(self, query, keys):
    q = recurrence.product(query, self.query, self.dtype)
    hidden = jnp.tanh(q[:, :, None] + keys[:, None])  # [B, Q, S, A]
    return jnp.einsum("bqsa,a->bqs", hidden, self.v[:, 0])


class General(Score):
  """s^T W h (Luong et al. 2015, eq. 8)."""

  def setup(self):
    self.key = self.matrix("key", (self.value_dim, self.query_dim))

  def keys(self, values):
    return recurrence.product(values, self.key, self.dtype)

  def __call__(self, query, keys):
    return jnp.einsum("bqd,bsd->bqs", query, keys)


class Dot(Score):
  """s^T h (Luong et al. 2015, eq. 8)."""

  def keys(self, values):
    return values

  def __call__(self, query, keys):
    return jnp.einsum("bqd,bsd->bqs", query, keys)


SCORES = {"additive": Additive, "general": General, "dot": Dot}


def attend(scores, mask, values):
  """Softmax over the real positions, and the mean of values under it.

  Masked weights are exactly 0; a row has at least one real position.

  Returns:
    Context [B, Q, D] and weights [B, Q, S].
  """
  scores = jnp.where(mask[:, None], scores, jnp.finfo(scores.dtype).min)
  weights = jax.nn.softmax(scores, axis=-1)
  weights = jnp.where(mask[:, None], weights, 0.0)
  return jnp.einsum("bqs,bsd->bqd", weights, values), weights
