"""What a recurrent decoder is made of, and what follows from that alone.

The values that pass between its methods, its fields, the widths of its parts,
its dropout masks, and the facts that decide how its steps may be computed.
Nothing here computes with an array.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn

from seq2seq_jax.models import (
  attention_scores,
  bridges,
  cell,
  dropout_masks,
  head,
  layers,
  placements,
)


class Carry(NamedTuple):
  """What a step hands to the next. Leaves [B, K, ...]; None where unused."""

  cells: tuple[cell.Carry, ...]
  """Over layers."""
  fed_input: Any = None
  """[B, K, D] the last readout or context (input feeding)."""
  attention_state: Any = None
  """[B, K, M] of a score that remembers."""
  step: Any = None
  """[B, K] number of the step, if a window counts."""
  copy_scores: Any = None
  """[B, K, M] of the last step (CopyNet)."""


class Prepared(NamedTuple):
  """Per-source constants, computed once before decoding: `Memory.keys`."""

  attention: Any = None
  """The score's keys."""
  context: Any = None
  """[B, 1, D] the fixed vector of a decoder without attention."""
  gates: Any = None
  """[B, 1, G] the fixed vector's product in the first layer."""
  head: Any = None
  """The head's keys."""


class Inputs(NamedTuple):
  """What depends on a step's token alone. [B, Q, ...]."""

  gates: Any
  """[B, Q, G] products of the first layer's inputs."""
  embedded: Any = None
  """[B, Q, D] if readout or head see the embedding."""
  tokens: Any = None
  """[B, Q] if the head feeds back what it copied."""


class DecoderFields(nn.Module):
  """The fields, their widths, and which parts need the step before.

  placement: where attention stands among the layers, see `placements.py`.
  feed: none; readout, or context: that of a step is an input of the next one's
    first layer (input feeding: Luong et al. 2015, section 3.3). The readout is
    fed as it was before its own dropout.
  context, context_at: of a decoder without attention: the fixed vector (`last`
    state or `all` outputs) and whether it enters at `start`, at `every_step` or
    at `both`.
  readout_kind: the layer before the head: linear (none), tanh, maxout, affine;
    `readout_inputs` and `readout_state` say what it sees.
  """

  embed_table: nn.Module
  head_class: type[head.Softmax]
  vocab_size: int
  cell_class: type[cell.Cell]
  cell_args: Mapping[str, Any]
  features: int
  depth: int
  residual: str
  residual_start: int
  memory_dim: int  # width of the memory; 0: there is no source
  half: int  # see bridges.Bridge
  bridge_class: type[bridges.Bridge]
  attention_class: type[attention_scores.Score] | None
  attention_args: Mapping[str, Any]
  placement: placements.Placement
  feed: str
  context: str
  context_at: str
  context_length: int
  readout_kind: str
  readout_dim: int
  readout_inputs: str
  readout_state: str
  tied: bool
  dropout: layers.Dropout
  dense_args: Mapping[str, Any]  # init, init_scale, dtype

  @nn.nowrap
  def uses_fixed_vector(self, where: str) -> bool:
    """True if a fixed vector enters at `start` or at `every_step`."""
    if self.attention_class or not self.memory_dim:
      return False
    return self.context_at in (where, "both")

  @nn.nowrap
  def fixed_width(self) -> int:
    """Width of the fixed vector."""
    return self.memory_dim * (
      self.context_length if self.context == "all" else 1
    )

  @nn.nowrap
  def context_width(self) -> int:
    """Width of the context, attended to or fixed."""
    if self.attention_class:
      return self.memory_dim
    return self.fixed_width() if self.uses_fixed_vector("every_step") else 0

  @nn.nowrap
  def readout_input_width(self) -> int:
    """Width of what the readout sees."""
    width = self.features
    if self.readout_inputs != "state":
      width += self.context_width()
    if self.readout_inputs == "all":
      width += self.embed_table.features
    return width

  @nn.nowrap
  def readout_width(self) -> int:
    """Width of the features that go to the head."""
    if self.readout_kind == "linear":
      return self.readout_input_width()
    return self.readout_dim

  @nn.nowrap
  def extra_widths(self, i: int) -> tuple[int, ...]:
    """Widths of layer i's inputs that are known only inside the loop.

    Their order is that in which `first_layer` and `upper_layers` pass them.
    """
    widths: tuple[int, ...] = ()
    if self.attention_class:
      where = self.placement
      if where.feeds_above if i else where.feeds_first:
        widths += (self.memory_dim,)
    if i:
      return widths
    if self.feed_kind() == "readout":
      widths += (self.readout_width(),)
    if self.feed_kind() == "context":
      widths += (self.memory_dim,)
    if self.head_class.feeds_back_copies:
      widths += (self.memory_dim,)
    return widths

  @nn.nowrap
  def feed_kind(self) -> str:
    """What the first layer sees of the last step: none, readout or context."""
    carries = self.placement.carries_context and self.feed == "none"
    return "context" if carries else self.feed

  @nn.nowrap
  def feeds_back(self) -> bool:
    """True if step t reads step t-1's readout (input feeding) or copy scores
    (CopyNet): the whole decoder must then be scanned."""
    return self.feed_kind() == "readout" or self.head_class.feeds_back_copies

  @nn.nowrap
  def layers_in_scan(self) -> int:
    """Number of bottom layers that share one time scan.

    0 if nothing is fed back, 1 if attention concerns the first layer only, else
    all. The layers above may be run one by one, each over all steps.
    """
    if self.feeds_back():
      return self.depth
    where = self.placement
    remembers = bool(self.attention_class and self.attention_class.remembers)
    fed = remembers or self.feed_kind() != "none"
    if not (fed or where.conditional or where.asks_before):
      return 0
    # A head that sees the step's input sees the fed context as well, and only
    # the scan of the whole stack hands that out.
    first_alone = where.asks_first and not self.head_class.sees_input
    return 1 if first_alone else self.depth

  @nn.nowrap
  def mask_specs(self) -> tuple[dropout_masks.MaskSpec, ...]:
    """Dropout and zoneout masks of a call."""
    d = self.dropout
    specs = list(d.inputs(self.embed_table.features))
    template = self.cell_class(
      self.features, 1, **dict(self.cell_args), parent=None
    )
    names = [f"layer_{i}" for i in range(self.depth)]
    for i in range(self.depth):
      specs.append(d.output(i, self.depth, self.features))
    if self.placement.conditional:
      names.append("layer_0_context")
    for name in names:
      specs += template.mask_specs(name, d.state, d.update, d.shared)
    readout = dropout_masks.MaskSpec(
      "readout", self.readout_width(), d.readout, d.shared
    )
    return (*specs, readout)
