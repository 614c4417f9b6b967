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
