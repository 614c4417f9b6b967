"""Stored settings: read as they were written, or refused by name."""

import json

import pytest

from seq2seq_jax import types
from seq2seq_jax.data import stored

pytestmark = pytest.mark.quick

SETTINGS = {"kind": "word", "lowercase": False, "sampling": 0.0}
SETTINGS["symbols"] = ["é", "a"]


def _changed(**fields):
  """A file with other fields and the right checksum; None leaves one out."""
  settings = {k: v for k, v in (SETTINGS | fields).items() if v is not None}
  return stored.dump(settings)


def test_settings_come_back(tmp_path):
  path = tmp_path / "source.json"
  path.write_bytes(stored.dump(SETTINGS))
  assert stored.load(path) == SETTINGS
  assert json.loads(path.read_text("utf-8"))["sha256"] == (
    stored.checksum(SETTINGS)
  )
  assert stored.checksum(SETTINGS) != stored.checksum(
    SETTINGS | {"symbols": ["e"]}
  )


@pytest.mark.parametrize(
  "content,message",
  [
    (b"", "is not valid JSON"),
    (b"[1]", "must be an object, but is a list"),
    (b"null", "must be an object, but is null"),
    (b"[" * 100_000, "nested too deep"),
    (b'{"kind": "words"}', "kind must be one of word, char"),
    (b'{"kind": ["word"]}', "kind must be one of word, char"),
    (b'{"kind": "frames"}', "lacks the field 'format_version', 'sha256'"),
    (b"\xff", "not UTF-8"),
    (_changed(symbols=None), "lacks the field 'symbols'"),
    (_changed(symbols="abc"), "symbols must be a list, but is"),
    (_changed(symbols=["a", 3]), r"symbols\[1\] must be a text, but is 3"),
    (_changed(symbols=["a", "a"]), "symbols must be distinct"),
    (_changed(symbols=[]), "symbols must be distinct"),
    (_changed(lowercase=0), "lowercase must be true or false, but is 0"),
    (_changed(sampling=1.5), "sampling must be at least 0 and below 1"),
    (_changed(sampling="0"), "sampling must be a number"),
    (_changed(normal_form="nfd"), "normal_form must be one of"),
    (_changed(model="AAAA"), "unknown field 'model'"),
    (stored.dump({"kind": "frames", "features": 0}), "features must be at"),
    (stored.dump(SETTINGS).replace(b'"a"', b'"b"', 1), "does not match"),
    (
      stored.dump(SETTINGS).replace(b'version": 1', b'version": 2'),
      "format_version 2",
    ),
  ],
)
def test_other_content_is_refused(content, message, tmp_path):
  path = tmp_path / "source.json"
  path.write_bytes(content)
  with pytest.raises(types.UserError, match=message) as e:
    stored.load(path)
  assert str(e.value).startswith(str(path))
  assert str(e.value).endswith(stored.WAY_OUT)
