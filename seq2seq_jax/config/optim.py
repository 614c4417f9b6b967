"""Schema: losses, update rule and schedule."""

import dataclasses
from typing import Literal

from seq2seq_jax import types
from seq2seq_jax.config import fields

LARGEST = 10**6  # weight of an objective, or factor of a rate
# Their functions are listed in training/objectives.py.
OBJECTIVES = ("likelihood", "coverage", "ctc")


@fields.strict
@dataclasses.dataclass(frozen=True)
class Optim:
  """The loss, the optimizer and the learning rate's course."""

  optimizer: Literal[
    "sgd",
    "momentum",
    "adam",
    "adamw",
    "adagrad",
    "adadelta",
    "rmsprop",
    "adafactor",
    "lion",
  ] = "adam"
  """Update rule."""
  learning_rate: float = fields.field(1e-3, above=0, max=10**6)
  """Highest learning rate."""
  b1: float = fields.field(0.9, min=0, below=1)
  """First decay (momentum, Adam, AdamW, Lion)."""
  b2: float = fields.field(0.999, min=0, below=1)
  """Second decay (Adam, AdamW, RMSProp, Lion; Adadelta's rho)."""
  eps: float = fields.field(1e-8, min=1e-30, max=10**6)
  """Added to the denominator (Adam, AdamW, Adadelta, Adagrad, RMSProp)."""
  weight_decay: float = fields.field(0.0, min=0, max=10**6)
  """Decoupled decay for AdamW, Lion and Adafactor; else added to gradients
  (L2). Biases and scales are left out."""
  clip_norm: float = fields.field(5.0, min=0, max=10**9)
  """Largest global norm of the gradient; 0 is none."""
  schedule: Literal[
    "constant", "halving", "inverse_sqrt", "cosine", "plateau"
  ] = "constant"
  """Course after the warm-up. `halving`: times `decay_factor` every
  `decay_every` steps from `decay_start` on (Luong's and Sutskever's, given in
  steps); `plateau`: times `decay_factor` when the validation score has not
  improved for `plateau_patience` validations."""
  warmup_steps: int = fields.field(0, min=0, max=fields.MOST_STEPS)
  """Linear rise from 0."""
  decay_start: int = fields.field(0, min=0, max=fields.MOST_STEPS)
  """Updates before `halving` begins; at 0 the first one is halved already."""
  decay_every: int = fields.field(1000, min=1, max=fields.MOST_STEPS)
  """Steps between two halvings."""
  decay_factor: float = fields.field(0.5, above=0, max=1)
  """Factor of `halving` and `plateau`."""
  plateau_patience: int = fields.field(2, min=1, max=10**9)
  """Validations without improvement before `plateau` acts."""
  min_learning_rate: float = fields.field(0.0, min=0, max=10**6)
  """`cosine` ends here and `plateau` goes no lower."""
  objectives: tuple[str, ...] = fields.field(("likelihood",), extensible=True)
  """Terms of the loss, each `NAME` or `NAME=WEIGHT`: `likelihood`; `coverage`,
  the sum of min(attention, coverage) (See et al. 2017); `ctc` on the encoder,
  with a share w as `likelihood=1-w ctc=w` in numbers (Watanabe et al. 2017); or
  `FILE.py:NAME` of your own."""
  label_smoothing: float = fields.field(0.0, min=0, below=1)
  """Probability moved away from the reference token."""
  smoothing: Literal["uniform", "others"] = "uniform"
  """Over all tokens (Szegedy) or over all but the reference (fairseq)."""
  sampling: Literal[
    "none", "constant", "linear", "exponential", "inverse_sigmoid"
  ] = "none"
  """Scheduled sampling: course of the probability that the reference's token is
  fed, and not the model's own (Bengio et al. 2015)."""
  sampling_granularity: Literal["token", "sequence", "step"] = "token"
  """A coin for each token, each sequence, or each step of the whole batch."""
  sampling_pick: Literal["argmax", "sample"] = "argmax"
  """The model's own token: the most probable one, or a drawn one."""
  sampling_rate: float = fields.field(1.0, min=0, max=1)
  """That probability where it is constant, or at the start of `linear`."""
  sampling_low: float = fields.field(0.0, min=0, max=1)
  """The lowest probability of `linear`."""
  sampling_k: float = fields.field(0.0, min=0, max=10**9)
  """Slope an update of `linear`, base of `exponential`, or k of
  `inverse_sigmoid`."""
  sampling_own_end: bool = False
  """A target ends, for the loss, where the model feeds itself its end of
  sentence; what the reference has behind it is not learnt in that update."""
  normalize: Literal["tokens", "sentences"] = "tokens"
  """The loss is divided by the batch's target tokens or by its sentences."""
  accumulate: int = fields.field(1, min=1, max=10**6)
  """Parts in which a batch is computed, one after the other."""
  ema_decay: float = fields.field(0.0, min=0, below=1)
  """Decay of the exponential average of parameters that is validated and
  decoded with; 0 is none."""
  freeze: tuple[str, ...] = ()
  """Regular expressions: parameters whose path matches stay as they are."""
  rates: tuple[str, ...] = ()
  """`REGEX=FACTOR`: learning-rate factor of parameters whose path matches."""

  def __post_init__(self) -> None:
    fields.validate(self, "optim")
    fields.check(
      self.min_learning_rate <= self.learning_rate,
      "optim.min_learning_rate",
      f"must be at most optim.learning_rate ({self.learning_rate:g}), not "
      f"{self.min_learning_rate:g}",
    )
    fields.check(
      self.schedule != "inverse_sqrt" or self.warmup_steps > 0,
      "optim.warmup_steps",
      "schedule inverse_sqrt needs a warm-up",
    )
    fields.check(
      self.sampling != "constant" or self.sampling_rate < 1,
      "optim.sampling_rate",
      "is the probability of the reference's token; at 1 sampling constant "
      "feeds no other",
    )
    fields.check(
      not self.sampling_own_end or self.sampling != "none",
      "optim.sampling_own_end",
      "needs optim.sampling: otherwise the model feeds itself nothing",
    )
    ranges = {
      "linear": self.sampling_k > 0 or self.sampling_rate < 1,
      "exponential": 0 < self.sampling_k < 1,
      "inverse_sigmoid": self.sampling_k >= 1,
    }
    fields.check(
      ranges.get(self.sampling, True),
      "optim.sampling_k",
      "is a positive slope (linear), a base in (0, 1) (exponential), or "
      "at least 1 (inverse_sigmoid)",
    )
    fields.check(
      len(self.objectives) > 0,
      "optim.objectives",
      "is empty; name at least one objective",
    )
    weights = self.objective_weights()
    fields.check(
      len(weights) == len(self.objectives),
      "optim.objectives",
      f"names the same objective twice: {' '.join(self.objectives)}",
    )
    for name in weights:
      fields.check_name("optim.objectives", name, OBJECTIVES)
    for rate in self.rates:
      pattern, _, text = rate.rpartition("=")
      factor = fields.parse(text, float)
      fields.check(
        bool(pattern) and factor is not None and 0 <= factor <= LARGEST,
        "optim.rates",
        f"{fields.shown(rate)} is not REGEX=FACTOR with a factor of at least 0 "
        f"and at most {LARGEST:,}",
      )

  def objective_weights(self) -> dict[str, float]:
    """Weight in the loss of each objective, by name or `FILE.py:NAME`."""
    weights = {}
    for entry in self.objectives:
      name, mark, text = entry.partition("=")
      weight = fields.parse(text, float) if mark else 1.0
      if weight is None or not 0 < weight <= LARGEST:
        raise types.UserError(
          f"optim.objectives: {fields.shown(entry)} is not NAME or NAME=WEIGHT "
          f"with a positive weight of at most {LARGEST:,}"
        )
      weights[name] = weight
    return weights
