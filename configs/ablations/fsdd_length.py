"""Strings of spoken digits that are longer than any trained on.

    python -m seq2seq_jax.data.manifest fsdd FOLDER --out data/fsdd
    python -m seq2seq_jax.ablate configs/ablations/fsdd_length.py \\
      --workdir runs/fsdd_length --data.root data/fsdd

Models of `configs/fsdd_strings.py` learn strings of one to four digits, or of
one to seven, with attention that knows where it was (location, Chorowski et al.
2015), or those of one to four with attention to content alone (additive,
Bahdanau et al. 2015), each with CTC beside it. They read strings of 8 to 12,
with a share of CTC in the search's score from none to all (Watanabe et al.
2017). The metric is the digit error rate. The rows of a model and a trained
length differ in search or test set alone and share their trainings; the last
four read other strings of the lengths that were trained.

To be seen: attention alone is right on the lengths that it was trained on, and
ends early on longer strings; with half of CTC there is a third of its errors
there at most, and with CTC alone there are fewest.
"""

from seq2seq_jax.ablation import orderings, suite, sweep

ATTENTION = [
  ("location", "--model.attention.score location_aware"),
  ("additive", "--model.attention.score additive"),
]
SHORT = ("--data.train", "train_short.jsonl", "--data.valid", "dev_short.jsonl")
LENGTHS = [("1 to 4", SHORT), ("1 to 7", ())]
WEIGHTS = ("0.0", "0.3", "0.5", "0.7", "1.0")
# Test strings of the lengths that were trained.
TRAINED = {
  "location, 1 to 4": "test_short.jsonl",
  "location, 1 to 7": "test.jsonl",
}
# Short strings need fewer updates.
STEPS = ("--train.steps", "1200", "--train.validate_every", "400")

SMOKE = """
  --data.train train_short.jsonl --data.valid dev_short.jsonl
  --data.limit 300 --data.buckets 1 --data.max_source_length 200
  --model.embed_dim 8 --model.encoder.dim 16 --model.decoder.dim 16
  --model.attention.dim 16 --model.readout.dim 16
  --model.encoder.front_end_channels 4
  --train.steps 30 --train.validate_every 30
  --decode.beam_size 1 --decode.max_ratio 0.0 --decode.length_step 512
"""


def _weight(value: str) -> sweep.Part:
  name = {"0.0": "attention alone", "1.0": "CTC alone"}
  return name.get(value, f"CTC {value}"), f"--decode.ctc_weight {value}"


def _row(
  name: str, words: tuple[str, ...], tested: str, weight: str
) -> suite.Row:
  """A row, compared with attention alone on the same strings.

  Args:
    name: of the attention and the trained length, and of the strings tested if
      they are not longer.
    words: the overrides of that model.
    tested: manifest of the strings.
    weight: of CTC.
  """
  search, flag = _weight(weight)
  return suite.Row(
    f"{name}, {search}",
    (*words, *suite.command_line(flag), "--data.test", tested),
    reference=f"{name}, attention alone",
    overrides_by_scale={
      "smoke": ("--data.test", "dev_short.jsonl"),
      "cpu": STEPS if "1 to 4" in name else (),
    },
  )


def _rows() -> list[suite.Row]:
  models = {row.name: row for row in sweep.product(ATTENTION, LENGTHS)}
  del models["additive, 1 to 7"]  # of which nothing is asked
  rows = [
    _row(name, model.overrides, "test_long.jsonl", weight)
    for name, model in models.items()
    for weight in WEIGHTS
  ]
  rows += [
    _row(f"{name}, as trained", models[name].overrides, tested, weight)
    for name, tested in TRAINED.items()
    for weight in ("0.0", "0.5")
  ]
  return rows


def _third(model: str, search: str) -> orderings.Ordering:
  """Claims that a search makes at most a third of attention's errors."""
  joint, alone = f"{model}, {search}", f"{model}, attention alone"
  return orderings.Ordering(
    f"{joint}: at most a third of the errors of attention alone",
    (orderings.Term(3, joint), orderings.Term(-1, alone)),
  )


def get_ablation() -> suite.Ablation:
  rows = _rows()
  names = [row.name for row in rows]
  short = [name for name in names if name.startswith("location, 1 to 4, CTC")]
  alone = "location, 1 to 4, attention alone"
  return suite.Ablation(
    title="Digit strings longer than trained",
    paper=(
      "after Chorowski et al. 2015 (arXiv 1506.07503), section 4.2, and "
      "Watanabe et al. 2017 (Hybrid CTC/attention architecture)"
    ),
    base="fsdd_strings.py",
    rows=tuple(rows),
    metric="wer",
    metrics=("ser", "wer_deletions", "wer_insertions", "cut"),
    reference=alone,
    orderings=(
      _third("location, 1 to 4", "CTC 0.5"),
      *orderings.rising((alone, *short)),
      _third("additive, 1 to 4", "CTC 0.5"),
      orderings.above(alone, "additive, 1 to 4, attention alone"),
      orderings.above("location, 1 to 7, attention alone", alone),
      orderings.above(
        "location, 1 to 7, CTC 0.5", "location, 1 to 7, attention alone"
      ),
      orderings.at_most("location, 1 to 7, CTC 0.5", 5),
      orderings.at_most("location, 1 to 7, CTC alone", 2),
      orderings.at_most("location, 1 to 7, as trained, CTC 0.5", 2),
      orderings.at_most("location, 1 to 4, as trained, attention alone", 4),
    ),
    scales={"smoke": tuple(SMOKE.split()), "cpu": (), "gpu": ()},
    rows_by_scale={
      "smoke": tuple(f"location, 1 to 4, {_weight(w)[0]}" for w in WEIGHTS[::2])
    },
    checkpoint="last",
    bins=(),
    note=(
      "No result is published for such strings. A row's name has the "
      "attention, the digits of the strings that were trained, and the search; "
      "strings of 8 to 12 digits are read unless it says as trained. wer is "
      "the digit error rate, ser the share of strings with an error. Beam 10, "
      "no length rule. The last checkpoint is scored, so that no search has "
      "chosen it."
    ),
  )
