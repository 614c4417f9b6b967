"""Lake & Baroni 2018 (arXiv 1711.00350), SCAN: four splits and their models.

    python -m seq2seq_jax.ablate configs/ablations/scan.py --workdir runs/table

The paper's own protocol and sizes: 100,000 updates of one example each, Adam,
half of the sentences fed with the decoder's own tokens. "Overall-best" is the
LSTM of 2 x 200 with dropout 0.5 and no attention, "top" the best model of a
split; of the random split that is the same one without dropout, and alone here
below the scale gpu.
Dropout falls on embeddings and between layers, so that of a model of one layer
on embeddings alone. Generated data.

To be seen: nearly everything right on the random split, turn left mostly, long
sequences seldom, jump hardly ever, and that attention helps with length. With
the oracle of their length, which is search alone, more of the long sequences
are right. The tolerances are as wide as such runs scatter.
"""

from seq2seq_jax.ablation import orderings, suite

ATTENTION = (
  "--model.attention.score additive --model.decoder.placement bahdanau "
  "--model.readout.inputs state_context "
  "--model.encoder.layers 1 --model.decoder.layers 1"
)


def _width(n: int) -> str:
  return (
    f"--model.embed_dim {n} --model.encoder.dim {n} --model.decoder.dim {n} "
    f"--model.attention.dim {n}"
  )


LENGTH = "--data.name length"
LENGTH_TOP = f"{LENGTH} --model.encoder.cell gru {ATTENTION} {_width(50)}"
ORACLE = "--decode.oracle_length True"
SMALL = f"{_width(100)} --model.dropout.embed 0.1 --model.dropout.rnn 0.1"


MODELS = ("overall-best", "top")
SMALL_SCALES = (
  "simple, top",
  *(f"{s}, {m}" for s in ("length", "turn left", "jump") for m in MODELS),
  *(f"length, {m}, oracle length" for m in MODELS),
)


def _row(name: str, words: str) -> suite.Row:
  """A row; it is compared with the overall-best model of its split."""
  split, _, *rest = name.split(", ")
  reference = name
  if split != "simple":
    reference = ", ".join((split, "overall-best", *rest))
  return suite.Row(
    name, tuple(words.split()), f"lake_baroni2018/scan/{name}", 1, reference
  )


def get_ablation() -> suite.Ablation:
  return suite.Ablation(
    title="SCAN",
    paper="Lake & Baroni 2018 (arXiv 1711.00350)",
    base="lake_baroni2018.py",
    rows=(
      _row("simple, overall-best", ""),
      _row("simple, top", "--model.dropout.embed 0.0 --model.dropout.rnn 0.0"),
      _row("length, overall-best", LENGTH),
      _row("length, top", LENGTH_TOP),
      _row("length, overall-best, oracle length", f"{LENGTH} {ORACLE}"),
      _row("length, top, oracle length", f"{LENGTH_TOP} {ORACLE}"),
      _row("turn left, overall-best", "--data.name addprim_turn_left"),
      _row(
        "turn left, top",
        "--data.name addprim_turn_left --model.encoder.cell gru "
        f"{ATTENTION} {SMALL}",
      ),
      _row("jump, overall-best", "--data.name addprim_jump"),
      _row("jump, top", f"--data.name addprim_jump {ATTENTION} {SMALL}"),
    ),
    metric="exact_match",
    reference="simple, top",
    orderings=(
      orderings.near("simple, overall-best", 99.7, 2),
      orderings.near("simple, top", 99.8, 2),
      orderings.near("length, overall-best", 13.8, 8),
      orderings.near("length, top", 20.8, 8),
      orderings.near("turn left, overall-best", 90.0, 15),
      orderings.near("turn left, top", 90.3, 15),
      orderings.at_most("jump, overall-best", 10),
      orderings.at_most("jump, top", 10),
      orderings.above("length, top", "length, overall-best"),
      *(
        orderings.above(f"length, {model}, oracle length", f"length, {model}")
        for model in MODELS
      ),
      orderings.above("turn left, overall-best", "jump, overall-best", by=45),
    ),
    scales={
      "smoke": (
        *("--train.steps", "500", "--train.validate_every", "500"),
        *("--data.limit", "500", "--decode.max_extra", "20"),
        *("--data.buckets", "1"),
      ),
      "cpu": (),
      "gpu": (),
    },
    rows_by_scale={"smoke": SMALL_SCALES, "cpu": SMALL_SCALES},
    checkpoint="last",
    bins=(4, 6, 8),
    note=(
      "Rows of different splits have different test sets, so each is compared "
      "with the overall-best model of its own split. The random split is drawn "
      "anew, the others are the paper's. Initial weights and the place of "
      "dropout, which the paper leaves open, are PyTorch's."
    ),
  )
