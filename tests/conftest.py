"""Strict settings for all tests: eight CPU devices, no silent promotion."""

import contextlib
import os
import pathlib
import tempfile

import jax
import pytest

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
# Compilation is most of the suite's time: programs that run for milliseconds
# need no optimisation (`optimized` turns it on), and many tests, and the
# processes they start, compile the same ones.
jax.config.update("jax_disable_most_optimizations", True)
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
_CACHE = tempfile.TemporaryDirectory(prefix="seq2seq_jax_xla_")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _CACHE.name)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
jax.config.update(
  "jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"]
)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture
def strict():
  """Strict dtype promotion and exact products, for equality tests."""
  with contextlib.ExitStack() as stack:
    stack.enter_context(jax.numpy_dtype_promotion("strict"))
    stack.enter_context(jax.default_matmul_precision("highest"))
    yield


@pytest.fixture
def optimized():
  """Programs compiled as users compile them, for tests of single bits."""
  jax.config.update("jax_disable_most_optimizations", False)
  yield
  jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture
def shared_data():
  """The folder with the published data sets; the test skips without it."""
  folder = pathlib.Path(
    os.environ.get("SEQ2SEQ_JAX_DATA") or ROOT.parent / "shared" / "data"
  )

  def need(name):
    if not (folder / name).is_dir():
      pytest.skip(f"{name} not found at {folder / name}")
    return folder / name

  return need
