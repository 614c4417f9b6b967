"""No broken input or setting ends in a traceback, a hang or a lost file."""

import random

import pytest

from tests.monkey import base, checks, client, generate

SAMPLE = 28
CASES = generate.cases()
# The sample has none that wait: for a table, an interpreter, a device.
QUICK = [
  case
  for case in CASES
  if not ({"table", "bpe"} & set(case.needs) or case.fresh or case.until)
  and case.kind not in ("signals", "exchanged")
]


def _sample():
  """As many of each kind, as far as there are."""
  rng = random.Random(generate.SEED)
  kinds = sorted({case.kind for case in QUICK})
  each = -(-SAMPLE // len(kinds))
  chosen = []
  for kind in kinds:
    of_kind = [case for case in QUICK if case.kind == kind]
    chosen += rng.sample(of_kind, min(each, len(of_kind)))
  return chosen


def _id(case):
  """A name without letters that a terminal cannot show."""
  name = case.name.encode("unicode_escape").decode()
  return f"{case.kind}-{name[:60]}"


@pytest.fixture(scope="session")
def monkey(tmp_path_factory):
  """Runs a case; what is wrong with it."""
  folder = tmp_path_factory.mktemp("monkey")
  with client.server(folder / "scratch") as server:
    parts = base.Base(folder / "base", server)

    def run(case):
      outcome = checks.judge(case, server, parts, folder / "case")
      command = f"{case.module} {' '.join(case.words)[:300]!a}"
      return [
        f"{command}: {problem}\n{outcome.stderr[-2000:]}"
        for problem in outcome.problems
      ]

    yield run


def test_there_are_enough():
  assert len(CASES) >= 400
  assert len({case.name for case in CASES}) > 0.95 * len(CASES)


@pytest.mark.parametrize("case", _sample(), ids=_id)
def test_a_sample(monkey, case):
  assert not monkey(case)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=_id)
def test_all(monkey, case):
  assert not monkey(case)
