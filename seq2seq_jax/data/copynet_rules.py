"""CopyNet's synthetic rules (Gu et al. 2016, section 5.1).

A rule such as `a b x c d y e f -> g h x m` has regular symbols and variables;
an instance puts random symbols for the variables. The five kinds of rules are
named by what becomes of the variables:

    python -m seq2seq_jax.data.copynet_rules KIND train|valid|test

prints the instances of one kind, or of `all`, as TSV.
"""

import os
import sys

import numpy as np

from seq2seq_jax import types

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
INSTANCES = {"train": 100, "valid": 5, "test": 100}  # a rule
LENGTH = (5, 20)  # symbols and variables of a rule's side
VARIABLE = (1, 15)  # symbols that a variable stands for


def pairs(
  kind: str, split: str, seed: int, rules: int
) -> list[tuple[str, str]]:
  """The (source, target) texts of a split, of one kind of rule or `all`.

  Args:
    kind: one of `KINDS`, or all.
    split: train, valid or test; the same rules with other instances.
    seed: of rules and instances.
    rules: rules of all kinds together, as many of each.
  """
  if kind != "all" and kind not in KINDS:
    raise types.UserError(
      f"copy_rules has no kind {kind!r}; there are: all, {', '.join(KINDS)}"
    )
  if split not in INSTANCES:
    raise types.UserError(f"copy_rules has no split {split!r}")
  out = []
  for n, name in enumerate(KINDS):
    if kind not in ("all", name):
      continue
    for i in range(n, rules, len(KINDS)):
      rng = np.random.default_rng((seed, 4, i))
      rule = _rule(rng, *KINDS[name])
      order = np.random.default_rng((seed, 5, i, list(INSTANCES).index(split)))
      out += [_instance(order, *rule) for _ in range(INSTANCES[split])]
  return out


def _rule(rng, left: str, right: str):
  """Both sides, symbols as numbers and variables as letters."""

  def side(variables: str):
    length = int(rng.integers(LENGTH[0], LENGTH[1] + 1))
    symbols = [int(s) for s in rng.integers(SYMBOLS, size=length)]
    places = np.sort(
      rng.choice(length, size=len(variables), replace=False)
    ).tolist()
    for place, variable in zip(places, variables):
      symbols[place] = variable
    return symbols

  return side(left), side(right)


def _instance(rng, left: list, right: list) -> tuple[str, str]:
  low, high = VARIABLE
  words = {
    v: rng.integers(SYMBOLS, size=int(rng.integers(low, high + 1))).tolist()
    for v in "xy"
  }
  fill = lambda side: " ".join(
    str(w) for s in side for w in (words[s] if isinstance(s, str) else [s])
  )
  return fill(left), fill(right)


def main() -> int:
  asked = bool({"-h", "--help"} & set(sys.argv[1:]))
  if len(sys.argv) != 3 or asked:
    print(
      "usage: python -m "
      "seq2seq_jax.data.copynet_rules KIND train|valid|test\nkinds: "
      + ", ".join(["all", *KINDS]),
      file=sys.stdout if asked else sys.stderr,
    )
    return 0 if asked else 2
  try:
    for source, target in pairs(*sys.argv[1:], seed=0, rules=RULES):
      print(f"{source}\t{target}")
    sys.stdout.flush()
  except types.UserError as e:
    print(f"error: {e}", file=sys.stderr)
    return 2
  except BrokenPipeError:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
  return 0


if __name__ == "__main__":
  sys.exit(main())
