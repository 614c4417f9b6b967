"""References to the user's own parts: `FILE.py:NAME`."""

import pathlib

import pytest

from seq2seq_jax import config, types
from seq2seq_jax.config import extensions, overrides

pytestmark = pytest.mark.quick

SCORE = "class Distance:\n  width = 1\n"
CONFIG = """
from seq2seq_jax import config

def get_config():
  attention = config.Attention(score="distance.py:Distance")
  return config.Config(model=config.Model(attention=attention))
"""


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
  """A folder with a config and the score that it names."""
  (tmp_path / "x").mkdir()
  (tmp_path / "x" / "distance.py").write_text(SCORE)
  (tmp_path / "x" / "c.py").write_text(CONFIG)
  return tmp_path / "x"


def test_a_config_s_references_lie_beside_it(folder):
  conf = config.load(folder / "c.py")
  assert conf.model.attention.score == f"{folder}/distance.py:Distance"
  assert extensions.resolve(conf.model.attention.score).width == 1


def test_a_workdir_s_copy_serves_when_the_original_is_gone(folder, tmp_path):
  conf = config.load(folder / "c.py")
  stored = extensions.copy(conf, tmp_path / "run")
  assert stored == extensions.portable(conf)
  text = config.to_json(stored)
  assert str(folder) not in text
  original = extensions.resolve(conf.model.attention.score)
  (folder / "distance.py").unlink()
  (tmp_path / "run").rename(tmp_path / "moved")
  where = tmp_path / "moved" / "config.json"
  again = config.from_json(text, str(where))
  (copy,) = (tmp_path / "moved" / "extensions").iterdir()
  assert again.model.attention.score == f"{copy}:Distance"
  assert extensions.resolve(again.model.attention.score) is original
  assert extensions.portable(again) == stored


def test_what_the_file_holds_belongs_to_the_run(folder, tmp_path):
  conf = config.load(folder / "c.py")
  where = str(tmp_path / "run" / "config.json")
  text = config.to_json(extensions.copy(conf, tmp_path / "run"))
  assert not config.differences(config.from_json(text, where), conf)
  (folder / "distance.py").write_text(SCORE + "\n# changed\n")
  (line,) = config.differences(config.from_json(text, where), conf)
  assert line.startswith("model.attention.score: 'extensions/distance-")


def test_a_changed_copy_is_refused(folder, tmp_path):
  conf = config.load(folder / "c.py")
  text = config.to_json(extensions.copy(conf, tmp_path))
  (copy,) = (tmp_path / "extensions").iterdir()
  copy.write_text("changed = 1")
  with pytest.raises(types.UserError, match=f"{copy} was changed"):
    config.from_json(text, str(tmp_path / "config.json"))


def test_a_flag_s_reference_is_a_path_from_the_current_folder(
  folder, monkeypatch
):
  monkeypatch.chdir(folder)
  words = ["--train.metrics", "bleu", "distance.py:Distance"]
  conf = overrides.apply(config.Config(), words, "x")
  assert conf.train.metrics == ("bleu", f"{folder}/distance.py:Distance")
  monkeypatch.chdir(folder.parent)
  with pytest.raises(types.UserError, match=r"train.metrics: no file .*e\.py"):
    overrides.apply(config.Config(), words, "x")
  assert overrides.apply(config.Config(), words, "x", folder) == conf


@pytest.mark.parametrize(
  ("content", "name", "message"),
  [
    (SCORE, "Distanse", r"distance\.py: defines no Distanse; it has Distance"),
    ("a = 1\nb = c\n", "b", r"distance\.py, line 2: NameError: name 'c'"),
    (
      "a = (\n",
      "a",
      r"distance\.py, line 1: SyntaxError: '\(' was never closed",
    ),
  ],
)
def test_what_cannot_be_resolved_is_one_message(
  content, name, message, tmp_path
):
  (tmp_path / "distance.py").write_text(content)
  with pytest.raises(types.UserError, match=message) as e:
    extensions.resolve(f"{tmp_path}/distance.py:{name}")
  assert "\n" not in str(e.value)


def test_a_missing_file_is_named(tmp_path):
  with pytest.raises(types.UserError, match=r"gone\.py: cannot be read: No su"):
    extensions.resolve(f"{tmp_path}/gone.py:A")


@pytest.mark.parametrize(
  "changes",
  [
    {"model.encoder.cell": "my.py:Cell"},
    {"model.decoder.cell": "my.py:Cell"},
    {"model.decoder.bridge": "../my.py:Bridge"},
    {"data.task": "/a/b.py:task"},
    {"train.metric": "my.py:METRIC"},
    {"train.metrics": ("bleu", "my.py:METRIC")},
  ],
)
def test_fields_that_take_names_take_references(changes):
  conf = config.replace(config.Config(), changes)
  values = {name: value for name, value, _ in config.leaves(conf)}
  assert all(values[name] == value for name, value in changes.items())


@pytest.mark.parametrize(
  ("changes", "nearest"),
  [
    ({"model.encoder.cell": "gro"}, "gru"),
    ({"model.attention.score": "genral"}, "general"),
    ({"model.decoder.bridge": "denes"}, "dense"),
    ({"data.task": "scam"}, "scan"),
    ({"train.metric": "blue"}, "bleu"),
  ],
)
def test_an_unknown_name_is_told_the_nearest(changes, nearest):
  (field,) = changes
  with pytest.raises(types.UserError, match=f"{field}: .*nearest: {nearest}"):
    config.replace(config.Config(), changes)


def test_help_names_every_choice(capsys):
  with pytest.raises(SystemExit):
    overrides.apply(config.Config(), ["--help"], "x")
  shown = capsys.readouterr().out
  count = 0
  for name, _, field in config.leaves(config.Config()):
    for choice in field.metadata.get("choices", ()):
      assert choice in shown, f"{name}: --help does not name {choice}"
      count += 1
  assert count > 40
