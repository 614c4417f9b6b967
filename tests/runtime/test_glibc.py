"""Memory that is freed stays in the process."""

import os
import pathlib
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
from seq2seq_jax.runtime import glibc
tuned = glibc.tune_malloc()
import numpy as np
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(2**24, np.uint8)
before = faults()
for _ in range(20):
  np.ones(2**24, np.uint8)
print(tuned, faults() - before)
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
  tuned, faults = done.stdout.split()
  return tuned == "True", int(faults)


def test_large_blocks_are_reused_without_page_faults():
  tuned, faults = run()
  if not tuned:
    pytest.skip("another C library than glibc")
  plain, many = run(MALLOC_CHECK_="0")
  assert not plain
  assert faults < 100 < many


@pytest.mark.parametrize(
  "setting",
  [
    {"SEQ2SEQ_JAX_TUNE_MALLOC": "0"},
    {"MALLOC_CHECK_": "0"},
    {"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"},
  ],
  ids=lambda setting: next(iter(setting)),
)
def test_the_environment_decides_first(setting):
  assert not run(**setting)[0]


HUGE = """
from seq2seq_jax.runtime import glibc
assert glibc.tune_malloc()
kept = b"x" * 2**26  # NumPy would ask for huge pages itself
lines = open("/proc/self/smaps").read().splitlines()
print(sum(int(n.split()[1]) for n in lines if n.startswith("AnonHuge")))
"""


def test_large_arrays_lie_in_huge_pages():
  setting = pathlib.Path("/sys/kernel/mm/transparent_hugepage/enabled")
  if not setting.is_file() or "[never]" in setting.read_text():
    pytest.skip("this system has no huge pages")
  done = subprocess.run(
    [sys.executable, "-c", HUGE], capture_output=True, text=True, check=True
  )
  assert int(done.stdout) > 2**15  # KiB, of 2^16
