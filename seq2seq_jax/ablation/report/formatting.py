"""How numbers and names are printed in the report and its figures."""

import math
from collections.abc import Iterable
from typing import TypeGuard

from seq2seq_jax.ablation import schema

MISSING = "–"  # printed in place of a number that is not known


def is_number(value: float | None) -> TypeGuard[float]:
  """True unless the value is None, NaN or infinite."""
  return value is not None and math.isfinite(value)


def minus(text: str) -> str:
  """The text with hyphens as minus signs."""
  return text.replace("-", "−")


def score_digits(rows: Iterable[schema.Row]) -> int:
  """Decimals of a table's scores: two if one reaches ten, else three."""
  means = [abs(row.mean) for row in rows if is_number(row.mean)]
  return 2 if max(means, default=10.0) >= 10 else 3


def number(value: float | None, digits: int, sign: str = "") -> str:
  """A number with a true minus sign; `sign="+"` prints that of all numbers."""
  if not is_number(value):
    return MISSING
  return minus(f"{value:{sign}.{digits}f}")


def mean_sd(mean: float | None, sd: float | None, digits: int) -> str:
  """`22.17 ± 0.21`, or the mean alone if there is no deviation."""
  spread = f" ± {number(sd, digits)}" if is_number(sd) else ""
  return f"{number(mean, digits)}{spread}"


def interval(low: float | None, high: float | None, digits: int) -> str:
  """`[−0.95, 0.09]`; empty if an end is missing."""
  if not (is_number(low) and is_number(high)):
    return ""
  return f"[{number(low, digits)}, {number(high, digits)}]"


def p_value(value: float | None) -> str:
  """Three decimals; below them `< 0.001`."""
  if not is_number(value):
    return MISSING
  return "< 0.001" if value < 0.001 else f"{value:.3f}"


def large(value: float | None) -> str:
  """Three digits and a unit: 6260000 -> `6.26 M`."""
  if not is_number(value):
    return MISSING
  for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
    if abs(value) >= size:
      return f"{value / size:.3g}{unit}"
  return f"{value:.3g}"


def grouped(value: float | None) -> str:
  """A whole number with thousands separators: 4600.2 -> `4,600`."""
  return f"{value:,.0f}" if is_number(value) else MISSING


def seeds(counts: Iterable[int]) -> str:
  """`3 seeds`, or `1 to 3 seeds` if rows differ; rows without any are left
  out."""
  distinct = sorted(set(counts) - {0}) or [0]
  least = f"{distinct[0]} to " if len(distinct) > 1 else ""
  most = distinct[-1]
  return f"{least}{most} seed{'' if most == 1 else 's'}"


# Markdown and LaTeX: ASCII, and empty for what is not known.


def plain(value: float | None, signed: bool = False) -> str:
  """Two decimals, none from 1000 on; `signed` prints a plus sign as well."""
  if value is None:
    return ""
  digits = 2 if abs(value) < 1000 else 0
  return f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"


def plain_mean_sd(mean: float, sd: float | None) -> str:
  """`22.17 ± 0.21`, or the mean alone if there is no deviation."""
  return plain(mean) if sd is None else f"{plain(mean)} ± {plain(sd)}"


def plain_interval(low: float | None, high: float | None) -> str:
  """`-0.95 to +0.09`; empty if an end is missing."""
  if low is None or high is None:
    return ""
  return f"{plain(low, True)} to {plain(high, True)}"


def millions(value: float) -> str:
  """6260000 -> `6.26 M`."""
  return f"{value / 1e6:.2f} M"
