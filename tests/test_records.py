"""Checked JSON: whatever is wrong is one message with file and key."""

import dataclasses
import json
import os
from typing import Any, Literal

import pytest

from seq2seq_jax import archives, records, types

pytestmark = pytest.mark.quick


@dataclasses.dataclass(frozen=True)
class Part:
  name: str
  weight: float


@dataclasses.dataclass(frozen=True)
class Whole:
  step: int
  parts: tuple[Part, ...]
  kind: Literal["a", "b"] = "a"
  sizes: dict[str, int] = dataclasses.field(default_factory=dict)
  words: list[str] = dataclasses.field(default_factory=list)
  pair: tuple[int, str] | None = None


VALID: dict[str, Any] = {"step": 1, "parts": [{"name": "x", "weight": 2}]}


def test_a_valid_file_is_the_record(tmp_path):
  path = tmp_path / "a.json"
  path.write_text(json.dumps(VALID | {"sizes": {"k": 1}, "words": ["é"]}))
  assert records.read(path, Whole) == Whole(
    1, (Part("x", 2),), sizes={"k": 1}, words=["é"]
  )


@pytest.mark.parametrize(
  "change, message",
  [
    ({"step": "1"}, 'step must be a whole number, but is "1"'),
    ({"step": True}, "step must be a whole number, but is true"),
    ({"step": None}, "step must be a whole number, but is null"),
    ({"parts": {}}, "parts must be a list"),
    ({"parts": [1]}, "parts[0] must be an object, but is 1"),
    ({"parts": [{"name": "x"}]}, "parts[0] lacks the field 'weight'"),
    ({"parts": [{"name": 1, "weight": 1}]}, "parts[0].name must be a text"),
    ({"kind": "c"}, "kind must be one of 'a', 'b', but is \"c\""),
    ({"kind": []}, "kind must be one of 'a', 'b'"),
    ({"sizes": {"k": 1.5}}, "sizes['k'] must be a whole number"),
    ({"words": ["a", 2]}, "words[1] must be a text, but is 2"),
    ({"pair": [1]}, "pair must be a list of 2 or null"),
    ({"stap": 1}, "has the unknown field 'stap'"),
  ],
)
def test_a_wrong_value_is_named(tmp_path, change, message):
  path = tmp_path / "a.json"
  path.write_text(json.dumps(VALID | change))
  with pytest.raises(types.UserError) as e:
    records.read(path, Whole)
  assert str(path) in str(e.value) and message in str(e.value)


@pytest.mark.parametrize(
  "content, message",
  [
    (b"", "is not valid JSON"),
    (b"null", "must be an object, but is null"),
    (b"[]", "must be an object"),
    (b'{"step": 1', "is not valid JSON"),
    (b'{"step": NaN}', "NaN is no number"),
    (b'{"step": 1e999}', "1e999 is too large a number"),
    (b'{"step": ' + b"9" * 5000 + b"}", "is not valid JSON"),
    (b"[" * 100_000, "nested too deep"),
    (b'{"step": 1, "parts": [], "step": 2}', 'the key "step" is there twice'),
    (b'{"parts": [{"a": 1, "b": {}, "b": {}}]}', 'the key "b" is there twice'),
    ('{"step": "é"}'.encode("latin-1"), "is not UTF-8"),
    ('{"step": 1}'.encode("utf-16"), "is not UTF-8"),
  ],
)
def test_what_is_no_json_is_refused(tmp_path, content, message):
  path = tmp_path / "a.json"
  path.write_bytes(content)
  with pytest.raises(types.UserError) as e:
    records.read(path, Whole)
  assert str(path) in str(e.value) and message in str(e.value)


def test_a_file_that_is_not_there_or_a_folder_is_named(tmp_path):
  for path in (tmp_path / "none.json", tmp_path):
    with pytest.raises(types.UserError, match="cannot read"):
      records.read(path, Whole)


def test_what_may_never_end_is_refused_at_once(tmp_path):
  pipe = tmp_path / "pipe"
  os.mkfifo(pipe)
  for path in (pipe, "/dev/zero"):
    with pytest.raises(types.UserError, match="is no file but a device"):
      records.read(path, Whole)
    with pytest.raises(types.UserError, match="cannot read: is not a file"):
      archives.read(path)
