"""The data of an ablation table, as typed records.

`build.py` makes a `Table`, and everything printed or drawn reads one. The
field names are the keys of table.json; a field with a default may be missing
there. `from_json` checks every value against the annotations below.
"""

import dataclasses
import json
from typing import Any, Literal

from seq2seq_jax import records
from seq2seq_jax.ablation import old_tables

Status = Literal["done", "failed", "diverged", "running", "stale", "waiting"]
Significance = Literal["better", "worse", "not shown", "untested", "baseline"]
Decision = Literal["PASS", "FAIL", "INCONCLUSIVE", "PRINTED", "MISSING"]
SentenceKind = Literal["this row best", "baseline best", "both worst"]
NO_SCORE = ("failed", "diverged")  # statuses of a cell that ended without one


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
  """One seed of a row."""

  seed: int
  status: Status
  message: str | None
  """Why the cell has no score, or what made it stale."""
  seconds: float | None
  """Time spent on updates, over all members of an ensemble."""
  host: str | None
  value: float | None
  """Score on the test set."""
  steps: int | None
  best_step: int | None
  epochs_to_best: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
  """Difference to the baseline with its 95 % interval."""

  estimate: float
  low: float | None
  """None, as the other end, if too little varies to estimate it."""
  high: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class OtherMetric:
  """Mean and standard deviation over seeds of a further metric."""

  mean: float
  sd: float | None
  published: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoresByLength:
  """Mean and standard deviation over seeds, one entry for each bin."""

  means: tuple[float | None, ...]
  sds: tuple[float | None, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
  """A system: its scores, its published neighbour, its comparison, its cost."""

  name: str
  mean: float | None
  """Mean over the finished seeds; None before the first one."""
  sd: float | None
  """Sample standard deviation over seeds; None with fewer than two."""
  n: int
  """Finished seeds."""
  values: tuple[float | None, ...]
  """Score of each seed, in the order of `cells`."""
  cells: tuple[Cell, ...]
  published: float | None
  published_sd: float | None
  published_hedge: str = ""
  """Printed before a published value that is not exact, such as `about `."""
  tag: str | None
  """How the published value is known: a key of `published.TAGS`."""
  published_note: str | None
  published_parameters: float | None = None
  published_differs: tuple[str, ...] = ()
  """What the published value has otherwise, such as its data; it is marked."""
  unconfirmed: bool
  """The published value is recalled only: it is set in italics."""
  reference: str | None
  """Row it is compared with, its baseline; None for the baseline itself."""
  delta: Difference | None
  p: float | None
  """Two-sided p of `delta`, after Holm's correction over the table."""
  p_raw: float | None
  """The same before correction."""
  p_bootstrap: float | None
  """Paired bootstrap over test sentences only (Koehn 2004)."""
  p_randomisation: float | None
  """Approximate randomisation over test sentences (Riezler & Maxwell 2005)."""
  tag_significance: Significance
  seed_share: float | None
  """Share of the variance of `delta` due to seeds."""
  parameters: int | None
  minutes: float | None
  """Training time of a seed, without compilation and validation."""
  tokens_per_second: float | None
  epochs_to_best: float | None
  others: dict[str, OtherMetric]
  overrides: tuple[str, ...]
  """Flags that distinguish the row from its base config."""
  base: str = ""
  lengths: ScoresByLength | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class LengthBin:
  """A range of source lengths, both ends included."""

  label: str
  low: int
  high: int
  sentences: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedCurve:
  """Published scores by source length."""

  paper: str = ""
  metric: str = ""
  data: str = ""
  source: str = ""
  x: tuple[float, ...]
  y: tuple[float, ...]
  tag: str
  whole: float | None = None
  """Score of the whole test set."""
  unconfirmed: bool = False
  name: str
  differs: tuple[str, ...] = ()
  """What it has otherwise than this table, such as its data."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ordering:
  """A claim of the paper and its verdict."""

  claim: str
  verdict: Decision
  estimate: float | None
  interval: tuple[float, float] | None
  low: float | None
  """Lower end of the range claimed; None if it has none."""
  high: float | None
  note: str
  p_raw: float | None
  p: float | None
  """After Holm's correction over all claims that were judged."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counts:
  """Numbers of cells by status; stale cells count as waiting."""

  cells: int
  done: int
  failed: int
  running: int
  waiting: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearningCurve:
  """Mean of a validation metric over seeds, by training step."""

  name: str
  metric: str
  split: str
  steps: tuple[int, ...]
  mean: tuple[float, ...]
  low: tuple[float | None, ...]
  """Mean minus one standard deviation."""
  high: tuple[float | None, ...]
  n: int
  """Seeds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SentencePair:
  """A test sentence with the outputs of a row and of its baseline."""

  kind: SentenceKind
  row: str
  against: str
  source: str
  reference: str
  hypothesis: str
  other: str
  score: float
  other_score: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spectrogram:
  """What is drawn above the attention over an utterance."""

  values: tuple[str, ...]
  """A text for each frame: a character for each feature, the lowest frequency
  first, from `0`, the softest of 64 levels, to `o`, the loudest."""
  seconds: float | None
  """From one frame to the next; None: not known."""
  hertz: tuple[float, ...] | None
  """Frequency of each feature."""
  frames: int
  """From one position of the weights to the next,"""
  start: int
  """and where the first one begins."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttentionExample:
  """Attention weights [T, S] of one output."""

  row: str
  source: tuple[str, ...]
  target: tuple[str, ...]
  weights: tuple[tuple[float, ...], ...]
  spectrogram: Spectrogram | None = None
  """Of an utterance, whose positions are then in the order of time."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunRecord:
  """What is needed to make the table again."""

  command: str
  date: str
  git_commit: str | None
  versions: dict[str, Any]
  machine: dict[str, Any]
  data: dict[str, dict[str, str]]
  """SHA-256 of each part of the data by row; `all` if rows share the data."""
  configs: dict[str, Any]
  """Resolved config of each row."""
  base: str
  published_sources: dict[str, str | None]


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Table:
  """An ablation table."""

  format_version: Literal[2] = 2
  title: str
  paper: str
  note: str
  scale: str
  metric: str
  higher_is_better: bool
  signature: str | None
  """Settings and version of the metric."""
  reference: str
  """The baseline: the row that the others are compared with unless they name
  one of their own."""
  seeds: tuple[int, ...]
  test_sentences: int | None
  """None if rows have test sets of different sizes."""
  state: Literal["complete", "partial"]
  rows: tuple[Row, ...]
  bins: tuple[LengthBin, ...]
  length_unit: str = "words"
  published_curves: tuple[PublishedCurve, ...]
  orderings: tuple[Ordering, ...]
  seed_share: float | None
  """Share of the variance of single runs due to seeds."""
  difference_seed_share: float | None
  """Median over rows of `Row.seed_share`."""
  counts: Counts
  learning_curves: tuple[LearningCurve, ...]
  sentences: tuple[SentencePair, ...]
  attention: tuple[AttentionExample, ...]
  run: RunRecord
  notes: tuple[str, ...] = ()
  """What a reader has to know of how scores came about."""
  rules: dict[str, str] = dataclasses.field(default_factory=dict)
  """How each interval and p was computed, by its name: see `rules.NAMES`."""

  def row(self, name: str) -> Row:
    """The row of this name.

    Raises:
      KeyError: there is none; the message lists the names.
    """
    for row in self.rows:
      if row.name == name:
        return row
    names = ", ".join(repr(row.name) for row in self.rows)
    raise KeyError(f"no row is called {name!r}; there are {names}")

  def __repr__(self) -> str:
    """The scores, a line for each row; all the rest would fill pages."""
    lines = [f"<Table {self.title!r}, {self.metric}, {self.state}"]
    for row in self.rows:
      score = "no score" if row.mean is None else f"{row.mean:.2f}"
      spread = "" if row.sd is None else f" ± {row.sd:.2f}"
      lines.append(f"  {row.name}: {score}{spread} (n = {row.n})")
    return "\n".join(lines) + ">"


def to_json(table: Table) -> str:
  """The text of table.json."""
  tree = dataclasses.asdict(table)
  for example in tree["attention"]:
    if example["spectrogram"] is None:  # as in tables of text, old and new
      del example["spectrogram"]
  return json.dumps(tree, indent=1, allow_nan=False) + "\n"


def from_json(text: str, place: str = "table.json") -> Table:
  """The table of a table.json.

  Args:
    text: contents of the file.
    place: names the file in messages.

  Raises:
    types.UserError: the text is no JSON, a field is missing or unknown, or a
      value has the wrong type; the message names the field.
  """
  content = old_tables.upgraded(records.parse(text, place))
  table: Table = records.decode(Table, content, place)
  return table
