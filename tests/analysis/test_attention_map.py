"""Attention stands below the sound that it looks at."""

import itertools

import numpy as np
import pytest

from seq2seq_jax import types
from seq2seq_jax.analysis import attention_map, figure_style

pytestmark = pytest.mark.quick
pytest.importorskip("matplotlib")
FRAMES, STEP = 21, 4


def _shown(start=0, seconds=0.01, weights=None, **changes):
  values = np.arange(FRAMES * 3, dtype=np.float32).reshape(FRAMES, 3)
  hertz = (100.0, 600.0, 3000.0) if seconds else None
  if weights is None:
    weights = np.eye(2, 6, dtype=np.float32) * 0.42
  fields = {
    "text": "a b",
    "tokens": ["\u2581", "</s>"],
    "weights": weights,
    "labels": [],
    "picture": types.Picture(values, seconds, hertz),
    "frames": STEP,
    "start": start,
  }
  return types.AttentionMap(**(fields | changes))


def _axes(figure):
  top, below, *_ = figure.axes
  return top, below, top.images[0], below.images[0]


def test_a_weight_is_as_wide_as_its_frames():
  top, below, sound, weights = _axes(attention_map.of(_shown(), "d/u1"))
  assert sound.get_extent() == [0, FRAMES * 0.01, 0, 3]
  assert sound.get_array()[0].tolist() == list(range(0, 63, 3))
  assert sound.origin == "lower", "low frequencies below"
  np.testing.assert_allclose(weights.get_extent(), [0, 0.24, 2, 0])
  np.testing.assert_allclose(weights.get_array()[1, 1], 0.42)
  assert weights.get_clim() == (0, 0.5)
  assert below.get_xlim() == top.get_xlim() == (0, FRAMES * 0.01)
  assert [t.get_text() for t in below.get_yticklabels()] == ["␣", "</s>"]
  assert below.get_xlabel() == "seconds" and top.get_ylabel() == "kHz"
  assert [t.get_text() for t in top.get_yticklabels()] == [
    "0.25",
    "0.5",
    "1",
    "2",
  ]
  np.testing.assert_allclose(top.get_yticks()[1], 0.5 + 400 / 500)
  assert top.get_title(loc="left") == "u1\na b"


def test_a_source_that_is_read_backwards_may_begin_before_its_start():
  figure = attention_map.of(_shown(start=-3, seconds=None))
  top, below, _, weights = _axes(figure)
  assert weights.get_extent() == [-3, 21, 2, 0]
  assert below.get_xlabel() == "frames" and top.get_ylabel() == "feature"


@pytest.mark.parametrize("tokens", [1, 40, 300])
def test_labels_do_not_touch(tokens):
  weights = np.full((tokens, 6), 1 / 6)
  figure = attention_map.of(
    _shown(weights=weights, tokens=["x"] * tokens, text="x " * tokens), "n"
  )
  with figure_style.settings():
    figure.draw_without_rendering()
  boxes = [
    label.get_window_extent() for label in figure.axes[1].get_yticklabels()
  ]
  for a, b in itertools.pairwise(boxes):
    assert a.y0 >= b.y1 - 1, "downwards, a pixel apart at most"
  title = figure.axes[0].title.get_window_extent()
  assert title.x1 <= figure.bbox.x1
  assert figure.get_figheight() < 15


def test_without_a_picture_tokens_stand_on_both_sides():
  shown = _shown(picture=None, labels=list("pqrstu"))
  axes = attention_map.of(shown).axes[0]
  assert [t.get_text() for t in axes.get_xticklabels()] == list("pqrstu")


@pytest.mark.parametrize(
  "name, wanted",
  [
    ("", "00007"),
    ("a/b c.flac", "00007-b_c"),
    ("../..", "00007"),
    ("x" * 99, "00007-" + "x" * 60),
  ],
)
def test_a_file_is_named_by_number_and_source(name, wanted):
  assert attention_map.file_name(name, 7) == wanted
