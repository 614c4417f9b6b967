"""Schema: length of a run, validation, checkpoints, devices."""

import dataclasses
import re
from typing import Literal

from seq2seq_jax import metrics
from seq2seq_jax.config import fields


@fields.strict
@dataclasses.dataclass(frozen=True)
class Train:
  """Length of a run, validation, checkpoints, devices."""

  steps: int = fields.field(1000, min=1, max=fields.MOST_STEPS)
  """Updates. A longer run may be resumed from a shorter one, unless the
  schedule is `cosine`."""
  seed: int = fields.field(0, min=0, below=2**32)
  """Seed of initialisation, dropout and the order of examples."""
  seeds: int = fields.field(1, min=1, max=1000)
  """Runs trained in one program, with the seeds from `seed` on: replicas."""
  steps_per_call: int = fields.field(1, min=1, max=10**5)
  """Updates made by one call of the compiled program, for models so small that
  a call costs more than an update."""
  validate_every: int = fields.field(500, min=1, max=fields.MOST_STEPS)
  """Steps between validations, each followed by a checkpoint."""
  checkpoint_every: int = fields.mutable_on_resume(
    0, min=0, max=fields.MOST_STEPS
  )
  """Extra checkpoints every so many steps, for resuming alone; 0 is none."""
  checkpoint_minutes: float = fields.mutable_on_resume(10.0, min=0, max=10**6)
  """Extra checkpoints after so many minutes, of a run in one process; 0 is
  none."""
  log_every: int = fields.mutable_on_resume(50, min=1, max=fields.MOST_STEPS)
  """Steps between lines of metrics.jsonl."""
  metric: str = fields.field("loss", extensible=True)
  """Validation score that chooses the best checkpoint, stops early and moves
  the plateau schedule."""
  metrics: tuple[str, ...] = fields.field((), extensible=True)
  """Further scores, names or `FILE.py:NAME`, computed at every validation and
  by `evaluate`."""
  bleu_tokenize: Literal["13a", "none", "intl", "char", "zh"] = (
    fields.mutable_on_resume("13a")
  )
  """SacreBLEU's tokenisation; `none` for text that is tokenised already."""
  patience: int = fields.field(0, min=0, max=10**9)
  """Stop after so many validations without improvement; 0 never."""
  keep_last: int = fields.field(2, min=1, max=10**6)
  """Latest checkpoints kept."""
  keep_best: int = fields.field(1, min=0, max=10**6)
  """Best checkpoints kept."""
  average: int = fields.field(0, min=0, max=10**6)
  """Validated checkpoints that `--checkpoint average` averages; 0 is none."""
  average_of: Literal["last", "best"] = "last"
  """Which ones."""
  mapper: Literal["pmap", "shard_map", "vmap"] = fields.mutable_on_resume(
    "pmap"
  )
  """How steps are mapped over devices; vmap, on one device, is a reference for
  tests."""
  init_from: str = ""
  """Workdir (`DIR#REPLICA` of several seeds), or `.npz` file of arrays named by
  path, whose parameters, merged by name, start this run. Of another vocabulary
  no row is taken."""
  init_parts: tuple[str, ...] = ()
  """Parts of this model and where they come from, `OURS=DIR:THEIRS`, as of a
  language model (Ramachandran et al. 2017):
  `encoder/forward_(\\d)=runs/lm:decoder/layer_\\1`. OURS is a regular
  expression for the beginning of a parameter's path, THEIRS the beginning of
  its path in DIR. Rows of words are taken by word; of `readout_layer`'s kernel
  those of the state. Taken after `init_from`, in this order."""

  def __post_init__(self) -> None:
    fields.validate(self, "train")
    for part in self.init_parts:
      ours, _, place = part.partition("=")
      source, _, theirs = place.rpartition(":")
      fields.check(
        bool(ours and source and theirs) and _is_pattern(ours),
        "train.init_parts",
        f"{part!r} is not OURS=DIR:THEIRS, OURS a regular expression",
      )
    last = self.seed + self.seeds - 1
    fields.check(
      last < 2**32,
      "train.seed",
      f"the last of train.seeds would be {last}; it must be below 4294967296",
    )
    for name in ("steps", "validate_every", "checkpoint_every"):
      fields.check(
        getattr(self, name) % self.steps_per_call == 0,
        f"train.{name}",
        f"must be a multiple of train.steps_per_call ({self.steps_per_call})",
      )
    deciding = metrics.names("model", "outputs", "ctc", diagnostics=False)
    fields.check_name("train.metric", self.metric, deciding)
    known = metrics.names("model", "outputs", "ctc")
    for name in self.metrics:
      fields.check_name("train.metrics", name, known)


def _is_pattern(text: str) -> bool:
  try:
    re.compile(text)
  except (re.error, OverflowError, RecursionError):
    return False
  return True
