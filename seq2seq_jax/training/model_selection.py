"""Early-stopping and model-selection state; JSON in every checkpoint."""

import dataclasses
import math
import typing
from collections.abc import Sequence
from typing import Any, NamedTuple

from seq2seq_jax import records


class Rules(NamedTuple):
  """Early-stopping, plateau and checkpoint-retention rules of a config."""

  lower_is_better: bool  # the metric that decides
  patience: int  # validations without improvement before stopping; 0: never
  plateau_patience: int  # and before the learning rate decays; 0: never
  decay_factor: float  # of the learning rate at a plateau
  min_scale: float  # lowest product of these factors
  average: int  # number of checkpoints to average; 0: none
  average_best: bool  # average the best ones, else the last
  keep_last: int
  keep_best: int


@dataclasses.dataclass
class ModelSelection:
  """The decisions of one run, or of one replica of several in one program."""

  rules: Rules
  best_step: int | None = None
  best_score: float | None = None
  last_score: float | None = None
  stale_count: int = 0  # validations since the best one
  since_decay: int = 0  # validations since the best one or the last decay
  validated: list[list[Any]] = dataclasses.field(default_factory=list)
  """[step, score] of each validation, or [step, None] without one."""
  averaged: list[int] = dataclasses.field(default_factory=list)
  """Steps of the checkpoints that `--checkpoint average` averages."""
  tokens: int = 0  # target tokens trained on
  stopped: bool = False
  diverged: int | None = None  # the step at which the loss was not finite

  @classmethod
  def from_json(
    cls, rules: Rules, values: dict[str, Any], place: str
  ) -> "ModelSelection":
    """The state that `to_json` gave; other entries are not read.

    Raises:
      types.UserError: an entry is of another type; it names it and `place`.
    """
    kinds = typing.get_type_hints(cls)
    del kinds["rules"]
    known = {k: v for k, v in values.items() if k in kinds}
    # Lists of two; the values stay as they are.
    pairs = list[tuple[int, float | None]]
    records.decode(pairs, known.get("validated", []), f"{place}: validated")
    for name, value in known.items():
      records.decode(kinds[name], value, f"{place}: {name}")
    return cls(rules, **known)

  def to_json(self) -> dict[str, Any]:
    """The state without the rules, which the config holds."""
    values = dataclasses.asdict(self)
    del values["rules"]
    return values

  def update(self, step: int, score: float) -> bool:
    """Makes the decisions that follow from a validation.

    Returns:
      True if the learning rate decays now (schedule `plateau`).
    """
    rules = self.rules
    self.last_score = score
    self.validated.append([step, score])
    if self.best_score is None or self.is_better(score, self.best_score):
      self.best_step, self.best_score = step, score
      self.stale_count = self.since_decay = 0
    else:
      self.stale_count += 1
      self.since_decay += 1
    decays = 0 < rules.plateau_patience <= self.since_decay
    if decays:
      self.since_decay = 0
    if 0 < rules.patience <= self.stale_count:
      self.stopped = True
    if rules.average:
      last = self.validated[-rules.average :]
      best = self.ranked()[: rules.average]
      self.averaged = sorted(
        s for s, _ in (best if rules.average_best else last)
      )
    return decays

  def record_unscored(self, step: int) -> None:
    """Notes a checkpoint of a run that has no validation set."""
    self.validated.append([step, None])
    if self.rules.average:
      self.averaged = [s for s, _ in self.validated[-self.rules.average :]]

  def is_better(self, score: float, other: float) -> bool:
    """True if `score` is better; NaN is worse than anything else."""
    if math.isnan(score) or math.isnan(other):
      return math.isnan(other) and not math.isnan(score)
    return score < other if self.rules.lower_is_better else score > other

  def decayed(self, scale: float) -> float:
    """The learning rate's factor after a decay."""
    return max(scale * self.rules.decay_factor, self.rules.min_scale)

  def ranked(self) -> list[list[Any]]:
    """Validated [step, score], best first; the earlier one wins a tie."""
    sign = 1 if self.rules.lower_is_better else -1
    scored = [v for v in self.validated if v[1] is not None]
    return sorted(scored, key=lambda v: (math.isnan(v[1]), sign * v[1]))

  def kept_steps(self) -> set[int]:
    """Steps whose checkpoints are kept."""
    rules = self.rules
    last = [s for s, _ in self.validated[-rules.keep_last :]]
    best = [s for s, _ in self.ranked()[: rules.keep_best]]
    return {*last, *best, *self.averaged}


def to_json(replicas: Sequence[ModelSelection]) -> dict[str, Any]:
  """The JSON in a checkpoint: of a single run, or of all replicas."""
  if len(replicas) == 1:
    return replicas[0].to_json()
  return {"replicas": [r.to_json() for r in replicas]}


def from_json(
  rules: Rules, values: dict[str, Any], place: str
) -> list[ModelSelection]:
  """One state a replica, from a checkpoint's JSON.

  Args:
    rules: of the config.
    values: the JSON.
    place: names the checkpoint in messages.

  Raises:
    types.UserError: an entry is of another type.
  """
  stored = records.decode(
    list[dict[str, Any]],
    values.get("replicas", [values]),
    f"{place}: replicas",
  )
  return [ModelSelection.from_json(rules, v, place) for v in stored]
