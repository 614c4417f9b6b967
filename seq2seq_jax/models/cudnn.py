"""An LSTM layer by cuDNN, on NVIDIA devices; elsewhere by the scan."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax.experimental import rnn
from jaxtyping import Float, Int

from seq2seq_jax import types
from seq2seq_jax.models import cells, layers

LayerResult = tuple[tuple[types.Array, ...], list[types.Array]]


def layer(
  layer_cells: Sequence[cells.LSTM],
  x: Float[types.Array, "B S D"],
  lengths: Int[types.Array, " B"],
  scan: Callable[[], LayerResult],
) -> LayerResult:
  """One layer of one or two directions that read the same `x`.

  cuDNN's LSTM has no dropout on states, no zoneout, float32 alone and no
  batching rule, so it cannot serve several seeds in one program.

  Args:
    layer_cells: the forward cell, and the backward one if there are two.
    x: inputs.
    lengths: real positions of each row.
    scan: computes the same result on other platforms.

  Returns:
    The last carry (c, h), directions concatenated, and each one's outputs.
  """
  # JAX knows its shapes only where cuDNN is, so both cannot be traced.
  if jax.default_backend() != "gpu":
    return scan()
  width = layer_cells[0].features
  zeros = jnp.zeros((len(layer_cells), x.shape[0], width), jnp.float32)
  y, h, c = rnn.lstm(
    x,
    zeros,
    zeros,
    pack(layer_cells),
    lengths.astype(jnp.int32),
    input_size=x.shape[-1],
    hidden_size=width,
    num_layers=1,
    dropout=0.0,
    bidirectional=len(layer_cells) == 2,
    precision=jax.lax.Precision.HIGHEST,
  )

  def join(leaf: types.Array) -> types.Array:
    return jnp.concatenate(list(leaf), axis=-1)

  outputs = layers.zero_padding(y, lengths)
  directions = jnp.split(outputs, len(layer_cells), axis=-1)
  return (join(c), join(h)), directions


def pack(layer_cells: Sequence[cells.LSTM]) -> Float[types.Array, " P"]:
  """Their parameters as cuDNN's flat vector: matrices, then biases.

  Our gates are in cuDNN's order; of its two biases the second is 0.
  """
  matrices = [
    matrix.T.reshape(-1)
    for cell in layer_cells
    for matrix in (cell.kernel, cell.recurrent)
  ]
  biases = [
    bias
    for cell in layer_cells
    for bias in (cell.bias, jnp.zeros_like(cell.bias))
  ]
  return jnp.concatenate([*matrices, *biases])
