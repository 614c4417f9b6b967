"""Tokenizers of pretrained models: ids in our order, text that stays text."""

import json
import pickle

import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.data import (
  corpus,
  pretrained_tokenizer,
  stored,
  tokenizers,
  vocabulary,
)

pytestmark = pytest.mark.quick
package = pytest.importorskip("tokenizers", reason="needs tokenizers")
WORDS = ["[PAD]", "a", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS += ["low", "##er", "new", ".", "[", "]", "sep"]
SIZE = len(WORDS) + 2
OWN = {word: i for i, word in enumerate(WORDS)}
SPECIALS = [OWN[w] for w in ("[PAD]", "[CLS]", "[SEP]", "[UNK]")]


def definition():
  """A tokenizer.json of WordPiece that pads, cuts and adds special tokens."""
  model = package.Tokenizer(package.models.WordPiece(OWN, unk_token="[UNK]"))
  model.normalizer = package.normalizers.BertNormalizer()
  model.pre_tokenizer = package.pre_tokenizers.BertPreTokenizer()
  model.decoder = package.decoders.WordPiece()
  model.add_special_tokens(["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"])
  model.post_processor = package.processors.TemplateProcessing(
    single="[CLS] $A [SEP]",
    special_tokens=[("[CLS]", OWN["[CLS]"]), ("[SEP]", OWN["[SEP]"])],
  )
  model.enable_padding(length=12)
  model.enable_truncation(8)
  return model.to_str()


def made(size=SIZE):
  return tokenizers.build(
    pretrained_tokenizer.settings(definition(), SPECIALS, size)
  )


def test_ids_are_the_package_s_in_our_order():
  ours, size = made(), SIZE
  assert ours.vocab_size == size  # with two rows that no token has
  theirs = package.Tokenizer.from_str(definition())
  theirs.no_padding()
  theirs.no_truncation()
  text = "Low lower newer . zzz a new"
  own = theirs.encode(text, add_special_tokens=False)
  ids = ours.encode(text)
  assert ids.dtype == np.int32 and len(ids) > 8
  want = ["<unk>" if t == "[UNK]" else t for t in own.tokens]
  assert ours.tokens(ids) == want
  assert ours.own_ids(ids) == own.ids
  assert ours.own_ids(range(4)) == SPECIALS
  assert sorted(ours.own_ids(range(size))) == list(range(size))
  assert ours.decode(ids) == "low lower newer. <unk> a new"
  assert ours.pieces[:4] == types.SPECIALS


def test_no_text_is_a_special_token():
  ours = made()
  ids = ours.encode("[SEP] a [PAD] [CLS]")
  assert not np.isin(ids, [types.PAD, types.BOS, types.EOS]).any()
  assert ours.tokens(ids)[:4] == ["[", "sep", "]", "a"]
  # Where a model would make them of text all the same, they are unknown.
  words = package.Tokenizer(package.models.WordLevel(OWN, unk_token="[UNK]"))
  words.pre_tokenizer = package.pre_tokenizers.WhitespaceSplit()
  ours = tokenizers.build(
    pretrained_tokenizer.settings(words.to_str(), SPECIALS, len(WORDS))
  )
  assert ours.encode("[SEP] a [MASK]").tolist()[0] == types.UNK
  assert ours.tokens(ours.encode("[SEP] a [MASK]"))[1:] == ["a", "[MASK]"]


def test_one_special_token_may_stand_for_several():
  """GPT-2's end of text is BOS too; it has neither pad nor unknown."""
  absent, end = pretrained_tokenizer.ABSENT, OWN["[SEP]"]
  specials = [absent, end, end, absent]
  ours = tokenizers.build(
    pretrained_tokenizer.settings(definition(), specials, len(WORDS))
  )
  assert ours.vocab_size == len(WORDS) + 3
  assert ours.own_ids(range(5)) == [*specials, 0]
  assert ours.tokens(ours.encode("low")) == ["low"]


def test_it_is_stored_whole_and_sent_to_workers(tmp_path):
  ours = made()
  path = tmp_path / "source.json"
  path.write_bytes(ours.dump())
  text = "lower new\udcff [SEP]"
  for again in (tokenizers.load(path), pickle.loads(pickle.dumps(ours))):
    assert again.checksum() == ours.checksum()
    assert again.encode(text).tolist() == ours.encode(text).tolist()
    assert again.kind == "pretrained"


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"definition": "{}"}, "damaged tokenizer file"),
    ({"definition": "x" * 9}, "damaged tokenizer file"),
    ({"specials": [0, 1, 2]}, "four ids"),
    ({"specials": [0, 1, 2, 99]}, "four ids"),
    ({"size": 5}, "13 tokens, but the model 5|four ids"),
  ],
)
def test_damage_is_named(change, message, tmp_path):
  tree = pretrained_tokenizer.settings(definition(), SPECIALS, len(WORDS))
  tree |= change
  path = tmp_path / "source.json"
  path.write_bytes(stored.dump(tree))
  with pytest.raises(types.UserError, match=message) as caught:
    tokenizers.load(path)
  assert str(path) in str(caught.value) and "\n" not in str(caught.value)
  assert json.loads(path.read_text())["kind"] == "pretrained"


def test_one_side_of_another_run(tmp_path):
  """The source's vocabulary is a pretrained one, the target's is trained."""
  folder = tmp_path / "run" / "tokenizers"
  folder.mkdir(parents=True)
  (folder / "target.json").write_bytes(made().dump())  # a joint one
  data = config.Data(
    task="pairs",
    source=config.Text(tokenizer="pretrained"),
    vocabulary=str(tmp_path / "run"),
    vocabulary_sides="source",
    source_ends="bos_eos",
  )
  texts = corpus.Corpus(data, [("low new", "x y"), ("a", "y z")])
  found = vocabulary.for_new_run(data, texts)
  assert found.sizes == (made().vocab_size, 7) and not found.joint
  assert found.source.marks == (1, 1)
  again = tmp_path / "again"
  again.mkdir()
  for name, content in found.files().items():
    (again / name).write_bytes(content)
  assert vocabulary.load(data, again).checksum() == found.checksum()
  both = config.replace(
    data,
    {
      "vocabulary_sides": "target",
      "target.tokenizer": "pretrained",
      "source.tokenizer": "word",
    },
  )
  found = vocabulary.for_new_run(both, texts)
  assert found.sizes == (7, made().vocab_size)
  none = config.replace(data, {"vocabulary": ""})
  with pytest.raises(types.UserError, match="the model's workdir"):
    vocabulary.for_new_run(none, texts)
