"""All files of a table: text, figures and the page."""

import logging
import pathlib
import re

from seq2seq_jax import types
from seq2seq_jax.ablation import schema
from seq2seq_jax.ablation.report import (
  figure_style,
  figures,
  html,
  text_tables,
)
from seq2seq_jax.runtime import files

log = logging.getLogger(__name__)


def write(table: schema.Table, workdir: pathlib.Path) -> list[pathlib.Path]:
  """Writes table.md, .tex, .csv, .json and report.html; returns their paths.

  Figures go to figures/; without Matplotlib there are none, and a warning says
  so.
  """
  texts = write_texts(table, workdir)
  page = workdir / "report.html"
  files.replace(page, html.html(table, write_figures(table, workdir)))
  return [*texts, page]


def write_texts(
  table: schema.Table, workdir: pathlib.Path
) -> list[pathlib.Path]:
  """Writes table.md, .tex, .csv and .json; returns their paths."""
  texts = {
    "table.md": text_tables.markdown(table),
    "table.tex": text_tables.latex(table),
    "table.csv": text_tables.csv_text(table),
    "table.json": schema.to_json(table),
  }
  for name, text in texts.items():
    files.replace(workdir / name, text)
  return [workdir / name for name in texts]


def write_figures(
  table: schema.Table, workdir: pathlib.Path
) -> dict[str, list[str]]:
  """Writes the figures as PNG and PDF; returns them as SVG, by name."""
  try:
    drawn = figures.of_table(table)
  except types.UserError as e:
    log.warning(f"no figures: {e}; then give --table-only")
    return {}
  svgs, written = {}, set()
  for name, group in drawn.items():
    svgs[name] = [figure_style.svg(figure, name) for figure in group]
    for i, figure in enumerate(group, 1):
      # Attention has one figure for each example.
      stem = f"{name}_{i}" if name == "attention" else name
      written |= set(figure_style.save(figure, workdir / "figures" / stem))
  # Delete figures that an earlier version of this table left.
  ours = re.compile(rf"({'|'.join(figures.NAMES)})(_\d+)?\.(png|pdf)")
  for path in set(workdir.glob("figures/*")) - written:
    if drawn and ours.fullmatch(path.name):
      path.unlink()
  return svgs
