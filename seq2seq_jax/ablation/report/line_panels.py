"""Lines of the rows by step or by length: one panel, or one for each row."""

import math
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seq2seq_jax.ablation import schema
from seq2seq_jax.ablation.report import formatting
from seq2seq_jax.analysis import figure_style

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

TOGETHER = len(figure_style.COLOURS)  # lines that still share a panel

Point = tuple[float, float]
DrawLine = Callable[["Axes", int, bool], Point | None]


def known(*columns: Sequence[float | None]) -> list[tuple[float, ...]]:
  """The rows of these columns in which every value is a number."""
  return [
    values
    for values in zip(*columns)
    if all(formatting.is_number(value) for value in values)
  ]


def draw(
  names: Sequence[str],
  places: Mapping[str, int],
  draw_line: DrawLine,
  published: Sequence[schema.PublishedCurve] = (),
) -> tuple["Figure", list["Axes"]]:
  """A figure with a line for each name, and its panels.

  Up to `TOGETHER` lines share a panel; more get a panel each, with the others
  in grey behind.

  Args:
    names: of the rows.
    places: of all rows in the table.
    draw_line: draws the line of the i-th name, in grey if `faint`, and returns
      its last point, or None if it has none.
    published: curves drawn dashed.
  """
  if len(names) <= TOGETHER:
    return _one_panel(names, places, draw_line, published)
  return _panel_each(names, places, draw_line, published)


def _one_panel(
  names: Sequence[str],
  places: Mapping[str, int],
  draw_line: DrawLine,
  published: Sequence[schema.PublishedCurve],
) -> tuple["Figure", list["Axes"]]:
  titles = [*names, *map(_title, published)]
  longest = max(map(len, titles), default=0)
  figure = figure_style.new(5.6 + 0.08 * min(longest, 40), 3.7)
  axes = figure.subplots()
  axes.margins(x=0.03)
  ends = [draw_line(axes, i, False) for i in range(len(names))]
  looks = [figure_style.look_of(places[name]) for name in names]
  for k, curve in enumerate(published):
    looks.append(_published_look(curve, places, k))
    ends.append(_draw_published(axes, curve, looks[-1]))
  _label_ends(axes, titles, ends, looks)
  return figure, [axes]


def _panel_each(
  names: Sequence[str],
  places: Mapping[str, int],
  draw_line: DrawLine,
  published: Sequence[schema.PublishedCurve],
) -> tuple["Figure", list["Axes"]]:
  columns = 4 if len(names) > 9 else 3
  lines = math.ceil(len(names) / columns)
  figure = figure_style.new(8.4, 0.5 + 1.5 * lines)
  grid = figure.subplots(
    lines, columns, sharex=True, sharey=True, squeeze=False
  )
  panels = list(grid.flat)
  for i, (axes, name) in enumerate(zip(panels, names)):
    for other in range(len(names)):
      draw_line(axes, other, other != i)
    for k, curve in enumerate(published):
      if curve.name == name or curve.name not in places:
        _draw_published(axes, curve, _published_look(curve, places, k))
    title = textwrap.fill(figure_style.short(name), 30)
    axes.set_title(title, loc="left", fontsize=7.5)
  for axes in panels[len(names) :]:
    axes.remove()
  _add_published_legend(figure, places, published)
  # A column that ends early has its labels at its own last panel.
  for axes in panels[max(len(names) - columns, 0) : len(names)]:
    axes.xaxis.set_tick_params(labelbottom=True)
  return figure, panels[: len(names)]


def _add_published_legend(
  figure: "Figure",
  places: Mapping[str, int],
  published: Sequence[schema.PublishedCurve],
) -> None:
  from matplotlib.lines import Line2D

  looks: dict[str, dict[str, Any]] = {}
  for k, curve in enumerate(published):
    look = _published_look(curve, places, k)
    if curve.name in places:
      # Each has its row's colour; one entry stands for all of them.
      looks["published"] = look | {"color": figure_style.INK, "marker": ""}
    else:
      looks[_title(curve)] = look
  if looks:
    show: dict[str, Any] = dict(lw=1.0, ms=3, mfc="white")
    lines = [
      Line2D([], [], label=title, **show, **look)
      for title, look in looks.items()
    ]
    figure.legend(handles=lines, loc="outside upper left", ncols=3)


def _title(curve: schema.PublishedCurve) -> str:
  return f"{figure_style.short(curve.name, 29)}, published"


def _published_look(
  curve: schema.PublishedCurve, places: Mapping[str, int], k: int
) -> dict[str, Any]:
  """The colour of the row with the curve's name, or grey; dashed."""
  colour = figure_style.GREY
  if curve.name in places:
    colour = figure_style.look_of(places[curve.name])["color"]
  return dict(color=colour, ls=(0, (4, 2)), marker=figure_style.MARKS[k % 7])


def _draw_published(
  axes: "Axes", curve: schema.PublishedCurve, look: dict[str, Any]
) -> Point | None:
  points = known(curve.x, curve.y)
  if not points:
    return None
  x, y = zip(*points)
  axes.plot(x, y, lw=1.0, ms=3, mew=0.7, mfc="white", zorder=2, **look)
  return x[-1], y[-1]


def _label_ends(
  axes: "Axes",
  titles: Sequence[str],
  ends: Sequence[Point | None],
  looks: Sequence[dict[str, Any]],
) -> None:
  """Names beside the lines' last points, moved apart, instead of a legend."""
  last = {i: end[1] for i, end in enumerate(ends) if end}
  order = sorted(last, key=lambda i: last[i])
  axes.autoscale_view()
  low, high = axes.get_ylim()
  heights = [(last[i] - low) / (high - low) for i in order]
  beside: dict[str, Any] = dict(clip_on=False, transform=axes.transAxes)
  for i, y, height in zip(order, heights, apart(heights, 0.062)):
    look = {k: looks[i][k] for k in ("color", "ls")}
    # A thin line leads from the last point to a sample of the line.
    thin: dict[str, Any] = dict(color=figure_style.FAINT, lw=0.6)
    axes.plot((1.005, 1.03), (y, height), **thin, **beside)
    axes.plot((1.035, 1.085), (height, height), lw=1.6, **look, **beside)
    name = figure_style.short(titles[i])
    axes.text(1.1, height, name, va="center", fontsize=8.5, **beside)
  axes.set_ylim(low, high)


def apart(heights: Iterable[float], gap: float) -> list[float]:
  """Ascending heights moved to be at least `gap` apart, within [0, 1] if they
  fit."""
  moved: list[float] = []
  for height in heights:
    moved.append(max(height, moved[-1] + gap) if moved else height)
  # Pushed up, they may have left the top; push them back down from there.
  top = max(1.0, gap * (len(moved) - 1))
  for i in reversed(range(len(moved))):
    moved[i] = min(moved[i], top)
    top = moved[i] - gap
  return moved
