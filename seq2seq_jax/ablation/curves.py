"""A table's curves: scores by source length, validation scores by step."""

import itertools

import numpy as np

from seq2seq_jax.ablation import collect, orderings, schema, statistics


def bins(results: collect.Results) -> tuple[schema.LengthBin, ...]:
  """The bins of source length that hold test sentences.

  None if rows have different test sets, or lengths are not known.
  """
  edges = results.ablation.bins
  tests = {system.test for system in results.systems.values()}
  if len(tests) != 1 or not results.lengths or not edges:
    return ()
  lengths = next(iter(results.lengths.values()))
  longest = int(lengths.max())
  shown: list[schema.LengthBin] = []
  for low, high in itertools.zip_longest((0, *edges), edges):
    # The first bin that is shown starts at 0; the last one is open.
    first = low + 1 if shown else 0
    last = high or longest
    count = int(((lengths >= first) & (lengths <= last)).sum())
    if not count:
      continue
    label = f"{first} to {high}" if shown else f"up to {high}"
    if high is None:
      label = f"more than {low}"
    shown.append(
      schema.LengthBin(label=label, low=first, high=last, sentences=count)
    )
  return tuple(shown)


def by_length(
  results: collect.Results, row: str, table_bins: tuple[schema.LengthBin, ...]
) -> schema.ScoresByLength | None:
  """Scores of a row in each bin; None if it has none."""
  if row not in results.lengths or not table_bins:
    return None
  means, sds = [], []
  for length_bin in table_bins:
    subset = orderings.Subset(length_bin.low, length_bin.high)
    mask = results.mask(row, subset)
    values = statistics.values(results.systems[row], mask)
    mean, sd = statistics.mean_sd(values)
    means.append(mean)
    sds.append(sd)
  return schema.ScoresByLength(means=tuple(means), sds=tuple(sds))


def learning_curves(
  results: collect.Results,
) -> tuple[schema.LearningCurve, ...]:
  """Means over seeds on the validation set, by step, for each row.

  Of the table's metric, or of the loss if validation did not compute it.
  """
  curves = []
  for row in results.ablation.rows:
    # Of an ensemble, the first member's.
    runs = [s["learning_curves"][0]["valid"] for s in results.done(row.name)]
    names = (results.ablation.metric, "loss")
    known = [name for name in names if runs and name in runs[0]]
    if not known:
      continue
    by_step: dict[int, list[float]] = {}
    for run in runs:
      for step, value in run.get(known[0], []):
        if value is not None:
          by_step.setdefault(step, []).append(value)
    steps = sorted(by_step)
    means = [float(np.mean(by_step[step])) for step in steps]
    sds = [statistics.mean_sd(by_step[step])[1] or 0.0 for step in steps]
    curves.append(
      schema.LearningCurve(
        name=row.name,
        metric=known[0],
        split="valid",
        steps=tuple(steps),
        mean=tuple(means),
        low=tuple(mean - sd for mean, sd in zip(means, sds)),
        high=tuple(mean + sd for mean, sd in zip(means, sds)),
        n=len(runs),
      )
    )
  return tuple(curves)
