"""The schema of an experiment: nested frozen dataclasses.

`configs/x.py` defines `get_config() -> Config`; every field can be overridden
on the command line by its dotted name. A field made by `_free` may change
when a run is resumed; any other one belongs to the run and is refused.
"""

import dataclasses
import difflib
import importlib.util
import json
import pathlib
import typing
from typing import Any, Literal

from seq2seq_jax import types

FORMAT_VERSION = 1


def _free(default):
  return dataclasses.field(default=default, metadata={"free": True})


def _check(ok: bool, field: str, why: str):
  if not ok:
    raise types.UserError(f"{field}: {why}")


@dataclasses.dataclass(frozen=True)
class Text:
  """How one side's text becomes ids."""

  tokenizer: Literal["word", "char", "bpe", "unigram"] = "word"
  """Words (split at blanks), characters, or SentencePiece's BPE or unigram."""
  vocab_size: int = 32000
  """Largest vocabulary, the four special ids included."""
  min_count: int = 1
  """Words and characters seen less often in training become unknown."""
  lowercase: bool = False
  """Lower-case the text before it is split."""
  sampling: float = 0.0
  """Subword regularisation in training: BPE's merge dropout, or unigram's
  smoothing parameter alpha; 0 is the deterministic segmentation."""

  def __post_init__(self):
    _check(self.vocab_size >= 5, "vocab_size", "must be at least 5")
    _check(self.min_count >= 1, "min_count", "must be at least 1")
    _check(0 <= self.sampling < 1, "sampling", "must lie in [0, 1)")
    _check(
      self.sampling == 0 or self.tokenizer in ("bpe", "unigram"),
      "sampling",
      "needs tokenizer bpe or unigram",
    )


@dataclasses.dataclass(frozen=True)
class Synthetic:
  """Size of the generated tasks (copy, reverse, sort, addition)."""

  train: int = 20000
  """Training examples."""
  valid: int = 500
  """Validation examples."""
  test: int = 1000
  """Test examples."""
  min_length: int = 1
  """Shortest source, in symbols (addition: digits of a number)."""
  max_length: int = 10
  """Longest source, in symbols (addition: digits of a number)."""
  symbols: int = 10
  """Different symbols (addition always has ten digits)."""
  rules: int = 200
  """Rules of copy_rules, as many of each kind; 100 instances each."""

  def __post_init__(self):
    _check(
      1 <= self.min_length <= self.max_length,
      "min_length",
      "must be at least 1 and at most max_length",
    )
    _check(self.symbols >= 2, "symbols", "must be at least 2")
    for name in ("train", "valid", "test", "rules"):
      _check(getattr(self, name) >= 1, name, "must be at least 1")


@dataclasses.dataclass(frozen=True)
class Data:
  """Where examples come from and how they are batched."""

  task: Literal[
    "scan",
    "copy",
    "reverse",
    "sort",
    "addition",
    "copy_rules",
    "parallel",
    "tsv",
    "jsonl",
    "tfds",
    "language_model",
  ] = "scan"
  """Kind of source. `parallel` reads two text files a split, `tsv` and `jsonl`
  one, `tfds` a prepared data set; `language_model` one text file a split."""
  root: str = _free("")
  """Folder of the data sets; else the environment's SEQ2SEQ_JAX_DATA."""
  name: str = "simple"
  """SCAN's split, copy_rules' kind (`all`), or the TFDS set
  (`wmt14_translate/de-en`)."""
  train: tuple[str, ...] = ()
  """Training files below `root`: source and target (`parallel`), or one; for
  `tfds` a split expression. Empty where the task generates its data."""
  valid: tuple[str, ...] = ()
  """Validation files, in the same form. Empty: see `holdout`."""
  test: tuple[str, ...] = ()
  """Test files, in the same form."""
  source_field: str = "0"
  """Source's column (TSV, from 0) or key (JSONL, TFDS)."""
  target_field: str = "1"
  """Target's column (TSV, from 0) or key (JSONL, TFDS)."""
  holdout: int = 0
  """Training examples set aside for validation where `valid` is empty."""
  limit: int = 0
  """Use only so many training examples; 0 uses all."""
  synthetic: Synthetic = Synthetic()
  """Size of the generated tasks."""
  source: Text = Text()
  """Source text to ids."""
  target: Text = Text()
  """Target text to ids."""
  joint: bool = False
  """One vocabulary for both sides, made as `source` says."""
  reverse_source: bool = False
  """Read the source's words from last to first (Sutskever et al. 2014)."""
  max_source_length: int = 100
  """Longer training sources are left out, in tokens with EOS."""
  max_target_length: int = 100
  """Longer training targets are left out, in tokens with EOS."""
  batch_size: int = 64
  """Rows or padded target tokens of a global batch; see `batch_unit`."""
  batch_unit: Literal["rows", "tokens"] = "rows"
  """What `batch_size` counts; tokens are those of the longer padded side."""
  buckets: int = 4
  """Most shapes of batch; each is one compiled program."""
  row_multiple: int = 8
  """Rows of a batch are a multiple of this; so is the number of devices."""
  order: Literal["epochs", "replacement"] = "epochs"
  """Every example once an epoch, or drawn with replacement."""
  seed: int = 0
  """Seed of the sequence of batch shapes, of `holdout` and generated data."""
  workers: int = _free(0)
  """Worker processes that load batches; 0 is a thread."""

  def __post_init__(self):
    files = {"parallel": 2, "tsv": 1, "jsonl": 1, "tfds": 1}
    files["language_model"] = 1
    n = files.get(self.task, 0)
    for split in ("train", "valid", "test"):
      given = getattr(self, split)
      allowed = (n,) if split == "train" else (0, n)
      _check(
        len(given) in allowed,
        split,
        f"task {self.task} takes {n} name(s) a split, got {len(given)}",
      )
    for name in ("batch_size", "buckets", "row_multiple"):
      _check(getattr(self, name) >= 1, name, "must be at least 1")
    for name in ("max_source_length", "max_target_length"):
      _check(getattr(self, name) >= 2, name, "must be at least 2")
    for name in ("holdout", "limit", "workers"):
      _check(getattr(self, name) >= 0, name, "must not be negative")
    _check(
      self.batch_unit == "tokens" or self.batch_size % self.row_multiple == 0,
      "batch_size",
      f"must be a multiple of row_multiple ({self.row_multiple})",
    )


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
    "after", "before", "between", "bottom", "bottom_previous"
  ] = "after"
  """Attend with the new top state (Luong), with the previous one, the context
  then being an input (Bahdanau), between two cells (Nematus's conditional GRU),
  with the lowest layer's new state, the context going to the layers above
  (gnmt_v2), or with its previous state, the context going to all (GNMT)."""
  input_feeding: bool = True
  """Feed the readout or context of a step into the next one (Luong)."""
  feed: Literal["readout", "context"] = "readout"
  """What input feeding feeds."""
  context: Literal["last", "all"] = "last"
  """Without attention, the fixed vector: the encoder's last state, or all its
  outputs concatenated up to `context_length`."""
  context_at: Literal["start", "every_step", "both"] = "start"
  """Without attention, where the fixed vector goes: the decoder's first state
  (through the bridge), every step's input and readout, or both."""
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
      _check(getattr(self, name) >= 1, name, "must be at least 1")
    for name in ("embed", "word", "rnn", "state", "update", "readout"):
      name = f"dropout_{name}"
      _check(0 <= getattr(self, name) < 1, name, "must lie in [0, 1)")
    _check(0 <= self.zoneout < 1, "zoneout", "must lie in [0, 1)")
    _check(
      self.attention_filter_width % 2 == 1,
      "attention_filter_width",
      "must be odd",
    )
    self._check_encoder()
    if self.recurrent_decoder():
      self._check_decoder()
      self._check_attention()
    else:
      _check(
        self.head != "copynet",
        "head",
        "copynet's selective read is an input of a recurrent decoder",
      )
    _check(
      self.transformer_dim % self.transformer_heads == 0,
      "transformer_heads",
      f"must divide transformer_dim ({self.transformer_dim})",
    )

    _check(
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

  def copies(self) -> bool:
    """Whether the head also takes words from the source."""
    return self.head != "softmax"

  def cells(self) -> tuple[str, str]:
    """Names of the encoder's and the decoder's cell."""
    same = self.decoder_cell == "same"
    return self.cell, self.cell if same else self.decoder_cell

  def _check_encoder(self):
    _check(
      self.stacking == "joint" or self.direction == "both",
      "stacking",
      "separate and gnmt need direction both",
    )
    _check(
      self.front_end == "none" or self.input_features > 0,
      "front_end",
      "reads frames of features; set input_features",
    )
    _check(self.input_features >= 0, "input_features", "must not be negative")
    if not self.recurrent_encoder():
      return
    _check(
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
    _check(
      self.transition_depth == 1 or "sru" not in self.cells(),
      "transition_depth",
      "sru has no recurrent product to deepen",
    )
    _check(
      0 <= self.reductions < self.encoder_layers,
      "reductions",
      "must be less than encoder_layers",
    )
    _check(
      self.reductions == 0 or self.stacking == "joint",
      "reductions",
      "need stacking joint",
    )
    if self.residual != "none":
      _check(
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
      _check(
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
    _check(
      self.bridge != "last"
      or (
        set(widths) == {self.decoder_dim} and len(widths) == self.decoder_layers
      ),
      "bridge",
      "last needs encoder and decoder of one shape; use dense",
    )
    _check(
      self.bridge != "backward"
      or (
        self.recurrent_encoder()
        and self.direction == "both"
        and (self.stacking != "gnmt" or self.encoder_layers == 1)
      ),
      "bridge",
      "backward needs a top encoder layer of both directions",
    )
    _check(
      self.readout_state == "new" or self.placement == "before",
      "readout_state",
      "previous needs placement before",
    )
    _check(
      self.head == "softmax" or self.attention != "none",
      "head",
      "copying needs an attention",
    )
    _check(
      self.attention != "none"
      or self.context_at != "start"
      or self.bridge != "zero",
      "bridge",
      "zero without attention, with the context at the start alone, would hide "
      "the source from the decoder; use dense",
    )
    _check(
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
      _check(self.placement == "after", "placement", "needs an attention")
      _check(
        not self.input_feeding or self.feed == "readout",
        "feed",
        "context needs an attention",
      )
      return
    _check(
      self.attention not in ("dot", "scaled_dot") or width == self.decoder_dim,
      "attention",
      f"{self.attention} needs the encoder's width ({width}) to equal "
      f"decoder_dim ({self.decoder_dim}); general has no such need",
    )
    _check(
      not self.placement.startswith("bottom") or self.decoder_layers > 1,
      "placement",
      f"{self.placement} feeds the layers above the lowest: decoder_layers "
      "must be at least 2",
    )
    _check(
      self.head != "pointer" or self.attention_window != "predictive",
      "attention_window",
      "predictive weights do not sum to 1, so pointer cannot copy by them",
    )
    if self.attention.startswith("multi_head"):
      for name, size in (
        ("attention_dim", self.attention_dim),
        ("the encoder's width", width),
      ):
        _check(
          size % self.attention_heads == 0,
          "attention_heads",
          f"must divide {name} ({size})",
        )


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
  """First step of `halving`."""
  decay_every: int = 1000
  """Steps between two halvings."""
  decay_factor: float = 0.5
  """Factor of `halving` and `plateau`."""
  plateau_patience: int = 2
  """Validations without improvement before `plateau` acts."""
  min_learning_rate: float = 0.0
  """`cosine` ends here and `plateau` stops here."""
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
    _check(self.learning_rate > 0, "learning_rate", "must be positive")
    _check(0 <= self.label_smoothing < 1, "label_smoothing", "not in [0, 1)")
    _check(0 <= self.ema_decay < 1, "ema_decay", "must lie in [0, 1)")
    _check(self.accumulate >= 1, "accumulate", "must be at least 1")
    _check(self.decay_every >= 1, "decay_every", "must be at least 1")
    _check(self.plateau_patience >= 1, "plateau_patience", "must be at least 1")
    _check(self.warmup_steps >= 0, "warmup_steps", "must not be negative")
    _check(
      self.schedule != "inverse_sqrt" or self.warmup_steps > 0,
      "warmup_steps",
      "schedule inverse_sqrt needs a warm-up",
    )
    _check(self.coverage_weight >= 0, "coverage_weight", "is negative")
    _check(0 <= self.ctc_weight <= 1, "ctc_weight", "must lie in [0, 1]")
    for name in ("sampling_rate", "sampling_low"):
      _check(0 <= getattr(self, name) <= 1, name, "must lie in [0, 1]")
    ranges = {
      "linear": self.sampling_k >= 0,
      "exponential": 0 < self.sampling_k < 1,
      "inverse_sigmoid": self.sampling_k >= 1,
    }
    _check(
      ranges.get(self.sampling, True),
      "sampling_k",
      "is a slope of at least 0 (linear), a base in (0, 1) (exponential), or "
      "at least 1 (inverse_sigmoid)",
    )
    for rate in self.rates:
      pattern, _, factor = rate.rpartition("=")
      try:
        float(factor)
        ok = bool(pattern)
      except ValueError:
        ok = False
      _check(ok, "rates", f"{rate!r} is not REGEX=FACTOR")


METRICS = (
  "loss",
  "perplexity",
  "token_accuracy",
  "exact_match",
  "bleu",
  "chrf",
  "ter",
  "rouge1",
  "rouge2",
  "rougeL",
  "wer",
  "cer",
)
LOWER_IS_BETTER = ("loss", "perplexity", "ter", "wer", "cer")


@dataclasses.dataclass(frozen=True)
class Train:
  """Length of a run, validation, checkpoints, devices."""

  steps: int = 1000
  """Updates. A longer run may be resumed from a shorter one, unless the
  schedule is `cosine`."""
  seed: int = 0
  """Seed of initialisation, dropout and the order of examples."""
  seeds: int = 1
  """Runs trained in one program, with the seeds from `seed` on: lanes."""
  steps_per_call: int = 1
  """Updates made by one call of the compiled program, for models so small that
  a call costs more than an update."""
  validate_every: int = 500
  """Steps between validations, each followed by a checkpoint."""
  checkpoint_every: int = _free(0)
  """Extra checkpoints every so many steps, for resuming alone; 0 is none."""
  checkpoint_minutes: float = _free(10.0)
  """Extra checkpoints after so many minutes; 0 is none."""
  log_every: int = _free(50)
  """Steps between lines of metrics.jsonl."""
  metric: Literal[METRICS] = "loss"
  """Validation score that chooses the best checkpoint, stops early and moves
  the plateau schedule."""
  metrics: tuple[str, ...] = ()
  """Further scores computed at every validation and by `evaluate`."""
  bleu_tokenize: Literal["13a", "none", "intl", "char"] = _free("13a")
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
  mapper: Literal["pmap", "shard_map", "vmap"] = _free("pmap")
  """How steps are mapped over devices; vmap is the oracle on one device."""
  init_from: str = ""
  """Workdir, or `.npz` file of arrays named by path, whose parameters, merged
  by name, start this run."""

  def __post_init__(self):
    for name in (
      "steps",
      "seeds",
      "steps_per_call",
      "validate_every",
      "log_every",
      "keep_last",
    ):
      _check(getattr(self, name) >= 1, name, "must be at least 1")
    for name in ("keep_best", "average", "patience", "checkpoint_every"):
      _check(getattr(self, name) >= 0, name, "must not be negative")
    for name in ("steps", "validate_every", "checkpoint_every"):
      _check(
        getattr(self, name) % self.steps_per_call == 0,
        f"{name}",
        f"must be a multiple of train.steps_per_call ({self.steps_per_call})",
      )
    for name in self.metrics:
      near = difflib.get_close_matches(name, METRICS, 3, 0.3)
      _check(
        name in METRICS,
        "metrics",
        f"unknown {name!r}; nearest: {', '.join(near) or ', '.join(METRICS)}",
      )


@dataclasses.dataclass(frozen=True)
class Decode:
  """The search of `evaluate` and `decode`, and that of validation."""

  beam_size: int = _free(5)
  """Hypotheses kept; 1 is greedy search."""
  valid_beam_size: int = 1
  """The same in validation during training."""
  length_rule: Literal["none", "average", "gnmt", "word_reward"] = _free("gnmt")
  """Final score: log P; log P over length to the `alpha`; log P over
  ((5 + length) / 6) to the `alpha`; log P plus `alpha` a token."""
  alpha: float = _free(0.6)
  """Parameter of the length rule."""
  min_ratio: float = _free(0.0)
  """Shortest output over source length, EOS counted in both."""
  max_ratio: float = _free(2.0)
  """Longest output over source length, EOS counted in both."""
  max_extra: int = _free(10)
  """Added to the longest output."""
  replace_unknown: bool = _free(False)
  """Put the source word most attended to for every unknown word (Luong et al.
  2015); words on both sides."""
  rows: int = _free(64)
  """Rows of every search program on each device, whatever is asked for."""
  pool: int = _free(8)
  """Batches of `rows` from whose sentences a search program draws: the row of
  an answered one is given to a waiting one."""
  quantum: int = _free(8)
  """Source lengths are padded up to a multiple of this, and doubled beyond
  eight of them, when searching."""

  def __post_init__(self):
    for name in ("beam_size", "valid_beam_size", "rows", "pool", "quantum"):
      _check(getattr(self, name) >= 1, name, "must be at least 1")
    _check(
      self.max_ratio > 0 or self.max_extra > 0,
      "max_ratio",
      "the longest output would be empty",
    )
    _check(self.min_ratio >= 0, "min_ratio", "must not be negative")
    _check(self.max_extra >= 0, "max_extra", "must not be negative")


@dataclasses.dataclass(frozen=True)
class Config:
  """A complete experiment."""

  data: Data = Data()
  """Data."""
  model: Model = Model()
  """Model."""
  optim: Optim = Optim()
  """Optimisation."""
  train: Train = Train()
  """Training."""
  decode: Decode = Decode()
  """Search."""

  def __post_init__(self):
    _check(
      self.model.tie != "all" or self.data.joint,
      "model.tie",
      "all needs one vocabulary for both sides (--data.joint True)",
    )
    rows = self.data.row_multiple
    _check(
      rows % self.optim.accumulate == 0,
      "optim.accumulate",
      f"must divide data.row_multiple ({rows})",
    )
    _check(
      self.train.steps_per_call == 1
      or self.data.buckets == 1
      or self.data.batch_unit == "rows",
      "train.steps_per_call",
      "needs batches of as many rows each: data.batch_unit rows, or "
      "data.buckets 1",
    )
    _check(
      self.train.seeds == 1 or self.model.recurrence == "scan",
      "model.recurrence",
      "cudnn cannot serve several seeds in one program; use scan",
    )
    lm = self.data.task == "language_model"
    _check(
      not lm
      or self.model.attention == "none"
      or not self.model.recurrent_decoder(),
      "model.attention",
      "a language model has no source to attend to; use none",
    )
    attended = self.model.attention != "none"
    _check(
      not self.optim.coverage_weight
      or attended
      or not self.model.recurrent_decoder(),
      "optim.coverage_weight",
      "needs an attention",
    )
    _check(
      self.model.head == "softmax" or self.optim.label_smoothing == 0,
      "optim.label_smoothing",
      "is not defined for a head that copies; use 0",
    )
    _check(
      self.model.head == "softmax" or not lm,
      "model.head",
      "a language model has no source to copy from",
    )
    _check(
      self.model.head == "softmax" or self.model.input_features == 0,
      "model.head",
      "frames hold no words to copy",
    )
    sides = (self.data.source, self.data.target)
    words = all(
      t.tokenizer == "word" for t in (sides[:1] if self.data.joint else sides)
    )
    _check(
      self.model.head == "softmax" or words,
      "model.head",
      "copying works on words: use tokenizer word on both sides",
    )
    _check(
      not self.decode.replace_unknown or (words and attended),
      "decode.replace_unknown",
      "needs tokenizer word on both sides, and an attention",
    )
    _check(
      self.optim.ctc_weight == 0 or not lm,
      "optim.ctc_weight",
      "a language model has no encoder",
    )
    _check(
      self.data.task != "language_model"
      or self.train.metric in ("loss", "perplexity", "token_accuracy"),
      "train.metric",
      "a language model is scored by loss, perplexity or token_accuracy",
    )


def load(path: str) -> Config:
  """The config that a file's `get_config` returns."""
  file = pathlib.Path(path)
  if not file.is_file():
    folder = file.parent if file.parent.is_dir() else pathlib.Path("configs")
    there = sorted(str(p) for p in folder.glob("*.py"))
    near = difflib.get_close_matches(path, there, 3, 0.3) or there[:5]
    raise types.UserError(
      f"config {path}: no such file; nearest: {', '.join(near) or 'none'}"
    )
  spec = importlib.util.spec_from_file_location("seq2seq_jax_config", file)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  if not hasattr(module, "get_config"):
    raise types.UserError(f"config {path}: defines no get_config()")
  return module.get_config()


def to_json(config: Config) -> str:
  tree = {"format_version": FORMAT_VERSION} | dataclasses.asdict(config)
  return json.dumps(tree, indent=2) + "\n"


def from_json(text: str, where: str) -> Config:
  """The config of a workdir; errors name `where`."""
  try:
    tree = json.loads(text)
    version = tree.pop("format_version", None)
    if version != FORMAT_VERSION:
      raise types.UserError(
        f"{where}: format_version {version}, this is {FORMAT_VERSION}"
      )
    return _build(Config, tree)
  except (ValueError, TypeError, AttributeError) as e:
    raise types.UserError(f"{where}: not a config of this program: {e}") from e


def _build(cls, tree: Any):
  hints = typing.get_type_hints(cls)
  kwargs = {}
  for name, value in tree.items():
    kind = hints.get(name)
    if dataclasses.is_dataclass(kind):
      value = _build(kind, value)
    elif isinstance(value, list):
      value = tuple(value)
    kwargs[name] = value
  return cls(**kwargs)


def leaves(config: Any, prefix: str = ""):
  """Yields (dotted name, value, dataclass field) of every leaf."""
  for field in dataclasses.fields(config):
    value = getattr(config, field.name)
    if dataclasses.is_dataclass(value):
      yield from leaves(value, f"{prefix}{field.name}.")
    else:
      yield prefix + field.name, value, field


def differences(old: Config, new: Config) -> list[str]:
  """Fields in which a resumed run may not differ, with both values."""
  out = []
  for (name, a, field), (_, b, _) in zip(leaves(old), leaves(new)):
    if name == "train.steps" and old.optim.schedule != "cosine":
      continue
    if a != b and not field.metadata.get("free"):
      out.append(f"{name}: {a!r} in the workdir, {b!r} now")
  return out
