"""Messages: silent in a library, above the display in a command."""

import logging
import subprocess
import sys

import pytest

from seq2seq_jax.runtime import log

pytestmark = pytest.mark.quick
messages = logging.getLogger("seq2seq_jax.some.module")


@pytest.fixture
def shown():
  log.show()
  yield
  log.hide()


def test_a_library_prints_nothing():
  code = (
    "import logging, seq2seq_jax\n"
    "logging.getLogger('seq2seq_jax.x').error('a message')\n"
  )
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True
  )
  assert (done.stdout, done.stderr) == ("", "")


def test_a_program_gets_the_messages_by_its_own_logging(caplog, capsys):
  caplog.set_level(logging.INFO, log.NAME)
  messages.info("a message")
  assert [r.getMessage() for r in caplog.records] == ["a message"]
  assert capsys.readouterr() == ("", "")


def test_a_command_shows_them_on_standard_error(shown, capsys):
  messages.info("one")
  messages.debug("two")
  assert capsys.readouterr() == ("", "one\n")


def test_showing_twice_prints_once(shown, capsys):
  log.show(logging.WARNING)
  messages.info("one")
  messages.warning("two")
  assert capsys.readouterr() == ("", "two\n")


def test_they_go_above_the_display_in_front(shown, capsys):
  lines = []

  def write_line(text, style):
    lines.append((text, style))

  def write_behind(text, style):
    lines.append("behind")

  with log.above(write_behind), log.above(write_line):
    messages.info("one")
    messages.warning("two")
    messages.error("three")
  messages.info("four")
  assert lines == [("one", None), ("two", "warning"), ("three", "error")]
  assert capsys.readouterr() == ("", "four\n")


def test_a_message_that_cannot_be_written_ends_nothing(shown, capsys):
  def write_line(text, style):
    raise BrokenPipeError

  with log.above(write_line):
    messages.info("one")
  assert capsys.readouterr() == ("", "")
