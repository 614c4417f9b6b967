"""Progress display of a training run in a notebook: one block, redrawn."""

import html
import importlib
import math
import sys
import time
import uuid
from collections.abc import Callable, Mapping

from seq2seq_jax.training import progress

SECONDS_BETWEEN_DRAWINGS = 0.25
STYLE = "font-family: monospace; line-height: 1.3"
COLUMNS = 80  # fits a cell of a narrow window


def is_running() -> bool:
  """True in a notebook's kernel, whose output no terminal shows."""
  return "ipykernel" in sys.modules and not sys.stdout.isatty()


class Display(progress.Display):
  """The block of `progress.Display` in a cell's output, drawn in place.

  Messages are printed below it. It needs IPython, which a notebook has.
  """

  def __init__(
    self,
    total_steps: int,
    *,
    step: int = 0,
    clock: Callable[[], float] = time.monotonic,
  ):
    super().__init__(
      total_steps, step=step, live=False, stream=sys.stdout, clock=clock
    )
    self._plain_lines = False
    self._console.width = COLUMNS
    self._id = uuid.uuid4().hex
    self._drawn_at = -math.inf
    self._output = importlib.import_module("IPython.display")

  def start(self) -> None:
    """Draws the block for the first time."""
    self._output.display(self._bundle(), raw=True, display_id=self._id)

  def close(self) -> None:
    """Draws the last state."""
    super().close()
    self._draw()

  def phase(
    self, name: str, done: int | None = None, total: int | None = None
  ) -> None:
    """Shows the activity; see `progress.Display.phase`."""
    super().phase(name, done, total)
    self._draw_if_due()

  def progress(self, step: int, epoch: int, values: dict[str, float]) -> None:
    """Shows a finished step; see `progress.Display.progress`."""
    super().progress(step, epoch, values)
    self._draw_if_due()

  def validation(
    self,
    step: int,
    metric: str,
    score: float | None,
    best_step: int | None,
    best_score: float | None,
    beside: Mapping[str, float] | None = None,
  ) -> None:
    """Shows a validation's score and the best so far."""
    super().validation(step, metric, score, best_step, best_score, beside)
    self._draw()

  def _draw_if_due(self) -> None:
    # Each drawing is a message to the browser: not one for every step.
    if self._clock() - self._drawn_at >= SECONDS_BETWEEN_DRAWINGS:
      self._draw()

  def _draw(self) -> None:
    self._drawn_at = self._clock()
    self._output.update_display(self._bundle(), raw=True, display_id=self._id)

  def _bundle(self) -> dict[str, str]:
    """The block by MIME type."""
    text = self._block().plain
    return {
      "text/plain": text,
      "text/html": f'<pre style="{STYLE}">{html.escape(text)}</pre>',
    }
