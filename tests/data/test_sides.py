"""Every kind of side keeps the promises of `contracts.Side`."""

import pickle

import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.data import frames_side, sides, stored, tokenizers

pytestmark = pytest.mark.quick


def _words(text="a b c d", **settings):
  return tokenizers.train([text], kind="word", vocab_size=20, **settings)


def _frames(length, features=3, seed=0):
  rng = np.random.default_rng(seed)
  return rng.normal(size=(length, features)).astype(np.float32)


# Sides with values of several lengths, and the lengths of the encoded values.
CASES = {
  "text": (sides.SourceText(_words()), ["a b", "d", "c x a"], [3, 2, 4]),
  "reversed text": (
    sides.SourceText(_words(), reverse=True),
    ["a b", "d c x a"],
    [3, 5],
  ),
  "text without marks": (
    sides.SourceText(_words(), ends="none"),
    ["a b", "d"],
    [2, 1],
  ),
  "text between marks": (
    sides.SourceText(_words(), ends="bos_eos"),
    ["a b", "d"],
    [4, 3],
  ),
  "copied text": (
    sides.SourceText(_words(), output=_words("a b")),
    ["a x y x", "c"],
    [5, 2],
  ),
  "target": (sides.TargetText(_words()), ["a b", "x"], [3, 2]),
  "copying target": (
    sides.TargetText(_words(), copies=True),
    ["a b", "x"],
    [3, 2],
  ),
  "frames": (frames_side.SourceFrames(3), [_frames(4), _frames(1)], [4, 1]),
  "reversed frames": (frames_side.SourceFrames(3, True), [_frames(4)], [4]),
  "no source": (sides.NoSource(), [None, None], [0, 0]),
}


@pytest.mark.parametrize("name", CASES)
def test_lengths_and_labels_are_those_of_the_encoded_value(name):
  side, values, lengths = CASES[name]
  for value, length in zip(values, lengths, strict=True):
    encoded = side.encode(value)
    assert side.length(encoded) == len(encoded.values) == length
    assert side.positions(value) == length
    assert len(side.show(value)) == length
    if encoded.extended is not None:
      assert len(encoded.extended) == length
    assert not side.is_blank(value)
    assert isinstance(side.text(value), str)


@pytest.mark.parametrize("name", [n for n in CASES if n != "no source"])
def test_padded_rows_hold_the_values_and_filler(name):
  side, values, lengths = CASES[name]
  encoded = [side.encode(value) for value in values]
  padded = side.pad([*encoded, None], 8)
  assert padded.values.shape[:2] == (len(values) + 1, 8)
  assert padded.length.dtype == np.int32
  assert padded.length[:-1].tolist() == lengths
  for row, side_of_row in zip(padded.values, encoded):
    length = len(side_of_row.values)
    np.testing.assert_array_equal(row[:length], side_of_row.values)
    assert not row[length:].any()  # pad is 0, as is silence
  filler = int(padded.length[-1])
  assert filler == (0 if "target" in name else 1)
  if not side.features:
    assert padded.values.dtype == np.int32
    assert padded.values[-1, :filler].tolist() == [types.EOS] * filler
  assert not padded.values[-1, filler:].any()
  copies = "cop" in name
  assert (padded.extended is not None) == copies
  if copies:
    for row, side_of_row in zip(padded.extended, encoded):
      length = len(side_of_row.extended)
      assert row[:length].tolist() == side_of_row.extended.tolist()


def test_no_source_pads_to_nothing():
  side = sides.NoSource()
  assert side.pad([side.encode(None), None], 8) == (None, None, None)


@pytest.mark.parametrize("name", CASES)
def test_what_model_and_corpus_are_told(name):
  side, values, _ = CASES[name]
  assert side.present == (name != "no source")
  assert side.features == (3 if "frames" in name else 0)
  text = side.segmentation is not None
  assert text == isinstance(values[0], str)
  if text:
    assert side.vocab_size == 8
  else:
    assert side.vocab_size == {"no source": None}.get(name, 0)
  assert side.reverse == ("reversed" in name)
  assert not side.samples
  again = pickle.loads(pickle.dumps(side))
  assert again.checksum() == side.checksum()
  for value in values:
    first, second = side.encode(value), again.encode(value)
    np.testing.assert_array_equal(first.values, second.values)
  assert sides.kind_of(values[0]).content(values[0]) == side.content(values[0])


def test_reversed_sides_are_read_from_the_end():
  plain, reverse = (sides.SourceText(_words(), reverse=r) for r in (0, 1))
  ids = plain.encode("a b c").values
  assert reverse.encode("a b c").values.tolist() == [*ids[-2::-1], types.EOS]
  assert reverse.words("a b c") == ["c", "b", "a"]
  frames = _frames(5)
  read = frames_side.SourceFrames(3, reverse=True).encode(frames).values
  np.testing.assert_array_equal(read, frames[::-1])


@pytest.mark.parametrize("ends", sides.MARKS)
@pytest.mark.parametrize("reverse", [False, True])
def test_marks_stand_around_the_words(ends, reverse):
  output = None if ends == "bos_eos" else _words("c d")
  side = sides.SourceText(_words(), ends=ends, reverse=reverse, output=output)
  before, behind = sides.MARKS[ends]
  ids = [side.tokenizer.encode(word)[0] for word in "abcd"]
  read = ids[::-1] if reverse else ids
  encoded = side.encode("a b c d")
  assert encoded.values.tolist() == [*before, *read, *behind]
  if output is not None:
    extended = [8 - 2, 8 - 1, *output.encode("c d").tolist()]
    read = extended[::-1] if reverse else extended
    assert encoded.extended.tolist() == [*before, *read, *behind]
  # Cut, the marks and the first words stay.
  first = [ids[1], ids[0]] if reverse else ids[:2]
  length = 2 + sum(side.marks)
  for positions in (encoded.values, side.show("a b c d")):
    cut = side.cut(positions, length)
    assert type(cut) is type(positions) and len(cut) == length
  cut = side.cut(encoded.values, length).tolist()
  assert cut == [*before, *first, *behind]


def test_a_source_without_words_has_a_position():
  side = sides.SourceText(_words(), ends="none")
  assert side.encode("").values.tolist() == [types.EOS]


def test_blank_values():
  assert sides.SourceText.is_blank(" \u3000") and sides.SourceText.is_blank("")
  assert frames_side.SourceFrames.is_blank(_frames(0))
  assert not sides.NoSource.is_blank(None)


def test_units_are_what_a_table_groups_by():
  assert CASES["text"][0].units("a  b c") == 3
  letters = tokenizers.train(["abc"], kind="char", vocab_size=9)
  assert sides.SourceText(letters).units("abca") == 4
  assert frames_side.SourceFrames(3).units(_frames(7)) == 7


def test_sampling_follows_the_generator():
  line = "low lower lowest newer wider " * 20
  tokenizer = tokenizers.train([line], kind="bpe", vocab_size=30, sampling=0.5)
  side = sides.SourceText(tokenizer)
  assert side.samples

  def encode(seed):
    return side.encode(line, np.random.default_rng(seed)).values.tolist()

  assert encode(1) == encode(1) != encode(2)
  assert side.encode(line).values.tolist() == side.encode(line).values.tolist()
  assert encode(1) != side.encode(line).values.tolist()


def test_content_tells_values_apart():
  values = ["a", "b", None, _frames(2), _frames(2, seed=1), _frames(3)]
  values.append(_frames(2).astype(np.float64))
  contents = {sides.kind_of(v).content(v) for v in values}
  assert len(contents) == len(values)
  column_order = np.asfortranarray(_frames(2))
  assert frames_side.SourceFrames.content(column_order) == (
    frames_side.SourceFrames.content(_frames(2))
  )


@pytest.mark.parametrize("value", [_frames(4, 5), np.zeros(3), "text"])
def test_frames_of_another_shape_are_refused(value):
  with pytest.raises(types.UserError, match="frames with 3 features"):
    frames_side.SourceFrames(3).encode(value)
  with pytest.raises(types.UserError, match="two axes"):
    frames_side.SourceFrames.of_training([np.zeros(3)], config.Data())


def test_a_value_of_no_kind_is_refused():
  with pytest.raises(types.UserError, match="a side of an example is int"):
    sides.kind_of(3)


def test_sides_without_a_vocabulary_are_stored_and_restored(tmp_path):
  for side in (frames_side.SourceFrames(7), sides.NoSource()):
    path = tmp_path / "source.json"
    path.write_bytes(side.dump())
    settings = stored.load(path)
    again = sides.STORED[settings["kind"]](settings, config.Data())
    assert type(again) is type(side) and again.features == side.features
    assert again.checksum() == side.checksum()
