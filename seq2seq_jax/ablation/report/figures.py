"""Figures of an ablation table: rows, learning curves, lengths, attention.

Each function takes records of the table's schema and returns a Matplotlib
`Figure`; values that are None are left out. A row has the same colour, dash
and marker in all figures, by its place in the table.
"""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seq2seq_jax import metrics, types
from seq2seq_jax.ablation import schema
from seq2seq_jax.ablation.report import formatting, line_panels
from seq2seq_jax.analysis import attention_map, figure_style

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

NAMES = ("differences", "learning", "lengths", "attention")


def of_table(table: schema.Table) -> dict[str, list["Figure"]]:
  """All figures for which a table has data, by the names in `NAMES`.

  Raises:
    types.UserError: Matplotlib is not installed.
  """
  figures: dict[str, list[Figure]] = {}
  if table.rows:
    figures["differences"] = [
      differences(table.rows, table.metric, table.higher_is_better)
    ]
  if table.learning_curves:
    figures["learning"] = [learning_curves(table.learning_curves, table.rows)]
  if table.bins and any(row.lengths for row in table.rows):
    figures["lengths"] = [
      by_length(
        table.rows,
        table.bins,
        table.published_curves,
        table.metric,
        table.length_unit,
      )
    ]
  if table.attention:
    figures["attention"] = [attention(example) for example in table.attention]
  return figures


def differences(
  rows: Sequence[schema.Row], metric: str, higher_is_better: bool = True
) -> "Figure":
  """Scores beside published ones, and differences with 95 % intervals.

  Hollow marks are published, pale ones unconfirmed; dark numbers at the right
  are differences that passed the test. The right panel is left out if no row
  is compared with another, or with a single seed.
  """
  compared = any(row.delta for row in rows)
  with figure_style.settings():
    height = 1.0 + 0.34 * max(len(rows), 2)
    widest = max((len(row.name) for row in rows), default=0)
    width = (7.4 if compared else 4.4) + 0.07 * min(widest, 40)
    figure = figure_style.new(width, height)
    ratios = (1, 1.15) if compared else (1,)
    left, *right = figure.subplots(
      1, len(ratios), sharey=True, squeeze=False, width_ratios=ratios
    )[0]
    digits = formatting.score_digits(rows)
    for i, row in enumerate(rows):
      _draw_score(left, i, row)
      for axes in right:
        _draw_difference(axes, i, row, digits)
    left.set_ylim(len(rows) - 0.4, -0.6)
    names = [figure_style.short(row.name) for row in rows]
    left.set_yticks(range(len(rows)), names)
    lower = "" if higher_is_better else " (lower is better)"
    left.set_xlabel(f"{metrics.label(metric)}{lower}, mean ± sd")
    references = {row.reference for row in rows if row.reference}
    against = "baseline"
    if len(references) == 1:
      against = figure_style.short(references.pop(), 28)
    for axes in right:
      axes.set_xlabel(f"difference to {against}, 95 % interval")
      axes.locator_params(axis="x", nbins=6)
      axes.axvline(0, color=figure_style.GREY, lw=0.8, zorder=1)
    for axes in (left, *right):
      axes.spines["left"].set_visible(False)
      axes.tick_params(axis="y", length=0)
      axes.grid(color="#ececec", lw=0.6)
      axes.set_axisbelow(True)
    _add_mark_legend(figure, rows)
    return figure


def _draw_score(axes: "Axes", i: int, row: schema.Row) -> None:
  if formatting.is_number(row.mean):
    look = figure_style.look_of(i, line=False)
    axes.errorbar(row.mean, i, xerr=row.sd, ms=5, **look)
  if formatting.is_number(row.published):
    shade = _published_shade(row)
    look = dict(mfc="white", mec=shade, ecolor=shade, ms=4.5)
    look["fmt"] = _published_marker(row)
    # A little lower, so that it does not hide the score.
    axes.errorbar(row.published, i + 0.22, xerr=row.published_sd, **look)


def _draw_difference(
  axes: "Axes", i: int, row: schema.Row, digits: int
) -> None:
  text = formatting.MISSING if row.reference else "baseline"
  if row.delta is not None:
    middle, low, high = row.delta.estimate, row.delta.low, row.delta.high
    look = figure_style.look_of(i, line=False)
    reach = None
    if low is not None and high is not None:
      reach = [[middle - low], [high - middle]]
    axes.errorbar(middle, i, ms=5, xerr=reach, **look)
    estimate = formatting.number(middle, digits, "+")
    text = f"{estimate}  {formatting.interval(low, high, digits)}"
  passed = row.tag_significance in ("better", "worse")
  axes.annotate(
    text,
    (1.02, i),
    xycoords=("axes fraction", "data"),
    va="center",
    color=figure_style.INK if passed else figure_style.GREY,
    annotation_clip=False,
  )


def _published_marker(row: schema.Row) -> str:
  """A cross if the value is not of this table's data or metric."""
  return "x" if row.published_differs else "D"


def _published_shade(row: schema.Row) -> str:
  return "#a8a8a8" if row.unconfirmed else figure_style.INK


def _add_mark_legend(figure: "Figure", rows: Sequence[schema.Row]) -> None:
  """Explains the marks, if there are published values."""
  from matplotlib.lines import Line2D

  def mark(label: str, **look: Any) -> Line2D:
    return Line2D([], [], ls="", label=label, **look)

  published = [row for row in rows if formatting.is_number(row.published)]
  marks = {"here": mark("here", marker="o", color=figure_style.INK, ms=5)}
  for row in sorted(published, key=lambda row: row.unconfirmed):
    label = "published" + (", unconfirmed" if row.unconfirmed else "")
    label += ", of other data or metric" if row.published_differs else ""
    look = dict(mfc="white", mec=_published_shade(row), ms=4.5)
    look["marker"] = _published_marker(row)
    marks.setdefault(label, mark(label, **look))
  if published:
    figure.legend(handles=[*marks.values()], loc="outside upper left", ncols=3)


def learning_curves(
  curves: Sequence[schema.LearningCurve], rows: Sequence[schema.Row]
) -> "Figure":
  """Means over seeds by training step, with bands of one deviation."""
  places = {row.name: i for i, row in enumerate(rows)}
  curves = [curve for curve in curves if curve.name in places]

  def draw(axes: "Axes", i: int, faint: bool) -> line_panels.Point | None:
    curve = curves[i]
    low, high = (
      [v if formatting.is_number(v) else m for v, m in zip(ends, curve.mean)]
      for ends in (curve.low, curve.high)
    )
    points = line_panels.known(curve.steps, curve.mean, low, high)
    if not points:
      return None
    x, y, bottom, top = zip(*points)
    look = figure_style.look_of(places[curve.name], mark=len(x) == 1)
    if faint:
      axes.plot(x, y, color=figure_style.FAINT, lw=0.7, zorder=1)
    else:
      axes.plot(x, y, lw=1.6, zorder=3, **look)
      shade = dict(color=look["color"], lw=0, alpha=0.18, zorder=2)
      axes.fill_between(x, bottom, top, **shade)
    return x[-1], y[-1]

  with figure_style.settings():
    names = [curve.name for curve in curves]
    figure, panels = line_panels.draw(names, places, draw)
    split = _common(curve.split for curve in curves)
    metric = _common(curve.metric for curve in curves)
    _name_axes(figure, panels, f"{split} {metrics.label(metric)}", "steps")
    for axes in panels:
      axes.xaxis.set_major_formatter(lambda v, _: figure_style.thousands(v))
      axes.locator_params(axis="x", nbins=6 if len(panels) == 1 else 3)
    return figure


def by_length(
  rows: Sequence[schema.Row],
  bins: Sequence[schema.LengthBin],
  published: Sequence[schema.PublishedCurve] = (),
  metric: str = "",
  unit: str = "words",
) -> "Figure":
  """Scores by source length with error bars; published curves are dashed.

  Bins are evenly spaced, or, beside published curves, lie at their lengths.
  """
  places = {row.name: i for i, row in enumerate(rows)}
  drawn = [(row.name, row.lengths) for row in rows if row.lengths]
  centres = (
    _centres(bins) if published else [float(i) for i in range(len(bins))]
  )
  gap = min((b - a for a, b in itertools.pairwise(centres)), default=1)
  few = 1 < len(drawn) <= line_panels.TOGETHER

  def draw(axes: "Axes", i: int, faint: bool) -> line_panels.Point | None:
    name, lengths = drawn[i]
    sds = [sd if formatting.is_number(sd) else 0.0 for sd in lengths.sds]
    points = line_panels.known(centres, lengths.means, sds)
    if not points:
      return None
    x, y, sd = zip(*points)
    # Side by side, so that error bars do not hide one another.
    shift = 0.3 * gap * (i / (len(drawn) - 1) - 0.5) if few else 0.0
    x = tuple(v + shift for v in x)
    if faint:
      axes.plot(x, y, color=figure_style.FAINT, lw=0.7, zorder=1)
    else:
      look = figure_style.look_of(places[name])
      axes.errorbar(x, y, sd, lw=1.4, ms=4, zorder=3, **look)
    return x[-1], y[-1]

  with figure_style.settings():
    names = [name for name, _ in drawn]
    figure, panels = line_panels.draw(names, places, draw, published)
    _name_axes(figure, panels, metrics.label(metric), f"source {unit}")
    for axes in panels if not published else ():
      _name_bins(axes, bins, len(panels) == 1)
    return figure


def _common(values: Any) -> str:
  """The value that all have; empty if they differ."""
  distinct = set(values)
  return distinct.pop() if len(distinct) == 1 else ""


def _centres(bins: Sequence[schema.LengthBin]) -> list[float]:
  """Middle lengths; an open last bin counts as wide as the one before."""
  centres, width = [], 5
  for length_bin in bins:
    if length_bin.high - length_bin.low <= 1000:
      width = length_bin.high - length_bin.low
    centres.append(length_bin.low + width / 2)
  return centres


def _name_bins(
  axes: "Axes", bins: Sequence[schema.LengthBin], wide: bool
) -> None:
  """Labels of the bins, in a wide panel with their sentences."""
  labels = [length_bin.label for length_bin in bins]
  if wide:
    labels = [
      f"{length_bin.label}\nn = {length_bin.sentences}"
      if length_bin.sentences
      else length_bin.label
      for length_bin in bins
    ]
  axes.set_xticks(range(len(bins)), labels, rotation=0 if wide else 30)
  axes.set_xlim(-0.4, len(bins) - 0.6)


def _name_axes(
  figure: "Figure", panels: Sequence["Axes"], y: str, x: str
) -> None:
  if len(panels) == 1:
    panels[0].set(xlabel=x, ylabel=y.strip())
  else:
    figure.supxlabel(x, fontsize=9)
    figure.supylabel(y.strip(), fontsize=9)


def attention(example: schema.AttentionExample) -> "Figure":
  """A heat map: source tokens or time across, output tokens down."""
  if example.spectrogram is not None:
    return _over_spectrogram(example, example.spectrogram)
  return attention_map.over_tokens(
    figure_style.short(example.row),
    example.source,
    example.target,
    example.weights,
  )


def _over_spectrogram(
  example: schema.AttentionExample, spectrogram: schema.Spectrogram
) -> "Figure":
  levels = [[ord(level) for level in frame] for frame in spectrogram.values]
  shown = types.AttentionMap(
    text="",
    tokens=list(example.target),
    weights=np.array(example.weights),
    labels=list(example.source),
    picture=types.Picture(
      np.array(levels, np.float32), spectrogram.seconds, spectrogram.hertz
    ),
    frames=spectrogram.frames,
    start=spectrogram.start,
  )
  return attention_map.over_picture(shown, example.row)
