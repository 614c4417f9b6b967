"""Settings of JAX that must be made before a device is touched.

They go through the environment if JAX is not imported yet, so that a command
need not import it to make them.
"""

import contextlib
import hashlib
import os
import pathlib
import platform
import sys
import warnings


def simulate_cpu_devices(count: int) -> None:
  """Makes JAX use `count` simulated devices on the CPU."""
  _update("jax_platforms", "cpu")
  _update("jax_num_cpu_devices", count)


def cache_programs() -> None:
  """Keeps compiled programs in the user's cache folder.

  Nothing is changed if JAX_COMPILATION_CACHE_DIR names another folder. A cache
  that cannot be written or read, as on a full disk, costs time and no more.
  """
  warnings.filterwarnings(
    "ignore", r"Error (writing|reading) persistent compilation cache entry"
  )
  if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
    return
  if "jax" in sys.modules:
    import jax

    if jax.config.values["jax_compilation_cache_dir"]:
      return
  _update("jax_compilation_cache_dir", str(cache_folder()))
  _update("jax_persistent_cache_min_compile_time_secs", 0.5)


def cache_folder() -> pathlib.Path:
  """The user's cache folder for programs of this kind of processor.

  Programs that were compiled for one processor may crash on another one that
  lacks some of its instructions, so the features of the processor are part of
  the name.
  """
  base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
  features = platform.processor()
  with contextlib.suppress(OSError):
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    # `flags` on x86, `Features` on Arm.
    names = ("flags", "Features")
    features = next((line for line in lines if line.startswith(names)), "")
  key = hashlib.sha256(f"{platform.machine()} {features}".encode())
  name = f"{platform.system()}-{platform.machine()}-{key.hexdigest()[:12]}"
  return pathlib.Path(base) / "seq2seq_jax" / "xla" / name.lower()


def _update(name: str, value: str | int | float) -> None:
  """Sets an option of `jax.config`, whether JAX is imported or not."""
  if "jax" in sys.modules:
    import jax

    jax.config.update(name, value)
  else:
    os.environ[name.upper()] = str(value)
