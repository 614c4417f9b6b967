"""How a run's state changes: what follows from losses, scores and time.

At a boundary the order is: validate, fold the score into the state, save. So a
checkpoint holds every decision up to its step, and none is made twice. Where a
signal breaks a validation off, the run is saved without it, says so, and makes
it when it is resumed.
"""

import dataclasses
import functools
import logging
from collections.abc import Iterable

import numpy as np

from seq2seq_jax import metrics, types
from seq2seq_jax.inference import evaluator
from seq2seq_jax.runtime import processes, signals
from seq2seq_jax.training import (
  metrics_writer,
  model_selection,
  run_info,
  throughput,
)
from seq2seq_jax.training import run as run_lib

log = logging.getLogger(__name__)


def record(
  run: run_lib.Run,
  windows: list[throughput.Window],
  meter: throughput.Meter,
  writer: metrics_writer.Writer,
) -> None:
  """Counts finished steps, stops what diverged, writes lines of metrics.

  Raises:
    types.Diverged: the loss of the last running replica is not finite.
  """
  stop_diverged(run, windows)
  for window in windows:
    replicas = run.running() or [0]
    tokens = window.values["tokens"]
    for replica in replicas:
      run.selection[replica].tokens += int(tokens[:, replica].sum())
    meter.add(
      float(tokens[:, replicas].sum()),
      _padded_tokens(run, window) * len(replicas),
    )
    shown, epoch = _shown(run, window, replicas, meter)
    writer.display.progress(window.end, epoch, shown)
    every = run.config.train.log_every
    if window.end % every == 0 or window.end == run.last_step:
      writer.write(
        window.end, "train", shown | _details(run, window, replicas, epoch)
      )
      meter.restart()


def stop_diverged(
  run: run_lib.Run, windows: Iterable[throughput.Window]
) -> None:
  """Stops replicas whose loss or gradient is not finite.

  Raises:
    types.Diverged: it is the last one that runs, and none has ended well.
  """
  for window in windows:
    _stop_diverged(run, window)


def _stop_diverged(run: run_lib.Run, window: throughput.Window) -> None:
  """Stops replicas that diverged in a window."""
  loss, norm = window.values["loss"], window.values["grad_norm"]
  finite = np.isfinite(loss) & np.isfinite(norm)
  for replica in run.running():
    if finite[:, replica].all():
      continue
    row = int(np.argmin(finite[:, replica]))
    step = window.start + 1 + row
    message = _cause(run, window, row, replica)
    ended_well = any(s.stopped and s.diverged is None for s in run.selection)
    if run.running() == [replica] and not ended_well:
      raise types.Diverged(message)
    log.warning(f"replica {replica} has diverged and stops: {message}")
    diverge(run, replica, step)


def _cause(
  run: run_lib.Run, window: throughput.Window, row: int, replica: int
) -> str:
  """What to tell of a step whose loss or gradient is not finite.

  Args:
    run: whose parameters were finite at its start.
    window: holds the step.
    row: of the step in it.
    replica: which one.
  """
  step = window.start + 1 + row
  values = {name: float(v[row, replica]) for name, v in window.values.items()}
  message = (
    f"step {step}: the loss is {values['loss']}, the gradient's norm "
    f"{values['grad_norm']}"
  )
  if step > 1:
    return (
      f"{message}; the last checkpoint is from before. A lower "
      "optim.learning_rate or optim.clip_norm, in a new workdir, may help"
    )
  if np.isfinite(values["loss"]):
    return (
      f"{message}, before any update, so no learning rate is the cause: a "
      "derivative in the model or in an objective is not finite for the first "
      "batch"
    )
  names = [n for n, v in values.items() if not np.isfinite(v)]
  names = [n for n in names if n not in ("loss", "grad_norm")] or ["the loss"]
  return (
    f"{message}, before any update, so no learning rate is the cause: "
    f"{', '.join(names)} of the first batch is not finite; see to the data, "
    "optim.objectives and model.init"
  )


def diverge(run: run_lib.Run, replica: int, step: int) -> None:
  """Freezes one of several replicas, whose loss was not finite at a step."""
  run.selection[replica].diverged = step
  run.selection[replica].stopped = True
  _scale_learning_rate(run, replica, 0.0)


def validate(
  run: run_lib.Run,
  step: int,
  writer: metrics_writer.Writer,
  stop: signals.GracefulStop,
) -> bool:
  """Scores every running replica and makes the decisions that follow.

  Of several processes, the first one's scores decide in all of them.

  Returns:
    False if a signal broke it off; then nothing has changed.
  """
  metric = run.deciding_metric.name
  replicas = run.running()

  def rescue() -> None:
    save(run, step, writer, unvalidated=True)
    run.checkpoints.finish()

  try:
    with stop.breaking(step, rescue):
      values = processes.broadcast(
        [_validation_scores(run, replica, writer) for replica in replicas]
      )
  except signals.Stopped:
    return False
  scores: dict[str, float] = {}
  for replica, values_of_one in zip(replicas, values, strict=True):
    scores |= {run.metric_name(k, replica): v for k, v in values_of_one.items()}
    apply_score(run, replica, step, values_of_one[metric])
  writer.write(step, "valid", scores)
  for replica, values_of_one in zip(replicas, values, strict=True):
    selection = run.selection[replica]
    of_ctc = [m for m in metrics.names("ctc") if m in values_of_one]
    writer.display.validation(
      step,
      run.metric_name(metric, replica),
      selection.last_score,
      selection.best_step,
      selection.best_score,
      {m: values_of_one[m] for m in of_ctc if m != metric},
    )
  return True


def validate_again(
  run: run_lib.Run, writer: metrics_writer.Writer, stop: signals.GracefulStop
) -> bool:
  """Makes the validation that a signal broke off before the run was resumed.

  Its decisions are added to the checkpoint, which was saved without them.

  Returns:
    False if a signal broke it off too.
  """
  run.begin()
  writer.open(run.step, unvalidated=True)
  if not validate(run, run.step, writer, stop):
    return False
  run.unvalidated = False
  decisions = model_selection.to_json(run.selection)
  scales = [float(x) for x in run.learning_rate_scales()]
  added = {"learning_rate_scales": scales, "unvalidated": False}
  run.checkpoints.add(run.step, decisions | added)
  return True


def apply_score(
  run: run_lib.Run, replica: int, step: int, score: float
) -> None:
  """Folds a validation score into the state: best, patience, learning rate."""
  selection = run.selection[replica]
  decays = selection.update(step, score)
  if decays:
    # In float32 as it is stored, so that resuming gives the same bits.
    scale = run.learning_rate_scales()[replica]
    _scale_learning_rate(run, replica, selection.decayed(scale))
  if selection.stopped and run.replicas > 1:
    _scale_learning_rate(run, replica, 0.0)  # the others go on without it


def save(
  run: run_lib.Run,
  step: int,
  writer: metrics_writer.Writer,
  *,
  unvalidated: bool = False,
) -> None:
  """Starts to write a checkpoint; those no longer needed are deleted.

  Args:
    run: is saved.
    step: the last one made.
    writer: whose display shows it.
    unvalidated: a validation is due, and is made when the run is resumed.
  """
  writer.display.phase("saving")
  run.checkpoints.save(
    step,
    run.state._asdict(),
    model_selection.to_json(run.selection)
    | {"identity": dataclasses.asdict(run.identity)}
    | ({"unvalidated": True} if unvalidated else {}),
    set().union(*(s.kept_steps() for s in run.selection)),
  )
  if not run.saved:
    run.checkpoints.finish()
    run.saved = True
    if run.primary:
      run_info.note_saved(run.workdir)


def _padded_tokens(run: run_lib.Run, window: throughput.Window) -> int:
  """Target tokens of a replica's batches, padding included."""
  shapes = [
    run.data.buckets[run.data.bucket(step)]
    for step in range(window.start, window.end)
  ]
  return sum(b.rows * b.target for b in shapes)


def _shown(
  run: run_lib.Run,
  window: throughput.Window,
  replicas: list[int],
  meter: throughput.Meter,
) -> tuple[dict[str, float], int]:
  """What the display shows of a window's last step, and its epoch."""
  shown = {
    name: float(np.mean(window.values[name][-1][replicas]))
    for name in ("loss", "learning_rate")
  }
  epoch = (window.end - 1) // len(run.data.plan) + 1
  return shown | meter.rates(), epoch


def _details(
  run: run_lib.Run,
  window: throughput.Window,
  replicas: list[int],
  epoch: int,
) -> dict[str, float]:
  """What a line of metrics holds beside that, each replica's values too."""
  last = {name: values[-1] for name, values in window.values.items()}
  names = [n for n in last if n not in ("loss", "learning_rate", "tokens")]
  details: dict[str, float] = {"epoch": epoch}
  details |= {name: float(np.mean(last[name][replicas])) for name in names}
  details["tokens"] = run.selection[replicas[0]].tokens
  if run.replicas > 1:
    details |= {
      run.metric_name(name, replica): float(last[name][replica])
      for name in ("loss", *names)
      for replica in replicas
    }
  return details


def _validation_scores(
  run: run_lib.Run, replica: int, writer: metrics_writer.Writer
) -> dict[str, float]:
  """Scores of the validation set under a replica's parameters."""
  assert run.evaluator is not None
  chosen = evaluator.metrics_of(run.config)
  params = (run.params(replica),)
  writer.display.phase("validating: loss")
  values = run.evaluator.model_scores(params)
  if any(metric.needs == "outputs" for metric in chosen):
    decode = run.evaluator.conf.decode
    _, texts = run.evaluator.translate(
      params,
      dataclasses.replace(decode, beam_size=decode.valid_beam_size, exact=0),
      progress=functools.partial(writer.display.phase, "validating: decoding"),
    )
    scores = run.evaluator.text_scores(texts, chosen)
    values |= {k: v for k, v in scores.items() if isinstance(v, float)}
  return values


def _scale_learning_rate(run: run_lib.Run, replica: int, factor: float) -> None:
  """Sets a replica's factor of the learning rate; 0 freezes the replica."""
  scales = run.learning_rate_scales()
  scales[replica] = factor
  run.scale_learning_rates(scales)
