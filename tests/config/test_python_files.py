"""A user's Python file that fails in any way is one message with its name."""

import pytest

from seq2seq_jax import config, types

pytestmark = pytest.mark.quick

BROKEN_MESSAGE = """
class Odd(Exception):
  def __str__(self):
    raise ValueError
def get_config():
  raise Odd
"""


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("import sys\nsys.exit(0)\n", "line 2: must not end the program"),
    ("def get_config():\n  exit()\n", "line 2: must not end the program"),
    (BROKEN_MESSAGE, "line 6: Odd: its message cannot be shown"),
    ("def get_config(:\n", "line 1: SyntaxError"),
    (
      "async def get_config():\n  pass\n",
      "must return a Config, not coroutine",
    ),
    ("def get_config():\n  yield 3\n", "must return a Config, not generator"),
  ],
)
@pytest.mark.filterwarnings("error")
def test_files_that_fail_are_named(tmp_path, text, message):
  file = tmp_path / "x.py"
  file.write_text(text)
  with pytest.raises(types.UserError, match=str(file)) as raised:
    config.load(file)
  assert message in str(raised.value)


def test_ctrl_c_is_not_the_files_fault(tmp_path):
  file = tmp_path / "x.py"
  file.write_text("raise KeyboardInterrupt\n")
  with pytest.raises(KeyboardInterrupt):
    config.load(file)
