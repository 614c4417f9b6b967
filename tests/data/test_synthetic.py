"""The generated tasks: right answers, disjoint splits, fixed by the seed."""

import time

import pytest

from seq2seq_jax.data import synthetic

SIZES = {"size": 300, "min_length": 2, "max_length": 6, "symbols": 7}


def _pairs(task, split="train", seed=3, **kwargs):
  return synthetic.pairs(task, split, seed=seed, **(SIZES | kwargs))


def _answer(task: str, source: str) -> str:
  """Slow and independent: selection sort, addition digit by digit."""
  words = source.split(" ")
  if task == "copy":
    return " ".join(words)
  if task == "reverse":
    out = []
    for w in words:
      out.insert(0, w)
    return " ".join(out)
  if task == "sort":
    left, out = list(words), []
    while left:
      least = left[0]
      for w in left:
        least = w if int(w) < int(least) else least
      left.remove(least)
      out.append(least)
    return " ".join(out)
  a, b = "".join(words).split("+")
  n = max(len(a), len(b))
  carry, out = 0, ""
  for x, y in zip(reversed(a.zfill(n)), reversed(b.zfill(n))):
    carry, digit = divmod(int(x) + int(y) + carry, 10)
    out = str(digit) + out
  return " ".join(("1" if carry else "") + out)


@pytest.mark.quick
@pytest.mark.parametrize("symbols", [7, 120])
@pytest.mark.parametrize("task", synthetic.TASKS)
def test_answers(task, symbols):
  pairs = _pairs(task, symbols=symbols)
  assert len(pairs) == SIZES["size"]
  for source, target in pairs:
    assert target == _answer(task, source)


@pytest.mark.quick
@pytest.mark.parametrize("task", ["copy", "reverse", "sort"])
def test_sources_fill_lengths_and_symbols(task):
  sources = [s.split(" ") for s, _ in _pairs(task)]
  assert {len(s) for s in sources} == {2, 3, 4, 5, 6}
  assert {w for s in sources for w in s} == {str(i) for i in range(7)}


@pytest.mark.quick
@pytest.mark.parametrize("low,high", [(1, 1), (1, 3), (2, 4), (25, 25)])
def test_addends_have_the_digits_asked_for(low, high):
  digits = set()
  for source, _ in _pairs("addition", min_length=low, max_length=high):
    for number in source.replace(" ", "").split("+"):
      digits.add(len(number))
      assert number == "0" or number[0] != "0"
      assert number.isdigit()
  assert digits == set(range(low, high + 1))


@pytest.mark.quick
@pytest.mark.parametrize("task", synthetic.TASKS)
def test_splits_share_no_source(task):
  # So few sources that splits drawn without the rule would share most.
  symbols = {"addition": 10}.get(task, 2)
  longest = {"addition": 1}.get(task, 6)
  shape = {"symbols": symbols, "min_length": 1, "max_length": longest}

  def split(s):
    return {x for x, _ in _pairs(task, s, **shape)}

  train, valid, test = map(split, ("train", "valid", "test"))
  assert train and valid and test
  assert not train & valid and not train & test and not valid & test


@pytest.mark.quick
@pytest.mark.parametrize("task", synthetic.TASKS)
def test_a_function_of_seed_and_split(task):
  assert _pairs(task) == _pairs(task)
  assert _pairs(task) != _pairs(task, seed=4)
  assert _pairs(task, "valid") != _pairs(task, "test")
  # A longer list begins with the shorter one.
  assert _pairs(task, size=500)[:300] == _pairs(task)


@pytest.mark.quick
@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_too_small_a_space_still_gives_all_examples(split):
  began = time.monotonic()
  shape = {"symbols": 2, "min_length": 1, "max_length": 1, "size": 20000}
  pairs = _pairs("copy", split, **shape)
  assert len(pairs) == 20000
  assert set(pairs) <= {("0", "0"), ("1", "1")}
  assert time.monotonic() - began < 20
