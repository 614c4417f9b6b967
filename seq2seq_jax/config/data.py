"""Schema: where examples come from and how they are batched."""

import dataclasses
import re
from typing import Literal

from seq2seq_jax.config import fields
from seq2seq_jax.config.audio import Audio


@fields.strict
@dataclasses.dataclass(frozen=True)
class Text:
  """How one side's text becomes ids."""

  tokenizer: Literal["word", "char", "bpe", "unigram", "pretrained"] = "word"
  """Words (split at blanks), characters, SentencePiece's BPE or unigram, or
  that of a pretrained model (from the workdir `data.vocabulary`)."""
  vocab_size: int = fields.field(32000, min=5, max=10**8)
  """Largest vocabulary, the four special ids included."""
  min_count: int = fields.field(1, min=1, max=10**9)
  """Words and characters seen less often in training become unknown."""
  lowercase: bool = False
  """Lower-case the text before it is split."""
  normal_form: Literal["none", "nfc", "nfkc"] = "none"
  """Unicode's normal form of the text, references included: as it stands; `nfc`
  (an accented letter is one character); or `nfkc` (also a ligature or a wide
  letter becomes the usual one)."""
  drop_invisible: bool = False
  """Leave out characters that have no shape: soft hyphens, blanks of no width,
  marks of direction; not the joiners U+200C and U+200D."""
  sampling: float = fields.field(0.0, min=0, below=1)
  """Subword regularisation in training: BPE's merge dropout, or unigram's
  smoothing parameter alpha; 0 is the deterministic segmentation."""

  def __post_init__(self) -> None:
    fields.validate(self, "Text")
    fields.check(
      self.sampling == 0 or self.tokenizer in ("bpe", "unigram"),
      "Text.sampling",
      "needs tokenizer bpe or unigram",
    )


@fields.strict
@dataclasses.dataclass(frozen=True)
class Synthetic:
  """Size of the generated tasks (copy, reverse, sort, addition, tones)."""

  train: int = fields.field(20000, min=1, max=10**8)
  """Training examples."""
  valid: int = fields.field(500, min=1, max=10**8)
  """Validation examples."""
  test: int = fields.field(1000, min=1, max=10**8)
  """Test examples."""
  min_length: int = fields.field(1, min=1, max=10**6)
  """Shortest source, in symbols (addition: digits of a number; tones: words).
  """
  max_length: int = fields.field(10, min=1, max=10**6)
  """Longest source, in symbols (addition: digits of a number; tones: words)."""
  symbols: int = fields.field(10, min=2, max=10**6)
  """Different symbols (addition always has ten digits; tones: words)."""
  rules: int = fields.field(200, min=1, max=10**5)
  """Rules of copy_rules, as many of each kind; 100 instances each."""

  def __post_init__(self) -> None:
    fields.validate(self, "data.synthetic")
    fields.check(
      self.min_length <= self.max_length,
      "data.synthetic.min_length",
      f"must be at most data.synthetic.max_length ({self.max_length}), not "
      f"{self.min_length}",
    )


TASKS = (
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
  "audio",
  "tones",
  "language_model",
  "pairs",
)
_ONLY = re.compile(r"[0-9]{1,9}=")
_WORDS = re.compile(r"[0-9]{1,6}-[0-9]{1,6}", re.ASCII)


@fields.strict
@dataclasses.dataclass(frozen=True)
class Data:
  """Where examples come from and how they are batched."""

  task: str = fields.name("scan", TASKS)
  """Kind of source: `scan`; `copy`, `reverse`, `sort`, `addition` and
  `copy_rules` are generated; `parallel` reads two text files a split, `tsv` and
  `jsonl` one, `tfds` a prepared data set; `audio` reads one or more manifests
  of utterances a split (see `python -m seq2seq_jax.data.manifest`); `tones` are
  utterances that are generated (see `python -m seq2seq_jax.data.tones`);
  `language_model` one text file a split; `pairs` are in memory: given to `fit`.
  Or `FILE.py:NAME`, a function (data, split) of your own that returns the
  split's pairs, or None."""
  root: str = fields.mutable_on_resume("")
  """Folder of the data sets; else the environment's SEQ2SEQ_JAX_DATA."""
  name: str = "simple"
  """SCAN's split, copy_rules' kind (`all`), or the TFDS set
  (`wmt14_translate/de-en`)."""
  train: tuple[str, ...] = ()
  """Training files below `root`: source and target (`parallel`), one or more
  (`audio`), or one; for `tfds` a split expression. Empty where the task
  generates its data."""
  valid: tuple[str, ...] = ()
  """Validation files, in the same form. Empty: see `holdout`."""
  test: tuple[str, ...] = fields.mutable_on_resume(())
  """Test files, in the same form; of copy_rules a kind of rule, empty: `name`;
  of tones the words of a sentence, such as `8-12`, empty: as in training."""
  source_field: str = "0"
  """Source's column (TSV, from 0) or key (JSONL, TFDS)."""
  target_field: str = "1"
  """Target's column (TSV, from 0) or key (JSONL, TFDS)."""
  only: str = ""
  """Rows of a TSV file that count, by a column's whole content: `0=fre`."""
  holdout: int = fields.field(0, min=0, max=10**10)
  """Training examples set aside for validation where `valid` is empty."""
  limit: int = fields.field(0, min=0, max=10**10)
  """Use only so many training examples, drawn by `seed`; 0 uses all."""
  alternatives: bool = False
  """A source's targets are alternatives, as a word's pronunciations are: its
  output is compared with the closest one, and none of them is held out alone.
  """
  synthetic: Synthetic = Synthetic()
  """Size of the generated tasks."""
  audio: Audio = Audio()
  """Utterances to frames."""
  source: Text = Text()
  """Source text to ids."""
  target: Text = Text()
  """Target text to ids."""
  joint: bool = False
  """One vocabulary for both sides, made as `source` says."""
  vocabulary: str = ""
  """Workdir of a run whose vocabularies are taken, as to go on from its
  parameters (train.init_from) on other text; empty: made from the training
  side."""
  vocabulary_sides: Literal["both", "source", "target"] = "both"
  """Sides whose vocabulary is that of `vocabulary`; the other one's is made
  from the training side."""
  reverse_source: bool = False
  """Read the source's words from last to first (Sutskever et al. 2014)."""
  source_ends: Literal["eos", "none", "bos_eos"] = "eos"
  """Marks around a source's words: EOS behind them, none (OpenNMT), or BOS
  before and EOS behind them (BERT)."""
  max_source_length: int = fields.field(100, min=2, max=10**7)
  """Longer training sources are left out, in tokens with EOS."""
  max_target_length: int = fields.field(100, min=2, max=10**7)
  """Longer training targets are left out, in tokens with EOS."""
  batch_size: int = fields.field(64, min=1, max=10**8)
  """Rows or padded tokens of a global batch; see `batch_unit`."""
  batch_unit: Literal["rows", "tokens"] = "rows"
  """What `batch_size` counts; tokens are those of the longer padded side, of
  audio the frames. A batch has `row_multiple` rows at least, however long they
  are."""
  buckets: int = fields.field(4, min=1, max=1000)
  """Most shapes of batch; each is one compiled program. Of read speech 16 leave
  less than a tenth to padding."""
  row_multiple: int = fields.field(8, min=1, max=10**6)
  """Rows of a batch are a multiple of this; they must divide evenly over the
  devices and `optim.accumulate`."""
  order: Literal["epochs", "replacement"] = "epochs"
  """Every example once an epoch, or drawn with replacement, each with the same
  probability."""
  seed: int = fields.field(0, min=0, below=2**32)
  """Seed of the sequence of batch shapes, of `holdout`, `limit` and generated
  data."""
  workers: int = fields.mutable_on_resume(0, min=0, max=256)
  """Worker processes that load batches; 0 is a thread."""

  def test_lengths(self) -> tuple[int, int]:
    """Shortest and longest sentence of the test set of task tones, in words."""
    if not self.test:
      return self.synthetic.min_length, self.synthetic.max_length
    low, high = self.test[0].split("-")
    return int(low), int(high)

  def is_audio(self) -> bool:
    """Whether sources are utterances."""
    return self.task in ("audio", "tones")

  def has_source(self) -> bool:
    """Whether examples have a source: those of a language model have none."""
    return self.task != "language_model"

  def __post_init__(self) -> None:
    fields.validate(self, "data")
    for split in ("train", "valid", "test"):
      self._check_names(split)
    if self.task == "tones" and self.test:
      fields.check(
        _WORDS.fullmatch(self.test[0]) is not None
        and 1 <= self.test_lengths()[0] <= self.test_lengths()[1],
        "data.test",
        "of task tones is the words of a sentence, from the shortest to the "
        f"longest, such as 8-12, not {self.test[0]!r}",
      )
    fields.check(
      not self.only
      or (self.task == "tsv" and _ONLY.match(self.only) is not None),
      "data.only",
      "is COLUMN=TEXT, columns counted from 0, of task tsv",
    )
    fields.check(
      not self.alternatives or self.has_source(),
      "data.alternatives",
      "a language model has no sources",
    )
    fields.check(
      not self.is_audio() or not self.joint,
      "data.joint",
      "frames of audio have no vocabulary to share",
    )
    fields.check(
      self.vocabulary_sides == "both" or not self.joint,
      "data.vocabulary_sides",
      "one vocabulary is for both sides; leave it both or set data.joint False",
    )
    fields.check(
      not self.joint or self.target in (Text(), self.source),
      "data.target",
      "one vocabulary is made as data.source says: leave data.target.* out",
    )
    fields.check(
      not self.holdout or not self.valid,
      "data.holdout",
      "sets examples aside where there is no data.valid; set it 0",
    )
    fields.check(
      self.batch_unit == "tokens" or self.batch_size % self.row_multiple == 0,
      "data.batch_size",
      f"must be a multiple of row_multiple ({self.row_multiple})",
    )

  def _check_names(self, split: str) -> None:
    """Checks the number of a split's names."""
    files = {"parallel": 2, "tsv": 1, "jsonl": 1, "tfds": 1, "audio": 1}
    files["language_model"] = 1
    n = files.get(self.task, 0)
    names = getattr(self, split)
    right = len(names) == n or (not names and split != "train")
    wanted = str(n)
    if self.task == "audio":
      right, wanted = right or len(names) > 1, "1 or more"
    if self.task in ("copy_rules", "tones") and split == "test":
      right = len(names) <= 1
    # A user's task may use these names as it likes.
    fields.check(
      self.task not in TASKS or right,
      f"data.{split}",
      f"task {self.task} takes {wanted} name(s) a split, got {len(names)}",
    )
