"""What is left out of training is counted by kind, and the first one named."""

import pytest

from seq2seq_jax import config, types
from seq2seq_jax.data import batches, left_out, sources, vocabulary
from seq2seq_jax.data import corpus as corpus_lib

pytestmark = pytest.mark.quick


def _data(path, **fields):
  return config.Data(task="tsv", train=(str(path),), **{"only": "0=x"} | fields)


@pytest.fixture
def path(tmp_path):
  rows = [
    "x\ta\tA",
    "other",
    "x\t\tB",  # line 3: no source
    "x\t \t ",  # line 4: neither
    "x\tc\t",  # line 5: no target
    "x\td d d d d\tD",  # line 6: the source is long
    "x\te e e e e\tE E E E E",  # line 7: both
    "x\tf\tF F F F F",  # line 8: the target
  ]
  (tmp_path / "t").write_text("\n".join(rows))
  return tmp_path / "t"


def _train_data(data):
  corpus = corpus_lib.Corpus(data)
  return batches.TrainData(data, corpus, vocabulary.train(data, corpus), 0)


def test_each_kind_is_counted_and_its_first_line_named(path):
  data = _data(
    path,
    source_field="1",
    target_field="2",
    max_source_length=5,
    max_target_length=5,
  )
  train = _train_data(data)
  assert train.left_out == {
    "blank source": (2, f"{path}, line 3"),
    "blank target": (1, f"{path}, line 5"),
    "source too long": (2, f"{path}, line 6"),
    "target too long": (1, f"{path}, line 8"),
  }
  assert len(train.indices) == 1
  assert left_out.describe(train.left_out) == (
    f"2 with a blank source (the first: {path}, line 3), "
    f"1 with a blank target (the first: {path}, line 5), "
    f"2 with a source too long (the first: {path}, line 6), "
    f"1 with a target too long (the first: {path}, line 8)"
  )


def test_nothing_is_left_out():
  data = config.Data(task="pairs")
  blank = corpus_lib.Corpus(data, train=[("a", "b")]).blank
  assert blank == {"blank source": (0, None), "blank target": (0, None)}
  assert left_out.describe(blank) == ""


def test_all_left_out_is_an_error_that_says_why(path, tmp_path):
  with pytest.raises(
    types.UserError, match=r"raise them \(1 with a source too long .*line 6\)"
  ):
    _train_data(
      _data(
        path,
        source_field="1",
        target_field="2",
        max_source_length=2,
        max_target_length=2,
        only="1=d d d d d",
      )
    )
  (tmp_path / "u").write_text("a\t\n\tb\n")
  with pytest.raises(types.UserError, match="of 2 examples") as e:
    _train_data(_data(tmp_path / "u", only=""))
  assert "1 with a blank source (the first: " in str(e.value)
  assert str(e.value).endswith("line 1)")


def test_sources_of_any_kind_name_a_place(tmp_path):
  pairs = [("a", "b"), ("", "c")]
  assert sources.place(sources.Pairs(pairs), 1) == (
    "train: example 1, counted from 0"
  )

  class Own:
    """A source of a user's own, which knows no places."""

    def __len__(self):
      return 2

    def __getitem__(self, i):
      return pairs[i]

    def checksum(self):
      return "x"

  reasons = left_out.without_blanks(sources.as_source(Own()))[1]
  assert reasons["blank source"] == (1, "train: example 1, counted from 0")
  for name in ("a", "b"):
    (tmp_path / name).write_text("1\n2\n")
  parallel = sources.parallel(tmp_path / "a", tmp_path / "b")
  assert parallel.place(1) == f"{tmp_path}/a and {tmp_path}/b, line 2"
