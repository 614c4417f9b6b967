"""The public names: lazy, complete, and found by `dir`."""

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
    (["--train.steps", "x"], "--train.steps: invalid literal"),
    (["--train.steps", "0"], "steps: must be at least 1"),
  ],
)
def test_load_config_refuses_what_is_wrong(words, message, capsys):
  with pytest.raises(types.UserError, match=message):
    seq2seq_jax.load_config("configs/scan_simple.py", words)
  assert capsys.readouterr() == ("", "")
