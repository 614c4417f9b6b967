"""Schema: search."""

import dataclasses
from typing import Literal

from seq2seq_jax.config import fields


@fields.strict
@dataclasses.dataclass(frozen=True)
class Decode:
  """The search of `evaluate` and `decode`, and that of validation."""

  beam_size: int = fields.mutable_on_resume(5, min=1, max=10**4)
  """Hypotheses kept; 1 is greedy search."""
  valid_beam_size: int = fields.field(1, min=1, max=10**4)
  """The same in validation during training."""
  length_rule: Literal["none", "average", "gnmt", "word_reward"] = (
    fields.mutable_on_resume("gnmt")
  )
  """Final score: log P; log P over length to the `alpha`; log P over
  ((5 + length) / 6) to the `alpha`; log P plus `alpha` a token."""
  alpha: float = fields.mutable_on_resume(0.6, min=-100, max=100)
  """Parameter of the length rule."""
  coverage: float = fields.mutable_on_resume(0.0, min=0, max=10**6)
  """Weight beta of GNMT's coverage penalty, added to the final score: the sum
  over the source of log min(attention received, 1) (Wu et al. 2016)."""
  patience: float = fields.mutable_on_resume(0.0, min=0, max=10**6)
  """A sentence's search stops once patience x beam_size hypotheses have ended
  (Kasai et al. 2022; 1 is what most toolkits do); 0: it stops only when no live
  one can become the best, which takes longer."""
  ctc_weight: float = fields.mutable_on_resume(0.0, min=0, max=1)
  """Share w of CTC in the search, of a run with the objective `ctc`: a step's
  score is (1 - w) log P of the decoder plus w log P of CTC (Watanabe et al.
  2017), which keeps a decoder from ending early or repeating itself. At 1 the
  decoder is not run, and a beam of one is the best path, each position's most
  probable label, unless a language model or a shortest length has a say.
  Validation does the same."""
  lm: str = fields.mutable_on_resume("")
  """Workdir of a run with `data.task language_model` whose log P joins the
  search (shallow fusion, Gulcehre et al. 2015), or DIR#REPLICA; its best
  checkpoint. It has the target's vocabulary: train it with `data.vocabulary`,
  the workdir of the run that it joins."""
  lm_weight: float = fields.mutable_on_resume(0.0, min=0, max=100)
  """Weight of the language model's log P; at 0 it is not loaded. Validation
  leaves it out."""
  exact: int = fields.mutable_on_resume(0, min=0, max=10**9)
  """Steps that exact search spends on a sentence after the beam's, backtracking
  included, to find the best of all outputs (Stahlberg & Byrne 2019); 0 is none.
  For small vocabularies."""
  min_ratio: float = fields.mutable_on_resume(0.0, min=0, max=10**4)
  """Shortest output over source length, EOS counted in both."""
  max_ratio: float = fields.mutable_on_resume(2.0, min=0, max=10**4)
  """Longest output over source length, EOS counted in both."""
  max_extra: int = fields.mutable_on_resume(10, min=0, max=10**6)
  """Added to the longest output."""
  min_length: int = fields.mutable_on_resume(0, min=0, max=10**6)
  """Shortest output in tokens, EOS not counted; it goes before the longest."""
  max_source_length: int = fields.mutable_on_resume(65536, min=0, max=10**9)
  """Longest source in tokens with EOS, or in frames; 0: any. Above it
  `long_source` decides."""
  long_source: Literal["refuse", "cut", "skip"] = fields.mutable_on_resume(
    "refuse"
  )
  """What becomes of a source that is too long: the command ends there with a
  message, its first `max_source_length` tokens are read, or its output is
  blank. How many were cut or skipped is told."""
  oracle_length: bool = fields.mutable_on_resume(False)
  """Every output has as many tokens as its reference, where there is one (Lake
  & Baroni 2018); no more than the longest output."""
  replace_unknown: bool = fields.mutable_on_resume(False)
  """Put the source word most attended to for every unknown word, in its own
  spelling (Luong et al. 2015); words on both sides."""
  unknown_attention: Literal["own", "next"] = fields.mutable_on_resume("own")
  """The step whose attention `replace_unknown` follows: the unknown word's own,
  or, with scores that look at the source vectors, the next one's, which reads
  the word (Luong's thesis). Where the context makes the word, the own step is
  right: .98 of reversed words against .18 (general, placement luong)."""
  distinct: bool = fields.mutable_on_resume(True)
  """Leave out outputs whose text a better one of the n-best list has, as other
  segmentations give."""
  forbid_unknown: bool = fields.mutable_on_resume(False)
  """Never write the unknown word; the others' probabilities stay."""
  batch_rows: int = fields.mutable_on_resume(64, min=1, max=10**6)
  """Rows of every search program on each device, whatever is asked for."""
  pool_batches: int = fields.mutable_on_resume(16, min=1, max=10**4)
  """Batches of `batch_rows` from whose sentences a search program draws: the
  row of an answered one is given to a waiting one. Sources above 64 tokens have
  fewer in proportion."""
  length_step: int = fields.mutable_on_resume(24, min=1, max=10**5)
  """Source lengths are padded up to a multiple of this when searching. Beyond
  eight of them those of text are doubled; those of frames grow by a fifth each
  wherever that is more than this (at 24 from 120 frames on), so that of read
  speech less than a tenth is padding. Of each such length the last sentences
  leave rows idle, which costs more than padding does: few utterances are
  searched sooner with fewer lengths (128) or a small `batch_rows`."""

  def __post_init__(self) -> None:
    fields.validate(self, "decode")
    fields.check(
      self.max_ratio > 0 or self.max_extra > 0,
      "decode.max_ratio",
      "the longest output would be empty",
    )
    fields.check(
      self.max_source_length != 1,
      "decode.max_source_length",
      "a source of one token is its end alone; 0 is no limit",
    )
    fields.check(
      not self.exact or not (self.coverage or self.replace_unknown),
      "decode.exact",
      "gives no attention: neither coverage nor replace_unknown goes with it",
    )
    fields.check(
      not self.exact or not (self.ctc_weight or self.lm_weight),
      "decode.exact",
      "searches with the decoder alone: neither ctc_weight nor lm_weight goes "
      "with it",
    )
    fields.check(
      self.ctc_weight < 1 or not (self.coverage or self.replace_unknown),
      "decode.ctc_weight",
      "at 1 gives no attention: neither coverage nor replace_unknown goes with "
      "it",
    )
    fields.check(
      not self.lm_weight or self.lm != "",
      "decode.lm_weight",
      "needs a language model: name its workdir by decode.lm",
    )
    fields.check(
      not (self.forbid_unknown and self.replace_unknown),
      "decode.forbid_unknown",
      "leaves no unknown word for replace_unknown",
    )

  def parts(self) -> tuple[str, ...]:
    """What a step's score is the sum of: `attention`, `ctc`, `lm`."""
    weights = self.part_weights()
    return tuple(name for name, weight in weights.items() if weight)

  def part_weights(self) -> dict[str, float]:
    """The weight of each part's log P in the score of a step."""
    return {
      "attention": 1.0 - self.ctc_weight,
      "ctc": self.ctc_weight,
      "lm": self.lm_weight,
    }

  def best_path(self) -> "Decode":
    """Greedy search of CTC alone, in which nothing else has a say."""
    return dataclasses.replace(
      self,
      ctc_weight=1.0,
      lm_weight=0.0,
      beam_size=1,
      min_ratio=0.0,
      min_length=0,
      # An output has no more labels than there are positions.
      max_ratio=min(self.max_ratio, 1.0),
      coverage=0.0,
      exact=0,
      oracle_length=False,
      replace_unknown=False,
    )
