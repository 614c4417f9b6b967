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

  def __post_init__(self):
    _check(
      1 <= self.min_length <= self.max_length,
      "min_length",
      "must be at least 1 and at most max_length",
    )
    _check(self.symbols >= 2, "symbols", "must be at least 2")
    for name in ("train", "valid", "test"):
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
  """SCAN's split, or the TFDS set (`wmt14_translate/de-en`)."""
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


@dataclasses.dataclass(frozen=True)
class Model:
  """An encoder, a bridge, a decoder with or without attention, a readout."""

  cell: Literal["lstm", "gru"] = "lstm"
  """Recurrent cell of encoder and decoder."""
  forget_bias: float = 1.0
  """Initial bias of the LSTM's forget gate."""
  embed_dim: int = 256
  """Width of source and target embeddings."""
  encoder_dim: int = 256
  """Width of the encoder's state, per direction."""
  encoder_layers: int = 1
  """Encoder layers, per direction."""
  bidirectional: bool = True
  """Read the source in both directions."""
  stacking: Literal["joint", "separate"] = "joint"
  """Layers of two directions: concatenated after each layer, or each direction
  a stack of its own, concatenated at the top (Britz et al. 2017)."""
  decoder_dim: int = 512
  """Width of the decoder's state."""
  decoder_layers: int = 1
  """Decoder layers."""
  bridge: Literal["zero", "last", "mean", "dense"] = "dense"
  """The decoder's first state: zero, the encoder's last state (same sizes
  only), or a tanh layer over its last state or over its mean output."""
  attention: Literal["none", "additive", "general", "dot"] = "general"
  """Score: none, Bahdanau's, or Luong's general or dot."""
  attention_dim: int = 256
  """Width of the additive score's hidden layer."""
  placement: Literal["after", "before"] = "after"
  """Attend with the new state (Luong) or with the previous one, the context
  then being an input of the recurrence (Bahdanau)."""
  input_feeding: bool = True
  """Feed the readout of a step into the next one (Luong)."""
  context: Literal["last", "all"] = "last"
  """Without attention, the fixed vector: the encoder's last state, or all its
  outputs concatenated up to `context_length`."""
  context_at: Literal["start", "every_step", "both"] = "start"
  """Without attention, where the fixed vector goes: the decoder's first state
  (through the bridge), every step's input and readout, or both."""
  context_length: int = 50
  """Source positions that `context all` holds; later ones are left out."""
  readout: Literal["tanh", "linear"] = "tanh"
  """Between state and softmax: Luong's tanh layer over context and state, or
  their concatenation as it is."""
  readout_dim: int = 512
  """Width of the tanh readout."""
  tie: Literal["none", "decoder", "all"] = "none"
  """Shared matrices: none, target embedding and softmax, or those and the
  source embedding (needs `data.joint`)."""
  dropout_embed: float = 0.0
  """Dropout on embeddings."""
  dropout_rnn: float = 0.0
  """Dropout on every recurrent layer's output, not on its recurrence
  (Zaremba et al. 2014)."""
  dropout_readout: float = 0.0
  """Dropout on the readout."""
  init: Literal["xavier", "uniform"] = "xavier"
  """Initial weights: Xavier's with orthogonal recurrences, or all uniform in
  plus or minus `init_scale`."""
  init_scale: float = 0.08
  """Half width of the uniform initialisation."""
  dtype: Literal["float32", "bfloat16"] = "float32"
  """Type of products; parameters, states and sums stay float32."""

  def __post_init__(self):
    for name in ("embed_dim", "encoder_dim", "encoder_layers", "decoder_dim"):
      _check(getattr(self, name) >= 1, name, "must be at least 1")
    for name in ("decoder_layers", "attention_dim", "readout_dim"):
      _check(getattr(self, name) >= 1, name, "must be at least 1")
    for name in ("dropout_embed", "dropout_rnn", "dropout_readout"):
      _check(0 <= getattr(self, name) < 1, name, "must lie in [0, 1)")
    width = self.encoder_dim * (2 if self.bidirectional else 1)
    _check(
      self.attention != "dot" or width == self.decoder_dim,
      "attention",
      f"dot needs the encoder's width ({width}) to equal decoder_dim "
      f"({self.decoder_dim}); general has no such need",
    )
    _check(
      self.bridge != "last"
      or (
        width == self.decoder_dim and self.encoder_layers == self.decoder_layers
      ),
      "bridge",
      "last needs encoder and decoder of one shape; use dense",
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
      not (self.attention == "none" and self.placement == "before"),
      "placement",
      "before needs an attention",
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
    _check(self.warmup_steps >= 0, "warmup_steps", "must not be negative")
    _check(
      self.schedule != "inverse_sqrt" or self.warmup_steps > 0,
      "warmup_steps",
      "schedule inverse_sqrt needs a warm-up",
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
    for name in ("steps", "validate_every", "log_every", "keep_last"):
      _check(getattr(self, name) >= 1, name, "must be at least 1")
    for name in ("keep_best", "average", "patience", "checkpoint_every"):
      _check(getattr(self, name) >= 0, name, "must not be negative")
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
  rows: int = _free(64)
  """Rows of every search program on each device, whatever is asked for."""
  quantum: int = _free(8)
  """Source lengths are padded up to a multiple of this, and doubled beyond
  eight of them, when searching."""

  def __post_init__(self):
    for name in ("beam_size", "valid_beam_size", "rows", "quantum"):
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
      self.data.task != "language_model" or self.model.attention == "none",
      "model.attention",
      "a language model has no source to attend to; use none",
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
