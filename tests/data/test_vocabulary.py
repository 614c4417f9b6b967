"""Vocabularies: made from a corpus, taken from a run, stored and loaded."""

import dataclasses

import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.data import corpus as corpus_lib
from seq2seq_jax.data import frames_side, sides, tokenizers, vocabulary

pytestmark = pytest.mark.quick


@pytest.mark.quick
def _words(tmp_path, lines):
  (tmp_path / "train.tsv").write_text("".join(f"{line}\n" for line in lines))
  return corpus_lib.Corpus(
    config.Data(task="tsv", root=str(tmp_path), train=("train.tsv",))
  )


def _store(vocabularies, folder):
  folder.mkdir(parents=True, exist_ok=True)
  for name, content in vocabularies.files().items():
    (folder / name).write_bytes(content)


def test_vocabularies_of_another_run(tmp_path):
  old = _words(tmp_path, ["a\tb", "c\td"])
  theirs = vocabulary.train(config.Data(), old)
  _store(theirs, tmp_path / "run" / "tokenizers")
  data = config.Data(vocabulary=str(tmp_path / "run"))
  new = _words(tmp_path, ["e\tf"])
  assert vocabulary.for_new_run(data, new).checksum() == theirs.checksum()
  fresh = vocabulary.for_new_run(config.Data(), new)
  assert fresh.checksum() != theirs.checksum()
  other = dataclasses.replace(data, target=config.Text(lowercase=True))
  with pytest.raises(
    types.UserError, match=r"of the target are .* data.target says"
  ):
    vocabulary.for_new_run(other, new)
  joint = dataclasses.replace(data, joint=True)
  with pytest.raises(types.UserError, match="has two vocabularies"):
    vocabulary.for_new_run(joint, new)


@pytest.mark.parametrize("kind", ["text", "joint", "frames"])
def test_a_language_model_takes_the_targets_of_any_run(tmp_path, kind):
  """Of two vocabularies, of one for both sides, and of a source of frames."""
  pairs = [("a b", "c d"), ("c", "a")]
  if kind == "frames":
    pairs = [(np.zeros((3, 2), np.float32), text) for _, text in pairs]
  data = config.Data(task="pairs", joint=kind == "joint")
  theirs = vocabulary.train(data, corpus_lib.Corpus(data, pairs))
  _store(theirs, tmp_path / "run" / "tokenizers")
  alone = config.Data(
    task="language_model",
    train=("in memory",),
    vocabulary=str(tmp_path / "run"),
  )
  texts = corpus_lib.Corpus(alone, [(None, "a c")])
  ours = vocabulary.for_new_run(alone, texts)
  assert ours.target.checksum() == theirs.target.checksum()
  assert ours.sizes == (None, theirs.sizes[1]) and not ours.source.present
  _store(ours, tmp_path / "lm")
  again = vocabulary.load(alone, tmp_path / "lm")
  assert again.checksum() == ours.checksum() and not again.source.present
  other = dataclasses.replace(alone, target=config.Text(tokenizer="char"))
  with pytest.raises(types.UserError, match=r"of the target are .* says"):
    vocabulary.for_new_run(other, texts)


def _copying(reverse=False):
  """Source words a and b, target words b and c."""
  source, target = (
    tokenizers.train([text], kind="word", vocab_size=20)
    for text in ("a b", "b c")
  )
  return vocabulary.Vocabularies(
    sides.SourceText(source, reverse=reverse, output=target),
    sides.TargetText(target, copies=True),
  )


@pytest.mark.parametrize("reverse", [False, True])
def test_extended_ids_and_back(reverse):
  vocabularies = _copying(reverse)
  source, size = "x b y x a", vocabularies.target.vocab_size
  assert vocabularies.source.copyable(source) == ["x", "y", "a"]
  pair = vocabularies.encode((source, "y b z c"))
  b, c = (int(vocabularies.target.encode(w).values[0]) for w in "bc")
  ids = [size, b, size + 1, size, size + 2]
  expected = [*(ids[::-1] if reverse else ids), types.EOS]
  assert pair.source.extended.tolist() == expected
  target = [size + 1, b, types.UNK, c, types.EOS]
  assert pair.target.extended.tolist() == target
  assert vocabularies.target_text(target, source) == "y b <unk> c"
  tokens = vocabularies.target_tokens(target, source)
  assert tokens == ["y", "b", "<unk>", "c", "</s>"]


def test_unknown_words_are_replaced_by_the_source_attended_to():
  ids = np.array([types.UNK, 4, types.UNK, types.EOS])
  attended = [2, 0, 9, 3]  # beyond the sentence: nothing to put there
  text = _copying().target_text(ids, "x y z", attended)
  assert text == "z b <unk>"
  text = _copying(reverse=True).target_text(ids, "x y z", attended)
  assert text == "x b <unk>"


def test_replaced_words_keep_their_own_spelling():
  data = config.Data(
    task="pairs", source=config.Text(lowercase=True), target=config.Text()
  )
  corpus = corpus_lib.Corpus(data, [("a b", "a b")])
  vocabularies = vocabulary.train(data, corpus)
  text = vocabularies.target_text([types.UNK, types.EOS], "A Zürich", [1])
  assert text == "Zürich"


def _frames(length, features=4):
  return np.full((length, features), 0.5, np.float32)


CORPORA = {
  "text": ("pairs", [("a b", "c"), ("b", "d d")]),
  "frames": ("pairs", [(_frames(5), "a b"), (_frames(3), "c")]),
  "language model": ("language_model", [(None, "a b"), (None, "c")]),
}


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("name", CORPORA)
def test_vocabularies_are_stored_and_loaded(name, joint, tmp_path):
  task, pairs = CORPORA[name]
  files = ("x",) if task == "language_model" else ()
  data = config.Data(task=task, train=files, joint=joint)
  made = vocabulary.train(data, corpus_lib.Corpus(data, train=pairs))
  _store(made, tmp_path)
  loaded = vocabulary.load(data, tmp_path)
  assert loaded.checksum() == made.checksum() and loaded.sizes == made.sizes
  assert loaded.joint == made.joint == (joint and name == "text")
  assert (tmp_path / "source.json").exists() != made.joint
  for pair in pairs:
    for a, b in zip(made.encode(pair), loaded.encode(pair), strict=True):
      np.testing.assert_array_equal(a.values, b.values)
  source, target = made.sizes
  assert target > 4
  assert source == {"frames": 0, "language model": None}.get(name, source)
  assert loaded.source.present == (name != "language model")


def test_a_lost_file_is_named(tmp_path):
  data = config.Data(task="pairs")
  made = vocabulary.train(data, corpus_lib.Corpus(data, train=[("a", "b")]))
  _store(made, tmp_path)
  (tmp_path / "source.json").unlink()
  with pytest.raises(types.UserError, match=r"source\.json: cannot read"):
    vocabulary.load(data, tmp_path)


def test_swapped_or_foreign_files_are_told_apart(tmp_path):
  """Each side has a checksum of its own; kinds must be those of the config."""
  data = config.Data(task="pairs")
  made = vocabulary.train(data, corpus_lib.Corpus(data, train=[("a", "b")]))
  assert made.checksums() == {
    "source": made.source.checksum(),
    "target": made.target.checksum(),
  }
  swapped = {"source.json": "target.json", "target.json": "source.json"}
  for name, content in made.files().items():
    (tmp_path / swapped[name]).write_bytes(content)
  assert vocabulary.load(data, tmp_path).checksums() != made.checksums()
  chars = dataclasses.replace(data, source=config.Text(tokenizer="char"))
  with pytest.raises(types.UserError, match=r"of the source are \('word'"):
    vocabulary.load(chars, tmp_path)
  frames = frames_side.SourceFrames(3)
  (tmp_path / "target.json").write_bytes(frames.dump())
  with pytest.raises(types.UserError, match=r"target\.json: .*kind 'frames'"):
    vocabulary.load(data, tmp_path)


def test_references_have_the_normal_form_of_the_target():
  data = config.Data(task="pairs", target=config.Text(normal_form="nfc"))
  corpus = corpus_lib.Corpus(data, train=[("e\u0301", "e\u0301")])
  made = vocabulary.train(data, corpus)
  assert made.reference("e\u0301 E") == "\u00e9 E"
  encoded = made.encode(("e\u0301", "\u00e9"))
  assert encoded.target.values[0] == 4 and made.target_text([4]) == "\u00e9"
  assert made.source.show("e\u0301")[0] == "e\u0301"


def test_equal_vocabularies_of_two_sides_are_two_files():
  data = config.Data(task="pairs")
  made = vocabulary.train(data, corpus_lib.Corpus(data, train=[("a", "a")]))
  assert set(made.files()) == {"source.json", "target.json"}


def test_a_joint_vocabulary_knows_both_sides():
  data = config.Data(task="pairs", joint=True)
  made = vocabulary.train(data, corpus_lib.Corpus(data, train=[("a", "b")]))
  assert made.source.tokenizer is made.target.tokenizer
  assert set(made.target.tokenizer.pieces[4:]) == {"a", "b"}


@pytest.mark.parametrize("name", CORPORA)
def test_the_model_must_read_what_the_data_hold(name):
  task, pairs = CORPORA[name]
  files = ("x",) if task == "language_model" else ()
  data = config.Data(task=task, train=files)
  made = vocabulary.train(data, corpus_lib.Corpus(data, train=pairs))
  features = 4 if name == "frames" else 0
  made.check_features(features)
  with pytest.raises(types.UserError, match=r"^model\.\S+ is 7, but the sou"):
    made.check_features(7)


def test_what_parts_an_ensemble():
  words = tokenizers.train(["a b"], kind="word", vocab_size=9)
  other = tokenizers.train(["c"], kind="word", vocab_size=9)

  def of(tokenizer=words, reverse=False, copies=False, ends="eos"):
    output = tokenizer if copies else None
    return vocabulary.Vocabularies(
      sides.SourceText(tokenizer, reverse=reverse, output=output, ends=ends),
      sides.TargetText(tokenizer, copies),
    )

  assert of().difference(of()) is None
  assert "vocabularies" in of().difference(of(other))
  assert "reverse_source" in of().difference(of(reverse=True))
  assert "source_ends" in of().difference(of(ends="none"))
  assert "copies" in of().difference(of(copies=True))
