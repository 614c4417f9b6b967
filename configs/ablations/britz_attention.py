"""Britz et al. 2017 (arXiv 1703.03906), table 5: attention.

    export SEQ2SEQ_JAX_DATA=FOLDER    # holds multi30k/lc.norm.tok
    python -m seq2seq_jax.ablate configs/ablations/britz_attention.py \\
      --workdir runs/britz_attention

Multi30k, English to German, their baseline at half its width. Add-512 scores
with a hidden layer of 512. None-State hands the decoder the encoder's last
state at the start, None-Input at every step. Their multiplicative score, two
matrices and no scale, is not among the scores here: the nearest, Luong's
general one, has one matrix and no width of its own, and stands beside nothing.

To be seen: any attention is better than none by at least 4 BLEU; the width of
the additive score hardly matters; the fixed vector is better at every step than
at the start.
"""

from seq2seq_jax.ablation import grid

SMALL = "multi30k_britz_small.py"

NONES = ("None-State", "None-Input")


NONE = "--model.attention none --model.input_feeding False --model.feed readout"


def get_ablation() -> grid.Ablation:
  add = grid.product(
    grid.factor("--model.attention_dim", (128, 256, 512, 1024), "Add-{}")
  )
  without = [
    grid.Row("None-State", f"{NONE} --model.bridge dense"),
    grid.Row("None-Input", f"{NONE} --model.context_at every_step"),
  ]
  general = grid.Row("general", ("--model.attention", "general"))
  names = tuple(row.name for row in add)
  rows = grid.published([*add, *without], "britz2017/attention")
  return grid.Ablation(
    title="Attention",
    paper="Britz et al. 2017 (arXiv 1703.03906), table 5",
    rows=(*rows, general),
    metric="bleu",
    metrics=("loss",),
    reference="Add-512",
    orderings=(
      *(grid.above(n, w.name, by=4) for n in names for w in without),
      grid.above("None-Input", "None-State"),
      *(grid.alike(n, "Add-512", 0.5) for n in names if n != "Add-512"),
    ),
    base="multi30k_britz.py",
    bases={"smoke": SMALL, "cpu": SMALL, "pod": "britz2017.py"},
    scales={
      "smoke": grid.SMOKE,
      "cpu": (),
      "gpu": (),
      "pod": (),
    },
    rows_of={
      "smoke": ("Add-128", "None-State", "None-Input", "general"),
      "cpu": ("Add-128", "Add-256", "Add-512", *NONES, "general"),
    },
    note=(
      "Published: WMT15 English to German, newstest2013. None-State goes "
      "through a tanh layer, since encoder and decoder differ in shape."
    ),
  )
