"""Press & Wolf 2017 (arXiv 1608.05859): shared embeddings.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.ablate configs/ablations/tied_embeddings.py \\
      --workdir runs/tied_embeddings

Multi30k, English to German, the model of `multi30k_britz.py`: no matrix shared,
target embedding and softmax, or these and the source embedding.

To be seen: no loss with far fewer parameters. The published numbers are
recalled, unconfirmed, so nothing is judged.
"""

from seq2seq_jax.ablation import orderings, scales, suite, sweep


def get_ablation() -> suite.Ablation:
  rows = [
    suite.Row("baseline"),
    suite.Row("decoder", ("--model.tie", "decoder")),
    suite.Row("three-way", ("--model.tie", "all")),
  ]
  return suite.Ablation(
    title="Shared embeddings",
    paper="Press & Wolf 2017 (arXiv 1608.05859)",
    rows=tuple(sweep.with_published(rows, "press_wolf2017/ende")),
    metric="bleu",
    metrics=("loss",),
    reference="baseline",
    orderings=(
      orderings.alike("decoder", "baseline", 0.5, judged=False),
      orderings.alike("three-way", "baseline", 0.5, judged=False),
    ),
    base="multi30k_britz.py",
    base_by_scale=scales.BRITZ_BASES,
    scales=scales.BRITZ | {"pod": ()},
    note="Published: WMT14 English to German (recalled, unconfirmed).",
  )
