"""Schema: losses, update rule and schedule."""

import dataclasses
from typing import Literal

from seq2seq_jax.config import fields


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
  learning_rate: float = 1e-3
  """Highest learning rate."""
  b1: float = 0.9
  """First decay (momentum, Adam, AdamW, Lion)."""
  b2: float = 0.999
  """Second decay (Adam, AdamW, RMSProp, Lion; Adadelta's rho)."""
  eps: float = 1e-8
  """Added to the denominator (Adam, AdamW, Adadelta, Adagrad, RMSProp)."""
  weight_decay: float = 0.0
  """Decoupled decay for AdamW, Lion and Adafactor; else added to gradients
  (L2). Biases and scales are left out."""
  clip_norm: float = 5.0
  """Largest global norm of the gradient; 0 is none."""
  schedule: Literal[
    "constant", "halving", "inverse_sqrt", "cosine", "plateau"
  ] = "constant"
  """Course after the warm-up. `halving`: times `decay_factor` every
  `decay_every` steps from `decay_start` on (Luong's and Sutskever's, given in
  steps); `plateau`: times `decay_factor` when the validation score has not
  improved for `plateau_patience` validations."""
  warmup_steps: int = 0
  """Linear rise from 0."""
  decay_start: int = 0
  """Updates before `halving` begins; at 0 the first one is halved already."""
  decay_every: int = 1000
  """Steps between two halvings."""
  decay_factor: float = 0.5
  """Factor of `halving` and `plateau`."""
  plateau_patience: int = 2
  """Validations without improvement before `plateau` acts."""
  min_learning_rate: float = 0.0
  """`cosine` ends here and `plateau` goes no lower."""
  label_smoothing: float = 0.0
  """Probability moved away from the reference token."""
  smoothing_form: Literal["uniform", "others"] = "uniform"
  """Over all tokens (Szegedy) or over all but the reference (fairseq)."""
  coverage_weight: float = 0.0
  """Weight of the coverage loss, sum of min(attention, coverage) (See et al.
  2017)."""
  ctc_weight: float = 0.0
  """Share of a CTC loss on the encoder in the whole loss (Watanabe et al.
  2017)."""
  sampling: Literal[
    "none", "constant", "linear", "exponential", "inverse_sigmoid"
  ] = "none"
  """Scheduled sampling: course of the probability that the reference's token is
  fed, and not the model's own (Bengio et al. 2015)."""
  sampling_unit: Literal["token", "sequence", "step"] = "token"
  """A coin for each token, each sequence, or each step of the whole batch."""
  sampling_choice: Literal["argmax", "sample"] = "argmax"
  """The model's own token: the most probable one, or a drawn one."""
  sampling_rate: float = 1.0
  """That probability where it is constant, or at the start of `linear`."""
  sampling_low: float = 0.0
  """The lowest probability of `linear`."""
  sampling_k: float = 0.0
  """Slope an update of `linear`, base of `exponential`, or k of
  `inverse_sigmoid`."""
  normalize: Literal["tokens", "sentences"] = "tokens"
  """The loss is divided by the batch's target tokens or by its sentences."""
  accumulate: int = 1
  """Parts in which a batch is computed, one after the other."""
  ema_decay: float = 0.0
  """Decay of the exponential average of parameters that is validated and
  decoded with; 0 is none."""
  freeze: tuple[str, ...] = ()
  """Regular expressions: parameters whose path matches stay as they are."""
  rates: tuple[str, ...] = ()
  """`REGEX=FACTOR`: learning-rate factor of parameters whose path matches."""

  def __post_init__(self):
    fields.typed(self)
    fields.check(self.learning_rate > 0, "learning_rate", "must be positive")
    for name in ("label_smoothing", "ema_decay", "b1", "b2"):
      fields.check(0 <= getattr(self, name) < 1, name, "must lie in [0, 1)")
    fields.check(0 < self.decay_factor <= 1, "decay_factor", "not in (0, 1]")
    fields.check(
      0 <= self.min_learning_rate <= self.learning_rate,
      "min_learning_rate",
      f"must lie between 0 and learning_rate ({self.learning_rate:g})",
    )
    for name in ("clip_norm", "weight_decay", "eps", "decay_start"):
      fields.check(getattr(self, name) >= 0, name, "must not be negative")
    fields.check(self.accumulate >= 1, "accumulate", "must be at least 1")
    fields.check(self.decay_every >= 1, "decay_every", "must be at least 1")
    fields.check(
      self.plateau_patience >= 1, "plateau_patience", "must be at least 1"
    )
    fields.check(self.warmup_steps >= 0, "warmup_steps", "must not be negative")
    fields.check(
      self.schedule != "inverse_sqrt" or self.warmup_steps > 0,
      "warmup_steps",
      "schedule inverse_sqrt needs a warm-up",
    )
    fields.check(self.coverage_weight >= 0, "coverage_weight", "is negative")
    fields.check(0 <= self.ctc_weight <= 1, "ctc_weight", "must lie in [0, 1]")
    for name in ("sampling_rate", "sampling_low"):
      fields.check(0 <= getattr(self, name) <= 1, name, "must lie in [0, 1]")
    fields.check(
      self.sampling != "constant" or self.sampling_rate < 1,
      "sampling_rate",
      "is the probability of the reference's token; at 1 sampling constant "
      "feeds no other",
    )
    ranges = {
      "linear": self.sampling_k > 0 or self.sampling_rate < 1,
      "exponential": 0 < self.sampling_k < 1,
      "inverse_sigmoid": self.sampling_k >= 1,
    }
    fields.check(
      ranges.get(self.sampling, True),
      "sampling_k",
      "is a positive slope (linear), a base in (0, 1) (exponential), or "
      "at least 1 (inverse_sigmoid)",
    )
    for rate in self.rates:
      pattern, _, factor = rate.rpartition("=")
      try:
        float(factor)
        ok = bool(pattern)
      except ValueError:
        ok = False
      fields.check(ok, "rates", f"{rate!r} is not REGEX=FACTOR")
