"""Reads the suite that a user's Python file defines."""

import dataclasses
import difflib
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from seq2seq_jax import config, metrics, types
from seq2seq_jax.ablation import suite
from seq2seq_jax.config import extensions, shipped
from seq2seq_jax.inference import evaluator


def load(path: str | pathlib.Path) -> suite.Ablation:
  """Returns the table that a file's `get_ablation()` defines.

  Raises:
    types.UserError: names the file, and the line if its code fails.
  """
  file = shipped.find(path)
  config.check_is_file("table", path, file)
  ablation = config.returned_by(file, "get_ablation", suite.Ablation)
  ablation = _absolute(ablation, file)
  check_metrics(ablation, str(path))
  return ablation


def _absolute(ablation: suite.Ablation, file: pathlib.Path) -> suite.Ablation:
  """Returns a suite with the files that it names found from its own file."""
  folder = file.absolute().parent

  def located(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(_locate(word, folder) for word in words)

  def located_by_scale(
    overrides: Mapping[str, Iterable[str]],
  ) -> dict[str, tuple[str, ...]]:
    return {scale: located(words) for scale, words in overrides.items()}

  names = {ablation.metric, *ablation.metrics}
  return dataclasses.replace(
    ablation.rename_metrics({name: _locate(name, folder) for name in names}),
    base=_find(ablation.base, file),
    base_by_scale={
      scale: _find(base, file) for scale, base in ablation.base_by_scale.items()
    },
    rows=tuple(
      dataclasses.replace(
        row,
        base=_find(row.base, file),
        overrides=located(row.overrides),
        overrides_by_scale=located_by_scale(row.overrides_by_scale),
      )
      for row in ablation.rows
    ),
    scales=located_by_scale(ablation.scales),
  )


def _locate(word: str, folder: pathlib.Path) -> str:
  """Returns a reference `FILE.py:NAME` as absolute if the folder has FILE."""
  if extensions.is_reference(word):
    path = folder / word.partition(".py:")[0]
    if path.with_name(f"{path.name}.py").is_file():
      return str(folder / word)
  return word


def _find(base: Any, file: pathlib.Path) -> Any:
  """Returns the path of a base config that a suite's file names.

  It lies beside the file or, as `configs/x.py` for `configs/ablations/y.py`,
  a folder above it; else the name is left as it is.
  """
  file = file.absolute()
  if isinstance(base, str) and base:
    for folder in (file.parent, file.parent.parent):
      path = folder / base
      # A suite may be called like its base, a folder above it.
      if path.is_file() and path != file:
        return str(path)
  return base


def check_metrics(ablation: suite.Ablation, where: str) -> None:
  """Refuses metrics that `evaluate` does not know, with the nearest names."""
  scores = metrics.names("model", "outputs", "ctc", diagnostics=False)
  known_names = [(ablation.metric, scores)]
  known_names += [(name, metrics.names()) for name in ablation.metrics]
  for name, known in known_names:
    if extensions.is_reference(name):
      evaluator.find_metric(name)
    elif name not in known:
      near = difflib.get_close_matches(name, known, 3, 0.3)
      raise types.UserError(
        f"{where}: unknown metric {name!r}; nearest: {', '.join(near or known)}"
      )
