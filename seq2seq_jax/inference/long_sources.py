"""What becomes of sources that are longer than `decode.max_source_length`."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from seq2seq_jax import config, contracts, types

log = logging.getLogger(__name__)


def limited(
  side: contracts.Side,
  encoded: types.EncodedSide,
  decode: config.Decode,
  place: int,
) -> types.EncodedSide | None:
  """A source as the search reads it: whole, cut, or None if it is skipped.

  Args:
    side: of the sources.
    encoded: by it.
    decode: the search.
    place: of the source among those given, for the message.

  Raises:
    types.Unanswerable: it is too long, and the config says to refuse it.
  """
  longest, length = decode.max_source_length, side.length(encoded)
  if not is_long(length, decode):
    return encoded
  if decode.long_source == "skip":
    return None
  if decode.long_source == "refuse":
    raise types.Unanswerable(
      f"has {length:,} {side.unit}, more than decode.max_source_length "
      f"{longest:,}; raise that, or choose with decode.long_source to cut or "
      "to skip longer sources",
      [place],
    )
  extended = encoded.extended
  return types.EncodedSide(
    side.cut(encoded.values, longest),
    None if extended is None else side.cut(extended, longest),
  )


def positions(
  side: contracts.Side, source: Any, decode: config.Decode
) -> list[str]:
  """A label for each position of a source that the search reads."""
  labels = side.show(source)
  if is_long(len(labels), decode) and decode.long_source == "cut":
    return list(side.cut(labels, decode.max_source_length))
  return labels


def is_long(length: int, decode: config.Decode) -> bool:
  """True if a source of so many tokens is too long."""
  return 0 < decode.max_source_length < length


@contextlib.contextmanager
def placed(places: Sequence[int]) -> Iterator[None]:
  """Names what a part of the sources raises by its place among all.

  Args:
    places: of the part's sources.
  """
  try:
    yield
  except types.Unanswerable as e:
    raise types.Unanswerable(e.reason, [places[n] for n in e.places]) from e


class Tally:
  """Counts the sources that were cut or skipped.

  Args:
    side: of the sources.
    decode: the search.
    what: a source is called: `line`.
  """

  def __init__(
    self, side: contracts.Side, decode: config.Decode, what: str = "source"
  ):
    self.decode, self.what, self.unit = decode, what, side.unit
    self.total, self.long = 0, 0
    self.first = ""

  def add(self, length: int | None) -> None:
    """Counts the next source, of so many tokens; None: a blank one."""
    self.total += 1
    if length is not None and is_long(length, self.decode):
      self.long += 1
      self.first = self.first or f"{self.what} {self.total}, of {length:,}"

  def tell(self) -> None:
    """Warns if there were any."""
    if self.long:
      done = "cut to it" if self.decode.long_source == "cut" else "skipped"
      log.warning(
        f"{self.long:,} of {self.total:,} sources have more {self.unit} than "
        f"decode.max_source_length {self.decode.max_source_length:,} and were "
        f"{done}; the first is {self.first} {self.unit}"
      )


def all_limited(
  side: contracts.Side,
  texts: Sequence[Any],
  decode: config.Decode,
  tally: Tally,
) -> tuple[list[int], list[types.EncodedSide], types.UserError | None]:
  """Sources as the search reads them.

  Args:
    side: of the sources.
    texts: raw source values.
    decode: the search.
    tally: counts all of them.

  Returns:
    The places of those to search for, these, and the error of the first that
    is refused, or of all whose audio cannot be used.
  """
  places, encoded = [], []
  refused: types.Unanswerable | None = None
  unreadable: dict[int, str] = {}
  for i, value in enumerate(texts):
    try:
      whole = None if side.is_blank(value) else side.encode(value)
      tally.add(None if whole is None else side.length(whole))
      kept = whole and limited(side, whole, decode, i)
    except types.Unanswerable as e:
      refused = refused or e
    except types.Unreadable as e:
      tally.add(None)
      unreadable[i] = str(e)
    else:
      if kept is not None:
        places.append(i)
        encoded.append(kept)
  if unreadable and refused is None:
    first = next(iter(unreadable.values()))
    return places, encoded, types.Unreadable(first, unreadable)
  return places, encoded, refused
