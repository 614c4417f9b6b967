"""Dropout masks: of a row alone, with a mean of one."""

import functools

import jax
import numpy as np
import pytest

from seq2seq_jax.models import dropout_masks
from tests.helpers import numeric

pytestmark = pytest.mark.usefixtures("strict")

close = functools.partial(numeric.close, tolerance=1e-5)


Spec = dropout_masks.MaskSpec
WIDTHS = (
  Spec("embed", 5, 0.2),
  Spec("layer_0", 8, 0.0),
  Spec("readout", 64, 0.5),
)


@functools.partial(jax.jit, static_argnums=(0, 1))
def draw(length, widths, step, rows):
  return dropout_masks.draw(
    dropout_masks.row_keys(7, step, rows), length, widths
  )


def drawn(rows, length, widths=WIDTHS, step=3):
  return draw(length, widths, step, np.asarray(rows, np.int32))


@pytest.mark.quick
def test_masks_depend_on_their_row_alone():
  masks = drawn([0, 1, 2, 3], 4)
  assert set(masks) == {"embed", "readout"}
  for name, mask in masks.items():
    assert np.array_equal(drawn([0, 1, 2, 3], 9)[name][:4], mask)
    some = drawn([3, 8, 1], 4)[name]  # another batch around rows 3 and 1
    assert np.array_equal(some[:, [0, 2]], mask[:, [3, 1]])
  wide = masks["readout"]
  assert not np.array_equal(wide[:, 0], wide[:, 1])
  assert not np.array_equal(wide[0], wide[1])
  other = drawn([0, 1, 2, 3], 4, step=4)["readout"]
  assert not np.array_equal(other, wide)


@pytest.mark.quick
def test_masks_have_the_length_of_what_they_are_drawn_for():
  """Behind a reduction by 2 and by 4; the others stay as they were."""
  behind = (
    Spec("half", 16, 0.5, stride=2),
    Spec("same", 16, 0.5, shared=True, stride=2),
    Spec("fourth", 16, 0.5, stride=4),
  )
  masks = drawn([0, 1, 2, 3], 9, (behind[0], *WIDTHS, *behind[1:]))
  steps = {name: len(masks[name]) for name in ("half", "same", "fourth")}
  assert steps == {"half": 5, "same": 5, "fourth": 3}
  for name, mask in drawn([0, 1, 2, 3], 9).items():
    assert np.array_equal(masks[name], mask)
  some = drawn([3, 8, 1], 13, behind)  # a longer batch with rows 3 and 1
  for name, count in steps.items():
    assert np.array_equal(some[name][:count, [0, 2]], masks[name][:, [3, 1]])
  half, same, fourth = (masks[name] for name in steps)
  assert np.all(same == same[:1])
  assert np.any(half[0] != half[1])
  assert np.any(half[:3] != fourth) and np.any(half[0] != same[0])


@pytest.mark.quick
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_masks_keep_the_mean(rate):
  mask = np.asarray(
    drawn(range(50), 20, (Spec("x", 101, rate),))["x"], np.float64
  )
  assert mask.shape == (20, 50, 101)
  assert len(np.unique(mask)) == 2 and np.min(mask) == 0
  close(np.max(mask), 1 / (1 - rate), tolerance=1e-4)
  deviation = np.sqrt(rate / (1 - rate))  # of one unit
  assert abs(np.mean(mask) - 1) < 5 * deviation / np.sqrt(mask.size)
  for axis in ((0, 1), (1, 2), (0, 2)):
    part = np.mean(mask, axis=axis)
    count = mask.size / part.size
    assert np.max(np.abs(part - 1)) < 6 * deviation / np.sqrt(count)
