"""Britz et al. 2017 (arXiv 1703.03906), table 2: the recurrent cell.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.ablate configs/ablations/britz_cells.py \\
      --workdir runs/britz_cells

Multi30k, English to German, their baseline at half its width. Vanilla-Dec has a
plain tanh decoder behind a GRU encoder, which their parameter counts imply.

To be seen: LSTM not below GRU, and the plain decoder at least 3 BLEU below the
two. At the scale cpu, four and a half epochs of short sentences, neither is:
the plain decoder learns fastest there, and the LSTM slowest
(`results/britz_cells`).
"""

from seq2seq_jax.ablation import orderings, scales, suite, sweep


def get_ablation() -> suite.Ablation:
  rows = [
    suite.Row("GRU"),
    suite.Row("LSTM", ("--model.encoder.cell", "lstm")),
    suite.Row("Vanilla-Dec", ("--model.decoder.cell", "elman")),
  ]
  return suite.Ablation(
    title="Recurrent cells",
    paper="Britz et al. 2017 (arXiv 1703.03906), table 2",
    rows=tuple(sweep.with_published(rows, "britz2017/cells")),
    metric="bleu",
    metrics=("loss",),
    reference="GRU",
    orderings=(
      orderings.above("LSTM", "GRU"),
      orderings.above("GRU", "Vanilla-Dec", by=3),
      orderings.above("LSTM", "Vanilla-Dec", by=3),
    ),
    base="multi30k_britz.py",
    base_by_scale=scales.BRITZ_BASES,
    scales=scales.BRITZ,
    note=(
      "Published: WMT15 English to German, newstest2013, multiplicative "
      "attention of 512. Here additive attention, as in the authors' released "
      "baseline."
    ),
  )
