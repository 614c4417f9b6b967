"""An LSTM layer by cuDNN, on NVIDIA devices; elsewhere by the scan."""

import jax
import jax.numpy as jnp
from jax.experimental import rnn

from seq2seq_jax.models import layers


def layer(cells, x, lengths, scan):
  """One layer of one or two directions that read the same `x` [B, S, D].

  cuDNN's LSTM has no dropout on states, no zoneout, float32 alone and no
  batching rule, so it cannot serve several seeds in one program.

  Args:
    cells: the forward cell, and the backward one where there are two.
    x: inputs.
    lengths: [B].
    scan: a function without arguments to the same result, for other platforms.

  Returns:
    The last carry (c, h), directions concatenated, and each one's outputs.
  """
  # JAX knows its shapes only where cuDNN is, so both cannot be traced.
  if jax.default_backend() != "gpu":
    return scan()
  width = cells[0].features
  zeros = jnp.zeros((len(cells), x.shape[0], width), jnp.float32)
  y, h, c = rnn.lstm(
    x,
    zeros,
    zeros,
    pack(cells),
    lengths.astype(jnp.int32),
    input_size=x.shape[-1],
    hidden_size=width,
    num_layers=1,
    dropout=0.0,
    bidirectional=len(cells) == 2,
    precision=jax.lax.Precision.HIGHEST,
  )
  join = lambda leaf: jnp.concatenate(list(leaf), axis=-1)
  outputs = jnp.split(layers.zero_padding(y, lengths), len(cells), axis=-1)
  return (join(c), join(h)), outputs


def pack(cells):
  """Their parameters as cuDNN's flat vector: matrices, then biases.

  Our gates are in cuDNN's order; of its two biases the second is 0.
  """
  matrices = [
    matrix.T.reshape(-1)
    for cell in cells
    for matrix in (cell.kernel, cell.recurrent)
  ]
  biases = [b for cell in cells for b in (cell.bias, jnp.zeros_like(cell.bias))]
  return jnp.concatenate([*matrices, *biases])
