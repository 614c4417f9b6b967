"""Settings of one side of the data as a JSON file with a checksum."""

import hashlib
import json
import os
from typing import Any

from seq2seq_jax import types

FORMAT_VERSION = 1

# Exceptions from reading a damaged file: not JSON or UTF-8, fields missing or
# of another type, not base64, not a SentencePiece model.
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, RuntimeError)


def checksum(settings: dict[str, Any]) -> str:
  """SHA-256 of the settings, as 64 hexadecimal digits."""
  text = json.dumps(settings, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()


def dump(settings: dict[str, Any]) -> bytes:
  """The content of a file that `load` reads."""
  tree = {"format_version": FORMAT_VERSION, "sha256": checksum(settings)}
  text = json.dumps(tree | settings, ensure_ascii=False, indent=0)
  return (text + "\n").encode()


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
  """The settings in a file with the content of `dump`.

  Raises:
    types.UserError: the file is missing, damaged, or of another version.
  """
  path = os.fspath(path)
  try:
    with open(path, encoding="utf-8") as f:
      tree = json.load(f)
    version = tree.pop("format_version")
    if version != FORMAT_VERSION:
      raise types.UserError(
        f"{path}: has format_version {version}, but this program reads "
        f"{FORMAT_VERSION}; train again in a new workdir"
      )
    if tree.pop("sha256") != checksum(tree):
      raise ValueError("its content does not match its checksum")
  except OSError as e:
    raise types.UserError(
      f"{path}: cannot read the tokenizer: {e.strerror}"
    ) from e
  except DAMAGE as e:
    raise damaged(path, e) from e
  return tree


def damaged(
  path: str | os.PathLike[str], error: BaseException
) -> types.UserError:
  """The error to raise for a file with damaged content."""
  return types.UserError(
    f"{os.fspath(path)}: damaged tokenizer file ({error}); restore it from a "
    "copy, or train in a new workdir"
  )
