"""The prompt of `decode`: sentences that are typed, one at a time."""

import contextlib
import sys
from typing import TextIO

from seq2seq_jax.inference import answers as answering


def converse(answers: answering.Answers, out: TextIO) -> None:
  """Answers typed sentences until Ctrl-D or Ctrl-C.

  Args:
    answers: to lines.
    out: where they go.
  """
  side = answers.model.vocabularies.source
  _say(f"Type {side.asked}; Ctrl-D ends.")
  while True:
    try:
      line = _read()
    except UnicodeError:
      _say("that is not UTF-8; set the terminal to it, and type it again")
      continue
    except (EOFError, KeyboardInterrupt):
      _say("")
      return
    _tell_unknown(answers, line)
    written, error = answers.to([side.accept(line)])
    if error:
      _say(f"not answered: {error.reason}")
    out.write("".join(written))
    out.flush()


def _read() -> str:
  """The next line, edited at a terminal.

  Raises:
    EOFError: there is none.
    UnicodeError: it is not UTF-8.
  """
  if sys.stdout.isatty():
    with contextlib.suppress(ImportError):
      import readline  # noqa: F401 (its import makes `input` use it)
    line = input("> ")
    line.encode()  # other bytes come as halves of surrogate pairs
    return line
  # `input` would write the prompt where the answers go.
  print("> ", end="", file=sys.stderr, flush=True)
  typed = sys.stdin.buffer.readline()
  if not typed:
    raise EOFError
  return typed.decode("utf-8").rstrip("\n").removesuffix("\r")


def _tell_unknown(answers: answering.Answers, line: str) -> None:
  """Names the typed words that the model does not know."""
  unknown = answers.model.vocabularies.source.unknown(line)
  if unknown:
    _say(f"unknown to the model: {', '.join(unknown)}")


def _say(text: str) -> None:
  print(text, file=sys.stderr, flush=True)
