"""A set of model configs in which every two choices that can meet do meet.

    python -m tests.helpers.covering

makes it anew and writes covering.json, which tests read: to make it takes ten
seconds in every process.
"""

import itertools
import json
import pathlib
import random
import typing

import numpy as np

from seq2seq_jax import config, types

SIZES = {
  "embed_dim": 8,
  "decoder.embed_dim": 6,  # the two sides' embeddings differ
  "encoder.dim": 8,
  "decoder.dim": 16,
  "attention.dim": 8,
  "attention.heads": 2,
  "attention.window_size": 2,
  "attention.filters": 2,
  "attention.filter_width": 3,
  "attention.positions": 12,
  "decoder.context_length": 6,
  "readout.dim": 8,
  "transformer.dim": 16,
  "transformer.layers": 2,
  "transformer.heads": 2,
  "transformer.hidden": 16,
}


def choices(path: str) -> tuple[str, ...]:
  """The names that a field of `config.Model` takes."""
  *sections, name = path.split(".")
  kind = config.Model
  for section in sections:
    kind = typing.get_type_hints(kind)[section]
  listed = kind.__dataclass_fields__[name].metadata.get("choices")
  return listed or typing.get_args(typing.get_type_hints(kind)[name])


# Cells of encoder and decoder are two factors: a pair of attention and cell
# has met where either has it.
FACTORS = {
  "attention.score": choices("attention.score"),
  "encoder.cell": choices("encoder.cell"),
  "decoder.cell": config.CELLS,
  "decoder.placement": choices("decoder.placement"),
  "encoder": {
    "forward": {"encoder.direction": "forward", "encoder.dim": 16},
    "backward": {"encoder.direction": "backward", "encoder.dim": 16},
    "joint": {"encoder.direction": "both"},
    "separate": {"encoder.direction": "both", "encoder.stacking": "separate"},
    "gnmt": {
      "encoder.direction": "both",
      "encoder.stacking": "gnmt",
      "encoder.dim": 16,
    },
  },
  "encoder.kind": choices("encoder.kind"),
  "depth": {
    "one": {"encoder.layers": 1, "decoder.layers": 1},
    "two": {"encoder.layers": 2, "decoder.layers": 2},
    "residual": {
      "encoder.layers": 3,
      "decoder.layers": 2,
      "residual": "add",
      "residual_start": 3,
    },
    "dense": {
      "encoder.layers": 2,
      "decoder.layers": 3,
      "residual": "dense",
      "residual_start": 3,
    },
  },
  "pairs": {
    "none": {},
    "concat": {"encoder.reductions": 1},
    "max": {"encoder.reductions": 1, "encoder.reduction": "max"},
  },
  "feed": {
    "none": {"decoder.input_feeding": False},
    "readout": {"decoder.input_feeding": True},
    "context": {"decoder.input_feeding": True, "decoder.feed": "context"},
  },
  "decoder.bridge": choices("decoder.bridge"),
  "readout.kind": choices("readout.kind"),
  "head": choices("head"),
  "attention.window": choices("attention.window"),
  "attention.norm": choices("attention.norm"),
  "decoder.context_at": choices("decoder.context_at"),
  "decoder.context": choices("decoder.context"),
  "transition_depth": (1, 2),
}


def fields(case: dict) -> dict:
  """The fields of `config.Model` that a case stands for."""
  out = dict(SIZES)
  for factor, choice in case.items():
    choices = FACTORS[factor]
    out |= choices[choice] if isinstance(choices, dict) else {factor: choice}
  return out


def model(case: dict) -> config.Model | None:
  """The config of a case, or None where it is refused."""
  try:
    return config.replace(config.Model(), fields(case))
  except types.UserError:
    return None


ITEMS = {
  item: n
  for n, item in enumerate(
    (factor, choice)
    for factor, choices in FACTORS.items()
    if factor != "decoder.cell"
    for choice in choices
  )
}

NAMES = list(ITEMS)


FILE = pathlib.Path(__file__).with_suffix(".json")
PLAIN = {f: next(iter(c)) for f, c in FACTORS.items()}
PLAIN |= {"depth": "two", "decoder.bridge": "dense", "feed": "none"}


def _places(case: dict) -> np.ndarray:
  """Numbers of a case's choices; both cells count as one."""
  same = {"decoder.cell": "encoder.cell"}
  return np.array([ITEMS[same.get(f, f), c] for f, c in case.items()])


def stored() -> list[dict]:
  """What covering.json holds, the cases that meet most first."""
  rows = json.loads(FILE.read_text())
  return [dict(zip(FACTORS, row, strict=True)) for row in rows]


def cases(seed: int = 2, tries: int = 25) -> list[dict]:
  """Cases in which every pair of choices meets that any config allows.

  Greedy: behind a frame of the large factors, a case begins with one that is
  known to hold a pair not yet met, and changes other choices while it then
  holds more of them.
  """
  rng = random.Random(seed)

  def draw():
    return {f: rng.choice(list(c)) for f, c in FACTORS.items()}

  witness = {}
  for _ in range(30000):
    case = draw()
    if model(case) is not None:
      for pair in itertools.combinations(sorted(set(_places(case))), 2):
        if NAMES[pair[0]][0] != NAMES[pair[1]][0]:  # not two cells
          witness.setdefault(pair, case)
  left = np.zeros((len(ITEMS),) * 2, bool)
  for a, b in witness:
    left[a, b] = left[b, a] = True
  out, frame = [], _frame()
  while left.any():
    open_pairs = [(int(a), int(b)) for a, b in np.argwhere(np.triu(left))]
    best, gain, fixed = None, -1, ()
    first = frame.pop() if frame else None
    for _ in range(tries):
      start = witness[rng.choice(open_pairs)]
      if first:
        start, fixed = PLAIN | first, tuple(first)
      case, value = _climb(start, left, open_pairs, fixed, rng)
      if value > gain:
        best, gain = case, value
    out.append(best)
    at = _places(best)
    left[np.ix_(at, at)] = False
  return out


def met(cases: list[dict]) -> set:
  """The pairs of choices that meet in some of the cases."""
  return {
    (NAMES[a], NAMES[b])
    for case in cases
    for a, b in itertools.combinations(sorted(set(_places(case))), 2)
  }


def most_first(cases: list[dict]) -> list[dict]:
  """In an order in which each adds most choices, then most pairs."""
  seen, out, left = set(), [], list(cases)

  def choices(pairs):
    return {c for pair in pairs for c in pair}

  def gain(case):
    new = met([case]) - seen
    return len(choices(new) - choices(seen)), len(new)

  while left:
    out.append(max(left, key=gain))
    left.remove(out[-1])
    seen |= met(out[-1:])
  return out


def _frame() -> list[dict]:
  """The large factors, so that each two of them meet in few cases."""
  scores, cells = FACTORS["attention.score"], FACTORS["encoder.cell"]
  places, encoders = FACTORS["decoder.placement"], list(FACTORS["encoder"])
  out = []
  for a, score in enumerate(scores):
    for p, place in enumerate(places):
      out.append(
        {
          "attention.score": score,
          "decoder.placement": "luong" if score == "none" else place,
          "encoder": encoders[(p + 2 * a) % len(encoders)],
          "encoder.cell": cells[(p + a) % len(cells)],
          "decoder.cell": cells[(p + a + len(places)) % len(cells)],
        }
      )
  return out


def _climb(case, left, open_pairs, fixed, rng):
  """Changes one or two choices at a time while more pairs are new."""

  def count(case):
    return int(left[np.ix_(*[_places(case)] * 2)].sum())

  value = count(case)
  for _ in range(2):
    free = [f for f in FACTORS if f not in fixed]
    for factor in rng.sample(free, len(free)):
      for choice in FACTORS[factor]:
        other = case | {factor: choice}
        if other != case and count(other) > value and model(other) is not None:
          case, value = other, count(other)
    for pair in rng.sample(open_pairs, min(80, len(open_pairs))):
      changed = dict(NAMES[n] for n in pair)
      other = case | changed
      if fixed and any(f in changed for f in fixed):
        continue
      if count(other) > value and model(other) is not None:
        case, value = other, count(other)
  return case, value


if __name__ == "__main__":
  lines = [json.dumps(list(c.values())) for c in most_first(cases())]
  FILE.write_text("[\n" + ",\n".join(lines) + "\n]\n")
