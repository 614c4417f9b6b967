"""Settings of glibc's malloc: freed memory stays in the process, in huge pages.

By default glibc returns large blocks to the system when they are freed, so each
step on a CPU gets its memory page by page again: 49,000 page faults and a
seventh of the time of a step of 12 M parameters, as measured. With pages of
4 KiB, looking up their addresses takes a seventh of a step of 1.3 M.
"""

import ctypes
import mmap
import os
import sys

SWITCH = "SEQ2SEQ_JAX_TUNE_MALLOC"  # 0 in the environment: leave malloc alone

# Parameters of mallopt, from malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
_NEVER = -1
# Bytes of address space; memory is taken only as it is written to.
_HEAP_SPACE = 2**32
_HUGE_PAGE = 2**21


def tune_malloc() -> bool:
  """Sets malloc to keep freed memory; returns whether it does.

  Nothing is changed where the C library is not glibc, where the environment
  sets `SEQ2SEQ_JAX_TUNE_MALLOC=0`, or where it has settings of its own, in
  `MALLOC_...` or in `GLIBC_TUNABLES`.
  """
  if not sys.platform.startswith("linux") or not _allowed():
    return False
  try:
    libc = ctypes.CDLL(None)
    mallopt = libc.mallopt
  except (OSError, AttributeError):
    return False  # another C library
  # Without blocks that are mapped one by one (MMAP_MAX 0) everything must come
  # from the one main arena: those of threads hold 64 MiB at most.
  settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_ARENA_MAX, 1))
  tuned = all(mallopt(name, value) == 1 for name, value in settings)
  if tuned:
    _use_huge_pages(libc)
  return tuned


def _allowed() -> bool:
  """False if the environment decides about malloc, or switches us off."""
  environment = os.environ
  return not (
    environment.get(SWITCH) == "0"
    or any(name.startswith("MALLOC_") for name in environment)
    or "glibc.malloc." in environment.get("GLIBC_TUNABLES", "")
  )


def _use_huge_pages(libc: ctypes.CDLL) -> None:
  """Asks the system for huge pages in the heap's next `_HEAP_SPACE` bytes.

  glibc can do this itself (`glibc.malloc.hugetlb`), but reads GLIBC_TUNABLES
  before any line of Python runs. Systems without huge pages ignore the advice.
  """
  import resource  # not on every system

  libc.malloc.restype = ctypes.c_void_p
  libc.malloc.argtypes = (ctypes.c_size_t,)
  libc.free.argtypes = (ctypes.c_void_p,)
  libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
  limited = resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY
  block = None if limited else libc.malloc(_HEAP_SPACE)
  if block:
    # madvise wants whole pages: from the first boundary to the last.
    start = -(-block // _HUGE_PAGE) * _HUGE_PAGE
    length = (block + _HEAP_SPACE - start) // _HUGE_PAGE * _HUGE_PAGE
    libc.madvise(start, length, mmap.MADV_HUGEPAGE)
    libc.free(block)
