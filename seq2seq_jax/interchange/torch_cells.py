"""Recurrent layers of PyTorch as parameters of ours.

PyTorch's gates are in our order, i f g o of an LSTM and r z n of a GRU. Its
matrices are [out, in], and it has two biases, of which a GRU's candidate needs
both: the second one stands inside the reset.
"""

import numpy as np

from seq2seq_jax import types
from seq2seq_jax.interchange import imported

GATES = {4: "lstm", 3: "gru"}


def cell_kind(transfer: imported.Transfer, name: str) -> str:
  """The kind of cell of a recurrent matrix [gates H, H].

  Raises:
    types.UserError: it is neither an LSTM's nor a GRU's.
  """
  rows, width = transfer.take(name, None, None).shape
  kind = GATES.get(rows // width) if rows % width == 0 else None
  if kind is None:
    raise types.UserError(
      f"{transfer.place}: {name} has the shape [{rows}, {width}]; that of an "
      "LSTM has 4 times as many rows as columns, a GRU's 3 times"
    )
  return kind


def count(transfer: imported.Transfer, pattern: str) -> int:
  """How many layers there are.

  Args:
    transfer: the arrays.
    pattern: of their names, {0} for weight_ih, {1} for the layer's number.
  """
  n = 0
  while pattern.format("weight_ih", n) in transfer:
    n += 1
  return n


def move_cell(
  transfer: imported.Transfer, pattern: str, path: str, embed: int | None = None
) -> None:
  """Moves a cell.

  Args:
    transfer: from the arrays to the parameters.
    pattern: of the arrays' names, `encoder.rnn.{}_l0`, {} for weight_ih.
    path: of the parameters.
    embed: the first columns of the input are the embedding, the others what is
      fed back; None: all of it comes from the layer below.
  """
  names = [
    pattern.format(part)
    for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
  ]
  kind = cell_kind(transfer, names[1])
  recurrent = transfer.take(names[1])
  gates, width = recurrent.shape
  kernel = transfer.take(names[0], gates, None)
  inner, outer = (transfer.take(name, gates) for name in names[2:])
  split = kernel.shape[1] if embed is None else embed
  transfer.put(
    f"{path}/kernel", kernel[:, :split].T, names[0], how="transposed"
  )
  if split < kernel.shape[1]:
    transfer.put(
      f"{path}/feed_0",
      kernel[:, split:].T,
      names[0],
      how=f"columns from {split} on, transposed",
    )
  transfer.put(f"{path}/recurrent", recurrent.T, names[1], how="transposed")
  if kind == "lstm":
    transfer.put(f"{path}/bias", inner + outer, *names[2:], how="added")
    return
  both = inner.copy()
  both[: 2 * width] += outer[: 2 * width]
  transfer.put(f"{path}/bias", both, *names[2:], how="r and z added")
  transfer.put(
    f"{path}/bias_hn", outer[2 * width :], names[3], how="its n alone"
  )


def move_encoder(transfer: imported.Transfer, name: str) -> dict:
  """Moves an encoder of nn.LSTM or nn.GRU; the fields of `config.Encoder`.

  Args:
    transfer: from the arrays to the parameters.
    name: of the module, `encoder.rnn`.
  """
  depth = count(transfer, name + ".{0}_l{1}")
  both = f"{name}.weight_ih_l0_reverse" in transfer
  for i in range(depth):
    for suffix, path in (("", "forward"), ("_reverse", "backward")):
      if both or not suffix:
        pattern = f"{name}.{{}}_l{i}{suffix}"
        move_cell(transfer, pattern, f"encoder/{path}_{i}")
  recurrent = f"{name}.weight_hh_l0"
  return {
    "cell": cell_kind(transfer, recurrent),
    "dim": transfer.take(recurrent).shape[1],
    "layers": depth,
    "direction": "both" if both else "forward",
  }


def move_decoder(transfer: imported.Transfer, pattern: str, embed: int) -> dict:
  """Moves a decoder's layers; the fields of `config.Decoder` that they decide.

  The first layer reads the embedding, then what is fed back, if anything is.

  Args:
    transfer: from the arrays to the parameters.
    pattern: of names, `decoder.rnn.{0}_l{1}`, as in `count`.
    embed: width of the target embeddings.

  Raises:
    types.UserError: what is fed back is not as wide as the layers.
  """
  depth = count(transfer, pattern)
  for i in range(depth):
    one = pattern.format("{}", i)
    move_cell(transfer, one, f"decoder/layer_{i}", None if i else embed)
  width = transfer.take(pattern.format("weight_hh", 0)).shape[1]
  first = pattern.format("weight_ih", 0)
  fed = transfer.take(first).shape[1] - embed
  if fed not in (0, width):
    raise types.UserError(
      f"{transfer.place}: {first} reads {fed} numbers beside the embedding of "
      f"{embed}; only a vector of the layer's own width ({width}) can be fed "
      "back"
    )
  return {
    "cell": cell_kind(transfer, pattern.format("weight_hh", 0)),
    "dim": width,
    "layers": depth,
    "embed_dim": embed,
    "input_feeding": fed > 0,
  }


def state_first(matrix: np.ndarray, context: int) -> np.ndarray:
  """A kernel over [state; context] from a matrix [out, context + state]."""
  rows = matrix.T
  return np.concatenate([rows[context:], rows[:context]])
