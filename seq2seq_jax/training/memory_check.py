"""Whether the largest batch fits, from the compiler's own memory analysis."""

import os
from typing import NamedTuple

import jax

from seq2seq_jax import types

GIB = 2**30


class Need(NamedTuple):
  """Bytes on one device of a compiled train step."""

  state: int  # arguments and results
  step: int  # what a step needs beside them
  rows: int  # of the batch, on this device
  length: int  # tokens of a row, padded, source and target


def need(compiled, rows: int, length: int) -> Need | None:
  """What a compiled program needs; None where the compiler does not say."""
  m = compiled.memory_analysis()
  if m is None:
    return None
  state = m.argument_size_in_bytes + m.output_size_in_bytes
  return Need(state - m.alias_size_in_bytes, m.temp_size_in_bytes, rows, length)


def capacity(device) -> int | None:
  """Bytes that a device can hold; a CPU's virtual devices share its memory."""
  stats = device.memory_stats() or {}
  if "bytes_limit" in stats:
    return stats["bytes_limit"]
  if device.platform != "cpu":
    return None
  try:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
  except (ValueError, OSError):
    return None
  return memory // jax.local_device_count()


def _line(known: list[Need], worst: Need) -> tuple[float, float]:
  """Bytes of a step whatever its rows, and those of a row of `worst`.

  Gradients do not grow with the batch: batches of different sizes tell how much
  does. Where there is one alone, all of it is laid on its rows.
  """
  tokens = lambda n: n.rows * n.length
  least = min(known, key=tokens)
  if tokens(worst) <= tokens(least) or worst.step <= least.step:
    return 0.0, worst.step / worst.rows
  slope = (worst.step - least.step) / (tokens(worst) - tokens(least))
  fixed = max(0.0, worst.step - slope * tokens(worst))
  return fixed, (worst.step - fixed) / worst.rows


def report(needs: list[Need | None], room: int | None) -> str | None:
  """One line about the largest need; UserError where it does not fit."""
  known = [n for n in needs if n is not None]
  if not known or not room:
    return None
  worst = max(known, key=lambda n: n.state + n.step)
  total = worst.state + worst.step
  fixed, each = _line(known, worst)
  fits = int((room - worst.state - fixed) / max(1.0, each))
  told = (
    f"the largest batch takes {total / GIB:.2f} GiB of a device's "
    f"{room / GIB:.1f} GiB; about {max(0, fits):,} of its rows would fit, it "
    f"has {worst.rows}"
  )
  if total > room:
    raise types.UserError(
      f"{told}: lower data.batch_size, or raise optim.accumulate"
    )
  return told
