"""Padded lengths of search and scoring: few, as each is a compiled program.

They follow from a length alone, so that an example meets the same program in
any company.
"""

ROUND = 8  # lengths between the steps are multiples of this


def doubling(length: int, step: int) -> int:
  """The least of `step`, 2 `step`, ... 8 `step` and its doubles that fits.

  Any data needs at most 8 + log2(length) of them. For sentences, which seldom
  have more than 8 steps.
  """
  if length <= 8 * step:
    return -(-length // step) * step
  padded = 8 * step
  while padded < length:
    padded *= 2
  return padded


def growing(length: int, step: int) -> int:
  """The least that fits of lengths that grow by a fifth each, or by `step`.

  For frames, hundreds or thousands to a source: less than a tenth of padded
  read speech is padding. Any data needs about 5 + log(length / (5 step)) /
  log(1.2) of them, 40 for an hour at a step of 24.
  """
  padded = 0
  while padded < length:
    padded = max(padded + step, padded * 6 // 5 // ROUND * ROUND)
  return padded
