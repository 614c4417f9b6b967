"""Strict settings for all tests: eight CPU devices, no silent promotion."""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile

import jax
import pytest

# Tests that need an accelerator are run there by name, with =cuda.
PLATFORM = os.environ.get("SEQ2SEQ_JAX_TEST_PLATFORM", "cpu")
jax.config.update("jax_platforms", PLATFORM)
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")


def _compile_fast():
  """Programs that run for milliseconds need no optimisation.

  Compilation is most of the suite's time. The processes that tests start
  inherit all of it.
  """
  jax.config.update("jax_disable_most_optimizations", True)
  os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
  if "PYTEST_XDIST_WORKER" in os.environ:
    return  # has what the first process found
  given = os.environ.get("XLA_FLAGS", "").split()
  for flags in (_FLAGS, _FLAGS[:1]):
    if _known(" ".join([*given, *flags])):
      os.environ["XLA_FLAGS"] = " ".join([*given, *flags])
      break


def _known(flags: str) -> bool:
  """Whether this XLA has them all: a process with an unknown one aborts."""
  done = subprocess.run(
    [sys.executable, "-c", "import jax; jax.devices()"],
    env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
    capture_output=True,
    timeout=120,
  )
  return not done.returncode


# One thread a program, since a test runs on every core; and the older emitters,
# which are twice as fast.
_FLAGS = (
  "--xla_cpu_parallel_codegen_split_count=1",
  "--xla_cpu_use_fusion_emitters=false",
)
_compile_fast()
# Many tests, and the processes they start, compile the same programs.
_CACHE = tempfile.TemporaryDirectory(prefix="seq2seq_jax_xla_")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", _CACHE.name)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
jax.config.update(
  "jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"]
)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

ROOT = pathlib.Path(__file__).parent.parent


def pytest_addoption(parser):
  parser.addoption(
    "--no-shapes",
    action="store_true",
    help="do not check the annotated shapes of models/ and decoding/",
  )


def pytest_configure(config):
  """Before any test module imports what is to be checked."""
  if not config.getoption("--no-shapes"):
    from tests.helpers import shapes

    shapes.install()


@pytest.fixture
def strict():
  """Strict dtype promotion and exact products, for equality tests."""
  with contextlib.ExitStack() as stack:
    stack.enter_context(jax.numpy_dtype_promotion("strict"))
    stack.enter_context(jax.default_matmul_precision("highest"))
    yield


@pytest.fixture(autouse=True)
def stays_alive(monkeypatch):
  """A command that was run here does not end pytest with its exit code."""
  from seq2seq_jax import exits

  monkeypatch.setattr(exits, "_code", None)


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


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
  """A finished run on eight devices."""
  from seq2seq_jax.training import loop
  from tests.helpers import tiny_runs

  workdir = tmp_path_factory.mktemp("whole")
  loop.fit(tiny_runs.tiny(), workdir)
  return workdir


@pytest.fixture(scope="session")
def model(whole):
  """The finished run's model."""
  from seq2seq_jax.inference import model as model_lib

  return model_lib.load(whole)


@pytest.fixture(scope="session")
def spoken(tmp_path_factory):
  """A run of the language of tones."""
  from seq2seq_jax.training import loop
  from tests.helpers import tiny_speech

  workdir = tmp_path_factory.mktemp("spoken")
  loop.fit(tiny_speech.conf(), workdir)
  return workdir


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
  """A folder with four sentences of tones and their manifest, test.jsonl."""
  from seq2seq_jax.data import tones
  from tests.helpers import tiny_speech

  folder = tmp_path_factory.mktemp("recordings")
  sentences = tones.pairs("test", 4, 1, 3, 5, 0, tiny_speech.RATE)
  tones.write(folder, "test", [sentence for sentence, _ in sentences])
  return folder
