"""Which models may be an ensemble, and what must lie together in a workdir."""

import json
import shutil

import pytest

from seq2seq_jax import config, types
from seq2seq_jax.data import sides, tokenizers, vocabulary
from seq2seq_jax.inference import loading
from seq2seq_jax.runtime import parallel
from seq2seq_jax.training import loop, warm_start


def loaded(words="same", reverse=False, head="softmax"):
  words = tokenizers.train([words], kind="word", vocab_size=9)
  output = words if head == "pointer" else None
  vocabularies = vocabulary.Vocabularies(
    sides.SourceText(words, reverse=reverse, output=output),
    sides.TargetText(words, copies=head == "pointer"),
  )
  conf = config.Config(
    data=config.Data(
      source=config.Text(tokenizer="word"), target=config.Text(tokenizer="word")
    ),
    model=config.Model(
      attention=config.Attention(score="additive"),
      head=head,
    ),
  )
  return loading.Loaded(conf, vocabularies, None, None, 0)


OTHERS = {
  "vocabularies differ": {"words": "other"},
  "data.reverse_source": {"reverse": True},
  "copies words": {"head": "pointer"},
}


@pytest.mark.quick
@pytest.mark.parametrize("said", OTHERS)
def test_members_read_and_write_alike(said, monkeypatch):
  members = iter([loaded(), loaded(), loaded(), loaded(**OTHERS[said])])
  monkeypatch.setattr(loading, "load", lambda *a: next(members))

  def every():
    return loading.load_all(["a", "b"], "best", None)

  assert len(every()) == 2
  with pytest.raises(types.UserError, match=f"^b: .*{said}"):
    every()


def other_words(folder):
  words = tokenizers.train(["v w x y z"], kind="word", vocab_size=9)
  (folder / "tokenizers" / "target.json").write_bytes(words.dump())


def other_pieces(folder):
  pieces = tokenizers.train(["a b c d e f g"] * 9, kind="bpe", vocab_size=16)
  (folder / "tokenizers" / "source.json").write_bytes(pieces.dump())


def edited(folder):
  path = folder / "config.json"
  tree = json.loads(path.read_text())
  tree["model"]["embed_dim"] += 1
  path.write_text(json.dumps(tree))


@pytest.mark.parametrize(
  ("spoil", "told"),
  [
    (other_words, r"target\.json: is not the tokenizer that checkpoint"),
    (other_pieces, r"tokenizers: tokenizer, .* of the source are"),
    (edited, r"config\.json: is not the config that checkpoint"),
  ],
)
def test_files_that_do_not_belong_together(spoil, told, whole, tmp_path):
  folder = tmp_path / "run"
  shutil.copytree(whole, folder)
  conf = loading.read_config(folder)
  loading.load(folder, "last", parallel.Mapper("vmap"))
  spoil(folder)
  before = sorted(folder.rglob("*"))
  for load in (
    lambda: loading.load(folder, "best", parallel.Mapper("vmap")),
    lambda: warm_start.load_params(str(folder)),
    lambda: loop.fit(loading.read_config(folder), folder),
  ):
    with pytest.raises(types.UserError, match=told):
      load()
  assert sorted(folder.rglob("*")) == before
  if spoil is edited:
    with pytest.raises(types.UserError, match=r"another config.*\n.*embed_dim"):
      loop.fit(conf, folder)


def test_a_checkpoint_of_another_run(whole, tmp_path):
  """Of the same shapes and words, so that only its config tells."""
  folder = tmp_path / "run"
  shutil.copytree(whole, folder)
  path = folder / "config.json"
  conf = config.replace(loading.read_config(folder), {"train.seed": 99})
  path.write_text(config.to_json(conf))
  with pytest.raises(types.UserError, match="is not the config that checkp"):
    loading.load(folder, "best", parallel.Mapper("vmap"))


@pytest.mark.quick
@pytest.mark.parametrize(
  ("content", "told"),
  [
    (b"\xff\xfe", "not UTF-8"),
    (b"", r"config\.json"),
    (b"[]", r"config\.json"),
    (b"null", r"config\.json"),
    (b"[" * 20_000, r"config\.json"),
    (b'{"format_version": []}', r"config\.json"),
    (b'{"format_version": 2, "model": 3}', r"config\.json"),
    (b'{"format_version": 2, "model": {"embed_dim": {}}}', r"config\.json"),
    (b'{"format_version": 2, "modle": {}}', r"config\.json"),
  ],
)
def test_a_damaged_config_is_named(content, told, tmp_path):
  (tmp_path / "config.json").write_bytes(content)
  with pytest.raises(types.UserError, match=told):
    loading.read_config(tmp_path)
