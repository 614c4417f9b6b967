"""Settings of one side of the data as a JSON file that proves its content."""

import hashlib
import json
import os
from typing import Any

from seq2seq_jax import types

FORMAT_VERSION = 1

# What a damaged file raises while it is read: not JSON or UTF-8, fields missing
# or of another type, not base64, not a SentencePiece model.
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
  """Reads the settings that `dump` made a file's content of.

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
        f"{path}: tokenizer of format_version {version}, this program reads "
        f"{FORMAT_VERSION}"
      )
    if tree.pop("sha256") != checksum(tree):
      raise ValueError("its content does not fit its checksum")
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
  """The error to raise for a file whose content cannot be used."""
  return types.UserError(
    f"{os.fspath(path)}: damaged tokenizer file ({error}); restore it from a "
    "copy, or train in a new workdir"
  )
