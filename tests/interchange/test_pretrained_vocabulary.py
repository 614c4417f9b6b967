"""A pretrained model's tokenizer from whatever files there are."""

import json

import pytest

from seq2seq_jax import types
from seq2seq_jax.data import pretrained_tokenizer
from seq2seq_jax.interchange import pretrained_vocabulary

pytestmark = pytest.mark.quick
package = pytest.importorskip("tokenizers", reason="needs tokenizers")
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "na", "##ive", "Na", ".", "5"]
BYTES = ["<s>", "<pad>", "l", "o", "w", "Ġ", "lo", "low", "Ġlow", "Ã", "©"]
MERGES = "#version: 0.2\nl o\nlo w\nĠ low\n"


def encoded(definition, text):
  model = package.Tokenizer.from_str(definition)
  return model.encode(text, add_special_tokens=False).tokens


def test_word_pieces(tmp_path):
  (tmp_path / "vocab.txt").write_text("\n".join(PIECES) + "\n")
  found = pretrained_vocabulary.definition(tmp_path)
  assert encoded(found, "NAÏVE 5.naive") == [
    *("na", "##ive", "5", ".", "na", "##ive"),
  ]
  assert pretrained_vocabulary.tokens(found, tmp_path) == {
    p: i for i, p in enumerate(PIECES)
  }
  assert pretrained_vocabulary.definition(tmp_path / "vocab.txt") == found
  options = json.dumps({"do_lower_case": False})
  (tmp_path / "tokenizer_config.json").write_text(options)
  cased = pretrained_vocabulary.definition(tmp_path)
  assert encoded(cased, "Naive na") == ["Na", "##ive", "na"]
  # A tokenizer.json comes first.
  (tmp_path / "tokenizer.json").write_text(found)
  assert pretrained_vocabulary.definition(tmp_path) == found


def test_bytes(tmp_path):
  ids = {p: i for i, p in enumerate(BYTES)}
  (tmp_path / "vocab.json").write_text(json.dumps(ids))
  assert pretrained_vocabulary.definition(tmp_path) is None
  (tmp_path / "merges.txt").write_text(MERGES)
  found = pretrained_vocabulary.definition(tmp_path)
  assert encoded(found, "low lowé") == ["low", "Ġlow", "Ã", "©"]
  again = pretrained_vocabulary.definition(tmp_path / "vocab.json")
  assert again == found
  settings = pretrained_tokenizer.settings(found, [1, 0, 0, 1], len(BYTES))
  ours = pretrained_tokenizer.Pretrained(settings)
  assert ours.decode(ours.encode("low lowé")) == "low lowé"


@pytest.mark.parametrize(
  ("files", "message"),
  [
    ({"vocab.json": "[]", "merges.txt": MERGES}, r"vocab\.json: the file must"),
    ({"vocab.json": "{", "merges.txt": MERGES}, r"vocab\.json is not valid"),
    ({"vocab.json": '{"a": 0}', "merges.txt": MERGES}, "does not go with mer"),
    ({"vocab.txt": "a", "tokenizer_config.json": "1"}, "tokenizer_config"),
  ],
)
def test_what_is_wrong_is_named(files, message, tmp_path):
  for name, content in files.items():
    (tmp_path / name).write_text(content)
  with pytest.raises(types.UserError, match=message) as caught:
    pretrained_vocabulary.definition(tmp_path)
  assert "\n" not in str(caught.value)


def test_a_damaged_definition(tmp_path):
  with pytest.raises(types.UserError, match="is no tokenizer"):
    pretrained_vocabulary.tokens("{}", tmp_path)
  with pytest.raises(types.UserError, match="no such file or folder"):
    pretrained_vocabulary.definition(tmp_path / "x")
