"""Schema: the attention of a recurrent decoder."""

import dataclasses
from typing import Literal

from seq2seq_jax.config import fields

SCORES = (
  "none",
  "additive",
  "normed_additive",
  "dot",
  "scaled_dot",
  "general",
  "scaled_general",
  "multiplicative",
  "concat",
  "location",
  "location_aware",
  "coverage",
  "feedback",
  "multi_head_dot",
  "multi_head_additive",
)


@fields.strict
@dataclasses.dataclass(frozen=True)
class Attention:
  """How a recurrent decoder attends to the source."""

  score: str = fields.name("general", SCORES)
  """Score of a source position, or `FILE.py:NAME`: `none` (a fixed vector,
  model.decoder.context), `additive`, `normed_additive`, `dot`, `scaled_dot`,
  `general`, `scaled_general`, `multiplicative`, `concat`, `location`,
  `location_aware`, `coverage`, `feedback`, `multi_head_dot`,
  `multi_head_additive`. models/README.md has their papers."""
  dim: int = fields.field(256, min=1, max=10**6)
  """Width of the score's hidden layer, or of all heads together."""
  heads: int = fields.field(4, min=1, max=10**4)
  """Heads of multi_head_dot and multi_head_additive."""
  norm: Literal["softmax", "sparsemax"] = "softmax"
  """From scores to weights."""
  window: Literal["none", "monotonic", "predictive"] = "none"
  """Luong's local attention: around the step's own place (local-m) or around a
  predicted one (local-p)."""
  window_size: int = fields.field(10, min=1, max=10**7)
  """Positions on either side of a local attention's centre."""
  filters: int = fields.field(10, min=1, max=10**5)
  """Channels of location_aware's convolution."""
  filter_width: int = fields.field(15, min=1, max=10**5)
  """Width of location_aware's convolution; odd."""
  location_start: Literal["zeros", "uniform"] = "zeros"
  """The weights that location_aware sees before its first step: none, or the
  same for all source positions (ESPnet, SpeechBrain)."""
  positions: int = fields.field(100, min=1, max=10**7)
  """Positions that `location` has weights for; those after them get none."""

  def __post_init__(self) -> None:
    fields.validate(self, "model.attention")
    fields.check(
      self.filter_width % 2 == 1,
      "model.attention.filter_width",
      f"must be odd, not {self.filter_width}",
    )
    fields.check(
      self.score != "none" or self.window == "none",
      "model.attention.window",
      f"{self.window} needs an attention; set it none, or a score",
    )

  def check_sizes(self, memory_dim: int, decoder_dim: int) -> None:
    """Checks the score against the widths of the encoder and the decoder."""
    fields.check(
      self.score not in ("dot", "scaled_dot") or memory_dim == decoder_dim,
      "model.attention.score",
      f"{self.score} needs the encoder's width ({memory_dim}) to equal "
      f"model.decoder.dim ({decoder_dim}); general has no such need",
    )
    if self.score.startswith("multi_head"):
      widths = {
        "model.attention.dim": self.dim,
        "the encoder's width": memory_dim,
      }
      for name, width in widths.items():
        fields.check(
          width % self.heads == 0,
          "model.attention.heads",
          f"{self.heads} must divide {name} ({width})",
        )
