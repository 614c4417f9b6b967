"""Prepares a TFDS catalogue set as array_record, once, before training.

    python -m seq2seq_jax.data.prepare NAME[/CONFIG] --data-dir DIR

downloads the set and writes it below DIR, where training reads it without
TensorFlow. Some builders import TensorFlow; they need the extra `prepare`.
"""

import argparse
import difflib
import os
import sys
from typing import Any

from seq2seq_jax import __version__, types

FAILED = 1
# Modules whose exceptions mean that a file did not arrive whole.
NETWORK = ("requests", "urllib3", "tensorflow_datasets.core.download")


def prepare(name: str, data_dir: str | None = None) -> str:
  """Downloads and writes a set; returns the folder that holds it.

  Args:
    name: `SET` or `SET/CONFIG`.
    data_dir: folder of the prepared sets; TFDS's own if it is empty.

  Raises:
    types.UserError: a module is missing, the name is unknown, or the download
      or the disk failed.
  """
  try:
    import array_record  # noqa: F401 (TFDS names it only when it writes)
    import tensorflow_datasets as tfds
  except ImportError as e:
    raise types.UserError(
      f"preparing a set needs the module {e.name}: "
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
      f"{type(e).__name__}: {_line(e)}"
    ) from e
  return str(builder.data_dir)


def _builder(tfds: Any, name: str, data_dir: str | None) -> Any:
  """The TFDS builder of a set; what TFDS refuses becomes a UserError."""
  try:
    return tfds.builder(
      name, data_dir=data_dir or None, file_format="array_record"
    )
  except tfds.core.DatasetNotFoundError as e:
    known = [
      line.removeprefix("\t- ")
      for line in str(e).splitlines()
      if line.startswith("\t- ")
    ]
    stem = name.partition("/")[0]
    # Builders of the old style are listed, but are registered by TensorFlow.
    if stem in known:
      raise _missing(name, ImportError(name="tensorflow")) from e
    near = difflib.get_close_matches(stem, known, 3, 0.5)
    raise types.UserError(
      f"TFDS has no set {stem!r}; nearest: {', '.join(near) or 'none'}; a set "
      "whose builder imports TensorFlow is known only with "
      "pip install -c constraints.txt -e '.[prepare]'"
    ) from e
  except ImportError as e:
    raise _missing(name, e) from e
  except (ValueError, AssertionError) as e:
    raise types.UserError(f"TFDS {name}: {_reason(tfds, name, e)}") from e


def _reason(tfds: Any, name: str, error: Exception) -> str:
  """Why TFDS refuses a configuration, a version or a folder."""
  reason = _line(error)
  if "File format is already set" in reason:
    return (
      "it is already prepared there in a format other than array_record; "
      "delete that folder or give another --data-dir"
    )
  if "BuilderConfig" not in reason:
    return reason
  stem, _, config_name = name.partition("/")
  configs = list(tfds.builder_cls(stem).builder_configs)
  near = difflib.get_close_matches(config_name, configs, 5, 0.3) or configs[:5]
  return f"no configuration {config_name!r}; nearest: {', '.join(near)}"


def _missing(name: str, error: ImportError) -> types.UserError:
  """The error that names what to install for a builder."""
  # TFDS wraps the error to add words; only the first one names the module.
  while error.name is None and isinstance(error.__cause__, ImportError):
    error = error.__cause__
  if error.name is None or error.name.partition(".")[0] == "tensorflow":
    return types.UserError(
      f"TFDS {name}: its builder imports TensorFlow, for this one command: "
      "pip install -c constraints.txt -e '.[prepare]'"
    )
  return types.UserError(
    f"TFDS {name}: its builder needs the module {error.name}: "
    f"pip install {error.name.partition('.')[0]}"
  )


def _no_download(name: str, error: Exception) -> types.UserError:
  """The error of a download that did not arrive whole."""
  return types.UserError(
    f"TFDS {name}: the download failed, so nothing was prepared; is there a "
    f"network? ({_line(error)})"
  )


def _line(error: Exception) -> str:
  """The first line of an exception's message, or its name."""
  return (str(error).strip().splitlines() or [type(error).__name__])[0]


def main(args: list[str] | None = None) -> int:
  """Prepares the set that the command line names; returns the exit code."""
  p = argparse.ArgumentParser(
    prog="python -m seq2seq_jax.data.prepare",
    description="Prepares a TFDS catalogue set as array_record.",
  )
  p.add_argument("name", metavar="NAME[/CONFIG]", help="wmt14_translate/de-en")
  p.add_argument(
    "--data-dir",
    metavar="DIR",
    default=os.environ.get("SEQ2SEQ_JAX_DATA"),
    help="where to write; training finds it by --data.root DIR "
    "(default: the environment's SEQ2SEQ_JAX_DATA, else TFDS's own folder)",
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
    return FAILED
  return 0


if __name__ == "__main__":
  sys.exit(main())
