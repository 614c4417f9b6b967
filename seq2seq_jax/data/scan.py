"""SCAN, generated from its grammar (Lake & Baroni 2018, arXiv 1711.00350).

20,910 commands with their actions, and the published splits. One is printed as
TSV by

    python -m seq2seq_jax.data.scan SPLIT train|test

The templates are those of Loula et al. 2018. A split with a few composed uses
of jump has 14,670 training lines like the one without; the published files have
14,665 or 14,655. Training says so (`note`).
"""

import difflib
import functools
import re
from collections.abc import Callable

import numpy as np

from seq2seq_jax import exits, types
from seq2seq_jax.data import print_pairs

Command = tuple[str, str]  # a command and its actions

VERBS = ("walk", "look", "run", "jump")
# Training lines of the simple splits, by the percentage of all commands.
SIZES = {1: 209, 2: 418, 4: 836, 8: 1672, 16: 3345, 32: 6691, 64: 13382}
# Training lines with the primitive alone: 10 % of all.
PRIMITIVES = {"jump": 1467, "turn left": 2189}
EXAMPLES = (8, 16, 32)  # composed jump commands in the training part
TEMPLATES = ("right", "opposite right", "around right")
LONGEST_TRAINED = 22  # most actions in training, in the split by length
SIMPLE_TRAIN = 16728
SIMPLE_SEED = 2018
PARTS = ("train", "test")

SPLITS = (
  "simple",
  *(f"simple_p{percent}" for percent in SIZES),
  "length",
  *("addprim_" + primitive.replace(" ", "_") for primitive in PRIMITIVES),
  *(f"addprim_jump_{count}" for count in EXAMPLES),
  "template_jump_around_right",
  *("template_" + template.replace(" ", "_") for template in TEMPLATES),
)


def _phrases() -> list[tuple[str, list[str]]]:
  """V of the grammar: a verb, alone or with a direction and a manner."""
  phrases = [(verb, [f"I_{verb.upper()}"]) for verb in VERBS]
  for verb in (*VERBS, "turn"):
    # turn is no action, only its direction is.
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
def commands() -> tuple[Command, ...]:
  """All 20,910 (command, actions), in a fixed order."""
  times = (("", 1), (" twice", 2), (" thrice", 3))
  singles = [
    (phrase + word, actions * n)
    for phrase, actions in _phrases()
    for word, n in times
  ]
  out = list(singles)
  for left, first in singles:
    for right, second in singles:
      out.append((f"{left} and {right}", first + second))
      # `x after y` means the actions of y, then those of x.
      out.append((f"{left} after {right}", second + first))
  return tuple((command, " ".join(actions)) for command, actions in out)


def pairs(split: str, part: str) -> list[Command]:
  """The (command, actions) of a split's `train` or `test` part.

  Raises:
    types.UserError: there is no such split or part.
  """
  if split not in SPLITS:
    near = difflib.get_close_matches(split, SPLITS, 3, 0.3) or SPLITS
    raise types.UserError(
      f"SCAN has no split {split!r}; nearest: {', '.join(near)}"
    )
  if part not in PARTS:
    raise types.UserError(f"SCAN's parts are train and test, not {part!r}")
  if split.startswith("simple"):
    train, test = _random(split)
  elif split == "length":
    train, test = _by_length()
  elif split.startswith("addprim_"):
    words = split.removeprefix("addprim_").split("_")
    count = int(words.pop()) if words[-1].isdigit() else 0
    train, test = _added_primitive(" ".join(words))
    if count:
      train, test = _with_examples(train, test, count)
  else:
    train, test = _template(split.removeprefix("template_").replace("_", " "))
  return train if part == "train" else test


def note(split: str) -> str | None:
  """What a split has that the published one has not; None if it is the same."""
  if split.removeprefix("addprim_jump_").isdigit():
    return (
      f"SCAN {split}: training has {len(pairs(split, 'train')):,} lines, the "
      "published files have 14,665 or 14,655"
    )
  return None


def _select(
  in_train: Callable[[Command], bool], in_test: Callable[[Command], bool]
) -> tuple[list[Command], list[Command]]:
  """The training and test commands; each predicate chooses those of a part."""
  return (
    [command for command in commands() if in_train(command)],
    [command for command in commands() if in_test(command)],
  )


def _by_length() -> tuple[list[Command], list[Command]]:
  """Trains on commands of few actions, tests on the longer ones."""

  def is_short(command: Command) -> bool:
    return len(command[1].split()) <= LONGEST_TRAINED

  return _select(is_short, lambda command: not is_short(command))


def _random(split: str) -> tuple[list[Command], list[Command]]:
  """A random split; different sizes are independent draws."""
  percent = int(split.removeprefix("simple_p")) if "_p" in split else 0
  size = SIZES[percent] if percent else SIMPLE_TRAIN
  rng = np.random.default_rng((SIMPLE_SEED, percent))
  order = [commands()[i] for i in rng.permutation(len(commands()))]
  return order[:size], order[size:]


def _added_primitive(primitive: str) -> tuple[list[Command], list[Command]]:
  """Trains on the primitive alone, tests on all its compositions."""
  has_primitive = re.compile(rf"\b{primitive}\b").search

  def composes(command: Command) -> bool:
    return bool(has_primitive(command[0])) and command[0] != primitive

  train, test = _select(lambda c: not has_primitive(c[0]), composes)
  alone = next(command for command in commands() if command[0] == primitive)
  return train + [alone] * PRIMITIVES[primitive], test


def _with_examples(
  train: list[Command], test: list[Command], count: int
) -> tuple[list[Command], list[Command]]:
  """Moves `count` composed commands from the test to the training part.

  They and the primitive evenly share its lines in `train`, so that the training
  part keeps its size.
  """
  rng = np.random.default_rng((SIMPLE_SEED, 0, count))
  chosen = set(rng.choice(len(test), size=count, replace=False).tolist())
  examples = [test[i] for i in sorted(chosen)]
  primitive = train[-1]
  lines = train.count(primitive)
  each = lines // (count + 1)
  training = train[:-lines] + [primitive] * (lines - count * each)
  remaining = [command for i, command in enumerate(test) if i not in chosen]
  return training + [e for e in examples for _ in range(each)], remaining


def _template(template: str) -> tuple[list[Command], list[Command]]:
  """Tests on commands with a template, such as `V around right`.

  Commands with the verb turn in the template are in neither part.
  """
  verbs = "|".join(VERBS)
  if template.startswith("jump "):
    verbs, template = "jump", template.removeprefix("jump ")
  held_out = re.compile(rf"\b({verbs}) {template}\b").search
  turned = re.compile(rf"\bturn {template}\b").search
  return _select(
    lambda c: not held_out(c[0]) and not turned(c[0]),
    lambda c: bool(held_out(c[0])) and not turned(c[0]),
  )


def main() -> int:
  """Prints the split named on the command line; returns the exit code."""
  return print_pairs.main("scan", "SPLIT", SPLITS, PARTS, pairs)


if __name__ == "__main__":
  exits.run(main)
