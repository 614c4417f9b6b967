"""All files of a table: text, figures and the page."""

import contextlib
import logging
import pathlib
import re

from seq2seq_jax import types
from seq2seq_jax.ablation import schema
from seq2seq_jax.ablation.report import (
  figures,
  html,
  text_tables,
)
from seq2seq_jax.analysis import figure_style
from seq2seq_jax.runtime import files

log = logging.getLogger(__name__)


TEXTS = ("table.md", "table.tex", "table.csv", "table.json", "report.html")


def write(table: schema.Table, workdir: pathlib.Path) -> list[pathlib.Path]:
  """Writes table.md, .tex, .csv, .json and report.html; returns their paths.

  All of them or none, if a disk is full. Figures go to figures/; without
  Matplotlib there are none, and a warning says so.
  """
  page = html.html(table, write_figures(table, workdir))
  return _write(workdir, _texts(table) | {"report.html": page})


def write_texts(
  table: schema.Table, workdir: pathlib.Path
) -> list[pathlib.Path]:
  """Writes table.md, .tex, .csv and .json; returns their paths."""
  return _write(workdir, _texts(table))


def _texts(table: schema.Table) -> dict[str, str]:
  return {
    "table.md": text_tables.markdown(table),
    "table.tex": text_tables.latex(table),
    "table.csv": text_tables.csv_text(table),
    "table.json": schema.to_json(table),
  }


def _write(workdir: pathlib.Path, texts: dict[str, str]) -> list[pathlib.Path]:
  """Writes files; those that are there are replaced once all are written."""
  paths = [workdir / name for name in texts]
  with contextlib.ExitStack() as stack:
    for path, text in zip(paths, texts.values(), strict=True):
      part = stack.enter_context(files.replacing(path))
      part.write_text(text, encoding="utf-8", newline="\n")
  return paths


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
