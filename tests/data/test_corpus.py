"""Splits of a task: opened, held out, limited, checksummed."""

import dataclasses

import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.config import data as data_config
from seq2seq_jax.data import corpus as corpus_lib
from seq2seq_jax.data import scan, synthetic

pytestmark = pytest.mark.quick


def test_holdout_shares_nothing_with_training():
  corpus = corpus_lib.Corpus(config.Data(task="scan", holdout=50))
  held = set(corpus.valid.pairs)
  assert len(held) == 50
  assert not held & {corpus.train[int(i)] for i in corpus.indices}
  assert len(corpus.indices) == 16728 - 50


def test_holdout_leaves_the_repeated_primitive_in_training():
  data = config.Data(task="scan", name="addprim_jump", holdout=256)
  corpus = corpus_lib.Corpus(data)
  assert any(corpus.train[int(i)][0] == "jump" for i in corpus.indices)


def _words(tmp_path, lines, **changes):
  (tmp_path / "train.tsv").write_text("".join(f"{line}\n" for line in lines))
  data = config.Data(task="tsv", root=str(tmp_path), train=("train.tsv",))
  return corpus_lib.Corpus(dataclasses.replace(data, **changes))


def test_a_limit_is_drawn_from_the_whole_file(tmp_path):
  """Files may be sorted. Fewer examples are a part of more."""
  lines = [f"{i:03}\tx" for i in range(300)]
  drawn = {
    n: _words(tmp_path, lines, limit=n).indices.tolist() for n in (10, 100, 999)
  }
  assert len(drawn[10]) == 10 and drawn[999] == list(range(300))
  assert set(drawn[10]) < set(drawn[100])
  assert drawn[100] == sorted(drawn[100]) and max(drawn[100]) > 200
  sums = [
    _words(tmp_path, lines, limit=10, seed=seed).checksums()["train"]
    for seed in (0, 0, 1)
  ]
  assert sums[0] == sums[1] != sums[2]  # a run goes on with its own alone
  assert sums[0] != _words(tmp_path, lines).checksums()["train"]


def test_alternatives_are_held_out_together(tmp_path):
  lines = [f"w{i}\t{p}" for i in range(40) for p in range(1 + i % 3)]
  corpus = _words(tmp_path, lines, holdout=20, alternatives=True)
  held = {source for source, _ in corpus.valid.pairs}
  left = {corpus.train[int(i)][0] for i in corpus.indices}
  assert not held & left and len(held | left) == 40
  assert 20 <= len(corpus.valid) <= 22
  assert len(corpus.valid) + len(corpus.indices) == len(lines)
  # Without it a word's pronunciations stand on both sides.
  corpus = _words(tmp_path, lines, holdout=20)
  held = {source for source, _ in corpus.valid.pairs}
  assert held & {corpus.train[int(i)][0] for i in corpus.indices}


def test_open_split_reads_files_below_the_root(tmp_path):
  (tmp_path / "s").write_text("a\nb\n")
  (tmp_path / "t").write_text("c\nd\n")
  (tmp_path / "tsv").write_text("x\ta\tc\n")
  (tmp_path / "jsonl").write_text('{"x": "a", "y": "c"}\n')

  def opened(task, valid, **fields):
    data = config.Data(
      task=task, root=str(tmp_path), train=valid, valid=valid, **fields
    )
    assert corpus_lib.open_split(data, "test") is None
    source = corpus_lib.open_split(data, "valid")
    return [source[i] for i in range(len(source))]

  assert opened("parallel", ("s", "t")) == [("a", "c"), ("b", "d")]
  assert opened("language_model", ("s",)) == [(None, "a"), (None, "b")]
  tsv = opened("tsv", ("tsv",), source_field="1", target_field="2")
  assert tsv == [("a", "c")]
  jsonl = opened("jsonl", ("jsonl",), source_field="x", target_field="y")
  assert jsonl == [("a", "c")]


def test_open_split_generates():
  data = config.Data(task="scan", name="length")
  for split in ("train", "test"):
    source = corpus_lib.open_split(data, split)
    assert source.pairs == scan.pairs("length", split)
  assert corpus_lib.open_split(data, "valid") is None
  size = config.Synthetic(train=30, valid=10, test=20)
  for task in synthetic.TASKS:
    data = config.Data(task=task, synthetic=size, seed=5)
    for split, n in {"train": 30, "valid": 10, "test": 20}.items():
      source = corpus_lib.open_split(data, split)
      assert source.pairs == synthetic.pairs(task, split, n, 1, 10, 10, 5)


def test_every_task_of_the_schema_is_opened():
  assert set(corpus_lib.TASKS) == set(data_config.TASKS)


def test_a_missing_file_is_named_in_full(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  monkeypatch.delenv("SEQ2SEQ_JAX_DATA", raising=False)
  (tmp_path / "there").write_text("a\n")
  for root in (str(tmp_path), "", "."):
    data = config.Data(task="parallel", train=("there", "no.txt"), root=root)
    with pytest.raises(types.UserError) as e:
      corpus_lib.open_split(data, "train")
    path = str(tmp_path / "no.txt")
    for words in ("data.train", path, "--data.root", "SEQ2SEQ_JAX_DATA"):
      assert words in str(e.value)


PAIRS = [("a b", "c"), ("", "d"), ("e", "f"), ("g", " ")]


def test_pairs_in_memory_are_a_corpus():
  data = corpus_lib.in_memory(config.Data(task="scan"))
  corpus = corpus_lib.Corpus(data, train=iter(PAIRS), valid=PAIRS[:1])
  assert corpus.indices.tolist() == [0, 2]
  assert corpus.valid[0] == ("a b", "c") and corpus.test is None
  sums = corpus.checksums()
  assert set(sums) == {"train", "valid"}
  again = corpus_lib.Corpus(data, train=PAIRS, valid=PAIRS[:1])
  assert again.checksums() == sums
  changed = corpus_lib.Corpus(data, train=[*PAIRS, ("x", "y")])
  assert changed.checksums()["train"] != sums["train"]


def test_files_and_memory_with_the_same_text_are_the_same_corpus(tmp_path):
  lines = [f"w{i}\t{i % 7}" for i in range(30)]
  of_files = _words(tmp_path, lines, holdout=5, limit=10)
  data = config.Data(task="pairs", holdout=5, limit=10)
  of_memory = corpus_lib.Corpus(data, train=[x.split("\t") for x in lines])
  assert of_memory.indices.tolist() == of_files.indices.tolist()
  assert of_memory.checksums() == of_files.checksums()
  assert list(map(tuple, of_memory.valid.pairs)) == of_files.valid.pairs


def test_a_random_access_object_is_read_when_needed():
  class Squares:
    """Pairs that are made when they are asked for."""

    def __len__(self):
      return 9

    def __getitem__(self, i):
      return str(i), str(i * i)

  corpus = corpus_lib.Corpus(config.Data(task="pairs"), train=Squares())
  assert isinstance(corpus.train.pairs, Squares)
  assert corpus.train[8] == ("8", "64") and len(corpus.indices) == 9
  assert corpus.checksums() == (
    corpus_lib.Corpus(
      config.Data(task="pairs"), train=[(str(i), str(i * i)) for i in range(9)]
    ).checksums()
  )


def test_frames_in_memory_can_be_held_out():
  pairs = [(np.full((i + 1, 2), i, np.float32), f"t{i}") for i in range(8)]
  pairs.append((np.zeros((0, 2), np.float32), "blank"))
  data = config.Data(task="pairs", holdout=3)
  corpus = corpus_lib.Corpus(data, train=pairs)
  assert len(corpus.valid) == 3 and len(corpus.indices) == 5
  held_out = {target for _, target in corpus.valid.pairs}
  assert not held_out & {pairs[i][1] for i in corpus.indices}
  changed = [(frames + 1, target) for frames, target in pairs]
  other = corpus_lib.Corpus(data, train=changed)
  assert other.checksums()["train"] != corpus.checksums()["train"]


@pytest.mark.parametrize(
  "pairs,message",
  [
    ([("a", "b"), "cd"], "train: example 1 is not a pair"),
    ([("a", "b", "c")], "train: example 0 is not a pair"),
    ([("a", 3)], "train: the target of example 0 is int, not text"),
    ([(3, "a")], "a side of an example is int"),
    ([(None, "a")], r"data\.task pairs: the first .* has no source"),
    ([], "nothing to train on"),
    ([("", "a")], "nothing to train on"),
  ],
)
def test_wrong_pairs_are_refused(pairs, message):
  with pytest.raises(types.UserError, match=message):
    corpus_lib.Corpus(config.Data(task="pairs"), train=pairs)


def test_a_language_model_has_no_sources():
  data = config.Data(task="language_model", train=("x",))
  assert corpus_lib.in_memory(data) == data
  assert len(corpus_lib.Corpus(data, train=[(None, "a")]).indices) == 1
  with pytest.raises(types.UserError, match="has a source"):
    corpus_lib.Corpus(data, train=[("a", "b")])


def test_pairs_without_examples_are_refused():
  data = config.Data(task="pairs")
  with pytest.raises(types.UserError, match=r"data\.task pairs: .*pass train="):
    corpus_lib.Corpus(data)
  assert corpus_lib.open_for_scoring(data, "test") is None


def test_what_a_model_is_scored_on(tmp_path):
  (tmp_path / "train").write_text("a\tb\n\tc\nd\te\nf\tg\n")
  (tmp_path / "test").write_text("x\ty\n\tz\n")
  data = config.Data(
    task="tsv",
    root=str(tmp_path),
    train=("train",),
    test=("test",),
    holdout=1,
  )

  def read(split):
    return [tuple(pair) for pair in corpus_lib.open_for_scoring(data, split)]

  assert read("test") == [("x", "y"), ("", "z")]
  assert len(read("valid")) == 1 and len(read("train")) == 2
  assert {*read("valid"), *read("train")} == {
    ("a", "b"),
    ("d", "e"),
    ("f", "g"),
  }
  plain = dataclasses.replace(data, holdout=0, test=())
  assert corpus_lib.open_for_scoring(plain, "valid") is None
  assert corpus_lib.open_for_scoring(plain, "test") is None


OWN_TASK = """
class Numbers:
  def __init__(self, first, last):
    self.first, self.last = first, last

  def __len__(self):
    return self.last - self.first

  def __getitem__(self, i):
    return str(self.first + i), str(-self.first - i)


def numbers(data, split):
  if split == "train":
    return Numbers(0, int(data.train[0]))
  if split == "test":
    return [("7", "-7")]


def broken(data, split):
  return ["no pair"]


class Reversed(Numbers):
  def __init__(self, data, split):
    super().__init__(0, 3)

  def checksum(self):
    return "of reversed"
"""


def test_a_task_of_the_users_own(tmp_path):
  file = tmp_path / "own.py"
  file.write_text(OWN_TASK)
  data = config.Data(task=f"{file}:numbers", train=("12",), holdout=2)
  corpus = corpus_lib.Corpus(data)
  assert len(corpus.train) == 12 and len(corpus.indices) == 10
  assert len(corpus.valid) == 2 and corpus.test[0] == ("7", "-7")
  larger = dataclasses.replace(data, train=("13",))
  sums = corpus_lib.Corpus(larger).checksums()
  assert sums["train"] != corpus.checksums()["train"]
  assert sums["test"] == corpus.checksums()["test"]
  whole_class = config.Data(task=f"{file}:Reversed")
  assert set(corpus_lib.Corpus(whole_class).checksums().values()) == {
    "of reversed"
  }
  with pytest.raises(types.UserError, match="train: example 0 is not a pair"):
    corpus_lib.Corpus(config.Data(task=f"{file}:broken"))
  with pytest.raises(types.UserError, match="defines no nothing"):
    corpus_lib.Corpus(config.Data(task=f"{file}:nothing"))
