"""CopyNet's rules: sizes of the paper, and every target from its source."""

import collections

import pytest

from seq2seq_jax import types
from seq2seq_jax.data import copynet_rules

pytestmark = pytest.mark.quick


def _common(texts, from_end=False):
  """Symbols with which all texts begin, or end."""
  lists = [t.split()[::-1] if from_end else t.split() for t in texts]
  shared = []
  for column in zip(*lists):
    if len(set(column)) > 1:
      break
    shared.append(column[0])
  return shared[::-1] if from_end else shared


@pytest.mark.parametrize("kind", copynet_rules.KINDS)
def test_targets_follow_from_sources(kind):
  """The variables, found between the fixed ends, stand in the target."""
  pairs = copynet_rules.pairs(kind, "train", seed=0, rules=50)
  assert len(pairs) == 10 * 100
  for first in range(0, len(pairs), 100):
    sources, targets = zip(*pairs[first : first + 100])
    head, tail = _common(sources), _common(sources, True)
    head_out, tail_out = _common(targets), _common(targets, True)
    if kind == "x_0":
      assert len(set(targets)) == 1
      continue
    for source, target in zip(sources, targets):
      inside = source.split()[len(head) : len(source.split()) - len(tail)]
      copied = target.split()[
        len(head_out) : len(target.split()) - len(tail_out)
      ]
      if kind == "x_x":
        assert copied == inside
      else:
        text = " ".join(inside)
        assert collections.Counter(copied) or not text
  assert {len(s.split()) for s, _ in pairs} <= set(range(5, 51))


def test_sizes_and_splits():
  train = copynet_rules.pairs("all", "train", seed=0, rules=copynet_rules.RULES)
  test = copynet_rules.pairs("all", "test", seed=0, rules=copynet_rules.RULES)
  assert len(train) == len(test) == 20000
  assert train == copynet_rules.pairs(
    "all", "train", seed=0, rules=copynet_rules.RULES
  )
  assert len(set(train) & set(test)) < 0.02 * len(test)
  by_kind = [
    copynet_rules.pairs(k, "test", 0, copynet_rules.RULES)
    for k in copynet_rules.KINDS
  ]
  assert [pair for kind in by_kind for pair in kind] == test
  with pytest.raises(types.UserError, match="choose all, x_0"):
    copynet_rules.pairs("x_y", "test", seed=0, rules=5)


def test_twice_copied_variables_repeat():
  pairs = copynet_rules.pairs("x_xx", "test", seed=3, rules=5)
  sources = [source for source, _ in pairs]
  head, tail = _common(sources), _common(sources, True)
  for source, target in pairs:
    inside = source.split()[len(head) : len(source.split()) - len(tail)]
    text, whole = f" {' '.join(inside)} ", f" {target} "
    assert whole.count(text) >= 2 or text.strip() == ""
