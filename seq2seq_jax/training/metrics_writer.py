"""What a run leaves of its course: metrics.jsonl, TensorBoard, the display.

Both files are appended to without a buffer, so that a killed process loses
nothing it has written, and are cut behind the step at which a run resumes.
"""

import contextlib
import json
import math
import os
import pathlib
import socket
import struct
import sys
import time

from seq2seq_jax import types
from seq2seq_jax.runtime import files, log
from seq2seq_jax.training import progress


def _messages():
  """TensorBoard's messages and checksum.

  tensorboardX imports torch where it finds it, which takes seconds at every
  start, and uses it for nothing of ours.
  """
  hidden = "torch" not in sys.modules
  if hidden:
    sys.modules["torch"] = None  # so that its import fails
  try:
    from tensorboardX import record_writer
    from tensorboardX.proto import event_pb2, summary_pb2
  finally:
    if hidden:
      del sys.modules["torch"]
  return event_pb2, summary_pb2, record_writer.masked_crc32c


event_pb2, summary_pb2, masked_crc32c = _messages()


class Writer:
  """Metrics in files and on the screen; a context manager.

  resume_step: what the files hold behind this step is removed; at 0 all of it.
  primary: False on all processes but one: nothing is written or shown.
  live, interval: see `progress.Display`.
  Raises types.UserError where a file cannot be written (a full disk).
  """

  def __init__(
    self,
    workdir: pathlib.Path,
    *,
    total_steps: int,
    resume_step: int = 0,
    primary: bool = True,
    live: bool | None = None,
    interval: float = 10.0,
  ):
    self._display = self._lines = self._events = None
    self._messages = contextlib.ExitStack()  # sent to the display until closed
    if not primary:
      return
    workdir = pathlib.Path(workdir)
    lines, events = workdir / "metrics.jsonl", workdir / "tensorboard"
    try:
      events.mkdir(parents=True, exist_ok=True)
      _cut_lines(lines, resume_step)
      _cut_events(events, resume_step)
      self._lines = open(lines, "ab", buffering=0)  # noqa: SIM115
      name = f"{int(time.time())}.{socket.gethostname()}.{os.getpid()}"
      events = events / f"events.out.tfevents.{name}"
      self._events = open(events, "ab", buffering=0)  # noqa: SIM115
    except OSError as e:
      self.close()
      raise _failure(e, workdir) from e
    self._event(file_version="brain.Event:2")
    # A TensorBoard that runs on forgets what it has read behind this step.
    self._event(
      step=resume_step + 1 if resume_step else 0,
      session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START),
    )
    self._display = progress.Display(
      total_steps, step=resume_step, live=live, interval=interval
    )

  def __enter__(self):
    if self._display:
      self._display.start()
      self._messages.enter_context(log.above(self._display.write_line))
    return self

  def __exit__(self, *_):
    self.close()

  def close(self):
    """Ends the display and closes the files; a second call does nothing."""
    display, self._display = self._display, None
    self._messages.close()
    try:
      if display:
        display.close()
    finally:
      for file in (self._lines, self._events):
        if file:
          file.close()

  def write(self, step: int, split: str, values: dict[str, float]):
    """Appends values to both files; NaN and infinity are null in JSON."""
    if not self._display:
      return
    line = {"step": int(step), "split": split}
    line |= {name: _number(value) for name, value in values.items()}
    _append(self._lines, json.dumps(line, allow_nan=False).encode() + b"\n")
    scalars = [
      summary_pb2.Summary.Value(tag=f"{split}/{k}", simple_value=float(v))
      for k, v in values.items()
    ]
    self._event(step=int(step), summary=summary_pb2.Summary(value=scalars))

  def phase(self, name: str, done: int | None = None, total: int | None = None):
    """Shows what is going on; see `progress.Display.phase`."""
    if self._display:
      self._display.phase(name, done, total)

  def progress(self, step: int, epoch: int, values: dict[str, float]):
    """Shows a step done; see `progress.Display.progress`."""
    if self._display:
      self._display.progress(step, epoch, values)

  def validation(
    self,
    step: int,
    metric: str,
    score: float,
    best_step: int | None,
    best_score: float | None,
  ):
    """Shows a validation's score and the best so far."""
    if self._display:
      self._display.validation(step, metric, score, best_step, best_score)

  def _event(self, **fields):
    event = event_pb2.Event(wall_time=time.time(), **fields)
    _append(self._events, _pack(event.SerializeToString()))


def _number(value) -> float | int | None:
  if isinstance(value, int):
    return value
  value = float(value)
  return value if math.isfinite(value) else None


def _append(file, data: bytes):
  try:
    while data:  # an unbuffered file may take a part
      data = data[file.write(data) :]
  except OSError as e:
    raise _failure(e, file.name) from e


def _failure(error: OSError, where) -> types.UserError:
  return types.UserError(
    f"{error.filename or where}: cannot be written: {error.strerror}; "
    "mend that, then the same command goes on from the last checkpoint"
  )


def _cut_lines(path: pathlib.Path, step: int):
  """Keeps whole lines up to `step`, or none for step 0."""
  if not path.exists():
    return
  kept = []
  for line in path.read_bytes().splitlines():
    try:
      keep = step > 0 and json.loads(line)["step"] <= step
    except (ValueError, TypeError, KeyError):
      continue  # half a line, of a process that was killed
    if keep:
      kept.append(line + b"\n")
  files.replace(path, b"".join(kept), durable=True)


def _cut_events(folder: pathlib.Path, step: int):
  """Keeps whole events up to `step`; files without any are removed."""
  for path in sorted(folder.glob("events.out.tfevents.*")):
    old = path.read_bytes()
    events = [event_pb2.Event.FromString(data) for data in _unpack(old)]
    kept = [event for event in events if step and event.step <= step]
    if not any(event.HasField("summary") for event in kept):
      path.unlink()
      continue
    new = b"".join(_pack(event.SerializeToString()) for event in kept)
    if new != old:
      files.replace(path, new, durable=True)


# TensorBoard's record: length uint64, its checksum, the data, its checksum.


def _pack(data: bytes) -> bytes:
  length = struct.pack("<Q", len(data))
  return b"".join([length, _checksum(length), data, _checksum(data)])


def _unpack(records: bytes):
  """Yields the data of whole records, up to the first that is not."""
  at = 0
  while at + 12 <= len(records):
    length = records[at : at + 8]
    end = at + 12 + struct.unpack("<Q", length)[0]
    data = records[at + 12 : end]
    good = _checksum(length) == records[at + 8 : at + 12]
    if not good or _checksum(data) != records[end : end + 4]:
      return
    yield data
    at = end + 4


def _checksum(data: bytes) -> bytes:
  return struct.pack("<I", masked_crc32c(data))
