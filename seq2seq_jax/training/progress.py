"""Progress display of a training run: a live block, or plain lines."""

import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import TextIO

import rich.console
import rich.live
import rich.text
import rich.theme

Text = rich.text.Text
THEME = rich.theme.Theme({"warning": "yellow", "error": "bold red"})
REDRAWS_PER_SECOND = 4  # on a thread of their own
SMOOTHING_SECONDS = 30.0  # time constant of the rate of steps


class Hidden:
  """A display that shows nothing: of a quiet run, or of a secondary process."""

  def start(self) -> None:
    """Does nothing."""

  def close(self) -> None:
    """Does nothing."""

  def phase(
    self, name: str, done: int | None = None, total: int | None = None
  ) -> None:
    """Does nothing."""

  def progress(self, step: int, epoch: int, values: dict[str, float]) -> None:
    """Does nothing."""

  def validation(
    self,
    step: int,
    metric: str,
    score: float | None,
    best_step: int | None,
    best_score: float | None,
    beside: Mapping[str, float] | None = None,
  ) -> None:
    """Does nothing."""


class Display(Hidden):
  """The state of a run, on standard error unless another stream is given."""

  def __init__(
    self,
    total_steps: int,
    *,
    step: int = 0,
    live: bool | None = None,
    interval: float = 10.0,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
  ):
    """Prepares the display; `start` shows it.

    Args:
      total_steps: of the whole run.
      step: the run is resumed after this one.
      live: redraw one block (True), write plain lines without control
        characters (False), or choose the block if the stream is a terminal
        (None). `notebook.Display` is that of a notebook.
      interval: seconds between two plain lines, phases and scores excepted.
      stream: to write to.
      clock: seconds.
    """
    stream = stream or sys.stderr
    # FORCE_COLOR makes rich take a pipe for a terminal, so rich is not asked.
    terminal = stream.isatty()
    self._console = rich.console.Console(
      file=stream,
      force_terminal=terminal or bool(live),
      theme=THEME,
      highlight=False,
    )
    if live is None:
      live = terminal and not self._console.is_dumb_terminal
    self._stream, self._clock, self._interval = stream, clock, interval
    self._total, self._step = total_steps, step
    self._values: dict[str, float] = {}
    self._phase = self._kind = "starting"
    self._scores: list[Text] = []
    self._start_time = self._phase_start = clock()
    self._end: float | None = None
    # (time, step) of the last step of this phase
    self._mark: tuple[float, int] | None = None
    self._seconds = self._steps = 0.0  # decaying sums: the rate of steps
    # The first step shown, and seconds since then in validation and saving.
    self._first: int | None = None
    self._between = 0.0
    self._last_line, self._unshown = -math.inf, False
    self._live: rich.live.Live | None = None
    self._plain_lines = not live
    if live:
      self._live = rich.live.Live(
        get_renderable=self._block,
        console=self._console,
        refresh_per_second=REDRAWS_PER_SECOND,
        # Output to a file or a pipe must not be redirected to the terminal.
        redirect_stdout=sys.stdout.isatty(),
        redirect_stderr=terminal,
      )

  def start(self) -> None:
    """Begins to draw the live block."""
    if self._live:
      self._live.start()

  def close(self) -> None:
    """Leaves the last state on screen and the cursor visible."""
    self._end = self._end or self._clock()
    if self._live:
      self._live.stop()
    elif self._unshown and self._plain_lines:
      self.write_line(self._status())
      self._unshown = False

  def phase(
    self, name: str, done: int | None = None, total: int | None = None
  ) -> None:
    """Shows the activity; `done/total` is put before a colon in `name`."""
    kind, colon, detail = name.partition(":")
    count = "" if done is None else f" {done}"
    count += "" if total is None else f"/{total}"
    self._phase = kind + count + colon + detail
    now = self._clock()
    previous, started = self._kind, self._phase_start
    if kind != previous:
      if self._first is not None and previous != "training":
        self._between += now - started
      self._kind, self._phase_start, self._mark = kind, now, None
    if not self._plain_lines:
      return
    if kind != previous and previous == "compiling":
      self.write_line(f"compiled in {now - started:.1f} s")
    if kind != previous and kind == "compiling":
      self._last_line = now
      self.write_line(self._phase)
    elif kind != "training" and self._due(now):
      self.write_line(self._phase)

  def progress(self, step: int, epoch: int, values: dict[str, float]) -> None:
    """Stores a finished step. Called at every step, so it draws nothing itself.

    Args:
      step: number of updates made.
      epoch: of this step, from 1.
      values: any of loss, learning_rate, tokens_per_second,
        padded_tokens_per_second, and stall, the share of time (0 to 1) spent
        waiting for data. What is left out keeps its last value.
    """
    now = self._clock()
    if self._mark is not None:
      # Only time between two steps of one phase counts: compilation and
      # validation would make the rate of steps look slower than it is.
      seconds, steps = now - self._mark[0], step - self._mark[1]
      decay = math.exp(-seconds / SMOOTHING_SECONDS)
      self._seconds = self._seconds * decay + seconds
      self._steps = self._steps * decay + steps
    self._mark = now, step
    if self._first is None:
      self._first = step
    self._step, self._unshown = step, True
    self._values |= values | {"epoch": epoch}
    if self._plain_lines and self._due(now):
      self.write_line(self._status())
      self._unshown = False

  def validation(
    self,
    step: int,
    metric: str,
    score: float | None,
    best_step: int | None,
    best_score: float | None,
    beside: Mapping[str, float] | None = None,
  ) -> None:
    """Shows a validation's score and the best so far, if there is one.

    `beside` are further scores of this validation.
    """
    if score is None:
      return
    self._scores = [
      _item(f"valid {metric}", f"{_score(score)} at step {step:,}")
    ]
    if best_step is not None and best_score is not None:
      self._scores.append(
        _item("best", f"{_score(best_score)} at step {best_step:,}")
      )
    for name, value in (beside or {}).items():
      self._scores.append(_item(f"valid {name}", _score(value)))
    if self._plain_lines:
      self.write_line(_join(self._scores))

  def write_line(self, text: str, style: str | None = None) -> None:
    """Writes a message above the block; style `warning`, `error`, or rich's."""
    lines = text.expandtabs().splitlines() or [""]
    # A stray escape sequence would move the cursor out of the block.
    text = "\n".join("".join(filter(str.isprintable, x)) for x in lines)
    if self._live:
      # Broken by the terminal, a long path or command can still be copied.
      self._console.print(Text(text, style=style or ""), soft_wrap=True)
    else:
      print(text, file=self._stream, flush=True)

  def _due(self, now: float) -> bool:
    due = now - self._last_line >= self._interval
    if due:
      self._last_line = now
    return due

  def _status(self) -> str:
    steps = f"step {self._step:,}/{self._total:,}"
    return "  ".join([steps, _join(self._items()), f"{self._time_left()} left"])

  def _time_left(self) -> str:
    if not self._steps:
      return "-:--"
    steps = max(self._total - self._step, 0)
    each = self._seconds / self._steps
    if self._first is not None and self._step > self._first:
      # Validation and saving go on as they did so far.
      each += self._between / (self._step - self._first)
    return duration(steps * each)

  def _items(self) -> list[Text]:
    get = self._values.get
    items = []
    if (epoch := get("epoch")) is not None:
      items.append(_item("epoch", f"{epoch}"))
    if (loss := get("loss")) is not None:
      text = f"{loss:.4f}" if abs(loss) < 1000 else f"{loss:.4g}"
      items.append(_item("loss", text))
    if (rate := get("learning_rate")) is not None:
      items.append(_item("lr", f"{rate:.2e}"))
    if (real := get("tokens_per_second")) is not None:
      text = f"{real:,.0f}"
      if (padded := get("padded_tokens_per_second")) is not None:
        text += f" (padded {padded:,.0f})"
      items.append(_item("tok/s", text))
    if (stall := get("stall")) is not None:
      items.append(_item("stall", f"{stall:.0%}"))
    return items

  def _block(self) -> Text:
    # The last column stays free: some terminals wrap as soon as it is filled.
    width = max(self._console.width - 1, 1)
    seconds = (self._end or self._clock()) - self._start_time
    elapsed = _item("elapsed", duration(seconds))
    head = Text(self._phase, style="bold cyan")
    head.truncate(max(width - elapsed.cell_len - 2, 1))
    head.append(" " * max(width - head.cell_len - elapsed.cell_len, 1))
    lines = [
      Text.assemble(head, elapsed),
      self._bar(width),
      *_wrap(self._items(), width),
      *_wrap(self._scores, width),
    ]
    for line in lines:
      line.truncate(width)
    return Text("\n", no_wrap=True, overflow="crop", end="").join(lines)

  def _bar(self, width: int) -> Text:
    share = min(self._step / max(self._total, 1), 1.0)
    tail = (
      f" {self._step:,}/{self._total:,} {share:4.0%}  {self._time_left()} left"
    )
    ascii_only = not self._console.encoding.startswith("utf")
    done, rest = "#-" if ascii_only else "━─"
    length = max(width - len(tail) - 1, 0)
    filled = int(share * length)
    return Text.assemble(
      (done * filled, "green"), (rest * (length - filled), "dim"), " ", tail
    )


def _item(label: str, value: str) -> Text:
  return Text.assemble((label, "dim"), " ", value)


def _join(items: list[Text]) -> str:
  return "  ".join(item.plain for item in items)


def _wrap(items: list[Text], width: int) -> list[Text]:
  """Fills lines with items without breaking any of them."""
  lines: list[Text] = []
  for item in items:
    if lines and lines[-1].cell_len + 2 + item.cell_len <= width:
      lines[-1] = Text.assemble(lines[-1], "  ", item)
    else:
      lines.append(item.copy())
  return lines


def _score(score: float) -> str:
  return f"{score:.2f}" if abs(score) >= 10 else f"{score:.4f}"


def duration(seconds: float) -> str:
  """Time as M:SS or H:MM:SS."""
  minutes, second = divmod(round(seconds), 60)
  hours, minute = divmod(minutes, 60)
  if hours:
    return f"{hours}:{minute:02}:{second:02}"
  return f"{minute}:{second:02}"
