"""What is typed at the prompt of `decode`."""

import builtins
import io
import sys

from seq2seq_jax.inference import answers as answering
from seq2seq_jax.inference import prompt


class _Terminal(io.StringIO):
  def isatty(self):
    return True


def test_a_conversation(model, monkeypatch, capsys):
  """Unknown words are named, other bytes refused, and Ctrl-C ends it."""
  typed = iter(["1 2", "", "1 zz 2 qq zz", "1 \udcff"])

  def read(shown):
    assert shown == "> "
    try:
      return next(typed)
    except StopIteration:
      raise KeyboardInterrupt from None

  monkeypatch.setattr(builtins, "input", read)
  monkeypatch.setattr(sys, "stdout", _Terminal())
  answers = answering.Answers(model, "text", 1, False)
  out = io.StringIO()
  prompt.converse(answers, out)
  lines = out.getvalue().split("\n")
  assert len(lines) == 4 and lines[1] == ""  # a blank line is a blank answer
  told = capsys.readouterr().err
  assert "unknown to the model: zz, qq\n" in told
  assert "that is not UTF-8" in told


def test_a_line_that_is_too_long_does_not_end_the_conversation(
  model, monkeypatch, capsys
):
  searcher = model.with_search(max_source_length=3)
  typed = io.BytesIO(b"1 2 3 4\n1 2\n\xff\n")
  monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(typed))
  out = io.StringIO()
  prompt.converse(answering.Answers(searcher, "text", 1, False), out)
  told = capsys.readouterr().err
  assert "not answered: has 5 tokens" in told and "not UTF-8" in told
  assert out.getvalue().count("\n") == 1
