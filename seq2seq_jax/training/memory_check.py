"""Whether the largest batch fits, from the compiler's own memory analysis."""

from typing import Any, NamedTuple

from seq2seq_jax import types
from seq2seq_jax.runtime import memory

GIB = memory.GIB


class Need(NamedTuple):
  """Bytes on one device of a compiled train step."""

  state: int  # arguments and results
  step: int  # what a step needs beside them
  rows: int  # of the batch, on this device
  length: int  # tokens of a row, padded, source and target


def need(compiled: Any, rows: int, length: int) -> Need | None:
  """Memory that a compiled program needs; None if the compiler does not say.

  Args:
    compiled: the train step for one shape of batch.
    rows: of the batch, on one device.
    length: tokens of a row, padded, source and target.
  """
  m = compiled.memory_analysis()
  if m is None:
    return None
  state = m.argument_size_in_bytes + m.output_size_in_bytes
  return Need(state - m.alias_size_in_bytes, m.temp_size_in_bytes, rows, length)


def _fixed_and_per_row(known: list[Need], worst: Need) -> tuple[float, float]:
  """Bytes that a step needs whatever its rows, and those of a row of `worst`.

  Gradients do not grow with the batch, activations do: a line through the
  smallest and the largest batch separates them. With one size of batch, all is
  counted as its rows'.
  """

  def tokens(need: Need) -> int:
    return need.rows * need.length

  least = min(known, key=tokens)
  if tokens(worst) <= tokens(least) or worst.step <= least.step:
    return 0.0, worst.step / worst.rows
  slope = (worst.step - least.step) / (tokens(worst) - tokens(least))
  fixed = max(0.0, worst.step - slope * tokens(worst))
  return fixed, (worst.step - fixed) / worst.rows


def report(needs: list[Need | None], room: int | None) -> str | None:
  """A line about the largest need, or None if nothing is known about it.

  Args:
    needs: of each shape of batch.
    room: bytes that a device can hold.

  Raises:
    types.UserError: it does not fit.
  """
  known = [n for n in needs if n is not None]
  if not known or not room:
    return None
  worst = max(known, key=lambda n: n.state + n.step)
  total = worst.state + worst.step
  fixed, per_row = _fixed_and_per_row(known, worst)
  fits = int((room - worst.state - fixed) / max(1.0, per_row))
  message = (
    f"the largest batch takes {total / GIB:.2f} GiB of a device's "
    f"{room / GIB:.1f} GiB; about {max(0, fits):,} of its rows would fit, it "
    f"has {worst.rows}"
  )
  if total > room:
    raise types.UserError(
      f"{message}: lower data.batch_size, or raise optim.accumulate"
    )
  return message
