"""Configs as files: whatever is wrong with one is a line that names it."""

import json
import os

import pytest

from seq2seq_jax import config, types
from seq2seq_jax.ablation import suite_files
from seq2seq_jax.config import shipped
from seq2seq_jax.inference import loading

pytestmark = pytest.mark.quick

HEAD = "from seq2seq_jax import config\n"


def refusal(make, *args) -> str:
  with pytest.raises(types.UserError) as caught:
    make(*args)
  told = str(caught.value)
  assert "\n" not in told and len(told) < 700
  return told


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("import sys\nsys.exit(0)", "x.py, line 2: must not end the program"),
    ("def get_config():\n  exit()", "x.py, line 2: must not end the program"),
    ("def get_config():\n  return get_config()", "line 2: RecursionError: max"),
    ("def get_config():\n  raise GeneratorExit", "line 2: GeneratorExit: "),
    ("def get_config():\n  raise BaseException('a\\nb')", "BaseException: a"),
    ("def get_config():\n  raise ValueError", "x.py, line 2: ValueError: "),
    ("def get_config():\n  raise ValueError('x' * 9999)", "x.py, line 2: xxx"),
    (
      "class E(Exception):\n  def __str__(self): return 1 / 0\n"
      "def get_config(): raise E",
      "x.py, line 3: E: its message cannot be shown",
    ),
    ("def get_config(:\n", "x.py, line 1: SyntaxError: "),
    ("  x = 1\n", "x.py, line 1: IndentationError: unexpected indent"),
    ("get_config = 5", "x.py: must define get_config()"),
    ("", "x.py: must define get_config()"),
    ("def get_config(a): pass", "x.py: TypeError: get_config() missing 1 req"),
    ("def get_config(): pass", "x.py: get_config() must return a Config, not"),
    ("def get_config(): return {}", "must return a Config, not dict"),
    (
      f"{HEAD}def get_config(): return config.Model(embedding_dim=3)",
      "x.py, line 2: Model: has no field 'embedding_dim'; nearest: embed_dim",
    ),
    (
      f"{HEAD}def get_config(): return config.Train(steps=10 ** 5000)",
      "x.py, line 2: train.steps: must be at least 1 and at most 2,147,483,647",
    ),
    ("import no_such_module", "x.py, line 1: ModuleNotFoundError: No module"),
    ("assert False", "x.py, line 1: AssertionError: "),
  ],
)
def test_a_config_s_fault_names_its_line(text, message, tmp_path):
  (tmp_path / "x.py").write_text(text)
  assert message in refusal(config.load, tmp_path / "x.py")


@pytest.mark.parametrize(
  "content", [b"\xff\xfe", b"x = '\x00'", b"# coding: nonesuch\n", b"\x80abc"]
)
def test_other_bytes_than_text_are_refused(content, tmp_path):
  (tmp_path / "x.py").write_bytes(content)
  assert "x.py" in refusal(config.load, tmp_path / "x.py")


def test_what_is_no_file_is_told_apart(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "folder.py").mkdir()
  (tmp_path / "link.py").symlink_to("gone.py")
  (tmp_path / "loop.py").symlink_to("loop.py")
  os.mkfifo(tmp_path / "pipe.py")
  (tmp_path / "text.txt").write_text("x")
  for name, message in {
    "folder.py": "config folder.py: a folder; name a file in it",
    "link.py": "config link.py: a link to gone.py, which is not there",
    "loop.py": "config loop.py: ",
    "pipe.py": "config pipe.py: not a file",
    "text.txt": "text.txt: not a Python file; its name ends with .py",
    "x" * 300: "File name too long",
    "a/" * 5000: "File name too long",
    "a\0b": "not the name of a file",
    "text.txt/x.py": "no such file",
  }.items():
    assert message in refusal(config.load, name)


def test_a_wrong_name_is_told_the_nearest(tmp_path, monkeypatch):
  for name in ("configs/scan_simpel.py", "scan_simple", "runs/scan_simple.py"):
    told = refusal(config.load, name)
    assert "no such file; nearest: configs/scan_simple.py" in told
  for name in ("configs/ablations/brits_cells.py", "ablations/britz_cells"):
    told = refusal(suite_files.load, name)
    assert "nearest: configs/ablations/britz_cells.py" in told
  monkeypatch.chdir(tmp_path)
  (tmp_path / "mine.py").write_text("")
  assert "nearest: mine.py" in refusal(config.load, "mime.py")
  assert shipped.nearest(tmp_path / ("q" * 30)) == []


def test_a_stored_config_comes_back():
  conf = config.replace(config.Config(), {"train.metrics": ("bleu",)})
  assert config.from_json(config.to_json(conf), "run/config.json") == conf
  text = config.to_json(conf).encode()
  assert config.from_json(text, "run/config.json") == conf


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (
      lambda t: t["train"].update(stepz=3),
      "train has the unknown field .*step",
    ),
    (
      lambda t: t.update(modle={}),
      "unknown field '?\"?modle.*; nearest: model",
    ),
    (lambda t: t["train"].update(steps="3"), "train.steps must be a whole num"),
    (lambda t: t["train"].update(steps=3.5), "train.steps must be a whole num"),
    (lambda t: t["train"].update(steps=True), "train.steps must be a whole n"),
    (lambda t: t["train"].update(steps=0), "train.steps: must be at least 1"),
    (lambda t: t["train"].update(steps=None), "train.steps must be a whole"),
    (
      lambda t: t["train"].update(metrics="bleu"),
      "train.metrics must be a list",
    ),
    (
      lambda t: t["train"].update(metrics=[1]),
      r"train.metrics\[0\] must be a t",
    ),
    (lambda t: t["data"].update(joint=1), "data.joint must be true or false"),
    (lambda t: t["model"].update(tie="al"), "model.tie must be one of 'none'"),
    (
      lambda t: t["model"].update(tie=["al"]),
      "model.tie must be one of 'none'",
    ),
    (lambda t: t.update(model=[]), "model must be an object"),
    (lambda t: t.update(model=None), "model must be an object"),
    (lambda t: t["data"].update(root="a\0b"), "data.root: .*a NUL"),
    (lambda t: t["data"].update(train=["\ud800"]), "data.train: .*half a char"),
    (lambda t: t.update(format_version=1), "has format_version 1, and this"),
    (lambda t: t.update(format_version=None), "has format_version None"),
    (lambda t: t.update(format_version=[2]), r"has format_version \[2\]"),
    (lambda t: t.pop("format_version"), "has format_version None"),
  ],
)
def test_a_stored_config_of_another_shape_is_refused(change, message, tmp_path):
  tree = json.loads(config.to_json(config.Config()))
  change(tree)
  (tmp_path / "config.json").write_text(json.dumps(tree))
  with pytest.raises(types.UserError, match=message) as caught:
    loading.read_config(tmp_path)
  assert str(caught.value).startswith(f"{tmp_path}/config.json")


@pytest.mark.parametrize(
  "content",
  [
    *(b"", b"{", b"[]", b"null", b"3", b'"x"', b"\xff{}", b"{}}"),
    *(b'{"a": NaN}', b'{"a": 1e999}', b'{"a": ' + b"9" * 5000 + b"}"),
    *(b"[" * 100_000, b'{"a":' * 100_000, "{}".encode("utf-16")),
  ],
)
def test_what_is_no_config_is_refused(content, tmp_path):
  (tmp_path / "config.json").write_bytes(content)
  told = refusal(loading.read_config, tmp_path)
  assert told.startswith(f"{tmp_path}/config.json")


def test_a_stored_config_that_is_no_file(tmp_path):
  (tmp_path / "config.json").mkdir()
  assert "Is a directory" in refusal(loading.read_config, tmp_path)
  assert "holds no run" in refusal(
    loading.read_config, tmp_path / "config.json"
  )
  (tmp_path / "b").mkdir()
  (tmp_path / "b" / "config.json").symlink_to("nowhere")
  message = refusal(loading.read_config, tmp_path / "b")
  assert "b/config.json: cannot read: No such file" in message
