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
# Many tests compile the same small programs; so do the processes they start.
_CACHE = tempfile.TemporaryDirectory(prefix="seq2seq_jax_xla_")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _CACHE.name)
jax.config.update(
  "jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"]
)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)

ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture
def strict():
  """Strict dtype promotion and exact products, for equality tests."""
  with contextlib.ExitStack() as stack:
    stack.enter_context(jax.numpy_dtype_promotion("strict"))
    stack.enter_context(jax.default_matmul_precision("highest"))
    yield


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
