"""Figures of an ablation table: learning curves, lengths, attention, rows.

Every function takes parts of the table's dict and returns a Matplotlib
`Figure`; what is None is left out. A row has one colour, dash and mark in all
figures, by its place in the table.

    for name, figure in plots.of_table(table).items(): plots.save(figure, name)
"""

import itertools
import math
import textwrap

from seq2seq_jax import metrics
from seq2seq_jax.ablation.report import figure_style

save, svg = figure_style.save, figure_style.svg

# So many lines share a panel; more get one each, the others in grey behind.
TOGETHER = len(figure_style.COLOURS)
NAMES = ("differences", "learning", "lengths", "attention")  # of a table


def differences(rows: list[dict], metric="", higher_is_better=True):
  """Scores beside published ones, and differences with 95 % intervals.

  Hollow marks are published, pale ones unconfirmed; dark figures at the right
  are differences that passed the test. Scores stand alone where nothing is
  compared, each row being its own reference, or with one seed.
  """
  delta = lambda row: (row.get("delta") or {}).get("estimate")
  compared = any(figure_style.there(delta(row)) for row in rows)
  with figure_style.settings():
    height = 1.0 + 0.34 * max(len(rows), 2)
    widest = max((len(r["name"]) for r in rows), default=0)
    width = (7.4 if compared else 4.4) + 0.07 * min(widest, 40)
    figure = figure_style.new(width, height)
    ratios = (1, 1.15) if compared else (1,)
    left, *right = figure.subplots(
      1, len(ratios), sharey=True, squeeze=False, width_ratios=ratios
    )[0]
    for i, row in enumerate(rows):
      _score(left, i, row)
      for axes in right:
        _difference(axes, i, row, figure_style.digits_of(rows))
    left.set_ylim(len(rows) - 0.4, -0.6)
    left.set_yticks(
      range(len(rows)), [figure_style.short(r["name"]) for r in rows]
    )
    lower = "" if higher_is_better else " (lower is better)"
    left.set_xlabel(f"{metrics.label(metric)}{lower}, mean ± sd")
    against = {r["reference"] for r in rows if r.get("reference")}
    one = figure_style.short(*against, 28) if len(against) == 1 else "reference"
    for axes in right:
      axes.set_xlabel(f"difference to {one}, 95 % interval")
      axes.locator_params(axis="x", nbins=6)
      axes.axvline(0, color=figure_style.GREY, lw=0.8, zorder=1)
    for axes in (left, *right):
      axes.spines["left"].set_visible(False)
      axes.tick_params(axis="y", length=0)
      axes.grid(color="#ececec", lw=0.6)
      axes.set_axisbelow(True)
    _explain_marks(figure, rows)
    return figure


def _score(axes, i: int, row: dict):
  if figure_style.there(row.get("mean")):
    look = figure_style.look_of(i, line=False)
    axes.errorbar(row["mean"], i, xerr=row.get("sd"), ms=5, **look)
  if figure_style.there(row.get("published")):
    shade = _published_shade(row)
    look = dict(fmt="D", mfc="white", mec=shade, ecolor=shade, ms=4.5)
    spread = row.get("published_sd")
    axes.errorbar(row["published"], i + 0.22, xerr=spread, **look)


def _difference(axes, i: int, row: dict, digits: int):
  delta = row.get("delta") or {}
  middle = delta.get("estimate")
  text = "–" if row.get("reference") else "reference"
  if figure_style.there(middle):
    low, high = (
      figure_style.or_else(delta.get(k), middle) for k in ("low", "high")
    )
    look = figure_style.look_of(i, line=False)
    axes.errorbar(
      middle, i, ms=5, xerr=[[middle - low], [high - middle]], **look
    )
    interval = f"[{low:.{digits}f}, {high:.{digits}f}]"
    text = figure_style.minus(f"{middle:+.{digits}f}  {interval}")
  clear = row.get("tag_significance") in ("better", "worse")
  axes.annotate(
    text,
    (1.02, i),
    xycoords=("axes fraction", "data"),
    va="center",
    color=figure_style.INK if clear else figure_style.GREY,
    annotation_clip=False,
  )


def _published_shade(row: dict) -> str:
  return "#a8a8a8" if row.get("unconfirmed") else figure_style.INK


def _explain_marks(figure, rows: list[dict]):
  from matplotlib.lines import Line2D

  dot = lambda label, **look: Line2D([], [], ls="", label=label, **look)
  marks = [dot("here", marker="o", color=figure_style.INK, ms=5)]
  shown = [r for r in rows if figure_style.there(r.get("published"))]
  for row in sorted(shown, key=lambda r: bool(r.get("unconfirmed"))):
    label = "published" + (", unconfirmed" if row.get("unconfirmed") else "")
    if label != marks[-1].get_label():
      look = dict(marker="D", mfc="white", mec=_published_shade(row), ms=4.5)
      marks.append(dot(label, **look))
  if shown:
    figure.legend(handles=marks, loc="outside upper left", ncols=3)


def learning_curves(curves: list[dict], rows: list[dict]):
  """Means over seeds by training step, with bands."""
  place = {row["name"]: i for i, row in enumerate(rows)}
  curves = [c for c in curves if c["name"] in place]

  def draw(axes, curve, faint):
    y = curve["mean"]
    low, high = (
      [figure_style.or_else(v, m) for v, m in zip(curve.get(k) or y, y)]
      for k in ("low", "high")
    )
    points = figure_style.clean(curve["steps"], y, low, high)
    if not points:
      return None
    x, y, low, high = zip(*points)
    look = figure_style.look_of(place[curve["name"]], mark=len(x) == 1)
    if faint:
      axes.plot(x, y, color=figure_style.FAINT, lw=0.7, zorder=1)
    else:
      axes.plot(x, y, lw=1.6, zorder=3, **look)
      shade = dict(color=look["color"], lw=0, alpha=0.18, zorder=2)
      axes.fill_between(x, low, high, **shade)
    return x[-1], y[-1]

  with figure_style.settings():
    figure, panels = _panels([c["name"] for c in curves], curves, place, draw)
    split, metric = (
      figure_style.same(curves, "split"),
      figure_style.same(curves, "metric"),
    )
    _name_axes(figure, panels, f"{split} {metrics.label(metric)}", "steps")
    for axes in panels:
      axes.xaxis.set_major_formatter(lambda v, _: figure_style.thousands(v))
      axes.locator_params(axis="x", nbins=6 if len(panels) == 1 else 3)
    return figure


def by_length(
  rows: list[dict],
  bins: list[dict],
  published=(),
  metric="",
  unit="words",
):
  """Scores by source length with error bars; published curves are dashed.

  Bins are evenly spaced, or, beside published curves, lie at their lengths.
  """
  place = {row["name"]: i for i, row in enumerate(rows)}
  drawn = [r for r in rows if r.get("lengths")]
  centres = (
    figure_style.centres_of(bins) if published else list(range(len(bins)))
  )
  gap = min((b - a for a, b in itertools.pairwise(centres)), default=1)
  few = 1 < len(drawn) <= TOGETHER

  def draw(axes, row, faint):
    # Side by side, so that error bars do not hide one another.
    part = drawn.index(row) / (len(drawn) - 1) - 0.5 if few else 0.0
    means = row["lengths"]["means"]
    sds = row["lengths"].get("sds") or [None] * len(bins)
    sds = [figure_style.or_else(s, 0.0) for s in sds]
    points = figure_style.clean(centres, means, sds)
    if not points:
      return None
    x, y, sd = zip(*points)
    x = [v + 0.3 * gap * part for v in x]
    if faint:
      axes.plot(x, y, color=figure_style.FAINT, lw=0.7, zorder=1)
    else:
      look = figure_style.look_of(place[row["name"]])
      axes.errorbar(x, y, sd, lw=1.4, ms=4, zorder=3, **look)
    return x[-1], y[-1]

  with figure_style.settings():
    names = [r["name"] for r in drawn]
    figure, panels = _panels(names, drawn, place, draw, published)
    _name_axes(figure, panels, metrics.label(metric), f"source {unit}")
    for axes in panels if not published else ():
      _name_bins(axes, bins, len(panels) == 1)
    return figure


def _name_bins(axes, bins: list[dict], wide: bool):
  labels = [b["label"] for b in bins]
  if wide:
    size = lambda b: f"\nn = {b['sentences']}" if b.get("sentences") else ""
    labels = [b["label"] + size(b) for b in bins]
  axes.set_xticks(range(len(bins)), labels, rotation=0 if wide else 30)
  axes.set_xlim(-0.4, len(bins) - 0.6)


def _name_axes(figure, panels, y: str, x: str):
  if len(panels) == 1:
    panels[0].set(xlabel=x, ylabel=y.strip())
  else:
    figure.supxlabel(x, fontsize=9)
    figure.supylabel(y.strip(), fontsize=9)


def attention(example: dict):
  """A heat map: source tokens across, target tokens down; dark is 1."""
  source = [figure_style.token_text(t) for t in example["source"]]
  weights = [list(w[: len(source)]) for w in example["weights"]]
  target = [figure_style.token_text(t) for t in example["target"]][
    : len(weights)
  ]
  with figure_style.settings():
    cell = 0.26 if max(len(source), len(target)) <= 30 else 0.18
    long = lambda words: 0.075 * max(map(len, words), default=1)
    figure = figure_style.new(
      max(2.4, cell * len(source) + long(target) + 1.1),
      max(1.8, cell * len(target) + long(source) + 0.6),
    )
    axes = figure.subplots()
    kind = dict(cmap="Greys", vmin=0, vmax=1, interpolation="none")
    image = axes.imshow(weights[: len(target)], aspect="equal", **kind)
    axes.set_xticks(range(len(source)), source, rotation=90)
    axes.set_yticks(range(len(target)), target)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=8 if cell > 0.2 else 6.5)
    for side in axes.spines.values():
      side.set(visible=True, color=figure_style.FAINT)
    bar = figure.colorbar(
      image, ax=axes, ticks=(0, 0.5, 1), aspect=18, pad=0.02
    )
    bar.outline.set(edgecolor=figure_style.FAINT, linewidth=0.6)
    bar.ax.tick_params(length=0, labelsize=7)
    if example.get("row"):
      axes.set_title(figure_style.short(example["row"]), loc="left", fontsize=9)
    return figure


def of_table(table: dict) -> dict:
  """All figures for which a table has data, by name; attention is a list."""
  rows, metric = table["rows"], table.get("metric") or ""
  bins, curves = table.get("bins"), table.get("learning_curves")
  higher = table.get("higher_is_better", True)
  out = {"differences": differences(rows, metric, higher)} if rows else {}
  if curves:
    out["learning"] = learning_curves(curves, rows)
  if bins and any(r.get("lengths") for r in rows):
    overlaid = table.get("published_curves") or ()
    unit = table.get("length_unit", "words")
    out["lengths"] = by_length(rows, bins, overlaid, metric, unit)
  if table.get("attention"):
    out["attention"] = [attention(e) for e in table["attention"]]
  return out


# Panels of lines.


def _panels(names, items, place, draw, published=()):
  """One panel for all, or one for each item, the others in grey behind.

  `draw(axes, item, faint)` returns a line's last point. Gives (figure, panels).
  """
  if len(items) <= TOGETHER:
    titles = [*names, *map(_title, published)]
    longest = max(map(len, titles), default=0)
    figure = figure_style.new(5.6 + 0.08 * min(longest, 40), 3.7)
    axes = figure.subplots()
    axes.margins(x=0.03)
    ends = [draw(axes, item, False) for item in items]
    looks = [figure_style.look_of(place[name]) for name in names]
    for k, curve in enumerate(published):
      looks.append(_published_look(curve, place, k))
      ends.append(_overlay(axes, curve, looks[-1]))
    _label_ends(axes, titles, ends, looks)
    return figure, [axes]
  columns = 4 if len(items) > 9 else 3
  lines = math.ceil(len(items) / columns)
  figure = figure_style.new(8.4, 0.5 + 1.5 * lines)
  grid = figure.subplots(
    lines, columns, sharex=True, sharey=True, squeeze=False
  )
  panels = list(grid.flat)
  for axes, name, item in zip(panels, names, items):
    for other in items:
      draw(axes, other, other is not item)
    for k, curve in enumerate(published):
      if curve["name"] == name or curve["name"] not in place:
        _overlay(axes, curve, _published_look(curve, place, k))
    title = textwrap.fill(figure_style.short(name), 30)
    axes.set_title(title, loc="left", fontsize=7.5)
  for axes in panels[len(items) :]:
    axes.remove()
  _explain_dashes(figure, place, published)
  # A column that ends early has its labels at its own last panel.
  for axes in panels[max(len(items) - columns, 0) : len(items)]:
    axes.xaxis.set_tick_params(labelbottom=True)
  return figure, panels[: len(items)]


def _explain_dashes(figure, place, published):
  from matplotlib.lines import Line2D

  looks = {}
  for k, curve in enumerate(published):
    own = curve["name"] in place
    look = _published_look(curve, place, k)
    looks["published" if own else _title(curve)] = look | (
      {"color": figure_style.INK, "marker": ""} if own else {}
    )
  if looks:
    show = dict(lw=1.0, ms=3, mfc="white")
    lines = [Line2D([], [], label=t, **show, **v) for t, v in looks.items()]
    figure.legend(handles=lines, loc="outside upper left", ncols=3)


def _title(curve: dict) -> str:
  return f"{figure_style.short(curve['name'], 29)}, published"


def _published_look(curve, place, k: int) -> dict:
  """The row's own colour where a row is called like the curve, else grey."""
  name = curve["name"]
  colour = (
    figure_style.look_of(place[name])["color"]
    if name in place
    else figure_style.GREY
  )
  return dict(color=colour, ls=(0, (4, 2)), marker=figure_style.MARKS[k % 7])


def _overlay(axes, curve, look):
  points = figure_style.clean(curve["x"], curve["y"])
  if not points:
    return None
  x, y = zip(*points)
  axes.plot(x, y, lw=1.0, ms=3, mew=0.7, mfc="white", zorder=2, **look)
  return x[-1], y[-1]


def _label_ends(axes, titles, ends, looks):
  """Names beside the lines' last points, moved apart, instead of a legend."""
  known = [i for i, end in enumerate(ends) if end]
  known.sort(key=lambda i: ends[i][1])
  axes.autoscale_view()
  low, high = axes.get_ylim()
  wanted = [(ends[i][1] - low) / (high - low) for i in known]
  beside = dict(clip_on=False, transform=axes.transAxes)
  for i, y, height in zip(known, wanted, _apart(wanted, 0.062)):
    look = {k: looks[i][k] for k in ("color", "ls")}
    thin = dict(color=figure_style.FAINT, lw=0.6)
    axes.plot((1.005, 1.03), (y, height), **thin, **beside)
    axes.plot((1.035, 1.085), (height, height), lw=1.6, **look, **beside)
    name = figure_style.short(titles[i])
    axes.text(1.1, height, name, va="center", fontsize=8.5, **beside)
  axes.set_ylim(low, high)


def _apart(values: list[float], gap: float) -> list[float]:
  """Ascending places, moved so that neighbours are `gap` apart, near [0, 1]."""
  out = []
  for v in values:
    out.append(max(v, out[-1] + gap) if out else v)
  top = max(1.0, gap * (len(out) - 1))
  for i in reversed(range(len(out))):
    out[i] = min(out[i], top)
    top = out[i] - gap
  return out
