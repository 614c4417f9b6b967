"""Britz et al. 2017 (arXiv 1703.03906), table 4: the encoder's direction.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.ablate configs/ablations/britz_direction.py \\
      --workdir runs/britz_direction

Multi30k, English to German, their baseline at half its width. Uni-2R reads the
reversed source with two layers.

To be seen: both directions are at least as good as one; reversal helps one
direction at depths 1 and 2.
"""

from seq2seq_jax.ablation import orderings, scales, suite, sweep


def _row(depth: int, reverse: bool) -> suite.Row:
  words = [
    "--model.encoder.stacking",
    "joint",
    "--model.encoder.direction",
    "forward",
  ]
  words += ["--model.encoder.layers", str(depth)]
  words += ["--data.reverse_source", str(reverse)]
  return suite.Row(f"Uni-{depth}" + ("R" if reverse else ""), tuple(words))


def get_ablation() -> suite.Ablation:
  rows = [suite.Row("Bidi-2")]
  rows += [_row(n, r) for n in (1, 2, 4) for r in (False, True)]
  return suite.Ablation(
    title="Direction of the encoder",
    paper="Britz et al. 2017 (arXiv 1703.03906), table 4",
    rows=tuple(sweep.with_published(rows, "britz2017/direction")),
    metric="bleu",
    metrics=("loss",),
    reference="Bidi-2",
    orderings=(
      orderings.above("Bidi-2", "Uni-1R", by=-0.3),
      orderings.above("Bidi-2", "Uni-2R", by=-0.3),
      orderings.above("Bidi-2", "Uni-1"),
      orderings.above("Bidi-2", "Uni-2"),
      orderings.above("Uni-1R", "Uni-1"),
      orderings.above("Uni-2R", "Uni-2"),
    ),
    base="multi30k_britz.py",
    base_by_scale=scales.BRITZ_BASES,
    scales=scales.BRITZ,
    rows_by_scale={"smoke": ("Bidi-2", "Uni-1", "Uni-1R", "Uni-2", "Uni-2R")},
    note=(
      "Published: WMT15 English to German, newstest2013, multiplicative "
      "attention of 512. Here additive attention, as in the authors' released "
      "baseline. At the scale cpu widths of 128 and four and a half epochs."
    ),
  )
