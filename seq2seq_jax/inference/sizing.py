"""How many rows a program has: fewer for long sources, to bound its memory.

The number follows from the program's shape alone, and the shape from a sentence
alone, so a sentence gets the same bits in any batch, order or number of
devices.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax

from seq2seq_jax import types
from seq2seq_jax.runtime import memory

# Programs for sources padded to no more positions than this have all rows.
ORDINARY = 192
# The longest padded source for which all rows are tried first. For longer ones
# they fall with the square, as attention's memory and work in a row grow.
ALL_ROWS = 1536
# Bytes of a program for longer ones; it gets fewer rows if it needs more.
BUDGET_CPU, BUDGET = 2**30, 2**32


class Size(NamedTuple):
  """Of a program."""

  rows: int
  need: int | None
  """Bytes beside the parameters; None if they are not known."""


def fitting(
  rows: int,
  positions: int,
  device: jax.Device,
  need: Callable[[int], int | None],
) -> Size:
  """The rows of a program, and the memory that it needs.

  Args:
    rows: of a program for short sources.
    positions: of a padded source, or of a longer target.
    device: that runs the program.
    need: bytes of the program with so many rows; compiles it.
  """
  if positions <= ORDINARY:
    return Size(rows, None)
  budget = BUDGET_CPU if device.platform == "cpu" else BUDGET
  rows = max(1, rows * min(ALL_ROWS, positions) ** 2 // positions**2)
  while True:
    needed = need(rows)
    if needed is None or needed <= budget or rows == 1:
      return Size(rows, needed)
    rows = max(1, min(rows // 2, rows * budget // needed))


def check_fits(need: int | None, device: jax.Device) -> None:
  """Checks that a program has the memory that it needs.

  Args:
    need: bytes; None: not known.
    device: that runs it.

  Raises:
    MemoryError: it has not; the message says how much there is.
  """
  room = memory.available(device) if need else None
  if need and room is not None and need > room:
    raise MemoryError(
      f"{need / memory.GIB:.1f} GiB of memory, and {room / memory.GIB:.1f} GiB "
      "are left"
    )


def check_search(rows: int, beam: int, words: int, device: jax.Device) -> None:
  """Refuses a search whose probabilities of one step no device can hold.

  Args:
    rows: of a program, `decode.batch_rows`.
    beam: hypotheses of each, `decode.beam_size`.
    words: of the target's vocabulary.
    device: that runs it.

  Raises:
    types.UserError: they need more memory than there is.
  """
  need, room = 4 * rows * beam * words, memory.of_device(device)
  if room is not None and need > room:
    raise types.UserError(
      f"decode.batch_rows {rows:,} and decode.beam_size {beam:,} need at least "
      f"{need / memory.GIB:,.1f} GiB for {words:,} words, and a device has "
      f"{room / memory.GIB:,.1f} GiB; lower one of them"
    )


@contextlib.contextmanager
def named(places: Sequence[int], length: int, fields: str) -> Iterator[None]:
  """Turns the end of memory into an error that names the sources.

  Args:
    places: of the sources in hand, the longest first.
    length: tokens of the longest.
    fields: of the config that can be lowered.

  Raises:
    types.Unanswerable: memory has ended.
  """
  try:
    yield
  except Exception as e:
    if not memory.has_ended(e):
      raise
    known = isinstance(e, MemoryError) and str(e)
    amount = known or "more memory than there is"
    raise types.Unanswerable(
      f"its {length:,} tokens need {amount}; lower {fields}", places
    ) from e
