"""The look of a table's figures, and their files."""

import contextlib
import hashlib
import io
import pathlib
import re
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from seq2seq_jax import types
from seq2seq_jax.runtime import files

if TYPE_CHECKING:
  from matplotlib.figure import Figure

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
# Dotted and dash-dotted: plain dashes are kept for published curves.
DASHES = ("-", (0, (1, 1.3)), (0, (6, 1.5, 1, 1.5)))
MARKS = "osD^vPX"
INK, GREY, FAINT = "#222222", "#767676", "#d4d4d4"
_CJK = ("Noto Sans CJK JP", "Noto Sans CJK SC", "WenQuanYi Zen Hei")


def save(figure: "Figure", stem: pathlib.Path) -> list[pathlib.Path]:
  """Writes STEM.png (200 dots per inch) and STEM.pdf; returns their paths."""
  stem.parent.mkdir(parents=True, exist_ok=True)
  paths = [stem.parent / f"{stem.name}.{end}" for end in ("png", "pdf")]
  plain = {"Creator": None, "Producer": None, "CreationDate": None}
  with settings():
    _settle(figure)
    # To memory first: on a full disk Matplotlib fails in ways of its own.
    png, pdf = io.BytesIO(), io.BytesIO()
    figure.savefig(png, format="png", dpi=200, metadata={"Software": None})
    figure.savefig(pdf, format="pdf", metadata=plain)
  for path, content in zip(paths, (png, pdf), strict=True):
    files.replace(path, content.getvalue())
  return paths


def svg(figure: "Figure", label: str = "") -> str:
  """An `<svg>` element for a page, the same bytes for the same figure.

  Text stays text, in the reader's sans-serif font. Ids get a prefix of their
  own, so that several figures can share a page.

  Args:
    figure: to be drawn.
    label: what it shows, for a screen reader.
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
  # Matplotlib numbers most ids from one in every figure; ids that nothing
  # refers to are dropped.
  prefix = "f" + hashlib.sha256((label + text).encode()).hexdigest()[:10] + "-"
  used = set(re.findall(r'(?:url\(#|href="#)([^")]+)', text))

  def prefixed(match: re.Match[str]) -> str:
    return f' id="{prefix}{match[1]}"' if match[1] in used else ""

  text = re.sub(r'\sid="([^"]+)"', prefixed, text)
  text = re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}", text)
  quoted = label.replace("&", "&amp;").replace('"', "&quot;")
  name = f' aria-label="{quoted}"' if label else ""
  return text.replace("<svg", f'<svg role="img"{name}', 1)


def _settle(figure: "Figure") -> None:
  """Fixes the layout: each drawing would move it a little further."""
  if type(figure.get_layout_engine()).__name__ == "ConstrainedLayoutEngine":
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def look_of(i: int, mark: bool = True, line: bool = True) -> dict[str, Any]:
  """Colour, dash and marker of the table's row `i`, as keyword arguments."""
  return dict(
    color=COLOURS[i % len(COLOURS)],
    ls=DASHES[i // len(COLOURS) % len(DASHES)] if line else "",
    marker=MARKS[i % len(MARKS)] if mark else "",
  )


@contextlib.contextmanager
def settings(more: dict[str, Any] | None = None) -> Iterator[None]:
  """Sets Matplotlib's settings for a figure, and restores them afterwards.

  Raises:
    types.UserError: Matplotlib is not installed.
  """
  try:
    import matplotlib
    from matplotlib import font_manager
  except ImportError as e:
    raise types.UserError(
      "figures need Matplotlib; install the extra: "
      "pip install -c constraints.txt -e '.[plots]'"
    ) from e
  installed = {font.name for font in font_manager.fontManager.ttflist}
  parameters: Any = {
    "font.family": ["DejaVu Sans", *(f for f in _CJK if f in installed)],
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
  with warnings.catch_warnings(), matplotlib.rc_context(parameters):
    # A token of a script that no font has is drawn as a box.
    warnings.filterwarnings("ignore", message="Glyph .* missing")
    yield


def new(width: float, height: float) -> "Figure":
  """An empty figure of this size in inches.

  It is none of pyplot's, so nothing is left to close.
  """
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  figure = Figure(figsize=(width, height), layout="constrained")
  FigureCanvasAgg(figure)
  return figure


def short(name: str, most: int = 40) -> str:
  """The name, cut to `most` characters."""
  return name if len(name) <= most else name[: most - 1] + "…"


def token_text(token: str) -> str:
  """A token as it is printed on one line of an axis; a blank as a mark."""
  if token in (" ", "\u2581"):
    return "\u2423"
  return short(token.replace("\n", "\\n").replace("\t", "\\t"), 24)


def thousands(value: float) -> str:
  """A tick label: 12000 -> `12k`."""
  return f"{value / 1000:g}k" if abs(value) >= 1000 else f"{value:g}"
