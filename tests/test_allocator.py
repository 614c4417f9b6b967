"""Memory that is freed stays in the process."""

import os
import subprocess
import sys

import pytest

pytestmark = [
  pytest.mark.quick,
  pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="about glibc"
  ),
]
PROGRAM = """
import resource
from seq2seq_jax import allocator
kept = allocator.keep()
import numpy as np
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(2**24, np.uint8)
before = faults()
for _ in range(20):
  np.ones(2**24, np.uint8)
print(kept, faults() - before)
"""


def run(**changes):
  env = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
  done = subprocess.run(
    [sys.executable, "-c", PROGRAM],
    env=env | changes,
    capture_output=True,
    text=True,
    check=True,
  )
  kept, faults = done.stdout.split()
  return kept == "True", int(faults)


def test_large_blocks_are_reused_without_page_faults():
  kept, faults = run()
  if not kept:
    pytest.skip("another C library than glibc")
  plain, many = run(MALLOC_CHECK_="0")  # somebody chose: we keep out of it
  assert not plain
  assert faults < 100 < many
