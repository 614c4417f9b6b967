"""The look of a table's figures, their files, and small helpers of theirs."""

import contextlib
import hashlib
import io
import math
import pathlib
import re
import warnings

from seq2seq_jax import types

# Okabe & Ito's colours without the yellow, which is lost on white paper.
COLOURS = (
  "#0072B2",
  "#D55E00",
  "#009E73",
  "#CC79A7",
  "#E69F00",
  "#56B4E9",
  "#000000",
)
# Dashes as such are kept for published curves.
DASHES = ("-", (0, (1, 1.3)), (0, (6, 1.5, 1, 1.5)))
MARKS = "osD^vPX"
INK, GREY, FAINT = "#222222", "#767676", "#d4d4d4"
_CJK = ("Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Zen Hei")


def save(figure, stem) -> list[pathlib.Path]:
  """Writes STEM.png (200 dots per inch) and STEM.pdf; returns their paths."""
  stem = pathlib.Path(stem)
  stem.parent.mkdir(parents=True, exist_ok=True)
  paths = [stem.parent / f"{stem.name}.{end}" for end in ("png", "pdf")]
  plain = {"Creator": None, "Producer": None, "CreationDate": None}
  with settings():
    _settle(figure)
    figure.savefig(paths[0], dpi=200, metadata={"Software": None})
    figure.savefig(paths[1], metadata=plain)
  return paths


def svg(figure, label="") -> str:
  """An `<svg>` to put into a page, the same bytes for the same figure.

  Its text is text, in the reader's sans-serif; its ids are the figure's own.
  `label` says to a screen reader what is shown.
  """
  out = io.StringIO()
  dateless = {"Date": None, "Creator": None, "Format": None, "Type": None}
  with settings({"svg.fonttype": "none", "svg.hashsalt": label or "figure"}):
    _settle(figure)
    figure.savefig(out, format="svg", metadata=dateless)
  text = out.getvalue()
  text = text[text.index("<svg") :].strip()
  text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.S)
  text = re.sub(r'\s(xmlns(:\w+)?|version)="[^"]*"', "", text)
  text = text.replace("xlink:href", "href").replace(
    "'DejaVu Sans'", "system-ui"
  )
  # Matplotlib numbers most ids from one, in every figure.
  mark = "f" + hashlib.sha256((label + text).encode()).hexdigest()[:10] + "-"
  used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', text))
  own = lambda m: f' id="{mark}{m[1]}"' if m[1] in used else ""
  text = re.sub(r'\sid="([^"]+)"', own, text)
  text = re.sub(r'(url\(#|href="#)', rf"\g<1>{mark}", text)
  quoted = label.replace("&", "&amp;").replace('"', "&quot;")
  named = f' aria-label="{quoted}"' if label else ""
  return text.replace("<svg", f'<svg role="img"{named}', 1)


def _settle(figure):
  """Lays it out once: each drawing would move it a little further."""
  if type(figure.get_layout_engine()).__name__ == "ConstrainedLayoutEngine":
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def look_of(i: int, mark=True, line=True) -> dict:
  """Colour, dash and mark of the table's row `i`."""
  return dict(
    color=COLOURS[i % len(COLOURS)],
    ls=DASHES[i // len(COLOURS) % len(DASHES)] if line else "",
    marker=MARKS[i % len(MARKS)] if mark else "",
  )


@contextlib.contextmanager
def settings(more=None):
  """Settings of Matplotlib for the time of a figure; none stays behind."""
  try:
    import matplotlib
    from matplotlib import font_manager
  except ImportError as e:
    raise types.UserError(
      "figures need Matplotlib; install the extra: "
      "pip install -c constraints.txt -e '.[plots]'"
    ) from e
  known = {font.name for font in font_manager.fontManager.ttflist}
  settings = {
    "font.family": ["DejaVu Sans", *(f for f in _CJK if f in known)],
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "pdf.fonttype": 42,
    **(more or {}),
  }
  with warnings.catch_warnings(), matplotlib.rc_context(settings):
    # A token of a script that no font has is drawn as a box.
    warnings.filterwarnings("ignore", message="Glyph .* missing")
    yield


def new(width: float, height: float):
  """Inches; never one of pyplot's, so nothing is left to close."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  figure = Figure(figsize=(width, height), layout="constrained")
  FigureCanvasAgg(figure)
  return figure


def there(value) -> bool:
  return value is not None and math.isfinite(value)


def or_else(value, default):
  return value if there(value) else default


def clean(*columns) -> list[tuple]:
  """The places where every column has a number."""
  return [p for p in zip(*columns) if all(there(v) for v in p)]


def centres_of(bins: list[dict]) -> list[float]:
  """Middle lengths; an open last bin counts as wide as the one before."""
  out, width = [], 5
  for b in bins:
    low, high = b["low"], b["high"]
    width = width if high is None or high - low > 1000 else high - low
    out.append(low + width / 2)
  return out


def same(items: list[dict], key: str) -> str:
  values = {str(item.get(key) or "") for item in items}
  return values.pop() if len(values) == 1 else ""


def digits_of(rows: list[dict]) -> int:
  largest = max((abs(or_else(r.get("mean"), 0.0)) for r in rows), default=0.0)
  return 2 if largest >= 10 else 3


def short(name: str, most=40) -> str:
  return name if len(name) <= most else name[: most - 1] + "…"


def token_text(token: str) -> str:
  return short(str(token).replace("\n", "\\n").replace("\t", "\\t"), 24)


def minus(text: str) -> str:
  return text.replace("-", "−")


def thousands(value: float) -> str:
  return f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:g}"
