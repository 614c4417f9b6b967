"""metrics.jsonl and TensorBoard of a run, and its progress display.

On resume at step n both continue after n: later lines are cut from
metrics.jsonl, and a purge event hides TensorBoard's later points.
"""

import contextlib
import dataclasses
import json
import math
import os
import pathlib
import sys
import time
from typing import IO, Any

from seq2seq_jax import records, types
from seq2seq_jax.runtime import files, log
from seq2seq_jax.training import progress


def _import_tensorboardx() -> tuple[Any, Any, Any]:
  """tensorboardX's writer of event files and its messages.

  tensorboardX would import torch if it is installed. That takes seconds at
  every start, and scalars need nothing of it.
  """
  hidden = "torch" not in sys.modules
  if hidden:
    sys.modules["torch"] = None  # type: ignore[assignment]  # import fails
  try:
    from tensorboardX import event_file_writer
    from tensorboardX.proto import event_pb2, summary_pb2
  finally:
    if hidden:
      del sys.modules["torch"]
  return event_file_writer, event_pb2, summary_pb2


event_file_writer, event_pb2, summary_pb2 = _import_tensorboardx()


class _Events:
  """A TensorBoard event file, written at once and by the calling thread.

  tensorboardX's `SummaryWriter` hands points to a queue and a thread. Its
  `flush` does not wait for them, and a full disk would end the thread alone.
  """

  def __init__(self, folder: pathlib.Path, resume_step: int):
    self._writer = event_file_writer.EventsWriter(
      str(folder / "events"),
      # Two writers of one second must not open the same file.
      filename_suffix=f".{time.time_ns()}",
    )
    # As `purge_step` of `SummaryWriter`: hides later points of older files.
    start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    self._write(step=resume_step + 1, session_log=start)

  def write(self, step: int, values: dict[str, float]) -> None:
    """Appends a point to the curve of each value."""
    points = [
      summary_pb2.Summary.Value(tag=name, simple_value=float(value))
      for name, value in values.items()
    ]
    self._write(step=step, summary=summary_pb2.Summary(value=points))

  def close(self) -> None:
    """Closes the file."""
    self._writer.close()

  def _write(self, **fields: Any) -> None:
    event = event_pb2.Event(wall_time=time.time(), **fields)
    self._writer.write_event(event)
    self._writer.flush()  # a killed process loses nothing it has written


class Writer:
  """Appends metrics to both files and owns the display; a context manager.

  Attributes:
    display: of the run's progress; shows nothing unless `primary`.
  """

  def __init__(
    self,
    workdir: pathlib.Path,
    *,
    primary: bool = True,
    display: progress.Display | progress.Hidden | None = None,
  ):
    """Prepares the display; `open` opens the files.

    Args:
      workdir: folder of the run.
      primary: False on all processes but one: nothing is written or shown.
      display: None shows nothing.
    """
    self.display = progress.Hidden()
    self._lines: IO[bytes] | None = None
    self._events: _Events | None = None
    self._messages = contextlib.ExitStack()  # redirected until closed
    self._workdir = pathlib.Path(workdir)
    self._primary = primary
    if primary:
      self.display = display or self.display

  def check(self, resume_step: int = 0) -> None:
    """Refuses files that `open` could not go on with; writes nothing.

    Raises:
      types.UserError: something else is in the place of a file.
    """
    if not self._primary:
      return
    events = self._workdir / "tensorboard"
    if os.path.lexists(events) and not events.is_dir():
      raise types.UserError(f"{events}: is no folder; move it elsewhere")
    _kept_lines(self._workdir / "metrics.jsonl", resume_step)

  def open(self, resume_step: int = 0, *, unvalidated: bool = False) -> None:
    """Opens the files; before it nothing is written.

    Args:
      resume_step: what the files hold after this step is removed.
      unvalidated: its validation is still to be made.

    Raises:
      types.UserError: a file cannot be written (a full disk), or metrics.jsonl
        holds something else.
    """
    if not self._primary or self._lines:
      return
    workdir = self._workdir
    path, events = workdir / "metrics.jsonl", workdir / "tensorboard"
    try:
      events.mkdir(parents=True, exist_ok=True)
      _cut_lines(path, resume_step, unvalidated)
      # Unbuffered: a killed process loses nothing that it has written.
      self._lines = open(path, "ab", buffering=0)  # noqa: SIM115
      self._events = _Events(events, resume_step)
    except OSError as e:
      self.close()
      raise _failure(e, workdir) from e

  def __enter__(self) -> "Writer":
    self.display.start()
    if isinstance(self.display, progress.Display):
      self._messages.enter_context(log.above(self.display.write_line))
    return self

  def __exit__(self, *_: object) -> None:
    self.close()

  def close(self) -> None:
    """Ends the display and closes the files; a second call does nothing."""
    events, self._events = self._events, None
    self._messages.close()
    try:
      self.display.close()
    finally:
      if self._lines:
        self._lines.close()
      if events:
        try:
          events.close()
        except OSError as e:
          raise _failure(e, "tensorboard") from e

  def write(self, step: int, split: str, values: dict[str, float]) -> None:
    """Appends values to both files; NaN and infinity are null in JSON."""
    if not self._lines or not self._events:
      return
    line: dict[str, Any] = {"step": int(step), "split": split}
    line |= {name: _json_number(value) for name, value in values.items()}
    line["time"] = round(time.time(), 3)  # seconds since 1970
    _append(self._lines, json.dumps(line, allow_nan=False).encode() + b"\n")
    tagged = {f"{split}/{name}": value for name, value in values.items()}
    try:
      self._events.write(int(step), tagged)
    except OSError as e:
      raise _failure(e, "tensorboard") from e


def _json_number(value: float) -> float | int | None:
  if isinstance(value, int):
    return value
  value = float(value)
  return value if math.isfinite(value) else None


def _append(file: IO[bytes], data: bytes) -> None:
  try:
    while data:  # an unbuffered file may take only a part
      data = data[file.write(data) :]
  except OSError as e:
    raise _failure(e, file.name) from e


def _failure(error: OSError, path: object) -> types.UserError:
  return types.UserError(
    f"{error.filename or path}: cannot be written: {error.strerror}; "
    "fix this and run the same command again; it resumes from the last "
    "checkpoint"
  )


@dataclasses.dataclass(frozen=True)
class _Line:
  """What is read of a line of metrics.jsonl."""

  step: int
  split: str = ""


def _cut_lines(path: pathlib.Path, step: int, unvalidated: bool) -> None:
  """Keeps whole lines up to `step`, or none for step 0.

  Args:
    path: of the lines.
    step: the last one that is kept.
    unvalidated: without the line of its validation.

  Raises:
    types.UserError: as `_kept_lines`; nothing is cut.
    OSError: the file cannot be written.
  """
  content, kept = _kept_lines(path, step, unvalidated)
  if kept != content:
    files.replace(path, kept, durable=True)


def _kept_lines(
  path: pathlib.Path, step: int, unvalidated: bool = False
) -> tuple[bytes, bytes]:
  """What metrics.jsonl holds, and its lines up to a step.

  Raises:
    types.UserError: it cannot be read, or a line is none of metrics.
  """
  if not os.path.lexists(path):
    return b"", b""
  content = records.content(path)
  *whole, rest = content.split(b"\n")
  # Half a line is that of a process that was killed while writing.
  with contextlib.suppress(types.UserError):
    records.parse(rest, "")
    whole.append(rest)
  lines = []
  for number, line in enumerate(whole, 1):
    place = f"{path}, line {number}"
    values = records.parse(line, place)
    shown = values
    if isinstance(values, dict):
      shown = {"step": values.get("step"), "split": values.get("split", "")}
    read: _Line = records.decode(_Line, shown, place)
    again = unvalidated and (read.step, read.split) == (step, "valid")
    if 0 < read.step <= step and not again:
      lines.append(line + b"\n")
  return content, b"".join(lines)
