"""A run of ours handed on and read back: same bits; what the card says."""

import json
import shutil

import jax
import numpy as np
import pytest
import yaml

from seq2seq_jax import convert, evaluate, export, types
from seq2seq_jax.checkpoints import select
from seq2seq_jax.inference import model as model_lib
from seq2seq_jax.interchange import model_card, safetensors_files

pytest.importorskip("safetensors")
SOURCES = ["1 2 3", "4", "5 1 5 1"]


@pytest.fixture(scope="module")
def exported(whole, tmp_path_factory):
  """The folder that was handed on."""
  folder = tmp_path_factory.mktemp("exported")
  scores = ["--score", "--workdir", str(whole), "--json"]
  assert evaluate.main([*scores, str(folder / "test.json")]) == 0
  words = ["--workdir", str(whole), "--out", str(folder / "copier")]
  words += ["--scores", str(folder / "test.json"), "--license", "cc-by-4.0"]
  assert export.main(words) == 0
  return folder / "copier"


def test_the_round_trip_has_the_same_bits(whole, exported, model, tmp_path):
  workdir = tmp_path / "back"
  words = ["seq2seq_jax", str(exported), "--workdir", str(workdir)]
  assert convert.main(words) == 0
  before, after = select.load(whole, "best")[0], select.load(workdir, "best")[0]
  assert jax.tree.structure(before) == jax.tree.structure(after)
  for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after)):
    np.testing.assert_array_equal(a, b)
  back = model_lib.load(workdir)
  assert back.config == model.config
  ours = model.translate(SOURCES, scores=True)
  theirs = back.translate(SOURCES, scores=True)
  assert [(t.text, t.score) for t in ours] == [
    (t.text, t.score) for t in theirs
  ]
  # Twice handed on, it is the same.
  again = ["--workdir", str(workdir), "--out", str(tmp_path / "again")]
  assert export.main(again) == 0
  name = "model.safetensors"
  a, b = (
    safetensors_files.read(f / name) for f in (exported, tmp_path / "again")
  )
  assert a.keys() == b.keys() and all((a[k] == b[k]).all() for k in a)


def test_what_lies_in_the_folder(exported):
  names = {p.name for p in exported.iterdir()}
  assert names == {
    "README.md",
    "config.json",
    "model.safetensors",
    "tokenizers",
  }
  text = (exported / "README.md").read_text()
  _, front, body = text.split("---\n", 2)
  assert yaml.safe_load(front)["license"] == "cc-by-4.0"
  scores = json.loads((exported.parent / "test.json").read_text())
  assert f"| loss | {scores['loss']:.4f} |" in body
  for words in (
    *("# copier", "| task | copy |", "`test.json`, 60 sentences"),
    *("exact_match", "## Licence\n\ncc-by-4.0", "convert seq2seq_jax copier"),
  ):
    assert words in body


def test_signatures_stand_beside_their_scores(tmp_path):
  path = tmp_path / "x.json"
  tree = {"bleu": 12.5, "seconds": 1.0, "sentences": 3}
  path.write_text(json.dumps(tree | {"signature": {"bleu": "nrefs:1|tok:13a"}}))
  scores = model_card.read_scores(path)
  assert scores == model_card.Scores(
    "x.json", {"bleu": 12.5}, {"bleu": "nrefs:1|tok:13a"}, 3
  )
  path.write_text("{}")
  with pytest.raises(types.UserError, match="holds no scores"):
    model_card.read_scores(path)


@pytest.mark.parametrize(
  ("file", "change", "message"),
  [
    ("model.safetensors", lambda b: b[:-5], "no whole file of safetensors"),
    ("model.safetensors", None, "No such file"),
    ("config.json", None, "is no folder that export wrote"),
    ("tokenizers/source.json", None, "source.json"),
    ("config.json", lambda b: b.replace(b'"dim": 32', b'"dim": 33'), "shape"),
  ],
  ids=range(5),
)
def test_a_folder_that_is_not_whole(file, change, message, exported, tmp_path):
  folder = tmp_path / "copier"
  shutil.copytree(exported, folder)
  if change:
    (folder / file).write_bytes(change((folder / file).read_bytes()))
  else:
    (folder / file).unlink()
  with pytest.raises(types.UserError, match=message) as e:
    convert.main(["seq2seq_jax", str(folder), "--workdir", str(tmp_path / "w")])
  assert len(str(e.value).splitlines()) == 1
  assert not (tmp_path / "w").exists()


def test_nothing_is_written_over(whole, exported, tmp_path):
  before = sorted(exported.iterdir())
  for out in (exported, exported / "README.md", whole):
    with pytest.raises(types.UserError, match="is there and not empty"):
      export.main(["--workdir", str(whole), "--out", str(out)])
  assert sorted(exported.iterdir()) == before
  out = ["--out", str(tmp_path / "new")]
  for more, message in (
    (["--workdir", str(tmp_path)], "holds no run"),
    (["--workdir", str(whole), "--checkpoint", "7"], "--checkpoint 7"),
    (["--workdir", str(whole), "--scores", "not_there"], "not_there"),
  ):
    with pytest.raises(types.UserError, match=message):
      export.main([*more, *out])
    assert not (tmp_path / "new").exists()
