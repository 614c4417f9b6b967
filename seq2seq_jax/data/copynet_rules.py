"""CopyNet's synthetic rules (Gu et al. 2016, section 5.1).

A rule such as `a b x c d y e f -> g h x m` has regular symbols and variables;
an instance replaces the variables by random symbols. The five kinds of rules
are named by the variables on either side. The instances of one kind, or of
`all`, are printed as TSV by

    python -m seq2seq_jax.data.copynet_rules KIND train|valid|test
"""

import numpy as np

from seq2seq_jax import exits, types
from seq2seq_jax.data import print_pairs

# Variables on the left and on the right.
KINDS = {
  "x_0": ("x", ""),
  "x_x": ("x", "x"),
  "x_xx": ("x", "xx"),
  "xy_x": ("xy", "x"),
  "xy_xy": ("xy", "xy"),
}
SYMBOLS = 1000
RULES = 200
INSTANCES = {"train": 100, "valid": 5, "test": 100}  # of each rule
LENGTH = (5, 20)  # symbols and variables of a rule's side
VARIABLE = (1, 15)  # symbols in place of a variable

RuleSide = list[int | str]  # symbols as numbers, variables as letters


def pairs(
  kind: str, split: str, seed: int = 0, rules: int = RULES
) -> list[tuple[str, str]]:
  """The (source, target) texts of a split.

  Args:
    kind: kind of rule, one of `KINDS`, or `all`.
    split: train, valid or test; they have the same rules, but other instances.
    seed: seed of rules and instances.
    rules: number of rules, divided evenly among all kinds.

  Raises:
    types.UserError: there is no such kind or split.
  """
  if kind != "all" and kind not in KINDS:
    raise types.UserError(
      f"copy_rules has no kind {kind!r}; choose all, {', '.join(KINDS)}"
    )
  if split not in INSTANCES:
    raise types.UserError(
      f"copy_rules has no split {split!r}; choose {', '.join(INSTANCES)}"
    )
  out = []
  for n, name in enumerate(KINDS):
    if kind not in ("all", name):
      continue
    # Rule i is of kind i modulo 5, so `all` has the same rules of a kind.
    for i in range(n, rules, len(KINDS)):
      rule_rng = np.random.default_rng((seed, 4, i))
      left, right = (_rule_side(rule_rng, names) for names in KINDS[name])
      split_number = list(INSTANCES).index(split)
      rng = np.random.default_rng((seed, 5, i, split_number))
      out += [_instance(rng, left, right) for _ in range(INSTANCES[split])]
  return out


def _rule_side(rng: np.random.Generator, variables: str) -> RuleSide:
  """Random symbols, with the variables in order at random positions."""
  length = int(rng.integers(LENGTH[0], LENGTH[1] + 1))
  side: RuleSide = [int(s) for s in rng.integers(SYMBOLS, size=length)]
  places = rng.choice(length, size=len(variables), replace=False)
  for place, variable in zip(np.sort(places).tolist(), list(variables)):
    side[place] = variable
  return side


def _instance(
  rng: np.random.Generator, left: RuleSide, right: RuleSide
) -> tuple[str, str]:
  """Both sides as text, with random symbols in place of the variables."""
  low, high = VARIABLE
  values = {
    variable: rng.integers(
      SYMBOLS, size=int(rng.integers(low, high + 1))
    ).tolist()
    for variable in ("x", "y")
  }

  def substitute(side: RuleSide) -> str:
    symbols: list[int] = []
    for item in side:
      symbols += values[item] if isinstance(item, str) else [item]
    return " ".join(map(str, symbols))

  return substitute(left), substitute(right)


def main() -> int:
  """Prints the rules named on the command line; returns the exit code."""
  return print_pairs.main(
    "copynet_rules", "KIND", ["all", *KINDS], tuple(INSTANCES), pairs
  )


if __name__ == "__main__":
  exits.run(main)
