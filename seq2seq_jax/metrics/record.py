"""What a metric is: its name, function, direction, label and needs."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Texts = Sequence[str]
PERCENT = (0.0, 100.0)  # bounds of a share
RATE = (0.0, math.inf)  # of errors, of which there may be more than words


class Comparison(NamedTuple):
  """How output texts are compared with references."""

  lowercase: bool = False  # TER and ROUGE, by their packages' defaults, always
  tokenize: str = "13a"  # SacreBLEU's for BLEU; `none`: it is tokenised already


def comparable(texts: Texts, comparison: Comparison) -> list[str]:
  """Texts as they are compared: every run of blanks one, none at the ends."""
  texts = [" ".join(text.split()) for text in texts]
  return [text.lower() for text in texts] if comparison.lowercase else texts


def case(comparison: Comparison) -> str:
  """What a signature says of upper and lower case."""
  return f"case:{'lc' if comparison.lowercase else 'mixed'}"


def ratio(sums: np.ndarray) -> np.ndarray:
  """The first sum over the second, in percent. [..., 2] -> [...]."""
  sums = np.asarray(sums, np.float64)
  empty = np.where(sums[..., 0] > 0, 100.0, 0.0)
  with np.errstate(divide="ignore", invalid="ignore"):
    return np.where(sums[..., 1] > 0, 100 * sums[..., 0] / sums[..., 1], empty)


def decides(references: Texts, comparison: Comparison) -> str:
  """An empty text: outputs can differ in the score."""
  del references, comparison
  return ""


def _no_signature(comparison: Comparison) -> str:
  del comparison
  return ""


@dataclasses.dataclass(frozen=True)
class Metric:
  """A metric, and all that others ask about it.

  `function` gives the score of a corpus, usually in percent. It takes what
  `needs` says:
    outputs: (hypotheses, references, comparison), lists of texts.
    model: (token_scores,), the references' scores under the model, an array a
      sentence: [2, T] log-probability of each token and whether it ranked
      first; [1, T] of an ensemble, which does not know the latter.
    ctc: as outputs, but of texts that the encoder's CTC head alone gives: the
      best path. Only a single model with the objective `ctc` has them.
    search: (hypotheses,), the `types.Hypotheses` of each source.
  It may return None where the metric is not defined.

  `sentence_sums`, of the same arguments, gives sufficient statistics [N, F] of
  the N sentences, from whose sum `of_sums` [..., F] -> [...] gives the score:
  tests of significance draw sentences again with them. By default a corpus
  score is the mean of its sentences' scores.

  `undecided`, of (references, comparison), says why the score can be nothing
  but 0 with these references; empty: it can.

  `of_ensembles` is False if an ensemble of models has no such score.

  `bounds` are the least and the largest that a score can be, for intervals.

  `parts` names the listed metrics that `evaluate` gives beside it.
  """

  name: str
  function: Callable[..., float | None]
  lower_is_better: bool = False
  label: str = ""  # for tables and figures; by default the name in words
  needs: Literal["model", "outputs", "ctc", "search"] = "outputs"
  diagnostic: bool = False  # printed, but never chooses a checkpoint or a row
  signature: Callable[[Comparison], str] = _no_signature  # settings, versions
  sentence_sums: Callable[..., npt.ArrayLike] | None = None
  of_sums: Callable[[np.ndarray], np.ndarray] = ratio
  of_ensembles: bool = True
  bounds: tuple[float, float] = (-math.inf, math.inf)
  undecided: Callable[[Texts, Comparison], str] = decides
  parts: tuple[str, ...] = ()

  def __post_init__(self) -> None:
    if not self.label:
      object.__setattr__(self, "label", self.name.replace("_", " "))
