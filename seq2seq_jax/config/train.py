"""Schema: length of a run, validation, checkpoints, devices."""

import dataclasses
import difflib
from typing import Literal

from seq2seq_jax import metrics
from seq2seq_jax.config import fields


@dataclasses.dataclass(frozen=True)
class Train:
  """Length of a run, validation, checkpoints, devices."""

  steps: int = 1000
  """Updates. A longer run may be resumed from a shorter one, unless the
  schedule is `cosine`."""
  seed: int = 0
  """Seed of initialisation, dropout and the order of examples."""
  seeds: int = 1
  """Runs trained in one program, with the seeds from `seed` on: replicas."""
  steps_per_call: int = 1
  """Updates made by one call of the compiled program, for models so small that
  a call costs more than an update."""
  validate_every: int = 500
  """Steps between validations, each followed by a checkpoint."""
  checkpoint_every: int = fields.free(0)
  """Extra checkpoints every so many steps, for resuming alone; 0 is none."""
  checkpoint_minutes: float = fields.free(10.0)
  """Extra checkpoints after so many minutes, of a run in one process; 0 is
  none."""
  log_every: int = fields.free(50)
  """Steps between lines of metrics.jsonl."""
  metric: str = "loss"
  """Validation score that chooses the best checkpoint, stops early and moves
  the plateau schedule."""
  metrics: tuple[str, ...] = ()
  """Further scores computed at every validation and by `evaluate`."""
  bleu_tokenize: Literal["13a", "none", "intl", "char", "zh"] = fields.free(
    "13a"
  )
  """SacreBLEU's tokenisation; `none` for text that is tokenised already."""
  patience: int = 0
  """Stop after so many validations without improvement; 0 never."""
  keep_last: int = 2
  """Latest checkpoints kept."""
  keep_best: int = 1
  """Best checkpoints kept."""
  average: int = 0
  """Validated checkpoints that `--checkpoint average` averages; 0 is none."""
  average_of: Literal["last", "best"] = "last"
  """Which ones."""
  mapper: Literal["pmap", "shard_map", "vmap"] = fields.free("pmap")
  """How steps are mapped over devices; vmap is the oracle on one device."""
  init_from: str = ""
  """Workdir (`DIR#REPLICA` of several seeds), or `.npz` file of arrays named by
  path, whose parameters, merged by name, start this run. Of another vocabulary
  no row is taken."""

  def __post_init__(self):
    fields.typed(self)
    for name in (
      "steps",
      "seeds",
      "steps_per_call",
      "validate_every",
      "log_every",
      "keep_last",
    ):
      fields.check(getattr(self, name) >= 1, name, "must be at least 1")
    fields.check(
      0 <= self.seed <= 2**32 - self.seeds,
      "seed",
      "must lie between 0 and 4294967295, and so must those of all replicas",
    )
    for name in (
      "keep_best",
      "average",
      "patience",
      "checkpoint_every",
      "checkpoint_minutes",
    ):
      fields.check(getattr(self, name) >= 0, name, "must not be negative")
    for name in ("steps", "validate_every", "checkpoint_every"):
      fields.check(
        getattr(self, name) % self.steps_per_call == 0,
        f"{name}",
        f"must be a multiple of train.steps_per_call ({self.steps_per_call})",
      )
    deciding = metrics.names("model", "outputs", diagnostics=False)
    _check_metric("metric", self.metric, deciding)
    for name in self.metrics:
      _check_metric("metrics", name, metrics.names("model", "outputs"))


def _check_metric(field: str, name: str, known: tuple[str, ...]) -> None:
  near = difflib.get_close_matches(name, known, 3, 0.3)
  fields.check(
    name in known,
    field,
    f"unknown {name!r}; nearest: {', '.join(near) or ', '.join(known)}",
  )
