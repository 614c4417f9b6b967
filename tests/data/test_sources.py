"""Sources read what stands in the files, and say what is wrong with them."""

import dataclasses
import gzip
import hashlib
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.data import corpus, left_out, sources

ROOT = pathlib.Path(__file__).parents[2]
TFDS_CONFIGS = ("wmt14_ende", "wmt16_deen", "ted_hrlr_pten", "opus_ende")
# What separates lines for str.splitlines, but is text here.
STRAY = "a\rb\u2028c\u2029d\x0be\x0cf\x1cg\x85h"


def _write(path: pathlib.Path, content, zipped=False) -> pathlib.Path:
  data = content if isinstance(content, bytes) else content.encode()
  path.write_bytes(gzip.compress(data) if zipped else data)
  return path


def _all(source):
  return [source[i] for i in range(len(source))]


def _data(task, **kwargs):
  return config.Data(task=task, train=("train",), **kwargs)


@pytest.mark.quick
def test_parallel_keeps_empty_lines_in_place(tmp_path):
  a = _write(tmp_path / "a", f"x y\n\n{STRAY}\n")
  b = _write(tmp_path / "b.gz", "X\nY\n\n", zipped=True)
  source = sources.parallel(a, b)
  assert _all(source) == [("x y", "X"), ("", "Y"), (STRAY, "")]
  assert left_out.without_blanks(source)[0].tolist() == [0]


@pytest.mark.quick
def test_different_line_counts_name_both(tmp_path):
  a, b = _write(tmp_path / "a", "1\n2\n3"), _write(tmp_path / "b", "1\n2\n")
  with pytest.raises(types.UserError) as e:
    sources.parallel(a, b)
  assert f"{a} has 3 lines" in str(e.value) and f"{b} 2" in str(e.value)


@pytest.mark.quick
def test_tsv_takes_any_columns_and_no_quotes(tmp_path):
  path = _write(tmp_path / "t", 'z\t"a\tb"\n\nz\t\t\nz\tc \td\n')
  source = sources.tsv(path, "2", "1")
  assert _all(source) == [('b"', '"a'), ("", ""), ("", ""), ("d", "c ")]
  assert left_out.without_blanks(source)[0].tolist() == [0, 3]


@pytest.mark.quick
def test_rows_of_a_tsv_that_count(tmp_path):
  """The whole cell, and no other row need have the columns asked for."""
  _write(tmp_path / "t", "fr\ta\tb\nfra\tc\td\n\nx\nfr\te=\tf\n")

  def source(only):
    return sources.tsv(tmp_path / "t", "1", "2", only)

  assert _all(source("0=fr")) == [("a", "b"), ("e=", "f")]
  assert _all(source("1=e=")) == [("e=", "f")]
  with pytest.raises(
    types.UserError, match=r"t: no row matches data\.only '0=d'"
  ):
    source("0=d")


@pytest.mark.quick
def test_tsv_errors(tmp_path):
  path = _write(tmp_path / "t", "a\tb\na\n")
  with pytest.raises(types.UserError, match=r"t, line 2: has 1 column"):
    sources.tsv(path, "0", "1")
  for column in ("en", "-1", "1.5", ""):
    with pytest.raises(types.UserError, match=r"source_field.*counted from 0"):
      sources.tsv(path, "0", column)


@pytest.mark.quick
def test_jsonl(tmp_path):
  rows = [{"en": "a\tb", "de": STRAY}, {"de": "ü", "en": "", "x": 1}]
  text = "\n".join([json.dumps(rows[0]), "", json.dumps(rows[1])])
  source = sources.jsonl(_write(tmp_path / "j", text), "de", "en")
  assert _all(source) == [(STRAY, "a\tb"), ("", ""), ("ü", "")]


@pytest.mark.quick
@pytest.mark.parametrize(
  "line,said",
  [
    ("{'en': 1}", "not valid JSON"),
    ("[" * 100_000, "nested too deep"),
    ('{"en": "a", "de": "b", "n": ' + "9" * 5000 + "}", "not valid JSON"),
    ('{"en": "a", "de": "\\ud800"}', "'de' holds half of a character, U+D800"),
    ('{"en": "a\\u0000", "de": ""}', "'en' holds the character U+0000"),
    ('{"en": "a", "fr": "b"}', "'de' (it has: en, fr)"),
    ('{"en": "a", "de": 3}', "'de' (it has: en, de)"),
    ('["a", "b"]', "no keys"),
  ],
)
def test_jsonl_errors(tmp_path, line, said):
  path = _write(tmp_path / "j", '{"en": "a", "de": "b"}\n' + line)
  with pytest.raises(types.UserError) as e:
    sources.jsonl(path, "en", "de")
  assert f"{path}, line 2" in str(e.value) and said in str(e.value)


@pytest.mark.quick
def test_a_language_model_has_no_source(tmp_path):
  source = sources.lines(_write(tmp_path / "x", "a b\n \nc\n"))
  assert _all(source) == [(None, "a b"), (None, " "), (None, "c")]
  assert left_out.without_blanks(source)[0].tolist() == [0, 2]


@pytest.mark.quick
@pytest.mark.parametrize(
  "read",
  [
    lambda p: sources.parallel(p, p),
    lambda p: sources.tsv(p, "0", "1"),
    lambda p: sources.jsonl(p, "a", "b"),
    sources.lines,
  ],
)
def test_an_empty_corpus_names_its_file(tmp_path, read):
  path = _write(tmp_path / "empty.txt", "")
  with pytest.raises(types.UserError, match=r"empty\.txt: the file is empty"):
    read(path)


@pytest.mark.quick
def test_checksums_follow_the_content(tmp_path):
  a = _write(tmp_path / "a", "1\n2\n")
  b, c = _write(tmp_path / "b", "3\n4\n"), _write(tmp_path / "c", "3\n5\n")
  z = _write(tmp_path / "z.gz", "1\n2\n", zipped=True)

  def of(*paths):
    return sources.parallel(*paths).checksum()

  assert of(a, b) == of(a, b) == of(z, b)
  assert len({of(a, b), of(a, c), of(b, a), of(a, a)}) == 4
  assert of(a, b) == hashlib.sha256(b"1\t3\n2\t4\n").hexdigest()
  assert sources.Pairs([("\ud800", "x")]).checksum()


@pytest.mark.quick
def test_trainable_is_an_index_array():
  source = sources.Pairs([("", "a"), ("a", "\u3000"), ("a", "b"), (" ", "")])
  indices = left_out.without_blanks(source)[0]
  assert indices.dtype == np.int64 and indices.tolist() == [2]
  assert left_out.without_blanks(sources.Pairs([]))[0].shape == (0,)


# TFDS, on a set written here and on mocked ones of the catalogue.


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
  """A folder with the set `source_test_pairs/de-en`."""
  tfds = pytest.importorskip("tensorflow_datasets")

  class SourceTestPairs(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.2.0")
    BUILDER_CONFIGS = (tfds.core.BuilderConfig(name="de-en", description="x"),)

    def _info(self):
      return tfds.core.DatasetInfo(
        builder=self,
        description="pairs",
        features=tfds.features.FeaturesDict(
          {
            "de": tfds.features.Text(),
            "en": tfds.features.Text(),
            "id": np.int64,
          }
        ),
        disable_shuffling=True,
      )

    def _split_generators(self, dl_manager):
      return {"train": self._examples(20), "test": self._examples(5)}

    def _generate_examples(self, n):
      return self._examples(n)

    def _examples(self, n):
      for i in range(n):
        yield i, {"de": f"häus {i}", "en": f"house {i}", "id": i}

  folder = tmp_path_factory.mktemp("tfds")
  SourceTestPairs(
    data_dir=folder, config="de-en", file_format="array_record"
  ).download_and_prepare()
  return str(folder)


NAME = "source_test_pairs/de-en"


def test_tfds_reads_a_prepared_set(prepared):
  source = sources.Tfds(NAME, "train", "en", "de", prepared)
  assert _all(source) == [(f"house {i}", f"häus {i}") for i in range(20)]
  part = sources.Tfds(NAME, "train[25%:50%]", "de", "en", prepared)
  assert _all(part) == [(f"häus {i}", f"house {i}") for i in range(5, 10)]
  assert left_out.without_blanks(part)[0].tolist() == [0, 1, 2, 3, 4]
  data = _data(
    "tfds",
    name=NAME,
    root=prepared,
    test=("test",),
    source_field="en",
    target_field="de",
  )
  assert corpus.open_split(data, "test")[4] == ("house 4", "häus 4")


def test_tfds_checksum(prepared):
  def of(split):
    return sources.Tfds(NAME, split, "en", "de", prepared).checksum()

  assert of("train") == of("train")
  assert len({of("train"), of("test"), of("train[:5]")}) == 3
  text = b"source_test_pairs/de-en/1.2.0 test 5"
  assert of("test") == hashlib.sha256(text).hexdigest()


@pytest.mark.parametrize(
  "name,split,keys,said",
  [
    (NAME, "nix", ("en", "de"), "Unknown split 'nix'"),
    (NAME, "train[:x]", ("en", "de"), "train[:x]"),
    (NAME, "train[:0]", ("en", "de"), "has no examples"),
    (NAME, "train", ("en", "fr"), "no field 'fr'; it has: de, en, id"),
    ("no_such_set", "train", ("en", "de"), "Dataset no_such_set not found"),
    (
      "ted_hrlr_translate/pt_to_en",
      "train",
      ("pt", "en"),
      "seq2seq_jax.data.prepare ted_hrlr_translate/pt_to_en --data-dir",
    ),
  ],
)
def test_tfds_errors(prepared, name, split, keys, said):
  with pytest.raises(types.UserError) as e:
    sources.Tfds(name, split, *keys, prepared)
  assert said in str(e.value) and "\n" not in str(e.value)
  assert name in str(e.value)


def test_tfds_fields_must_be_text(prepared):
  source = sources.Tfds(NAME, "test", "en", "id", prepared)
  with pytest.raises(types.UserError, match=r"example 3.*must be text"):
    source[3]


@pytest.mark.quick
@pytest.mark.parametrize("module", ["tensorflow_datasets", "array_record"])
def test_a_missing_extra_is_named(monkeypatch, module):
  monkeypatch.setitem(sys.modules, module, None)
  with pytest.raises(types.UserError) as e:
    sources.Tfds("x", "train", "a", "b")
  assert "-e '.[data]'" in str(e.value) and module in str(e.value)


READ = """
import sys
from seq2seq_jax.data import left_out, sources
source = sources.Tfds(sys.argv[1], "train", "en", "de", sys.argv[2])
assert source[7] == ("house 7", "h\\u00e4us 7"), source[7]
assert len(left_out.without_blanks(source)[0]) == 20
print(sorted({"tensorflow", "jax"} & set(sys.modules)))
"""


def test_reading_imports_neither_tensorflow_nor_jax(prepared, tmp_path):
  # A decoy stands where TensorFlow would, so that an attempt is seen even
  # where it is not installed. The set's class is unknown to this process.
  decoy = tmp_path / "tensorflow"
  decoy.mkdir()
  tried = tmp_path / "tried"
  _write(decoy / "__init__.py", f"open({str(tried)!r}, 'w').close()\n")
  done = subprocess.run(
    [sys.executable, "-c", READ, NAME, prepared],
    capture_output=True,
    text=True,
    cwd=ROOT,
    env=os.environ
    | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout.strip() == "[]"
  assert not tried.exists()


@pytest.mark.parametrize("name", TFDS_CONFIGS)
def test_catalogue_configurations_open_on_mocked_data(name, tmp_path):
  tfds = pytest.importorskip("tensorflow_datasets")
  data = config.load(str(ROOT / "configs" / f"{name}.py")).data
  data = dataclasses.replace(data, root=str(tmp_path))
  builder = tfds.builder_cls(data.name.partition("/")[0])
  assert data.name.partition("/")[2] in builder.builder_configs
  with tfds.testing.mock_data(num_examples=5):
    for split in ("train", "valid", "test"):
      source = corpus.open_split(data, split)
      assert len(source) == 5
      for side in source[0]:
        assert isinstance(side, str) and side
      assert source[0][0] != source[0][1]
      assert len(source.checksum()) == 64
