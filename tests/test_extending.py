"""The examples of docs/extending.md, as they stand there."""

import math
import pathlib
import re
import sys

import pytest

import seq2seq_jax as s2s
from tests.helpers import tiny_runs

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "extending.md"
FILES = {
  name: f"# {name}\n{text}"
  for name, text in re.findall(
    r"```python\n# (\w+\.py)\n(.*?)```", PAGE.read_text(), re.DOTALL
  )
}
# What each is named by, and where.
FLAGS = {
  "distance.py": "--model.attention.score {}:Distance",
  "mgu.py": "--model.encoder.cell {}:MGU --model.transition_depth 2",
  "learned.py": "--model.decoder.bridge {}:Learned",
  "entropy.py": "--optim.objectives likelihood {}:entropy=0.1",
  "lengths.py": "--train.metric {}:LENGTH_ERROR --train.metrics bleu",
  "echo.py": "--data.task {}:echo",
}


def forget_extensions() -> None:
  """As in a new process: nothing of a user's file is imported yet."""
  for name in [n for n in sys.modules if n.startswith("seq2seq_jax_extension")]:
    del sys.modules[name]


@pytest.mark.parametrize("name", FLAGS)
def test_trains_and_is_evaluated_when_the_file_is_gone(
  name, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  path = tmp_path / name
  path.write_text(FILES[name])
  short = "--train.steps 4 --train.validate_every 2 --train.metric loss"
  short += " --train.log_every 1 --data.buckets 1"
  words = f"{short} {FLAGS[name].format(name)}".split()
  conf = s2s.load_config(str(tiny_runs.TINY), words)
  s2s.fit(conf, "run")
  losses = tiny_runs.curve(tmp_path / "run")
  assert len(losses) == 4 and all(map(math.isfinite, losses.values()))
  path.unlink()
  forget_extensions()
  model = s2s.load("run")
  scores = model.evaluate("test")
  assert scores["sentences"] > 0 and math.isfinite(scores["loss"])
  if name == "lengths.py":
    assert scores["length_error"] >= 0
  (copy,) = (tmp_path / "run" / "extensions").iterdir()
  assert copy.read_text() == FILES[name]


@pytest.mark.quick
def test_every_example_of_the_page_is_run():
  assert set(FILES) == set(FLAGS)
  for name, flags in FLAGS.items():
    field = re.findall(r"--([\w.]+) (?:likelihood )?\{\}", flags)
    assert f"`{field[0]}`" in PAGE.read_text(), name


@pytest.mark.quick
def test_a_part_of_another_kind_is_refused(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / "mgu.py").write_text(FILES["mgu.py"])
  words = ["--model.attention.score", "mgu.py:MGU"]
  conf = s2s.load_config(str(tiny_runs.TINY), words)
  with pytest.raises(
    Exception, match=r"mgu\.py:MGU: must be a subclass of .*attention_scores"
  ):
    s2s.fit(conf, "run")
