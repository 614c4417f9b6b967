"""Schema: the model."""

import dataclasses
from typing import Literal

from seq2seq_jax import types
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


@dataclasses.dataclass(frozen=True)
class Model:
  """An encoder, a bridge, a decoder with or without attention, a head."""

  architecture: Literal[
    "rnn", "transformer", "transformer_rnn", "rnn_transformer"
  ] = "rnn"
  """Recurrent or Transformer; mixed ones name the encoder first."""
  cell: Literal[CELLS] = "lstm"
  """Recurrent cell. `gru` resets behind the recurrent product (cuDNN,
  PyTorch), `gru_bahdanau` and `gru_cho` before it; `elman` is the plain tanh;
  `ln_*` and `rnmt_lstm` are layer-normalised; `sru` has no product inside the
  loop."""
  decoder_cell: Literal[("same", *CELLS)] = "same"
  """The decoder's cell, where it is another one."""
  forget_bias: float = 1.0
  """Initial bias of the LSTM's forget gate."""
  transition_depth: int = 1
  """Cells a step of every layer; those behind the first see the state alone
  (deep transition)."""
  embed_dim: int = 256
  """Width of source and target embeddings."""
  input_features: int = 0
  """Features of a source frame (speech); 0: the source is tokens."""
  front_end: Literal["none", "convolution"] = "none"
  """Before the encoder of frames: two convolutions of stride 2 over time and
  frequency."""
  front_end_channels: int = 32
  """Channels of the convolutions."""
  encoder_dim: int = 256
  """Width of the encoder's state, per direction."""
  encoder_layers: int = 1
  """Encoder layers, per direction."""
  direction: Literal["forward", "backward", "both"] = "both"
  """Read the source from the first position, from the last, or both ways."""
  stacking: Literal["joint", "separate", "gnmt"] = "joint"
  """Layers of two directions: concatenated after each layer, each direction a
  stack of its own (Britz et al. 2017), or only the first layer of two
  directions (GNMT)."""
  residual: Literal["none", "add", "dense"] = "none"
  """Add a recurrent layer's input to its output, or the inputs of all layers
  below too (Britz et al. 2017: Res, ResD)."""
  residual_start: int = 2
  """First layer with a residual, counted from 1 (GNMT: 3)."""
  reduction: Literal["concat", "max"] = "concat"
  """How pyramidal layers join pairs of positions."""
  reductions: int = 0
  """Encoder layers that read pairs, from the second on; each halves the
  length (Chan et al. 2016)."""
  decoder_dim: int = 512
  """Width of the decoder's state."""
  decoder_layers: int = 1
  """Decoder layers."""
  bridge: Literal["zero", "last", "mean", "dense", "backward"] = "dense"
  """The decoder's first state: zero, the encoder's last state (same sizes
  only), or a tanh layer over its last state, over its mean output, or over the
  last state of its backward direction (Bahdanau)."""
  attention: Literal[SCORES] = "general"
  """Score of the attention; models/README.md lists them with their papers."""
  attention_dim: int = 256
  """Width of the score's hidden layer, or of all heads together."""
  attention_heads: int = 4
  """Heads of multi_head_dot and multi_head_additive."""
  attention_norm: Literal["softmax", "sparsemax"] = "softmax"
  """From scores to weights."""
  attention_window: Literal["none", "monotonic", "predictive"] = "none"
  """Luong's local attention: around the step's own place (local-m) or around a
  predicted one (local-p)."""
  attention_window_size: int = 10
  """Positions on either side of a local attention's centre."""
  attention_filters: int = 10
  """Channels of location_aware's convolution."""
  attention_filter_width: int = 15
  """Width of location_aware's convolution; odd."""
  attention_positions: int = 100
  """Longest source that `location` has weights for."""
  placement: Literal[
    "after", "before", "between", "bottom", "bottom_previous", "bottom_unfed"
  ] = "after"
  """Attend with the new top state (Luong), with the previous one, the context
  then being an input (Bahdanau), between two cells (Nematus's conditional GRU),
  with the lowest layer's new state, the context going to the layers above
  (gnmt_v2), or with its previous state, the context going to all (GNMT);
  bottom_unfed is bottom whose lowest layer is not fed the last step's context
  (NVIDIA's GNMT)."""
  input_feeding: bool = True
  """Feed the readout or context of a step into the next one (Luong)."""
  feed: Literal["readout", "context"] = "readout"
  """What input feeding feeds."""
  context: Literal["last", "all"] = "last"
  """Without attention, the fixed vector: the encoder's last state, or all its
  outputs concatenated up to `context_length`."""
  context_at: Literal["start", "every_step", "both"] = "start"
  """Without attention, where the fixed vector goes: the decoder's first state
  (through the bridge), every step's input and readout, or both. Bridges but
  `zero` start from the encoder's last state in any case."""
  context_length: int = 50
  """Source positions that `context all` holds; later ones are left out."""
  readout: Literal["tanh", "maxout", "linear"] = "tanh"
  """Between state and softmax: Luong's tanh layer, Bahdanau's maxout, or its
  inputs side by side as they are."""
  readout_dim: int = 512
  """Width of the tanh or maxout readout."""
  readout_inputs: Literal["state", "state_context", "all"] = "state_context"
  """What the readout sees; `all` is state, context and embedding."""
  readout_state: Literal["new", "previous"] = "new"
  """The readout sees the step's new state, or the one before (Bahdanau, with
  placement before)."""
  head: Literal["softmax", "pointer", "copynet"] = "softmax"
  """Words from a softmax alone, or also from the source: pointer-generator
  (See et al. 2017), CopyNet (Gu et al. 2016)."""
  tie: Literal["none", "decoder", "all"] = "none"
  """Shared matrices: none, target embedding and softmax, or those and the
  source embedding (needs `data.joint`)."""
  transformer_dim: int = 256
  """Width of the Transformer."""
  transformer_layers: int = 3
  """Its layers, in the encoder and in the decoder."""
  transformer_heads: int = 4
  """Its heads."""
  transformer_hidden: int = 1024
  """Width of its feed-forward layers."""
  transformer_norm: Literal["pre", "post"] = "pre"
  """Layer normalisation before each part, or behind it (the paper's)."""
  transformer_positions: Literal["sinusoidal", "learned"] = "sinusoidal"
  """Its position vectors."""
  transformer_max_positions: int = 512
  """Positions of the learned table; later ones share the last."""
  dropout_embed: float = 0.0
  """Dropout on embeddings."""
  dropout_word: float = 0.0
  """Dropout of whole source and target embeddings (word dropout)."""
  dropout_rnn: float = 0.0
  """Dropout on every layer's output, not on its recurrence (Zaremba et al.
  2014); in a Transformer on the output of each part."""
  dropout_last: bool = True
  """`dropout_rnn` on the last layer's output too; PyTorch's falls between
  layers alone."""
  dropout_state: float = 0.0
  """Dropout on the state in the recurrent product, one mask a sequence (Gal &
  Ghahramani 2016)."""
  dropout_update: float = 0.0
  """Dropout on the candidate of a cell (Semeniuta et al. 2016)."""
  dropout_readout: float = 0.0
  """Dropout on the readout."""
  variational: bool = False
  """The same masks at all steps of a sequence (Gal & Ghahramani 2016)."""
  zoneout: float = 0.0
  """Rate at which units of a carry keep their value (Krueger et al. 2017)."""
  init: Literal["xavier", "uniform", "normal", "bahdanau", "pytorch"] = "xavier"
  """Initial weights: Xavier's, uniform in plus or minus `init_scale`, normal of
  deviation `init_scale`, those of Bahdanau et al. 2015, or what PyTorch's
  modules draw by default (embeddings of deviation 1, biases not 0)."""
  init_scale: float = 0.08
  """Half width or deviation of the initial weights."""
  recurrent_init: Literal["auto", "orthogonal", "same"] = "auto"
  """Recurrent matrices: orthogonal, or like the others; `auto` is orthogonal
  with xavier and bahdanau."""
  recurrence: Literal["scan", "cudnn"] = "scan"
  """How encoder layers are stepped: by a scan, on any platform and for any
  cell, or an LSTM by cuDNN on NVIDIA devices (elsewhere by the scan)."""
  dtype: Literal["float32", "bfloat16"] = "float32"
  """Type of products; parameters, states and sums stay float32."""

  def __post_init__(self):
    fields.typed(self)
    for name in (
      "transition_depth",
      "embed_dim",
      "front_end_channels",
      "encoder_dim",
      "encoder_layers",
      "residual_start",
      "decoder_dim",
      "decoder_layers",
      "attention_dim",
      "attention_heads",
      "attention_window_size",
      "attention_filters",
      "attention_filter_width",
      "attention_positions",
      "readout_dim",
      "transformer_dim",
      "transformer_layers",
      "transformer_heads",
      "transformer_hidden",
      "transformer_max_positions",
      "context_length",
    ):
      fields.check(getattr(self, name) >= 1, name, "must be at least 1")
    for name in ("embed", "word", "rnn", "state", "update", "readout"):
      name = f"dropout_{name}"
      fields.check(0 <= getattr(self, name) < 1, name, "must lie in [0, 1)")
    fields.check(
      not self.dropout_state or "sru" not in self.cells(),
      "dropout_state",
      "sru has no recurrent product whose state could be dropped",
    )
    fields.check(0 <= self.zoneout < 1, "zoneout", "must lie in [0, 1)")
    fields.check(
      self.attention_filter_width % 2 == 1,
      "attention_filter_width",
      "must be odd",
    )
    self._check_encoder()
    if self.recurrent_decoder():
      self._check_decoder()
      self._check_attention()
    else:
      fields.check(
        self.head != "copynet",
        "head",
        "copynet's selective read is an input of a recurrent decoder",
      )
    fields.check(
      self.transformer_dim % self.transformer_heads == 0,
      "transformer_heads",
      f"must divide transformer_dim ({self.transformer_dim})",
    )

    fields.check(
      self.head == "softmax"
      or self.reductions == 0
      or not self.recurrent_encoder(),
      "reductions",
      "would join the positions that the head copies from",
    )

  def recurrent_encoder(self) -> bool:
    return self.architecture in ("rnn", "rnn_transformer")

  def recurrent_decoder(self) -> bool:
    return self.architecture in ("rnn", "transformer_rnn")

  def encoder_widths(self) -> list[int]:
    """Width of the output of each encoder layer."""
    if not self.recurrent_encoder():
      return [self.transformer_dim]
    both = self.direction == "both" or self.stacking == "gnmt"
    widths = [self.encoder_dim * (2 if both else 1)] * self.encoder_layers
    if self.stacking == "gnmt":
      widths[1:] = [self.encoder_dim] * (self.encoder_layers - 1)
    return widths

  def attends(self) -> bool:
    """Whether its decoder attends to the source."""
    return self.attention != "none" or not self.recurrent_decoder()

  def copies(self) -> bool:
    """Whether the head also takes words from the source."""
    return self.head != "softmax"

  def cells(self) -> tuple[str, str]:
    """Names of the encoder's and the decoder's cell."""
    same = self.decoder_cell == "same"
    return self.cell, self.cell if same else self.decoder_cell

  def _check_encoder(self):
    fields.check(
      self.stacking == "joint" or self.direction == "both",
      "stacking",
      "separate and gnmt need direction both",
    )
    fields.check(
      self.front_end == "none" or self.input_features > 0,
      "front_end",
      "reads frames of features; set input_features",
    )
    fields.check(
      self.input_features >= 0, "input_features", "must not be negative"
    )
    fields.check(
      self.transition_depth == 1 or "sru" not in self.cells(),
      "transition_depth",
      "sru has no recurrent product to deepen",
    )
    if not self.recurrent_encoder():
      return
    fields.check(
      self.recurrence == "scan"
      or (
        self.cell == "lstm"
        and self.dtype == "float32"
        and self.transition_depth == 1
        and not (self.dropout_state or self.dropout_update or self.zoneout)
        and self.direction != "backward"
        and self.stacking != "separate"
      ),
      "recurrence",
      "cudnn is for the plain lstm in float32, read forward or both ways and "
      "joined, without dropout_state, dropout_update and zoneout",
    )
    fields.check(
      0 <= self.reductions < self.encoder_layers,
      "reductions",
      "must be less than encoder_layers",
    )
    fields.check(
      self.reductions == 0 or self.stacking == "joint",
      "reductions",
      "need stacking joint",
    )
    if self.residual != "none":
      fields.check(
        self.reduction == "max"
        or self.reductions == 0
        or self.residual_start > self.reductions + 1,
        "residual_start",
        f"layers up to {self.reductions + 1} read pairs side by side, wider "
        "than they write; raise it or use reduction max",
      )
      widths = [self.embed_dim, *self.encoder_widths()]
      if self.stacking == "separate":
        widths[1:] = [self.encoder_dim] * self.encoder_layers
      first = self.residual_start - 1
      fields.check(
        len(set(widths[first:])) <= 1 or first >= self.encoder_layers,
        "residual_start",
        f"layers {self.residual_start} and up read and write other widths "
        f"({widths}); raise it or make them equal",
      )

  def _check_decoder(self):
    widths = self.encoder_widths()
    if self.residual != "none" and self.residual_start == 1:
      raise types.UserError(
        "residual_start: the decoder's first layer reads other things than it "
        "writes; use 2 or more"
      )
    fields.check(
      self.bridge != "last"
      or (
        set(widths) == {self.decoder_dim} and len(widths) == self.decoder_layers
      ),
      "bridge",
      "last needs encoder and decoder of one shape; use dense",
    )
    fields.check(
      self.bridge != "backward"
      or (
        self.recurrent_encoder()
        and self.direction == "both"
        and (self.stacking != "gnmt" or self.encoder_layers == 1)
      ),
      "bridge",
      "backward needs a top encoder layer of both directions",
    )
    fields.check(
      self.readout_state == "new" or self.placement == "before",
      "readout_state",
      "previous needs placement before",
    )
    fields.check(
      self.head == "softmax" or self.attention != "none",
      "head",
      "copying needs an attention",
    )
    fields.check(
      self.attention != "none"
      or self.context_at != "start"
      or self.bridge != "zero",
      "bridge",
      "zero without attention, with the context at the start alone, would hide "
      "the source from the decoder; use dense",
    )
    fields.check(
      not (
        self.attention == "none"
        and self.context == "all"
        and self.context_at != "every_step"
        and self.bridge != "dense"
      ),
      "bridge",
      "context all at the start needs the dense bridge",
    )

  def _check_attention(self):
    width = self.encoder_widths()[-1]
    if self.attention == "none":
      fields.check(self.placement == "after", "placement", "needs an attention")
      fields.check(
        not self.input_feeding or self.feed == "readout",
        "feed",
        "context needs an attention",
      )
      return
    fields.check(
      self.attention not in ("dot", "scaled_dot") or width == self.decoder_dim,
      "attention",
      f"{self.attention} needs the encoder's width ({width}) to equal "
      f"decoder_dim ({self.decoder_dim}); general has no such need",
    )
    fields.check(
      self.placement != "bottom_unfed" or not self.input_feeding,
      "input_feeding",
      "bottom_unfed feeds nothing back; set it False, or placement bottom",
    )
    fields.check(
      not self.placement.startswith("bottom") or self.decoder_layers > 1,
      "placement",
      f"{self.placement} feeds the layers above the lowest: decoder_layers "
      "must be at least 2",
    )
    fields.check(
      self.head != "pointer" or self.attention_window != "predictive",
      "attention_window",
      "predictive weights do not sum to 1, so pointer cannot copy by them",
    )
    if self.attention.startswith("multi_head"):
      for name, size in (
        ("attention_dim", self.attention_dim),
        ("the encoder's width", width),
      ):
        fields.check(
          size % self.attention_heads == 0,
          "attention_heads",
          f"must divide {name} ({size})",
        )
