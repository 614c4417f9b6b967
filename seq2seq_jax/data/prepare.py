"""Prepares a TFDS catalogue set as array_record, once, before training.

    python -m seq2seq_jax.data.prepare NAME[/CONFIG] --data-dir DIR

downloads the set and writes it below DIR, where training reads it without
TensorFlow. Some builders import TensorFlow; they need the extra `prepare`.
"""

import argparse
import difflib
import os
import signal
import sys
from typing import Any

from seq2seq_jax import __version__, exits, types

FAILED = 1
# Modules whose exceptions mean that a download failed.
NETWORK = ("requests", "urllib3", "tensorflow_datasets.core.download")


def prepare(name: str, data_dir: str | None = None) -> str:
  """Downloads and writes a data set; returns its folder.

  Args:
    name: `SET` or `SET/CONFIG`.
    data_dir: folder of the prepared sets; if empty, TFDS's default.

  Raises:
    types.UserError: a module is missing, the name is unknown, or downloading
      or writing failed.
  """
  try:
    import array_record  # noqa: F401 (TFDS names it only when it writes)
    import tensorflow_datasets as tfds
  except ImportError as e:
    raise types.UserError(
      f"preparing a set needs the module {e.name}; install it with "
      "pip install -c constraints.txt -e '.[data]'"
    ) from e
  builder = _builder(tfds, name, data_dir)
  try:
    builder.download_and_prepare()
  except ImportError as e:
    raise _missing(name, e) from e
  except Exception as e:  # the network's, the archive's, the disk's
    if type(e).__module__.startswith(NETWORK):
      raise _no_download(name, e) from e
    raise types.UserError(
      f"TFDS {name}: preparing it in {builder.data_dir} failed: "
      f"{type(e).__name__}: {_first_line(e)}"
    ) from e
  return str(builder.data_dir)


def _builder(tfds: Any, name: str, data_dir: str | None) -> Any:
  """The TFDS builder of a set.

  Raises:
    types.UserError: TFDS has no such set, configuration or version.
  """
  try:
    return tfds.builder(
      name, data_dir=data_dir or None, file_format="array_record"
    )
  except tfds.core.DatasetNotFoundError as e:
    names = [
      line.removeprefix("\t- ")
      for line in str(e).splitlines()
      if line.startswith("\t- ")
    ]
    set_name = name.partition("/")[0]
    # Builders of the old style are listed, but only TensorFlow registers them.
    if set_name in names:
      raise _missing(name, ImportError(name="tensorflow")) from e
    near = difflib.get_close_matches(set_name, names, 3, 0.5)
    raise types.UserError(
      f"TFDS has no set {set_name!r}; nearest: {', '.join(near) or 'none'}; "
      "if its builder imports TensorFlow, first run "
      "pip install -c constraints.txt -e '.[prepare]'"
    ) from e
  except ImportError as e:
    raise _missing(name, e) from e
  except (ValueError, AssertionError) as e:
    raise types.UserError(f"TFDS {name}: {_reason(tfds, name, e)}") from e


def _reason(tfds: Any, name: str, error: Exception) -> str:
  """The reason why TFDS refuses a configuration, a version or a folder."""
  reason = _first_line(error)
  if "File format is already set" in reason:
    return (
      "it is already prepared there in a format other than array_record; "
      "delete that folder or give another --data-dir"
    )
  if "BuilderConfig" not in reason:
    return reason
  set_name, _, config_name = name.partition("/")
  configs = list(tfds.builder_cls(set_name).builder_configs)
  near = difflib.get_close_matches(config_name, configs, 5, 0.3) or configs[:5]
  return f"no configuration {config_name!r}; nearest: {', '.join(near)}"


def _missing(name: str, error: ImportError) -> types.UserError:
  """The error of a builder that lacks a module, with how to install it."""
  # TFDS wraps the error to add text; only the original one names the module.
  while error.name is None and isinstance(error.__cause__, ImportError):
    error = error.__cause__
  if error.name is None or error.name.partition(".")[0] == "tensorflow":
    return types.UserError(
      f"TFDS {name}: its builder imports TensorFlow; install it with "
      "pip install -c constraints.txt -e '.[prepare]'"
    )
  return types.UserError(
    f"TFDS {name}: its builder needs the module {error.name}; install it with "
    f"pip install {error.name.partition('.')[0]}"
  )


def _no_download(name: str, error: Exception) -> types.UserError:
  """The error of a failed download."""
  return types.UserError(
    f"TFDS {name}: the download failed, so nothing was prepared; check "
    f"the network and run this again ({_first_line(error)})"
  )


def _first_line(error: Exception) -> str:
  """The first line of an exception's message, or its name."""
  return (str(error).strip().splitlines() or [type(error).__name__])[0]


def main(args: list[str] | None = None) -> int:
  """Prepares the set named on the command line; returns the exit code."""
  p = argparse.ArgumentParser(
    prog="python -m seq2seq_jax.data.prepare",
    description="Prepares a TFDS catalogue set as array_record.",
  )
  p.add_argument("name", metavar="NAME[/CONFIG]", help="wmt14_translate/de-en")
  p.add_argument(
    "--data-dir",
    metavar="DIR",
    default=os.environ.get("SEQ2SEQ_JAX_DATA"),
    help="folder to write to; training reads it with --data.root DIR "
    "(default: the environment's SEQ2SEQ_JAX_DATA, else TFDS's default folder)",
  )
  p.add_argument(
    "--version", action="version", version=f"seq2seq_jax {__version__}"
  )
  options = p.parse_args(args)
  try:
    print(prepare(options.name, options.data_dir))
  except types.UserError as e:
    print(f"error: {e}", file=sys.stderr)
    return FAILED
  except KeyboardInterrupt:
    print("error: interrupted; the set is not prepared", file=sys.stderr)
    return exits.BY_SIGNAL + signal.SIGINT
  return 0


if __name__ == "__main__":
  exits.run(main)
