"""The CPU cores that this process may use."""

import os


def available() -> list[int]:
  """Numbers of the cores of this process; of all, if the system hides them."""
  if hasattr(os, "sched_getaffinity"):
    return sorted(os.sched_getaffinity(0))
  return list(range(os.cpu_count() or 1))
