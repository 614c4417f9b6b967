"""Schema: the encoder."""

import dataclasses
from typing import Literal

from seq2seq_jax.config import fields

CELLS = (
  "lstm",
  "gru",
  "gru_bahdanau",
  "gru_cho",
  "elman",
  "ln_lstm",
  "rnmt_lstm",
  "ln_gru",
  "sru",
)


@fields.strict
@dataclasses.dataclass(frozen=True)
class Encoder:
  """What reads the source."""

  kind: Literal["rnn", "transformer"] = "rnn"
  """Recurrent, or a Transformer (its sizes: model.transformer)."""
  cell: str = fields.name("lstm", CELLS)
  """Recurrent cell, or `FILE.py:NAME`. `lstm`; `gru` resets after the recurrent
  product (cuDNN, PyTorch), `gru_bahdanau` and `gru_cho` before it; `elman` is
  the plain tanh; `ln_lstm`, `ln_gru` and `rnmt_lstm` are layer-normalised;
  `sru` has no product inside the loop."""
  dim: int = fields.field(256, min=1, max=10**6)
  """Width of the state, per direction."""
  layers: int = fields.field(1, min=1, max=256)
  """Layers, per direction."""
  direction: Literal["forward", "backward", "both"] = "both"
  """Read the source from the first position, from the last, or both ways."""
  stacking: Literal["joint", "separate", "gnmt"] = "joint"
  """Layers of two directions: concatenated after each layer, each direction a
  stack of its own (Britz et al. 2017), or only the first layer of two
  directions (GNMT)."""
  features: int = fields.field(0, min=0, max=10**5)
  """Features of a source frame (speech); 0: the source is tokens."""
  front_end: Literal["none", "convolution"] = "none"
  """Before the encoder of frames: two convolutions of stride 2 over time and
  frequency."""
  front_end_channels: int = fields.field(32, min=1, max=10**5)
  """Channels of the convolutions."""
  reduction: Literal["concat", "max"] = "concat"
  """How pyramidal layers join pairs of positions."""
  reductions: int = fields.field(0, min=0, max=20)
  """Layers that read pairs, from the second on; each halves the length (Chan
  et al. 2016)."""

  def __post_init__(self) -> None:
    fields.validate(self, "model.encoder")
    fields.check(
      self.stacking == "joint" or self.direction == "both",
      "model.encoder.stacking",
      "separate and gnmt need direction both",
    )
    fields.check(
      self.front_end == "none" or self.features > 0,
      "model.encoder.front_end",
      "reads frames of features; set model.encoder.features",
    )
    if self.kind == "rnn":
      fields.check(
        self.reductions < self.layers,
        "model.encoder.reductions",
        f"must be less than model.encoder.layers ({self.layers})",
      )
      fields.check(
        self.reductions == 0 or self.stacking == "joint",
        "model.encoder.reductions",
        "need stacking joint",
      )

  def stride(self) -> int:
    """Source positions to one of the memory."""
    halvings = self.reductions + (2 if self.front_end == "convolution" else 0)
    return 2**halvings

  def widths(self) -> list[int]:
    """Width of the output of each recurrent layer, both directions joined."""
    both = self.direction == "both" or self.stacking == "gnmt"
    widths = [self.dim * (2 if both else 1)] * self.layers
    if self.stacking == "gnmt":
      widths[1:] = [self.dim] * (self.layers - 1)
    return widths

  def layer_widths(self) -> list[int]:
    """Width that each layer hands to the next one, and the last one out."""
    if self.stacking == "separate":
      return [self.dim] * self.layers
    return self.widths()
