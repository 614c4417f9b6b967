"""Builds every attention, placement, cell and encoder with each other.

    python -m tests.helpers.product [PART/PARTS]

Each model is initialised and its loss traced under `eval_shape`; what is
refused is counted by its reason.
"""

import collections
import itertools
import sys
import time

import jax
import jax.numpy as jnp

from seq2seq_jax import config, types
from seq2seq_jax.models import build
from tests.helpers import covering

FACTORS = (
  "attention.score",
  "decoder.placement",
  "encoder.cell",
  "encoder",
  "feed",
)


def trace(model: config.Model) -> int:
  """Parameters of the model, all of it traced but not compiled."""
  module = build.build(model, 9, 9)
  batch = build.example(False)

  def run(key):
    params = module.init(key, batch, method="initialize")
    terms = module.apply(params, batch, method="losses")
    return params, jnp.sum(terms["loss"])

  params, _ = jax.eval_shape(run, jax.random.key(0))
  return sum(x.size for x in jax.tree.leaves(params))


def main(part: int, parts: int):
  base = covering.PLAIN | {"depth": "two", "decoder.bridge": "dense"}
  choices = [list(covering.FACTORS[f]) for f in FACTORS]
  every = list(itertools.product(*choices))[part::parts]
  refused, built, start = collections.Counter(), 0, time.monotonic()
  for n, chosen in enumerate(every):
    case = base | dict(zip(FACTORS, chosen))
    case["decoder.cell"] = case["encoder.cell"]
    try:
      model = config.replace(config.Model(), covering.fields(case))
    except types.UserError as e:
      refused[str(e)] += 1
      continue
    assert trace(model) > 0
    built += 1
    if n % 500 == 0:
      print(f"{n}/{len(every)}", file=sys.stderr, flush=True)
  print(
    f"{len(every)} combinations of {', '.join(FACTORS)}: {built} built, "
    f"{sum(refused.values())} refused, in {time.monotonic() - start:.0f} s"
  )
  for reason, count in refused.most_common():
    print(f"  {count} refused: {reason}")


if __name__ == "__main__":
  part, _, parts = (sys.argv[1] if len(sys.argv) > 1 else "0/1").partition("/")
  main(int(part), int(parts))
