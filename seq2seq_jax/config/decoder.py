"""Schema: the decoder and its readout."""

import dataclasses
import typing
from typing import Literal

from seq2seq_jax.config import encoder, fields
from seq2seq_jax.config.transformer import Transformer

BRIDGES = (
  "zero",
  "last",
  "mean",
  "dense",
  "backward",
  "relu",
  "linear",
  "top",
  "dense_top",
  "relu_rows",
)
TAKE_ANY_VECTOR = {"dense", "relu", "linear", "dense_top"}
"""Bridges with a layer over what stands for the encoder's state, if anything
does."""
NEED_EQUAL_SHAPES = {"last", "relu_rows"}
"""Bridges that hand over each layer's state in its own width."""
Placement = Literal[
  "luong", "bahdanau", "cgru", "gnmt_v2", "gnmt", "nvidia_gnmt"
]
PLACEMENTS: tuple[Placement, ...] = typing.get_args(Placement)
# What the checks ask of a placement: facts of models/placements.py, with which
# a test compares them.
ASKS_ABOVE_ALL = {"luong"}
"""The query is the new top state."""
ASKS_PREVIOUS_TOP = {"bahdanau"}
"""The query is the top state of the step before."""
FEEDS_ABOVE = {"gnmt_v2", "gnmt", "nvidia_gnmt"}
"""The context is an input of the layers above the lowest."""
LOWEST_SEES_NO_CONTEXT = {"nvidia_gnmt"}
"""Of these, those whose lowest layer sees no context, not the last one's."""


@fields.strict
@dataclasses.dataclass(frozen=True)
class Decoder:
  """What writes the target."""

  kind: Literal["rnn", "transformer"] = "rnn"
  """Recurrent, or a Transformer."""
  sizes: Literal["shared", "own"] = "shared"
  """Which section describes a Transformer decoder: model.transformer, which is
  the encoder's too, or model.decoder.transformer."""
  transformer: Transformer = Transformer()
  """A Transformer decoder whose sizes are its own."""
  cell: str = fields.name("same", ("same", *encoder.CELLS))
  """Recurrent cell as in model.encoder.cell; `same` is that one."""
  embed_dim: int = fields.field(0, min=0, max=10**6)
  """Width of target embeddings; 0: model.embed_dim."""
  dim: int = fields.field(512, min=1, max=10**6)
  """Width of the state."""
  layers: int = fields.field(1, min=1, max=256)
  """Recurrent layers, the lowest included."""
  bridge: str = fields.name("dense", BRIDGES)
  """The first state: `zero`, the encoder's `last` state (same sizes only), or a
  tanh layer over its last state (`dense`), over its `mean` output, or over the
  last state of its `backward` direction (Bahdanau). `relu` is dense with ReLU
  (See et al. 2017), `linear` without tanh and shared by the layers (fairseq),
  `dense_top` one tanh layer over the top h for all (JoeyNMT), `top` that h or
  its forward half as it is (JoeyNMT's last), `relu_rows` a ReLU layer over rows
  of the states (OpenNMT-py, same sizes only); or `FILE.py:NAME`."""
  placement: Placement = "luong"
  """Attend with the new top state (`luong`), with the previous one, the context
  then being an input (`bahdanau`), between two cells (`cgru`, Nematus's
  conditional GRU), with the lowest layer's new state, the context going to the
  layers above (`gnmt_v2`), or with its previous state, the context going to all
  (`gnmt`); `nvidia_gnmt` is gnmt_v2 whose lowest layer is not fed the last
  step's context."""
  input_feeding: bool = True
  """Feed the readout or context of a step into the next one (Luong)."""
  feed: Literal["readout", "context"] = "readout"
  """What a step gives to the next one under input feeding."""
  context: Literal["last", "all"] = "last"
  """Without attention, the fixed vector: the encoder's last state, or all its
  outputs concatenated up to `context_length`."""
  context_at: Literal["start", "every_step", "both"] = "start"
  """Without attention, where the fixed vector goes: the decoder's first state
  (through the bridge), every step's input and readout, or both. Bridges except
  `zero` start from the encoder's last state in any case."""
  context_length: int = fields.field(50, min=1, max=10**6)
  """Source positions that `context all` holds; later ones are left out."""

  def __post_init__(self) -> None:
    fields.validate(self, "model.decoder")

  def check_attended(self) -> None:
    """What an attention asks of a recurrent decoder."""
    fields.check(
      self.placement not in LOWEST_SEES_NO_CONTEXT or not self.input_feeding,
      "model.decoder.input_feeding",
      f"placement {self.placement} feeds nothing back; set it False, or use "
      "placement gnmt_v2",
    )
    fields.check(
      self.placement not in FEEDS_ABOVE or self.layers > 1,
      "model.decoder.placement",
      f"{self.placement} feeds the layers above the lowest: "
      "model.decoder.layers must be at least 2",
    )

  def check_unattended(self) -> None:
    """What a recurrent decoder without attention may not ask for."""
    fields.check(
      self.placement in ASKS_ABOVE_ALL,
      "model.decoder.placement",
      f"{self.placement} needs an attention; use luong",
    )
    fields.check(
      not self.input_feeding or self.feed == "readout",
      "model.decoder.feed",
      "context needs an attention; use readout",
    )
    fields.check(
      self.context_at != "start" or self.bridge != "zero",
      "model.decoder.bridge",
      "zero without attention, with the context at the start alone, would hide "
      "the source from the decoder; use dense",
    )
    fields.check(
      self.context == "last"
      or self.context_at == "every_step"
      or self.bridge in TAKE_ANY_VECTOR,
      "model.decoder.bridge",
      "context all at the start needs the dense bridge",
    )


@fields.strict
@dataclasses.dataclass(frozen=True)
class Readout:
  """Between a recurrent decoder's state and the softmax."""

  kind: Literal["tanh", "maxout", "linear", "affine"] = "tanh"
  """Luong's tanh layer, Bahdanau's maxout, the inputs side by side as they are
  (`linear`), or a layer over them without tanh (`affine`)."""
  dim: int = fields.field(512, min=1, max=10**6)
  """Width of the tanh, maxout or affine layer."""
  inputs: Literal["state", "state_context", "all"] = "state_context"
  """What it sees; `all` is state, context and embedding."""
  state: Literal["new", "previous"] = "new"
  """It sees the step's new state, or the one before (Bahdanau, with placement
  bahdanau)."""

  def __post_init__(self) -> None:
    fields.validate(self, "model.readout")
