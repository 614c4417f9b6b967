"""Messages of the package: silent by default, shown by the commands.

Each module has `log = logging.getLogger(__name__)`. Used as a library, the
package prints nothing, and its messages go wherever the program's own logging
sends them. The commands call `show`, whose handler writes to standard error,
and above the live display while one is drawn there.
"""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator

NAME = "seq2seq_jax"
STYLES = {
  logging.WARNING: "warning",
  logging.ERROR: "error",
  logging.CRITICAL: "error",
}

# Writes a text in a style, as the displays define them, or in none.
LineWriter = Callable[[str, str | None], None]

# The displays that are drawn now; the last one is in front.
_displays: list[LineWriter] = []


class DisplayHandler(logging.Handler):
  """Writes messages above the display in front, else to standard error."""

  def emit(self, record: logging.LogRecord) -> None:
    """Writes one message; a reader that went away is no error of ours."""
    try:
      text = self.format(record)
      if _displays:
        _displays[-1](text, STYLES.get(record.levelno))
      else:
        # Looked up now: tests and notebooks exchange sys.stderr.
        print(text, file=sys.stderr, flush=True)
    except BrokenPipeError:
      pass
    except Exception:
      self.handleError(record)


def show(level: int = logging.INFO) -> None:
  """Shows the package's messages from `level` on; replaces an earlier `show`.

  They are not handed to the root logger any more, on which other libraries
  install handlers of their own: each would be printed twice.
  """
  hide()
  logger = logging.getLogger(NAME)
  logger.addHandler(DisplayHandler(level))
  logger.setLevel(level)
  logger.propagate = False


def hide() -> None:
  """Undoes `show`: the package prints nothing."""
  logger = logging.getLogger(NAME)
  for handler in list(logger.handlers):
    if isinstance(handler, DisplayHandler):
      logger.removeHandler(handler)
  logger.setLevel(logging.NOTSET)
  logger.propagate = True


def silence() -> None:
  """Drops the package's messages, whatever handlers other libraries have."""
  hide()
  logger = logging.getLogger(NAME)
  logger.addHandler(logging.NullHandler())
  logger.propagate = False


@contextlib.contextmanager
def above(write_line: LineWriter) -> Iterator[None]:
  """Sends messages to a live display while the block runs.

  Args:
    write_line: writes a text above the display; called from any thread.
  """
  _displays.append(write_line)
  try:
    yield
  finally:
    _displays.remove(write_line)
