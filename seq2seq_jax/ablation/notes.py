"""What a reader has to know of how the scores of a table came about."""

from collections.abc import Mapping
from typing import Any

from seq2seq_jax import metrics
from seq2seq_jax.ablation import suite

# Names of metrics that choose the same checkpoint.
ALIKE = {"perplexity": "loss"}


def of_checkpoints(
  ablation: suite.Ablation, configs: Mapping[str, dict[str, Any]]
) -> tuple[str, ...]:
  """A note if checkpoints were chosen by another metric than the table's.

  Args:
    ablation: with its metric, and which checkpoint it scores.
    configs: resolved config of each row, as nested dicts.
  """
  if ablation.checkpoint != "best":
    return ()
  rows: dict[str, list[str]] = {}
  for row, conf in configs.items():
    metric = _plain(conf["train"]["metric"])
    if ALIKE.get(metric, metric) != _alike(ablation.metric):
      rows.setdefault(metric, []).append(row)
  return tuple(
    _note(ablation.metric, *item, len(configs)) for item in rows.items()
  )


def of_tests(limits: Mapping[str, str]) -> tuple[str, ...]:
  """A note for each reason for which differences were not tested.

  Args:
    limits: the reason by row, empty for those that were.
  """
  rows: dict[str, list[str]] = {}
  for row, limit in limits.items():
    if limit:
      rows.setdefault(limit.removeprefix("not tested: "), []).append(row)
  return tuple(
    f"Not tested ({limit}): {', '.join(names)}."
    for limit, names in rows.items()
  )


def _note(scored: str, chosen: str, rows: list[str], count: int) -> str:
  where = "" if len(rows) == count else f" of {', '.join(rows)}"
  return (
    f"Checkpoints{where} were chosen by {metrics.label(chosen)} on the "
    f"validation set, scores are {metrics.label(_plain(scored))}: another "
    "checkpoint may have the better score."
  )


def _alike(name: str) -> str:
  plain = _plain(name)
  return ALIKE.get(plain, plain)


def _plain(name: str) -> str:
  """The name of a metric; of `FILE.py:NAME` the latter."""
  return name.rpartition(":")[2]
