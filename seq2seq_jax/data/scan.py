"""SCAN, generated from its grammar (Lake & Baroni 2018, arXiv 1711.00350).

20,910 commands and the actions that they mean, and the published splits:

    python -m seq2seq_jax.data.scan SPLIT train|test

prints one as TSV. The templates are those of Loula et al. 2018.
"""

import difflib
import functools
import os
import re
import sys

import numpy as np

from seq2seq_jax import types

VERBS = ("walk", "look", "run", "jump")
SIZES = {1: 209, 2: 418, 4: 836, 8: 1672, 16: 3345, 32: 6691, 64: 13382}
# How often the primitive alone stands in training: 10 % of the lines.
PRIMITIVES = {"jump": 1467, "turn left": 2189}
EXAMPLES = (8, 16, 32)  # composed jump commands that are trained too
TEMPLATES = ("right", "opposite right", "around right")
LONGEST_TRAINED = 22  # actions, in the split by length
SIMPLE_TRAIN = 16728
SIMPLE_SEED = 2018

SPLITS = (
  "simple",
  *(f"simple_p{p}" for p in SIZES),
  "length",
  *("addprim_" + p.replace(" ", "_") for p in PRIMITIVES),
  *(f"addprim_jump_{k}" for k in EXAMPLES),
  "template_jump_around_right",
  *("template_" + t.replace(" ", "_") for t in TEMPLATES),
)


def _phrases() -> list[tuple[str, list[str]]]:
  """V of the grammar: a verb, alone or with a direction and a manner."""
  phrases = [(v, [f"I_{v.upper()}"]) for v in VERBS]
  for verb in (*VERBS, "turn"):
    act = [] if verb == "turn" else [f"I_{verb.upper()}"]
    for side in ("left", "right"):
      turn = [f"I_TURN_{side.upper()}"]
      phrases += [
        (f"{verb} {side}", turn + act),
        (f"{verb} opposite {side}", turn + turn + act),
        (f"{verb} around {side}", (turn + act) * 4),
      ]
  return phrases


@functools.cache
def commands() -> tuple[tuple[str, str], ...]:
  """All (command, actions), in a fixed order."""
  times = (("", 1), (" twice", 2), (" thrice", 3))
  singles = [(p + w, a * n) for p, a in _phrases() for w, n in times]
  out = list(singles)
  for left, first in singles:
    for right, second in singles:
      out.append((f"{left} and {right}", first + second))
      out.append((f"{left} after {right}", second + first))
  return tuple((command, " ".join(actions)) for command, actions in out)


def pairs(split: str, part: str) -> list[tuple[str, str]]:
  """The (command, actions) of a split's `train` or `test` part."""
  if split not in SPLITS:
    near = difflib.get_close_matches(split, SPLITS, 3, 0.3) or SPLITS
    raise types.UserError(
      f"SCAN has no split {split!r}; nearest: {', '.join(near)}"
    )
  if part not in ("train", "test"):
    raise types.UserError(f"SCAN's parts are train and test, not {part!r}")
  if split.startswith("simple"):
    train, test = _random(split)
  elif split == "length":
    short = lambda p: len(p[1].split()) <= LONGEST_TRAINED
    train, test = _divide(short, lambda p: not short(p))
  elif split.startswith("addprim_"):
    primitive = split.removeprefix("addprim_").replace("_", " ")
    train, test = _added(primitive.rstrip(" 0123456789"))
    if primitive[-1].isdigit():
      train, test = _with_examples(train, test, int(primitive.split()[-1]))
  else:
    train, test = _template(split.removeprefix("template_").replace("_", " "))
  return train if part == "train" else test


def _divide(train, test):
  everything = commands()
  return [p for p in everything if train(p)], [p for p in everything if test(p)]


def _random(split: str):
  """A split of its own seed; the smaller ones are drawn each on its own."""
  percent = int(split.removeprefix("simple_p")) if "_p" in split else 0
  size = SIZES[percent] if percent else SIMPLE_TRAIN
  rng = np.random.default_rng((SIMPLE_SEED, percent))
  order = [commands()[i] for i in rng.permutation(len(commands()))]
  return order[:size], order[size:]


def _added(primitive: str):
  inside = re.compile(rf"\b{primitive}\b").search
  test = lambda p: inside(p[0]) and p[0] != primitive
  train, tested = _divide(lambda p: not inside(p[0]), test)
  alone = next(p for p in commands() if p[0] == primitive)
  return train + [alone] * PRIMITIVES[primitive], tested


def _with_examples(train, test, k: int):
  """Some composed commands are trained too, and no longer tested.

  With the primitive they take the lines that it has alone, evenly.
  """
  rng = np.random.default_rng((SIMPLE_SEED, 0, k))
  chosen = set(rng.choice(len(test), size=k, replace=False).tolist())
  examples = [test[i] for i in sorted(chosen)]
  alone = train[-1]
  lines = train.count(alone)
  each = lines // (k + 1)
  others = train[:-lines] + [alone] * (lines - k * each)
  left = [p for i, p in enumerate(test) if i not in chosen]
  return others + [e for e in examples for _ in range(each)], left


def _template(template: str):
  verbs = "|".join(VERBS)
  if template.startswith("jump "):
    verbs, template = "jump", template.removeprefix("jump ")
  held = re.compile(rf"\b({verbs}) {template}\b").search
  turned = re.compile(rf"\bturn {template}\b").search
  return _divide(
    lambda p: not held(p[0]) and not turned(p[0]),
    lambda p: held(p[0]) and not turned(p[0]),
  )


def main() -> int:
  asked = bool({"-h", "--help"} & set(sys.argv[1:]))
  if len(sys.argv) != 3 or asked:
    print(
      "usage: python -m seq2seq_jax.data.scan SPLIT train|test\nsplits: "
      + ", ".join(SPLITS),
      file=sys.stdout if asked else sys.stderr,
    )
    return 0 if asked else 2
  try:
    for command, actions in pairs(*sys.argv[1:]):
      print(f"{command}\t{actions}")
    sys.stdout.flush()
  except types.UserError as e:
    print(f"error: {e}", file=sys.stderr)
    return 2
  except BrokenPipeError:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
  return 0


if __name__ == "__main__":
  sys.exit(main())
