"""Attention drawn: over a source's tokens, or over its spectrogram."""

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seq2seq_jax import types
from seq2seq_jax.analysis import figure_style

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

_HERTZ = (250, 500, 1000, 2000, 4000, 8000, 16000)
# Sizes in inches: of a second, of a token, of the spectrogram.
_SECOND, _TOKEN, _SPECTROGRAM = 2.0, 0.17, 1.1
_BAR = 1.6
_WIDEST, _HIGHEST = 16.0, 12.0
_MOST_NAMED = 60  # source positions
_APART = 0.12  # rows of smaller text would touch


def file_name(name: str, number: int) -> str:
  """A file's name without its end: a number, and what a source is called."""
  word = os.path.splitext(os.path.basename(name))[0]
  word = re.sub(r"[^\w.-]+", "_", word)[:60].strip("._")
  return f"{number:05d}-{word}" if word else f"{number:05d}"


def of(shown: types.AttentionMap, name: str = "") -> "Figure":
  """The attention of an output, with the source's name and the output above."""
  if shown.picture is None:
    return over_tokens("", shown.labels, shown.tokens, shown.weights)
  return over_picture(shown, name)


def over_tokens(
  title: str,
  source: Sequence[str],
  target: Sequence[str],
  weights: Sequence[Sequence[float]] | np.ndarray,
) -> "Figure":
  """A heat map: source tokens across, output tokens down; dark is 1.

  Of long sources, such as frames, only some are named, by their first word.
  """
  step = max(1, -(-len(source) // _MOST_NAMED))
  if step > 1:
    source = [token.partition(" ")[0] or token for token in source]
  source = [figure_style.token_text(token) for token in source]
  weights = [row[: len(source)] for row in weights]
  target = [figure_style.token_text(token) for token in target]
  target = target[: len(weights)]

  def width(tokens: Sequence[str]) -> float:
    return 0.075 * max(map(len, tokens), default=1)

  with figure_style.settings():
    cell = 0.26 if max(len(source), len(target)) <= 30 else 0.18
    figure = figure_style.new(
      max(2.4, cell * len(source) / step + width(target) + 1.1),
      max(1.8, cell * len(target) + width(source) + 0.6),
    )
    axes = figure.subplots()
    image = axes.imshow(
      weights[: len(target)],
      cmap="Greys",
      vmin=0,
      vmax=1,
      aspect="equal" if step == 1 else "auto",
      interpolation="none",
    )
    axes.set_xticks(range(0, len(source), step), source[::step], rotation=90)
    axes.set_yticks(range(len(target)), target)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=8 if cell > 0.2 else 6.5)
    for side in axes.spines.values():
      side.set(visible=True, color=figure_style.FAINT)
    _bar(figure, image, axes, cell * len(target))
    axes.set_title(title, loc="left", fontsize=9)
    return figure


def over_picture(shown: types.AttentionMap, name: str = "") -> "Figure":
  """A spectrogram, and below it the attention of each token over time.

  Args:
    shown: with a picture; time goes across, the output's tokens down.
    name: of the source.
  """
  picture = shown.picture
  assert picture is not None
  unit = picture.seconds or 1.0
  frames, features = picture.values.shape
  rows, positions = shown.weights.shape
  end = frames * unit
  across = _SECOND * end if picture.seconds else 0.03 * frames
  row = min(_TOKEN, _HIGHEST / rows)
  with figure_style.settings():
    figure = figure_style.new(
      min(_WIDEST, max(3.0, across)) + 1.2, _SPECTROGRAM + row * rows + 1.1
    )
    top, below = figure.subplots(
      2, 1, sharex=True, height_ratios=(_SPECTROGRAM, row * rows)
    )
    low, high = np.percentile(picture.values, (2, 99.5))
    top.imshow(
      picture.values.T,
      extent=(0, end, 0, features),
      origin="lower",
      cmap="Greys",
      vmin=low,
      vmax=max(high, low + 1e-3),
      aspect="auto",
      interpolation="none",
    )
    _name_features(top, picture)
    first = shown.start * unit
    image = below.imshow(
      shown.weights,
      extent=(first, first + positions * shown.frames * unit, rows, 0),
      cmap="Blues",
      vmin=0,
      # Weights are spread over the many frames of a sound.
      vmax=min(1.0, np.ceil(10 * np.max(shown.weights) + 1e-3) / 10),
      aspect="auto",
      interpolation="none",
    )
    _name_tokens(below, shown.tokens, row)
    below.set_xlim(0, end)
    below.set_xlabel("seconds" if picture.seconds else "frames")
    for axes in (top, below):
      for side in axes.spines.values():
        side.set(visible=True, color=figure_style.FAINT)
    _bar(figure, image, below, row * rows)
    _title(figure, top, name, shown.text)
    return figure


def _name_features(axes: "Axes", picture: types.Picture) -> None:
  """Frequencies in kHz, where the features have any."""
  features = picture.values.shape[1]
  if picture.hertz is None:
    axes.set_ylabel("feature")
    return
  inside = [h for h in _HERTZ if picture.hertz[0] <= h <= picture.hertz[-1]]
  places = np.interp(inside, picture.hertz, np.arange(features) + 0.5)
  axes.set_yticks(places, [f"{h / 1000:g}" for h in inside])
  axes.set_ylabel("kHz")
  axes.tick_params(axis="y", labelsize=7)
  axes.tick_params(axis="x", length=0)


def _name_tokens(axes: "Axes", tokens: Sequence[str], row: float) -> None:
  """Tokens down the side: every one, or as many as have the room."""
  every = max(1, int(np.ceil(_APART / row)))
  places = range(0, len(tokens), every)
  labels = [figure_style.token_text(tokens[i]) for i in places]
  axes.set_yticks([i + 0.5 for i in places], labels)
  axes.tick_params(axis="y", length=0, labelsize=8 if row > 0.15 else 6.5)


def _bar(figure: "Figure", image: Any, axes: "Axes", height: float) -> None:
  """The scale of weights beside axes of this height in inches."""
  shrink = min(1.0, _BAR / height)
  most = image.get_clim()[1]
  bar = figure.colorbar(
    image,
    ax=axes,
    ticks=(0, most / 2, most),
    format="{x:.2g}",
    aspect=max(4.0, shrink * height / 0.09),
    shrink=shrink,
    anchor=(0.0, 1.0),
    pad=0.02,
  )
  bar.outline.set(edgecolor=figure_style.FAINT, linewidth=0.6)
  bar.ax.tick_params(length=0, labelsize=7)


def _title(figure: "Figure", axes: "Axes", name: str, text: str) -> None:
  """The source's name, and the output on as many lines as it needs."""
  width = int(figure.get_figwidth() * 11)
  lines = [os.path.basename(name), text.replace("\n", " ")]
  lines = [figure_style.short(line, width) for line in lines if line]
  axes.set_title("\n".join(lines), loc="left", fontsize=9)
