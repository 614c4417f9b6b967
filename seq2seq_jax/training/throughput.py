"""Metrics of finished steps, and the speed at which they are made."""

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np


class Window(NamedTuple):
  """Some consecutive steps whose metrics are shown together."""

  start: int  # number of steps before them
  end: int  # the last of them
  values: dict[str, np.ndarray]  # metric name -> [steps, replicas]


class Meter:
  """Reads metrics one call late, so that devices never wait, and times steps.

  It decides nothing: what follows from the values is the loop's business.
  """

  def __init__(
    self,
    steps_per_call: int,
    log_every: int,
    clock: Callable[[], float] = time.monotonic,
  ):
    self._steps_per_call, self._log_every = steps_per_call, log_every
    self._clock = clock
    self._pending: tuple[int, Mapping[str, Any]] | None = None
    self.restart()

  def dispatched(self, step: int, metrics: Mapping[str, Any]) -> list[Window]:
    """Notes a call that was handed to the devices; reads the one before.

    Args:
      step: the last step of the call.
      metrics: its device arrays, replicated; [] or [replicas], with the steps
        of a call in front if there are several.

    Returns:
      The windows of the call before.
    """
    previous, self._pending = self._pending, (step, metrics)
    return self._windows(*previous) if previous else []

  def drain(self) -> list[Window]:
    """Reads the last call too; waits for the devices."""
    previous, self._pending = self._pending, None
    return self._windows(*previous) if previous else []

  def restart(self) -> None:
    """Restarts the throughput window, so validation and saving do not count."""
    self._start_time = self._clock()
    self._stalled = self._tokens = 0.0
    self._padded_tokens = 0

  def stall(self, seconds: float) -> None:
    """Adds time that was spent waiting for a batch."""
    self._stalled += seconds

  def add(self, tokens: float, padded_tokens: int) -> None:
    """Adds target tokens that were trained on, without and with padding."""
    self._tokens += tokens
    self._padded_tokens += padded_tokens

  def rates(self) -> dict[str, float]:
    """Target tokens a second, and the share of time spent waiting for data."""
    seconds = max(1e-9, self._clock() - self._start_time)
    return {
      "tokens_per_second": self._tokens / seconds,
      "padded_tokens_per_second": self._padded_tokens / seconds,
      "stall": self._stalled / seconds,
    }

  def _windows(self, last: int, metrics: Mapping[str, Any]) -> list[Window]:
    """Cuts the steps of a call where a line of metrics is due."""
    steps, log_every = self._steps_per_call, self._log_every
    values = {
      name: np.asarray(x.addressable_data(0)).reshape(steps, -1)
      for name, x in metrics.items()
    }
    first = last - steps
    ends = [
      step
      for step in range(first + 1, last + 1)
      if step % log_every == 0 or step == last
    ]
    return [
      Window(
        start,
        end,
        {k: v[start - first : end - first] for k, v in values.items()},
      )
      for start, end in zip([first, *ends], ends)
    ]
