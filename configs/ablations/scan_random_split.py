"""Lake & Baroni 2018 (arXiv 1711.00350), SCAN, experiment 1: the random split.

    python -m seq2seq_jax.ablate configs/ablations/scan_random_split.py \\
      --workdir runs/table

How much of the commands must be seen, and what the simple recurrent network
(Elman's) can do: the rest is the best model of the split, and the protocol that
of `scan.py`. The paper's simple networks are of all sizes, those here of 2 x
200.

To be seen: half of the unseen commands right from 2 % of them, nearly all from
4 %; the simple network hardly any without attention, and many with it.
Generated data.
"""

from seq2seq_jax.ablation import orderings, suite, sweep

ATTENTION = (
  "--model.attention.score additive --model.decoder.placement bahdanau "
  "--model.readout.inputs state_context"
)
SRN = "--model.encoder.cell elman"
PLAIN = ("--model.dropout.embed", "0.0", "--model.dropout.rnn", "0.0")


def get_ablation() -> suite.Ablation:
  coverage = [
    suite.Row(f"{n} %", f"--data.name simple_p{n}", reference=f"{n} %")
    for n in (1, 2, 4)
  ]
  cells = [
    suite.Row("SRN", SRN, "lake_baroni2018/cells/SRN, best"),
    suite.Row(
      "SRN with attention",
      f"{SRN} {ATTENTION}",
      "lake_baroni2018/cells/SRN with attention, mean",
    ),
  ]
  whole = suite.Row("80 %", (), "lake_baroni2018/scan/simple, top")
  return suite.Ablation(
    title="SCAN, random split",
    paper="Lake & Baroni 2018 (arXiv 1711.00350)",
    base="lake_baroni2018.py",
    rows=(
      *sweep.with_published(coverage, "lake_baroni2018/coverage"),
      whole,
      *cells,
    ),
    metric="exact_match",
    reference="80 %",
    orderings=(
      orderings.near("1 %", 5, 8),
      orderings.near("2 %", 54, 8),
      orderings.near("4 %", 93, 8),
      orderings.near("80 %", 99.8, 2),
      orderings.at_most("SRN", 10),
      orderings.above("SRN with attention", "SRN", by=10),
    ),
    scales={
      "smoke": (
        *("--train.steps", "500", "--train.validate_every", "500"),
        *("--data.limit", "500", "--decode.max_extra", "20"),
        *("--data.buckets", "1"),
        *PLAIN,
      ),
      "cpu": PLAIN,
    },
    rows_by_scale={"smoke": ("2 %", "SRN", "SRN with attention")},
    checkpoint="last",
    bins=(4, 6, 8),
    note=(
      "Rows of other coverage have other test parts: what was not trained on. "
      "All are drawn anew, not the paper's. "
      "Initial weights, which the paper leaves open, are PyTorch's."
    ),
  )
