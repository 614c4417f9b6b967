"""Britz et al. 2017 (arXiv 1703.03906), table 5: attention.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.ablate configs/ablations/britz_attention.py \\
      --workdir runs/britz_attention

Multi30k, English to German, their baseline at half its width. Add-512 scores
with a hidden layer of 512, Mul-512 with the product of two projections to 512,
without a scale. None-State hands the decoder the encoder's last state at the
start, and its softmax sees the state itself; None-Input hands it to the decoder
at every step, and the softmax stands on a tanh layer over state and that
vector. Both as their parameter counts imply.

To be seen: any attention is better than none by at least 4 BLEU; the additive
score is not below the multiplicative one, and its width hardly matters; the
widest multiplicative score is worse than that of 512 by at least 1; the fixed
vector is better at every step than at the start.
"""

from seq2seq_jax.ablation import orderings, scales, suite, sweep

NONES = ("None-State", "None-Input")


WIDTHS = (128, 256, 512, 1024)
MULTIPLICATIVE = "--model.attention.score multiplicative"
NONE = """
  --model.attention.score none --model.decoder.input_feeding False
  --model.decoder.feed readout
"""
AT_START = """
  --model.decoder.bridge dense --model.readout.kind linear
  --model.readout.inputs state
"""


def get_ablation() -> suite.Ablation:
  add = sweep.product(sweep.factor("--model.attention.dim", WIDTHS, "Add-{}"))
  mul = [
    suite.Row(f"Mul-{n}", f"{MULTIPLICATIVE} --model.attention.dim {n}")
    for n in WIDTHS
  ]
  without = [
    suite.Row("None-State", f"{NONE} {AT_START}"),
    suite.Row("None-Input", f"{NONE} --model.decoder.context_at every_step"),
  ]
  names = tuple(row.name for row in add)
  any_attention = (*names, *(row.name for row in mul))
  return suite.Ablation(
    title="Attention",
    paper="Britz et al. 2017 (arXiv 1703.03906), table 5",
    rows=sweep.with_published([*mul, *add, *without], "britz2017/attention"),
    metric="bleu",
    metrics=("loss",),
    reference="Add-512",
    orderings=(
      *(
        orderings.above(n, w.name, by=4) for n in any_attention for w in without
      ),
      orderings.above("None-Input", "None-State"),
      *(orderings.alike(n, "Add-512", 0.5) for n in names if n != "Add-512"),
      *(orderings.above(f"Add-{n}", f"Mul-{n}", by=-0.3) for n in WIDTHS),
      orderings.above("Mul-512", "Mul-1024", by=1),
    ),
    base="multi30k_britz.py",
    base_by_scale=scales.BRITZ_BASES,
    scales=scales.BRITZ,
    rows_by_scale={
      "smoke": ("Add-128", "Mul-128", *NONES),
      "cpu": ("Add-128", "Add-256", "Add-512", "Mul-128", "Mul-512", *NONES),
    },
    note=(
      "Published: WMT15 English to German, newstest2013. None-State goes "
      "through a tanh layer, since encoder and decoder differ in shape."
    ),
  )
