"""The public names: lazy, complete, and found by `dir`."""

import math
import pathlib
import re
import subprocess
import sys

import pytest

import seq2seq_jax
from seq2seq_jax import types

pytestmark = pytest.mark.quick


def test_importing_the_package_imports_no_jax():
  code = (
    "import sys, seq2seq_jax; seq2seq_jax.Config; seq2seq_jax.load_config; "
    "heavy = {'jax', 'flax', 'optax', 'orbax', 'tyro'} & set(sys.modules); "
    "assert not heavy, heavy"
  )
  subprocess.run([sys.executable, "-c", code], check=True)


def test_all_public_names_are_there():
  for name in seq2seq_jax.__all__:
    assert name in dir(seq2seq_jax)
    assert callable(getattr(seq2seq_jax, name)) or name == "__version__"
  with pytest.raises(AttributeError, match="no attribute 'translate'"):
    seq2seq_jax.__getattr__("translate")


def test_evaluate_is_a_function_also_after_the_command_was_imported():
  from seq2seq_jax import evaluate

  assert seq2seq_jax.evaluate is evaluate
  assert callable(evaluate) and callable(evaluate.main)


def test_load_config_applies_overrides():
  words = ["--train.steps", "7", "--decode.beam_size=2"]
  conf = seq2seq_jax.load_config("configs/scan_simple.py", words)
  assert (conf.train.steps, conf.decode.beam_size) == (7, 2)
  assert conf.data == seq2seq_jax.load_config("configs/scan_simple.py").data


@pytest.mark.parametrize(
  "words,message",
  [
    (["--train.stepz", "3"], "--train.stepz.*nearest: --train.steps"),
    (
      ["--train.steps", "x"],
      "--train.steps: must be a whole number at least 1",
    ),
    (["--train.steps", "0"], "steps: must be at least 1"),
  ],
)
def test_load_config_refuses_what_is_wrong(words, message, capsys):
  with pytest.raises(types.UserError, match=message):
    seq2seq_jax.load_config("configs/scan_simple.py", words)
  assert capsys.readouterr() == ("", "")


def test_the_readme_s_lines_from_python(tmp_path, monkeypatch):
  """As they stand there, with little data, a small model and few steps."""
  page = (pathlib.Path(__file__).parents[1] / "README.md").read_text()
  section = page.split("## From Python")[1].split("\n## ")[0]
  (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
  small = "--train.steps 2 --train.validate_every 2 --data.buckets 1 "
  small += "--data.task reverse --data.holdout 0 --data.synthetic.train 128 "
  small += "--data.synthetic.test 20 --data.synthetic.valid 10 "
  small += "--model.encoder.dim 8 --model.decoder.dim 16 "
  small += "--train.metric loss --decode.max_ratio 2.0"
  assert '["--train.steps", "300"]' in code
  code = code.replace('["--train.steps", "300"]', repr(small.split()))
  monkeypatch.chdir(tmp_path)
  names: dict = {}
  exec(code, names)
  assert names["run"].complete
  records = names["model"].translate(["walk"], 2, n_best=2, scores=True)
  assert all(math.isfinite(record.score) for record in records[0])
