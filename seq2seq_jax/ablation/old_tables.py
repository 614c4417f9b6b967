"""Tables of earlier formats as those of this one.

Numbers stay as they were computed, and the table says by which rules. Only
what nothing can be is cut off: an interval of a share beyond 0 or 100.
"""

import math
import re
from typing import Any

from seq2seq_jax import metrics

INF = math.inf
SIGNIFICANCE = {"same": "not shown", "reference": "baseline"}
KINDS = {"reference row best": "baseline best"}
# Claims on a single row, as format 1 wrote them.
SINGLE = re.compile(
  r".+ (within [\d.]+ of [\d.]+|between [\d.]+ and [\d.]+|at most [\d.]+)"
)
# Claims on a difference of two.
DOUBLE = re.compile(r".+ (above|not below) .+")
TIES = (
  "draws that are equal to the observed difference are left out, as SacreBLEU "
  "does, (count + 1) / (draws + 1)"
)
RULES = {
  "interval": (
    "Student's t over seeds and test sentences with Satterthwaite's degrees of "
    "freedom, or over seeds alone (Welch) where that is wider; cut at what a "
    "score or a difference can be; a subset of sentences has the degrees of "
    "freedom of the whole test set, and where nothing varied the interval has "
    "no width"
  ),
  "p_raw": "two-sided p of no difference, by the same distribution",
  "p": "the same after Holm's correction over the rows of the table",
  "p of claims": (
    "two-sided p of the bound that the claim clears or misses, likewise; after "
    "Holm's correction over the claims that are judged"
  ),
  "p_bootstrap": (
    "paired bootstrap over test sentences alone (Koehn 2004), 1,000 resamples, "
    f"centred, two-sided; {TIES}"
  ),
  "p_randomisation": (
    "approximate randomisation of test sentences alone (Riezler & Maxwell "
    f"2005), 10,000 trials, two-sided; {TIES}"
  ),
}


def upgraded(content: Any) -> Any:
  """A parsed table.json in the present format; unchanged if it is no old one.

  Whether it is a table at all, its reader checks.
  """
  if not isinstance(content, dict) or content.get("format_version") != 1:
    return content
  low, high = metrics.bounds(str(content.get("metric"))) or (-INF, INF)
  return content | {
    "format_version": 2,
    "rows": _each(content, "rows", lambda row: _row(row, high - low)),
    "sentences": _each(content, "sentences", _sentence),
    "orderings": _each(
      content, "orderings", lambda claim: _ordering(claim, low, high)
    ),
    "rules": RULES,
  }


def _each(content: dict[str, Any], name: str, upgrade: Any) -> Any:
  """The records of a field, each upgraded; anything else as it is."""
  found = content.get(name)
  if not isinstance(found, list):
    return found
  return [upgrade(item) if isinstance(item, dict) else item for item in found]


def _row(row: dict[str, Any], width: float) -> dict[str, Any]:
  row = _renamed(row, "tag_significance", SIGNIFICANCE)
  delta = row.get("delta")
  if not isinstance(delta, dict):
    return row
  ends = ("low", "high")
  cut = {k: _cut(delta[k], -width, width) for k in ends if k in delta}
  return row | {"delta": delta | cut}


def _sentence(sentence: dict[str, Any]) -> dict[str, Any]:
  return _renamed(sentence, "kind", KINDS)


def _renamed(
  record: dict[str, Any], name: str, names: dict[str, str]
) -> dict[str, Any]:
  value = record.get(name)
  if not isinstance(value, str) or value not in names:
    return record
  return record | {name: names[value]}


def _ordering(claim: dict[str, Any], low: float, high: float) -> dict[str, Any]:
  """The claim, its interval cut at what a score or a difference can be."""
  interval, words = claim.get("interval"), str(claim.get("claim"))
  if not isinstance(interval, list):
    return claim
  if SINGLE.fullmatch(words):
    return claim | {"interval": [_cut(end, low, high) for end in interval]}
  if DOUBLE.fullmatch(words):
    width = high - low
    return claim | {"interval": [_cut(end, -width, width) for end in interval]}
  return claim


def _cut(end: Any, low: float, high: float) -> Any:
  is_number = isinstance(end, int | float) and not isinstance(end, bool)
  return min(max(end, low), high) if is_number else end
