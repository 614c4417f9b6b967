"""All cases, from one seed."""

import functools
import random

from tests.monkey import (
  arguments,
  inputs,
  places,
  settings,
  streams,
  suites,
  workdirs,
)
from tests.monkey.case import Case

SEED = 18
MAKERS = (inputs, workdirs, settings, suites, places, streams, arguments)


@functools.cache
def cases(seed: int = SEED) -> tuple[Case, ...]:
  """All cases; the same seed gives the same."""
  made = []
  for maker in MAKERS:
    rng = random.Random(f"{seed} {maker.__name__}")
    made += maker.all_cases(rng)
  return tuple(made)
