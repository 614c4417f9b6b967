"""Settings of one side of the data as a JSON file with a checksum."""

import dataclasses
import hashlib
import json
import os
from typing import Any, Literal

from seq2seq_jax import records, types

FORMAT_VERSION = 1
WAY_OUT = "restore it from a copy, or train in a new workdir"

# Exceptions from a model's bytes that are none: not base64, or no SentencePiece
# model.
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, RuntimeError)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Stored:
  """What every file has."""

  format_version: int
  sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Tokenizer(_Stored):
  lowercase: bool
  sampling: float
  normal_form: Literal["none", "nfc", "nfkc"] = "none"
  drop_invisible: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Table(_Tokenizer):
  kind: Literal["word", "char"]
  symbols: list[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Subwords(_Tokenizer):
  kind: Literal["bpe", "unigram"]
  model: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Pretrained(_Tokenizer):
  kind: Literal["pretrained"]
  definition: str
  specials: list[int]
  size: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Frames(_Stored):
  kind: Literal["frames"]
  features: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Audio(_Stored):
  """What `audio_side` checks further."""

  kind: Literal["audio"]
  settings: dict[str, Any]
  moments: dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _NoSource(_Stored):
  kind: Literal["none"]


_SCHEMAS = {
  "word": _Table,
  "char": _Table,
  "bpe": _Subwords,
  "unigram": _Subwords,
  "pretrained": _Pretrained,
  "frames": _Frames,
  "audio": _Audio,
  "none": _NoSource,
}


def checksum(settings: dict[str, Any]) -> str:
  """SHA-256 of the settings, as 64 hexadecimal digits."""
  text = json.dumps(settings, sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()


def dump(settings: dict[str, Any]) -> bytes:
  """The content of a file that `load` reads."""
  tree = {"format_version": FORMAT_VERSION, "sha256": checksum(settings)}
  text = json.dumps(tree | settings, ensure_ascii=False, indent=0)
  return (text + "\n").encode("utf-8", "surrogatepass")


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
  """The settings in a file with the content of `dump`.

  Raises:
    types.UserError: the file is missing, damaged, or of another version; the
      message names it, and the key that is wrong.
  """
  place = os.fspath(path)
  try:
    return _checked(records.read(place, dict[str, Any]), place)
  except types.UserError as e:
    raise types.UserError(f"{e}; {WAY_OUT}") from e


def _checked(tree: dict[str, Any], place: str) -> dict[str, Any]:
  """The settings in the content of a file."""
  version = tree.get("format_version")
  if isinstance(version, int) and version != FORMAT_VERSION:
    raise types.UserError(
      f"{place}: has format_version {version}, but this program reads "
      f"{FORMAT_VERSION}"
    )
  kind = tree.get("kind")
  schema = _SCHEMAS.get(kind) if isinstance(kind, str) else None
  if schema is None:
    raise types.UserError(f"{place}: kind must be one of {', '.join(_SCHEMAS)}")
  records.decode(schema, tree, place)
  _check_values(tree, place)
  del tree["format_version"]
  if tree.pop("sha256") != checksum(tree):
    raise types.UserError(f"{place}: its content does not match its sha256")
  return tree


def _check_values(tree: dict[str, Any], place: str) -> None:
  """Raises an error for values of the right type that no side has."""
  if not 0 <= tree.get("sampling", 0) < 1:
    raise types.UserError(f"{place}: sampling must be at least 0 and below 1")
  if tree.get("features", 1) < 1:
    raise types.UserError(f"{place}: features must be at least 1")
  specials, size = tree.get("specials", [0] * 4), tree.get("size", 1)
  if len(specials) != 4 or not all(-1 <= i < size for i in specials):
    raise types.UserError(
      f"{place}: specials must be four ids below size, or -1"
    )
  symbols = tree.get("symbols")
  if symbols is not None and (
    not symbols or "" in symbols or len(set(symbols)) < len(symbols)
  ):
    raise types.UserError(f"{place}: symbols must be distinct, and none empty")


def damaged(
  path: str | os.PathLike[str], reason: BaseException | str
) -> types.UserError:
  """The error to raise for a file with damaged content."""
  return types.UserError(
    f"{os.fspath(path)}: damaged tokenizer file ({reason}); {WAY_OUT}"
  )
