"""A table of a model of a few thousand parameters, for tests of its engine."""

import pathlib

from seq2seq_jax.ablation import orderings, plan, suite

CONFIG = str(pathlib.Path(__file__).parents[1] / "configs" / "tiny.py")
FEW_STEPS = {
  "train.steps": 40,
  "train.validate_every": 20,
  "data.buckets": 1,
  "train.average": 0,
  "train.metric": "loss",  # no search in validation: less to compile
}
NO_ATTENTION = (
  "--model.attention.score none --model.decoder.input_feeding False"
)


def ablation(**changes) -> suite.Ablation:
  """A table of four rows, of which two share their trainings."""
  settings = {
    "title": "Copying",
    "paper": "of nobody",
    "base": CONFIG,
    "rows": (
      suite.Row("attention"),
      suite.Row("greedy", "--decode.beam_size 1"),
      suite.Row("fixed", NO_ATTENTION),
      suite.Row("two", ensemble=2),
    ),
    "metric": "exact_match",
    "metrics": ("loss",),
    "reference": "fixed",
    "scales": {"smoke": FEW_STEPS, "none": ()},
    "scale": "smoke",
    "bins": (2, 4),
    "orderings": (orderings.above("attention", "fixed", by=5),),
  }
  return suite.Ablation(**(settings | changes))


def planned(folder, seeds=2, overrides=(), together=False, **changes):
  """The plan of the table in a folder."""
  return plan.Plan(ablation(**changes), folder, seeds, overrides, together)
