"""Splits of a task: opened, held out, limited, checksummed."""

import dataclasses
import typing

import pytest

from seq2seq_jax import config, types
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
  hints = typing.get_type_hints(config.Data)
  assert set(corpus_lib.TASKS) == set(typing.get_args(hints["task"]))


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
