"""Every number of the schema has a range, which no way around a config passes.

The ways are the constructors in Python, overrides, and config.json.
"""

import dataclasses
import functools
import json
import math

import numpy as np
import pytest

from seq2seq_jax import config, types
from seq2seq_jax.config import fields, overrides

pytestmark = pytest.mark.quick

NUMBERS = {
  name: (type(value), field.metadata)
  for name, value, field in config.leaves(config.Config())
  if type(value) in (int, float)
}
VALUES = {
  "nan": math.nan,
  "inf": math.inf,
  "-inf": -math.inf,
  "-1": -1,
  "-10**9": -(10**9),
  "10**18": 10**18,
  "5000 digits": 10**5000 - 1,
  "-5000 digits": 1 - 10**5000,
  "1e308": 1e308,
  "True": True,
  "half": 0.5,
  "text": "7",
  "none": None,
}


def allowed(name: str, value: object) -> bool:
  """Whether a value lies in a field's declared range; the plain rule."""
  kind, bounds = NUMBERS[name]
  if type(value) is not int and not (kind is float and type(value) is float):
    return False
  return bounds.get("min", -math.inf) <= value <= bounds.get(
    "max", math.inf
  ) and bounds.get("above", -math.inf) < value < bounds.get("below", math.inf)


def refused(name: str, make) -> None:
  with pytest.raises(types.UserError) as caught:
    make()
  told = str(caught.value)
  assert name in told and len(told) < 400 and "\n" not in told


def test_every_number_has_both_ends_of_a_range():
  assert len(NUMBERS) > 80
  for name, (_, bounds) in NUMBERS.items():
    assert {"min", "above"} & set(bounds), f"{name}: has no lower bound"
    assert {"max", "below"} & set(bounds), f"{name}: has no upper bound"


def test_no_other_field_is_a_number():
  """A number in a field of texts would have no range."""
  kinds = {type(value) for _, value, _ in config.leaves(config.Config())}
  assert kinds == {int, float, bool, str, tuple}


@pytest.mark.parametrize("value", VALUES)
def test_a_value_outside_is_refused_by_its_field(value):
  tried = 0
  for name in NUMBERS:
    if not allowed(name, VALUES[value]):
      change = {name: VALUES[value]}
      refused(name, functools.partial(config.replace, config.Config(), change))
      tried += 1
  assert tried > (0 if value in ("-1", "half") else len(NUMBERS) // 2)


@pytest.mark.parametrize(
  "text",
  [
    *("nan", "inf", "-inf", "-1000000000", "9" * 5000, "-" + "9" * 5000),
    *("1" + "0" * 18, "1e999", "١٢", "1_0", " 1", "0x10", "", "1,5", "½", "²"),
  ],
)
def test_a_word_outside_is_refused_by_its_field(text):
  for name, (kind, _) in NUMBERS.items():
    try:
      value = kind(text) if text.isascii() and text == text.strip() else None
    except ValueError:
      value = None
    if "_" in text or value is None or not allowed(name, value):
      words = [f"--{name}={text}"]
      apply = functools.partial(overrides.apply, config.Config(), words, "x")
      refused(name, apply)


@pytest.mark.parametrize(
  "text", ["NaN", "-1000000000", "1e999", "1000000000000000000", "true", '"3"']
)
def test_a_stored_value_outside_is_refused(text):
  plain = json.loads(config.to_json(config.Config()))
  for name in NUMBERS:
    value = {"true": True, '"3"': "3"}.get(text)
    value = float(text) if value is None else value
    whole = isinstance(value, float) and value.is_integer() and "e" not in text
    if allowed(name, int(value) if whole else value):
      continue
    *sections, last = name.split(".")
    tree = json.loads(json.dumps(plain))
    section = tree
    for part in sections:
      section = section[part]
    section[last] = "HERE"
    stored = json.dumps(tree).replace('"HERE"', text)
    with pytest.raises(types.UserError, match=r"^run/config\.json"):
      config.from_json(stored, "run/config.json")


@pytest.mark.parametrize(
  "words",
  [
    *("likelihood=nan", "likelihood=١", "likelihood=0", "likelihood=1e99"),
    *("likelihood=" + "9" * 5000, "likelihood=-1", "likelihood="),
  ],
)
def test_weights_of_objectives_have_a_range_too(words):
  refused("optim.objectives", lambda: config.Optim(objectives=(words,)))


@pytest.mark.parametrize(
  "rate", ["x=nan", "x=inf", "x=-1", "x=١", "x=1e99", "x=", "=1", "x"]
)
def test_factors_of_rates_have_a_range_too(rate):
  refused("optim.rates", lambda: config.Optim(rates=(rate,)))
  assert config.Optim(rates=("x=0.5", "y=0")).rates == ("x=0.5", "y=0")


def test_defaults_and_ends_of_ranges_are_allowed():
  for name, (kind, bounds) in NUMBERS.items():
    for end in ("min", "max"):
      if end in bounds:
        *_, field = name.split(".")
        section = _section(name)
        value = kind(bounds[end])
        # Fields ask things of each other; the field itself takes the value.
        try:
          dataclasses.replace(section, **{field: value})
        except types.UserError as e:
          assert "and at most" not in str(e) and "at least" not in str(e), e


def _section(name: str):
  section = config.Config()
  for part in name.split(".")[:-1]:
    section = getattr(section, part)
  return section


def test_a_number_s_text_is_ascii_alone():
  assert fields.parse("12", int) == 12 and fields.parse("-3", int) == -3
  assert (
    fields.parse("1e-3", float) == 1e-3 and fields.parse(".5", float) == 0.5
  )
  assert fields.parse("5.", float) == 5.0 and fields.parse("+2", float) == 2.0
  assert math.isnan(fields.parse("NaN", float))
  for text in ("1_0", "١٢", " 1", "1 ", "", "e5", "0x1", "1e", "--1", "٣.٥"):
    assert fields.parse(text, int) is None
    assert fields.parse(text, float) is None


def test_an_array_is_no_choice():
  change = {"data.source.tokenizer": np.zeros(3)}
  with pytest.raises(types.UserError, match=r"tokenizer: array.* is not a cho"):
    config.replace(config.Config(), change)
