"""Sources that cannot be used, where a run goes on without them."""

import logging

from seq2seq_jax import types

MOST_NAMED = 10
log = logging.getLogger(__name__)


class Skipped:
  """Tells of sources that cannot be used, each once, the first ones alone.

  Attributes:
    reasons: of all that were added.
  """

  def __init__(self) -> None:
    self.reasons: set[str] = set()

  def add(self, error: types.Unreadable) -> None:
    """Tells of one, unless it was told before."""
    if error.reason in self.reasons:
      return
    self.reasons.add(error.reason)
    if len(self.reasons) <= MOST_NAMED:
      log.warning(f"skipped: {error.reason}")
    elif len(self.reasons) == MOST_NAMED + 1:
      log.warning("skipped: more that cannot be used, which are not named")
