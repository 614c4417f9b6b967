"""Stored settings: read as they were written, or refused by name."""

import json

import pytest

from seq2seq_jax import types
from seq2seq_jax.data import stored

pytestmark = pytest.mark.quick

SETTINGS = {"kind": "frames", "features": 3, "note": "é"}


def test_settings_come_back(tmp_path):
  path = tmp_path / "source.json"
  path.write_bytes(stored.dump(SETTINGS))
  assert stored.load(path) == SETTINGS
  assert json.loads(path.read_text("utf-8"))["sha256"] == (
    stored.checksum(SETTINGS)
  )
  assert stored.checksum(SETTINGS) != stored.checksum(SETTINGS | {"note": "e"})


@pytest.mark.parametrize(
  "content,message",
  [
    (b"", "damaged"),
    (b"[1]", "damaged"),
    (b"null", "damaged"),
    (b'{"kind": "frames"}', "damaged"),
    (b"\xff", "damaged"),
    (stored.dump(SETTINGS).replace(b"3", b"4", 1), "damaged|checksum"),
    (
      stored.dump(SETTINGS).replace(b'version": 1', b'version": 2'),
      "format_version 2",
    ),
  ],
)
def test_other_content_is_refused(content, message, tmp_path):
  path = tmp_path / "source.json"
  path.write_bytes(content)
  with pytest.raises(types.UserError, match=rf"source\.json: .*({message})"):
    stored.load(path)
