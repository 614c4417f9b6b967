"""Schema: the model, and what its sections ask of each other."""

import dataclasses
from typing import Literal

from seq2seq_jax.config import decoder as decoder_lib
from seq2seq_jax.config import fields
from seq2seq_jax.config.attention import Attention
from seq2seq_jax.config.decoder import Decoder, Readout
from seq2seq_jax.config.encoder import Encoder
from seq2seq_jax.config.transformer import Transformer


@fields.strict
@dataclasses.dataclass(frozen=True)
class Dropout:
  """Dropout and zoneout of encoder and decoder, as rates."""

  embed: float = fields.field(0.0, min=0, below=1)
  """Dropout on embeddings."""
  word: float = fields.field(0.0, min=0, below=1)
  """Dropout of whole source and target embeddings (word dropout)."""
  rnn: float = fields.field(0.0, min=0, below=1)
  """Dropout on every layer's output, not on its recurrence (Zaremba et al.
  2014); in a Transformer on the output of each part."""
  last: bool = True
  """`rnn` on the last layer's output too; PyTorch's falls between layers
  alone."""
  state: float = fields.field(0.0, min=0, below=1)
  """Dropout on the state in the recurrent product, one mask a sequence (Gal &
  Ghahramani 2016)."""
  update: float = fields.field(0.0, min=0, below=1)
  """Dropout on the candidate of a cell (Semeniuta et al. 2016)."""
  readout: float = fields.field(0.0, min=0, below=1)
  """Dropout on the readout."""
  variational: bool = False
  """The same masks at all steps of a sequence (Gal & Ghahramani 2016)."""
  zoneout: float = fields.field(0.0, min=0, below=1)
  """Rate at which units of a carry keep their value (Krueger et al. 2017)."""

  def __post_init__(self) -> None:
    fields.validate(self, "model.dropout")


@fields.strict
@dataclasses.dataclass(frozen=True)
class Init:
  """Initial parameters."""

  weights: Literal["xavier", "uniform", "normal", "bahdanau", "pytorch"] = (
    "xavier"
  )
  """Xavier's, uniform in plus or minus `scale`, normal of deviation `scale`,
  those of Bahdanau et al. 2015, or what PyTorch's modules draw by default
  (embeddings of deviation 1, biases not 0)."""
  scale: float = fields.field(0.08, min=0, max=100)
  """Half width or deviation of the initial weights."""
  recurrent: Literal["auto", "orthogonal", "same"] = "auto"
  """Recurrent matrices: orthogonal, or like the others; `auto` is orthogonal
  with xavier and bahdanau."""
  forget_bias: float = fields.field(1.0, min=-100, max=100)
  """Initial bias of the LSTM's forget gate."""

  def __post_init__(self) -> None:
    fields.validate(self, "model.init")


@fields.strict
@dataclasses.dataclass(frozen=True)
class Model:
  """An encoder, a bridge, a decoder with or without attention, a head."""

  embed_dim: int = fields.field(256, min=1, max=10**6)
  """Width of source embeddings, and of the target's unless
  model.decoder.embed_dim is set."""
  encoder: Encoder = Encoder()
  """What reads the source."""
  decoder: Decoder = Decoder()
  """What writes the target."""
  attention: Attention = Attention()
  """How a recurrent decoder attends to the source."""
  readout: Readout = Readout()
  """Between a recurrent decoder's state and the softmax."""
  transformer: Transformer = Transformer()
  """A Transformer encoder, and a decoder unless model.decoder.sizes is own."""
  dropout: Dropout = Dropout()
  """Dropout and zoneout."""
  init: Init = Init()
  """Initial parameters."""
  head: Literal["softmax", "pointer", "copynet", "readout_pointer"] = "softmax"
  """Words from a softmax alone, or also from the source: pointer-generator
  (See et al. 2017), CopyNet (Gu et al. 2016), or a pointer whose gate sees the
  readout alone, `readout_pointer` (OpenNMT-py). Unlike theirs, sources end with
  EOS, which can be copied as well."""
  tie: Literal["none", "decoder", "all"] = "none"
  """Shared matrices: none, target embedding and softmax, or those and the
  source embedding (needs `data.joint`)."""
  transition_depth: int = fields.field(1, min=1, max=256)
  """Cells a step of every layer; those after the first see the state alone
  (deep transition)."""
  residual: Literal["none", "add", "dense"] = "none"
  """Add a recurrent layer's input to its output, or the inputs of all layers
  below too (Britz et al. 2017: Res, ResD)."""
  residual_start: int = fields.field(2, min=1, max=1000)
  """First layer with a residual, counted from 1 (GNMT: 3)."""
  recurrence: Literal["scan", "cudnn"] = "scan"
  """How encoder layers are stepped: by a scan, on any platform and for any
  cell, or an LSTM by cuDNN on NVIDIA devices (elsewhere by the scan)."""
  dtype: Literal["float32", "bfloat16"] = "float32"
  """Type of products; parameters, states and sums stay float32."""

  def __post_init__(self) -> None:
    fields.validate(self, "model")
    self._check_cells()
    if self.encoder.kind == "rnn":
      self._check_recurrence()
      self._check_encoder_residual()
    if self.decoder.kind == "rnn":
      self._check_bridge()
      self._check_decoder()
    self._check_head()

  def cells(self) -> tuple[str, str]:
    """Names of the encoder's and the decoder's cell."""
    same = self.decoder.cell == "same"
    return self.encoder.cell, self.encoder.cell if same else self.decoder.cell

  def decoder_transformer(self) -> Transformer:
    """Sizes of a Transformer decoder."""
    own = self.decoder.sizes == "own"
    return self.decoder.transformer if own else self.transformer

  def target_embed_dim(self) -> int:
    """Width of target embeddings."""
    return self.decoder.embed_dim or self.embed_dim

  def encoder_widths(self) -> list[int]:
    """Width of the output of each encoder layer; of a Transformer, the last."""
    if self.encoder.kind == "transformer":
      return [self.transformer.dim]
    return self.encoder.widths()

  def attends(self) -> bool:
    """Whether the decoder attends to the source."""
    return self.decoder.kind == "transformer" or self.attention.score != "none"

  def copies(self) -> bool:
    """Whether the head also takes words from the source."""
    return self.head != "softmax"

  def _check_cells(self) -> None:
    sru = "sru" in self.cells()
    fields.check(
      not self.dropout.state or not sru,
      "model.dropout.state",
      "sru has no recurrent product whose state could be dropped",
    )
    fields.check(
      self.transition_depth == 1 or not sru,
      "model.transition_depth",
      "sru has no recurrent product to deepen",
    )

  def _check_recurrence(self) -> None:
    encoder, dropout = self.encoder, self.dropout
    fields.check(
      self.recurrence == "scan"
      or (
        encoder.cell == "lstm"
        and self.dtype == "float32"
        and self.transition_depth == 1
        and not (dropout.state or dropout.update or dropout.zoneout)
        and encoder.direction != "backward"
        and encoder.stacking != "separate"
      ),
      "model.recurrence",
      "cudnn is for the plain lstm in float32, read forward or both ways and "
      "joined, without model.dropout's state, update and zoneout",
    )

  def _check_encoder_residual(self) -> None:
    if self.residual == "none":
      return
    encoder, start = self.encoder, self.residual_start
    fields.check(
      encoder.reduction == "max"
      or encoder.reductions == 0
      or start > encoder.reductions + 1,
      "model.residual_start",
      f"layers up to {encoder.reductions + 1} read pairs side by side, wider "
      "than they write; raise it or use model.encoder.reduction max",
    )
    # Layer n reads widths[n - 1] and writes widths[n].
    widths = [self.embed_dim, *encoder.layer_widths()]
    fields.check(
      start > encoder.layers or len(set(widths[start - 1 :])) == 1,
      "model.residual_start",
      f"layers {start} and up read and write other widths ({widths}); raise it "
      "or make them equal",
    )

  def _check_bridge(self) -> None:
    encoder, decoder = self.encoder, self.decoder
    widths = self.encoder_widths()
    fields.check(
      decoder.bridge not in decoder_lib.NEED_EQUAL_SHAPES
      or (set(widths) == {decoder.dim} and len(widths) == decoder.layers),
      "model.decoder.bridge",
      f"{decoder.bridge} needs encoder and decoder of one shape; use dense",
    )
    fields.check(
      decoder.bridge != "relu_rows" or encoder.kind == "rnn",
      "model.decoder.bridge",
      "relu_rows takes the states of a recurrent encoder; use relu",
    )
    fields.check(
      decoder.bridge != "top"
      or widths[-1] == decoder.dim
      or (self._joins_directions() and widths[-1] == 2 * decoder.dim),
      "model.decoder.bridge",
      f"top needs a top encoder layer ({widths[-1]}) of model.decoder.dim "
      f"({decoder.dim}), or of twice that in two directions; use dense_top",
    )
    fields.check(
      decoder.bridge != "backward" or self._joins_directions(),
      "model.decoder.bridge",
      "backward needs a top encoder layer of both directions",
    )

  def _joins_directions(self) -> bool:
    """Whether the top encoder layer's state is that of two directions."""
    encoder = self.encoder
    return (
      encoder.kind == "rnn"
      and encoder.direction == "both"
      and (encoder.stacking != "gnmt" or encoder.layers == 1)
    )

  def _check_decoder(self) -> None:
    fields.check(
      self.residual == "none" or self.residual_start > 1,
      "model.residual_start",
      "the decoder's first layer reads other things than it writes; use 2 or "
      "more",
    )
    fields.check(
      self.readout.state == "new"
      or self.decoder.placement in decoder_lib.ASKS_PREVIOUS_TOP,
      "model.readout.state",
      "previous needs model.decoder.placement bahdanau",
    )
    if self.attention.score == "none":
      self.decoder.check_unattended()
    else:
      self.decoder.check_attended()
      self.attention.check_sizes(self.encoder_widths()[-1], self.decoder.dim)

  def _check_head(self) -> None:
    fields.check(
      self.tie != "all" or self.target_embed_dim() == self.embed_dim,
      "model.decoder.embed_dim",
      f"tie all shares one table of width {self.embed_dim}; leave it 0",
    )
    recurrent = self.decoder.kind == "rnn"
    fields.check(
      self.head != "copynet" or recurrent,
      "model.head",
      "copynet's selective read is an input of a recurrent decoder",
    )
    fields.check(
      not self.copies() or self.attends(),
      "model.head",
      "copying needs an attention",
    )
    fields.check(
      self.head not in ("pointer", "readout_pointer")
      or self.attention.window != "predictive"
      or not recurrent
      or self.attention.score == "none",
      "model.attention.window",
      "predictive weights do not sum to 1, so the head cannot copy by them",
    )
    fields.check(
      not self.copies()
      or self.encoder.reductions == 0
      or self.encoder.kind == "transformer",
      "model.encoder.reductions",
      "would join the positions that the head copies from",
    )
