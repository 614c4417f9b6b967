"""What a run has decided so far: a small JSON in each of its checkpoints."""

import math
from typing import NamedTuple

NEW = {
  "best_step": None,
  "best_score": None,
  "last_score": None,
  "bad": 0,  # validations since the best
  "plateau": 0,  # validations since the best or the last decay
  "validated": [],  # [step, score], or None for the score
  "averaged": [],
  "tokens": 0,
  "stopped": False,
  "diverged": None,  # the step at which the loss was not finite
}


class Rules(NamedTuple):
  """What decisions follow from scores."""

  falling: bool  # the metric is better when lower
  patience: int  # validations without improvement before stopping; 0: never
  plateau: int  # and before the learning rate falls; 0: never
  decay: float  # factor of a fall
  lowest: float  # of the learning rate's factor
  average: int  # checkpoints averaged
  average_best: bool  # the best ones, else the last
  keep_last: int
  keep_best: int


class History:
  """The decisions of one run, or of one replica of several in one program."""

  def __init__(self, rules: Rules, host: dict | None = None):
    self.rules = rules
    self.host = dict(NEW) | {k: v for k, v in (host or {}).items() if k in NEW}

  def __getitem__(self, name: str):
    return self.host[name]

  def __setitem__(self, name: str, value):
    self.host[name] = value

  def fold(self, at: int, score: float) -> bool:
    """Makes what decisions follow from a validation.

    Returns whether the learning rate falls now (schedule `plateau`).
    """
    rules, host = self.rules, self.host
    host["last_score"] = score
    host["validated"] = [*host["validated"], [at, score]]
    if host["best_score"] is None or self.better(score, host["best_score"]):
      host |= {"best_step": at, "best_score": score, "bad": 0, "plateau": 0}
    else:
      host |= {"bad": host["bad"] + 1, "plateau": host["plateau"] + 1}
    falls = bool(rules.plateau) and host["plateau"] >= rules.plateau
    if falls:
      host["plateau"] = 0
    if rules.patience and host["bad"] >= rules.patience:
      host["stopped"] = True
    if rules.average:
      last = host["validated"][-rules.average :]
      best = self.ranked()[: rules.average]
      chosen = best if rules.average_best else last
      host["averaged"] = sorted(s for s, _ in chosen)
    return falls

  def passed(self, at: int) -> None:
    """A checkpoint where there is nothing to validate on."""
    host = self.host
    host["validated"] = [*host["validated"], [at, None]]
    last = host["validated"][-self.rules.average :]
    host["averaged"] = [s for s, _ in last] if self.rules.average else []

  def better(self, score: float, than: float) -> bool:
    """Whether a score is better; NaN never is, and anything is than NaN."""
    if math.isnan(score) or math.isnan(than):
      return math.isnan(than) and not math.isnan(score)
    return score < than if self.rules.falling else score > than

  def lowered(self, scale: float) -> float:
    """The learning rate's factor after a fall."""
    return max(scale * self.rules.decay, self.rules.lowest)

  def ranked(self) -> list:
    """Validated [step, score], best first; the earlier one wins a tie."""
    sign = 1 if self.rules.falling else -1
    key = lambda v: (math.isnan(v[1]), sign * v[1])
    scored = [v for v in self.host["validated"] if v[1] is not None]
    return sorted(scored, key=key)

  def needed(self) -> set[int]:
    """Steps whose checkpoints are kept."""
    rules = self.rules
    last = [s for s, _ in self.host["validated"][-rules.keep_last :]]
    best = [s for s, _ in self.ranked()[: rules.keep_best]]
    return {*last, *best, *self.host["averaged"]}


def pack(histories: list[History]) -> dict:
  """What a checkpoint holds of one run or of its replicas."""
  if len(histories) == 1:
    return histories[0].host
  return {"replicas": [h.host for h in histories]}


def unpack(rules: Rules, host: dict) -> list[History]:
  return [History(rules, h) for h in host.get("replicas", [host])]
