"""How much memory there is and is left, and how to tell that it has ended."""

import contextlib
import os
import pathlib
import resource
from collections.abc import Iterator

import jax

GIB = 2**30

_FOLDER = pathlib.Path("/sys/fs/cgroup")
# Limits of control groups, of version 2 and 1, with what is in use.
_GROUPS = (
  ("memory.max", "memory.current"),
  ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
)
_WORDS = ("RESOURCE_EXHAUSTED", "out of memory", "Out of memory", "bad_alloc")


def of_machine() -> int | None:
  """Bytes of the machine, or of this container if it has fewer."""
  try:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
  except (ValueError, OSError):
    return None
  for limit, _ in _GROUPS:
    with contextlib.suppress(OSError, ValueError):
      total = min(total, int((_FOLDER / limit).read_text()))
  return total


def of_device(device: jax.Device) -> int | None:
  """Bytes that a device can hold; a CPU's virtual devices share its memory.

  None if neither the device nor the system says.
  """
  stats = device.memory_stats() or {}
  if "bytes_limit" in stats:
    return stats["bytes_limit"]
  if device.platform != "cpu":
    return None
  total = of_machine()
  return None if total is None else total // jax.local_device_count()


def available(device: jax.Device) -> int | None:
  """Bytes that a device can still give; None if nothing is known.

  Of the CPU the least of what the system has left, what a control group allows
  and what `ulimit -v` leaves.
  """
  stats = device.memory_stats() or {}
  if "bytes_limit" in stats:
    return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
  if device.platform != "cpu":
    return None
  known = [_of_system(), _of_address_space(), *map(_of_group, _GROUPS)]
  return min((n for n in known if n is not None), default=None)


def has_ended(error: BaseException) -> bool:
  """True if an error says that memory could not be had."""
  if isinstance(error, MemoryError):
    return True
  is_jax = isinstance(error, jax.errors.JaxRuntimeError)
  return is_jax and any(word in str(error) for word in _WORDS)


def _of_system() -> int | None:
  with contextlib.suppress(OSError, ValueError, IndexError):
    for line in _lines(pathlib.Path("/proc/meminfo")):
      if line.startswith("MemAvailable:"):
        return int(line.split()[1]) * 1024
  return None


def _of_address_space() -> int | None:
  limit = resource.getrlimit(resource.RLIMIT_AS)[0]
  if limit == resource.RLIM_INFINITY:
    return None
  with contextlib.suppress(OSError, ValueError, IndexError):
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
    return max(0, limit - pages * os.sysconf("SC_PAGE_SIZE"))
  return limit


def _of_group(names: tuple[str, str]) -> int | None:
  with contextlib.suppress(OSError, ValueError):
    limit, used = (int((_FOLDER / name).read_text()) for name in names)
    return max(0, limit - used)
  return None


def _lines(path: pathlib.Path) -> Iterator[str]:
  with path.open(encoding="ascii") as f:
    yield from f
