"""Britz et al. 2017 (arXiv 1703.03906), table 1: width of embeddings.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.ablate configs/ablations/britz_embeddings.py \\
      --workdir runs/britz_embeddings

Multi30k, English to German, their baseline at half its width; only the
embeddings change.

To be seen: no difference above 0.5 BLEU.
"""

from seq2seq_jax.ablation import orderings, scales, suite, sweep


def get_ablation() -> suite.Ablation:
  widths = (128, 256, 512, 1024, 2048)
  names = tuple(str(n) for n in widths)
  rows = sweep.product(sweep.factor("--model.embed_dim", widths))
  return suite.Ablation(
    title="Width of embeddings",
    paper="Britz et al. 2017 (arXiv 1703.03906), table 1",
    rows=tuple(sweep.with_published(rows, "britz2017/embeddings")),
    metric="bleu",
    metrics=("loss",),
    reference="512",
    orderings=tuple(
      orderings.alike(name, "512", 0.5) for name in names if name != "512"
    ),
    base="multi30k_britz.py",
    base_by_scale=scales.BRITZ_BASES,
    scales=scales.BRITZ,
    rows_by_scale={"smoke": names[:3], "cpu": names[:4]},
    note=(
      "Published: WMT15 English to German, newstest2013, multiplicative "
      "attention of 512. Here additive attention, as in the authors' released "
      "baseline. At the scale cpu widths of 128 and four and a half epochs."
    ),
  )
